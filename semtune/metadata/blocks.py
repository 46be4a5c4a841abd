"""The raw metadata of an image file: tags inside a TIFF, text files beside the image."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tifffile

from semtune.errors import DatasetError, MetadataError, words_of
from semtune.files import is_inside
from semtune.images import open_tiff

VENDOR_TAGS = (34118, 34680, 34682, 50431)
"""Zeiss, Thermo (S-FEG), Thermo (Helios), TESCAN."""
MAX_BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Blocks:
    """Everything in which a vendor may have left control parameters of one image."""

    tags: Mapping[int, bytes]
    text: str | None = None
    """Of `<stem>.txt` beside the image (JEOL, Hitachi)."""
    header: str | None = None
    """Of `<stem>-<suffix>.hdr` beside the image (TESCAN)."""


def read_blocks(path: Path) -> Blocks:
    """Read the vendors' blocks of an image file, at most 4 MiB each; the pixels are not decoded.

    Raises:
        MetadataError: If the file, a block or a text beside it cannot be read.
    """
    return Blocks(
        _tags(path),
        _text(path.with_suffix(".txt")),
        _text(path.with_name(f"{path.stem}-{path.suffix[1:]}.hdr")),
    )


def parse_ini(text: str) -> dict[str, str]:
    """Texts by `section/key` (by `/key` before any section); the first of equal keys counts."""
    values: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        line = line.strip().strip("\0")
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            values.setdefault(f"{section}/{key.strip()}", value.strip())
    return values


def _tags(path: Path) -> dict[int, bytes]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise MetadataError("is not a regular file")
        with path.open("rb") as file:
            if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return {}
        with open_tiff(path) as image:
            tags = image.pages[0].aspage().tags
            return {code: _content(image, tags[code]) for code in VENDOR_TAGS if code in tags}
    except MetadataError:
        raise
    except DatasetError as fault:
        raise MetadataError(str(fault).partition(";")[0]) from fault
    except Exception as fault:  # tifffile fails on damaged bytes in every way there is
        raise MetadataError(f"cannot be read ({words_of(fault)})") from fault


def _content(image: tifffile.TiffFile, tag: tifffile.TiffTag) -> bytes:
    # The raw bytes, because tifffile's own readers turn numbers, units and NaN into whatever fits.
    if tag.valuebytecount > MAX_BLOCK_BYTES:
        raise MetadataError(f"the block in TIFF tag {tag.code} is larger than {MAX_BLOCK_BYTES} bytes")
    image.filehandle.seek(tag.valueoffset)
    content = bytes(image.filehandle.read(tag.valuebytecount))
    if len(content) < tag.valuebytecount:
        raise MetadataError(f"the block in TIFF tag {tag.code} is cut off")
    return content


def _text(path: Path) -> str | None:
    try:
        if not path.is_file():
            return None
        if not is_inside(path, path.parent):
            raise MetadataError(f"{path.name} beside it links to a place outside its folder")
        with path.open("rb") as file:
            content = file.read(MAX_BLOCK_BYTES + 1)
    except OSError as fault:
        raise MetadataError(f"{path.name} beside it cannot be read ({fault.strerror})") from fault
    if len(content) > MAX_BLOCK_BYTES:
        return None  # nobody's metadata
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    return content.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
