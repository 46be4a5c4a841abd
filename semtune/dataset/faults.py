"""One thing that is wrong with a dataset, and the bounded reading of its text files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from semtune.errors import DatasetError
from semtune.files import is_inside

NAMED_FAULTS = 3
"""How many faults an error message names; `semtune check` names them all."""


@dataclass(frozen=True)
class Fault:
    """What is wrong in one file of a dataset, and what to do about it."""

    file: str
    """The file that needs an edit, relative to the dataset's folder."""
    line: int | None
    """Counted from 1; None where the whole file is meant."""
    fault: str
    """What is wrong; what to do."""
    severity: Literal["error", "warning"] = "error"
    """An error keeps the dataset from being used as it is; a warning does not."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.fault}"


def refusal(folder: Path, faults: Sequence[Fault]) -> DatasetError:
    """The error that names the first faults, one a line, and says how to see them all."""
    lines = [f"{folder}/{fault}" for fault in faults[:NAMED_FAULTS]]
    if len(faults) > NAMED_FAULTS:
        lines.append(f"and {len(faults) - NAMED_FAULTS} more faults")
    return DatasetError("\n".join(lines) + f"\n`semtune check {folder}` names every fault")


def read_text(folder: Path, file: str, limit: int) -> str | Fault:
    """The text of a UTF-8 file of at most `limit` bytes (a byte-order mark is dropped), or its fault."""
    path = folder / file
    try:
        if not path.is_file():  # a pipe or a device would block or never end
            return Fault(file, None, _no_file(folder, file))
        if not is_inside(path, folder):
            return Fault(file, None, "the file links to a place outside its folder; copy it into the folder")
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            return Fault(file, None, f"the file is larger than {limit} bytes; split the dataset")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Fault(file, line, "the text is not UTF-8; save the file with the encoding UTF-8")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return Fault(file, None, f"the file cannot be read ({error}); check the path and its permissions")


def _no_file(folder: Path, file: str) -> str:
    if not folder.is_dir():
        return f"there is no folder {str(folder)!r}; check the path"
    if (folder / file).exists():
        return "this is not a regular file; replace it with a text file"
    return "the file is missing; a dataset is a folder with manifest.csv and its image files"
