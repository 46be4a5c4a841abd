"""What lies beside an exported model: the program, the licence, the sums; and the zip around it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from importlib.metadata import files
from pathlib import Path

from semtune.errors import SearchError
from semtune.export import score_frame
from semtune.images import geometry

_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same content, the same bytes
_FIRST = "from semtune.errors import DatasetError\n"
"""In both files the first import of semtune's, below the same imports."""
_ERROR = '''class DatasetError(ValueError):
    """A frame or its control parameters cannot be scored."""
'''


def example_program() -> str:
    """`score_frame.py` with what it imports of semtune put in place: the rules are semtune's own."""
    head, _, rest = Path(score_frame.__file__).read_text("utf-8").partition(_FIRST)
    rules = Path(geometry.__file__).read_text("utf-8").partition(_FIRST)[2]
    own = [line for line in rest.splitlines(keepends=True) if not line.startswith("from semtune.")]
    return f"{head.rstrip()}\n\n\n{_ERROR}\n\n{rules.strip()}\n\n\n{''.join(own).lstrip()}"


def licence() -> str:
    """The text of semtune's licence.

    Raises:
        SearchError: If it was not installed.
    """
    found = next((path for path in files("semtune") or [] if path.name == "LICENSE"), None)
    if found is None:
        raise SearchError("the licence of semtune was not installed with it; install semtune anew")
    return Path(str(found.locate())).read_text("utf-8")


def sums(folder: Path) -> str:
    """SHA-256 of every file of a folder, as `sha256sum --check` reads them."""
    paths = sorted(folder.iterdir())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()} *{path.name}\n" for path in paths)


def zipped(folder: Path, name: str) -> bytes:
    """A folder as a zip file in which everything lies in a folder of that name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(f"{name}/{path.name}", _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return file.getvalue()
