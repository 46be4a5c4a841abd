"""What a file may ask of its decoder: judged from its structure, before a library is let at it.

A small file can ask for much: text of a PNG that swells, a JPEG of a thousand scans, a TIFF whose tiles are
larger than its image. Whoever made the file may have meant it.
"""

from __future__ import annotations

import logging
import math
import stat
import struct
from pathlib import Path
from typing import Any, BinaryIO

import tifffile

from semtune.errors import DatasetError

MAX_SIDE = 65_535
MAX_BYTES = 2**27
"""Of decoded pixels; a larger frame is refused from its header, before anything is decoded."""
MAX_FILE_BYTES = 2**28
RESAVE = "save it again as a grey PNG or TIFF"
RECOPY = "copy it anew or remove it"

_MOST_CHUNKS = 2**17
_MOST_SCANS, _MOST_SCANNED = 100, 2**29
"""Scans of a JPEG, and pixels that they pass over together; writers make one to ten."""
_MOST_TAGS, _MOST_NUMBERS, _MOST_TEXT = 4096, 2**21, 2**26
"""In the first directory of a TIFF: its tags, the numbers and the bytes that they hold together."""
_TEXT_TYPES = (1, 2, 6, 7)


def check_file(path: Path) -> None:
    """Refuse what is no regular file of 1 to `MAX_FILE_BYTES` bytes.

    Raises:
        DatasetError: If it is not.
    """
    try:
        facts = path.stat()
    except OSError as fault:
        raise DatasetError(f"cannot be opened ({fault.strerror}); check the path") from fault
    if not stat.S_ISREG(facts.st_mode):
        raise DatasetError("is not a regular file; give an image file")
    if not 0 < facts.st_size <= MAX_FILE_BYTES:
        raise DatasetError(f"has {facts.st_size} bytes, not 1 to {MAX_FILE_BYTES}; {RECOPY}")


def check_size(height: int, width: int, pixel_bytes: int) -> None:
    """Refuse frames without pixels, and those over `MAX_SIDE` or `MAX_BYTES`.

    Raises:
        DatasetError: If it is such a frame.
    """
    if min(height, width) < 1:
        raise DatasetError(f"has {width} x {height} pixels; {RECOPY}")
    if max(height, width) > MAX_SIDE or height * width * pixel_bytes > MAX_BYTES:
        raise DatasetError(
            f"has {width} x {height} pixels, over {MAX_SIDE} a side or {MAX_BYTES} bytes; crop it first"
        )


def damaged(what: str) -> DatasetError:
    """The refusal of a file whose structure is not sound."""
    return DatasetError(f"damaged or incomplete image ({what}); {RECOPY}")


def critical_chunks(path: Path) -> bytearray:
    """A PNG without its ancillary chunks, whose texts and profiles may swell a thousandfold.

    Raises:
        DatasetError: If it has more chunks than any writer would make.
    """
    with path.open("rb") as file:
        kept = bytearray(file.read(8))
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return kept
            length = int.from_bytes(head[:4], "big") + 4  # with the check sum
            if head[4] & 0x20:  # a small letter: a decoder may leave it out
                file.seek(length, 1)
            else:
                kept += head
                kept += file.read(min(length, MAX_FILE_BYTES))
    raise damaged(f"over {_MOST_CHUNKS} chunks")


def check_scans(data: bytes, pixels: int) -> None:
    """Refuse a progressive JPEG that passes over its pixels again and again.

    Raises:
        DatasetError: If there are too many.
    """
    scans = data.count(b"\xff\xda")  # in the data of a scan, 0 follows 0xff
    if scans > _MOST_SCANS or scans * pixels > _MOST_SCANNED:
        raise DatasetError(f"is a JPEG of {scans} scans; {RESAVE}")


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF whose first directory asks for no more memory than frames and vendors' blocks need.

    Raises:
        DatasetError: If it asks for more.
        Exception: Whatever tifffile raises on damaged bytes.
    """
    # What tifffile works around and matters is refused here as an error.
    logging.getLogger("tifffile").addFilter(_drop)
    with path.open("rb") as file:
        _check_directory(file)
    # Without the kinds for which tifffile reads every page at once.
    return tifffile.TiffFile(path, is_lsm=False, is_scanimage=False, is_ndpi=False)


def check_segments(page: Any, pixel_bytes: int, file_bytes: int) -> None:  # noqa: ANN401 - tifffile ships no types
    """Refuse strips and tiles of a TIFF that are missing, lie over each other or outgrow the image.

    Raises:
        DatasetError: If they do.
    """
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(segments) < math.prod(page.chunked) or any(
        size < 1 or start + size > file_bytes for start, size in segments
    ):
        raise damaged("missing strips")
    if sum(page.databytecounts) > file_bytes:
        raise damaged("strips that lie over each other")
    tile = page.tiledepth * page.tilelength * page.tilewidth if page.is_tiled else 0
    if math.prod(page.chunked) * tile * pixel_bytes > 2 * MAX_BYTES:
        raise damaged(f"tiles of {page.tilewidth} x {page.tilelength} pixels")


def _check_directory(file: BinaryIO) -> None:
    head = file.read(16)
    order = "<" if head[:1] == b"I" else ">"
    big = b"+" in head[2:4]
    number, entry = ("Q", "HHQ8x") if big else ("H", "HHI4x")
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    file.seek(start)
    (tags,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
    if tags > _MOST_TAGS:
        raise damaged(f"{tags} tags")
    entries = file.read(tags * struct.calcsize(order + entry))
    whole = len(entries) - len(entries) % struct.calcsize(order + entry)
    found = list(struct.iter_unpack(order + entry, entries[:whole]))
    texts = sum(count for _, kind, count in found if kind in _TEXT_TYPES)
    if texts > _MOST_TEXT or sum(count for _, _, count in found) - texts > _MOST_NUMBERS:
        raise damaged("tags larger than any frame needs")


def _drop(_: logging.LogRecord) -> bool:
    return False
