"""All that can be found wrong with a dataset's folder: its texts, its image files and its pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semtune.dataset.copies import near_copies
from semtune.dataset.description import DatasetDescription, inspect_description
from semtune.dataset.faults import Fault
from semtune.dataset.rows import Row, read_rows, row_fault
from semtune.errors import DatasetError
from semtune.images import MAX_FILE_BYTES, read_frame
from semtune.images.likeness import BITS, likeness

SMALLEST_SIDE = 64
"""Rows and columns that a frame must have, pixels."""


@dataclass(frozen=True)
class Inspection:
    """A folder's rows with their faults, and the faults that belong to no row."""

    folder: Path
    description: DatasetDescription
    rows: tuple[Row, ...]
    general_faults: tuple[Fault, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault, in the order of the files' lines."""
        found = [*self.general_faults, *(fault for row in self.rows for fault in row.faults)]
        return tuple(sorted(found, key=lambda fault: (fault.file, fault.line or 0)))


def inspect(folder: Path) -> Inspection:
    """Read the folder's texts and hash its image files, without decoding them."""
    description, description_faults = inspect_description(folder)
    parsed = read_rows(folder, description)
    rows = _name_copies(_name_divided_fields(_hash_images(parsed.rows)))
    of_description = description_faults if folder.is_dir() else ()  # no folder is one fault, not two
    return Inspection(folder, description, tuple(rows), (*of_description, *parsed.faults))


def inspect_pixels(inspection: Inspection) -> Inspection:
    """Decode every image and add what is wrong with its pixels."""
    with ThreadPoolExecutor(worker_count()) as pool:
        pixels = list(pool.map(_decode, inspection.rows))
    rows = [_blame(row, *found.faults) for row, found in zip(inspection.rows, pixels, strict=True)]
    rows = list(_name_recoded_copies(rows, [found.digest for found in pixels]))
    return replace(inspection, rows=tuple(_name_near_copies(rows, [found.likeness for found in pixels])))


def worker_count() -> int:
    """Threads for hashing and decoding: both leave Python's lock, and more than 8 only wait for the disk."""
    return min(8, os.cpu_count() or 1)


class _Pixels(NamedTuple):
    digest: str | None
    faults: tuple[str, ...]
    likeness: NDArray[np.bool_] = np.zeros(BITS, np.bool_)


def _blame(row: Row, *faults: str) -> Row:
    return replace(row, faults=(*row.faults, *(row_fault(row.line, fault) for fault in faults)))


def _hash_images(rows: Sequence[Row]) -> list[Row]:
    with ThreadPoolExecutor(worker_count()) as pool:
        return list(pool.map(_hash_image, rows))


def _hash_image(row: Row) -> Row:
    if row.path is None:
        return row
    try:
        with row.path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > MAX_FILE_BYTES:
                return _blame(row, f"the image file is larger than {MAX_FILE_BYTES} bytes; crop the frame")
            return replace(row, content=hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        return _blame(row, f"the image cannot be read ({error.strerror}); check the permissions of its file")


def _decode(row: Row) -> _Pixels:
    if row.path is None or row.content is None:
        return _Pixels(None, ())
    try:
        frame = read_frame(row.path)
    except DatasetError as error:
        return _Pixels(None, (f"the image cannot be used: {str(error).removeprefix(f'{row.path}: ')}",))
    height, width = frame.shape
    pixels = hashlib.sha256(f"{frame.dtype} {height} {width} ".encode())
    pixels.update(frame.tobytes())
    if min(height, width) >= SMALLEST_SIDE:
        return _Pixels(pixels.hexdigest(), (), likeness(frame))
    small = f"the frame has {height} x {width} pixels; each side needs {SMALLEST_SIDE}, take a larger frame"
    return _Pixels(pixels.hexdigest(), (small,))


def _name_divided_fields(rows: Iterable[Row]) -> Iterator[Row]:
    first: dict[str, Row] = {}
    for row in rows:
        if row.sample is None or not row.sample.field or not row.sample.specimen:
            yield row
            continue
        other = first.setdefault(row.sample.field, row)
        home = other.sample.specimen if other.sample else row.sample.specimen
        if home == row.sample.specimen:
            yield row
        else:
            place = f"field {row.sample.field!r} lies on specimen {home!r} in line {other.line}"
            yield _blame(
                row, f"{place}, here on {row.sample.specimen!r}; give each specimen fields of its own"
            )


def _name_copies(rows: Iterable[Row]) -> Iterator[Row]:
    """Blame the rows whose image file has the same bytes as an earlier row's."""
    first: dict[str, int] = {}
    for row in rows:
        line = row.line if row.content is None else first.setdefault(row.content, row.line)
        yield row if line == row.line else _copy_of(row, line)


def _name_recoded_copies(rows: Iterable[Row], digests: Sequence[str | None]) -> Iterator[Row]:
    """Blame the rows that show the pixels of an earlier row in a file of other bytes."""
    first: dict[str, Row] = {}
    for row, digest in zip(rows, digests, strict=True):
        other = row if digest is None else first.setdefault(digest, row)
        yield row if other.content == row.content else _copy_of(row, other.line)


def _name_near_copies(rows: Sequence[Row], hashes: Sequence[NDArray[np.bool_]]) -> list[Row]:
    """Warn of a row that looks like an earlier one of another field, once for each pair of fields."""
    fields = [row.sample.field if row.sample else "" for row in rows]
    warned = list(rows)
    for each in near_copies(np.array(hashes).reshape(-1, BITS), fields):
        row = warned[each.second]
        if row.is_sound:  # else it is blamed as the same frame already
            alike = f"looks like the frame in line {rows[each.first].line} of field {fields[each.first]!r}"
            said = f"{alike} ({each.bits} of {BITS} bits of a perceptual hash differ)"
            remedy = (
                "if both show one place, give them one field (`semtune import --field`), or the split leaks"
            )
            fault = replace(row_fault(row.line, f"{said}; {remedy}"), severity="warning")
            warned[each.second] = replace(row, faults=(*row.faults, fault))
    return warned


def _copy_of(row: Row, line: int) -> Row:
    if not _is_blank(row):
        return _blame(row, f"the same frame as in line {line}; keep one of the two")
    # Fully black or fully saturated frames are alike without being copies.
    blank = f"a blank frame, like that in line {line}; more than a few of them teach nothing"
    return replace(row, faults=(*row.faults, replace(row_fault(row.line, blank), severity="warning")))


def _is_blank(row: Row) -> bool:
    try:
        frame = read_frame(row.path) if row.path else None
    except DatasetError:
        return False
    return frame is not None and bool(frame.min() == frame.max())
