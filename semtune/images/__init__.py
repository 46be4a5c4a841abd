"""Any image file becomes a grey frame; data bars are cropped; frames are cut into tiles.

A file is known by its first bytes, not by its suffix: microscopes and people misname files. Whatever the
bytes are, the only error that leaves this module is `DatasetError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from semtune.errors import DatasetError, words_of
from semtune.images.bounds import MAX_FILE_BYTES, damaged, open_tiff
from semtune.images.decoding import Frame, decode

__all__ = [
    "MAX_FILE_BYTES",
    "Frame",
    "crop_data_bar",
    "find_data_bar",
    "open_tiff",
    "read_frame",
    "tiles",
    "to_uint8",
    "write_png",
]


def read_frame(path: Path) -> Frame:
    """Read the grey levels of a PNG, TIFF, JPEG or BMP file, shape (height, width), uint8 or uint16.

    Palette indices are mapped through the colour map; of a multi-page TIFF the first page is read; alpha is
    dropped; colour becomes luma (Rec. 601: 0.299 R + 0.587 G + 0.114 B, rounded), so three equal channels
    give that channel. Depths below 8 and between 8 and 16 bits are stretched to the full range of uint8
    and uint16.

    Raises:
        DatasetError: If the file is missing, damaged, too large, or no grey or colour image of 1 to 16 bits.
    """
    try:
        return decode(path)
    except DatasetError as fault:
        raise DatasetError(f"{path}: {fault}") from fault.__cause__
    except Exception as fault:  # decoders fail on damaged bytes in every way there is
        raise DatasetError(f"{path}: {damaged(words_of(fault))}") from fault


def write_png(path: Path, frame: Frame) -> None:
    """Write a frame as a lossless grey PNG of 8 or 16 bits; `read_frame` returns the same array."""
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(frame), level=6))


def to_uint8(frame: Frame) -> NDArray[np.uint8]:
    """Grey levels as uint8: unchanged if they are; else round(g / 257), so that 65535 becomes 255.

    The full range of uint16 is mapped, not the range in use: two frames stay comparable.
    """
    if frame.dtype == np.uint8:
        return frame.astype(np.uint8, copy=False)
    return ((frame.astype(np.uint32) + 128) // 257).astype(np.uint8)


def crop_data_bar(frame: Frame, height: int | None = None) -> Frame:
    """The frame without the `height` rows at its bottom; None: without the bar that `find_data_bar` finds.

    Raises:
        DatasetError: If `0 <= height < rows of the frame` does not hold.
    """
    rows = find_data_bar(frame) if height is None else height
    if not 0 <= rows < frame.shape[0]:
        raise DatasetError(f"`0 <= height < {len(frame)}` must hold for a data bar, but got height={rows}")
    return frame[: frame.shape[0] - rows]


def find_data_bar(frame: Frame) -> int:
    """Rows to crop at the bottom to remove a burned-in data bar; 0 where there is none.

    A bar is a band of 8 rows to a quarter of the frame. It begins with a row of one grey level (among its
    first eight: JPEG ripples), goes on with rows of which two fifths or more have one background level, and
    carries writing: pixels far from the background, many of them of one level. Up to four rows of image may
    follow below it (Zeiss). A dark or saturated band of a specimen carries none; in doubt nothing is cropped.
    """
    band = to_uint8(frame)[frame.shape[0] - frame.shape[0] // 4 :]
    rows = band.shape[0]
    if rows < 8:
        return 0
    background = int(np.bincount(band[rows // 2 :].ravel(), minlength=256).argmax())
    inside = np.flatnonzero((_near(band, background, 4).mean(axis=1) >= 0.4) | _uniform_rows(band))
    outside = np.setdiff1d(np.arange(inside.max(initial=0)), inside)
    if not outside.size or inside[-1] < rows - 5:
        return 0
    first = int(outside[-1]) + 1
    bar = band[first : inside[-1] + 1]
    is_bar = len(bar) >= 8 and _uniform_rows(bar[:8]).any() and _has_writing(bar, background)
    return rows - first if is_bar else 0


def tiles(height: int, width: int, size: int, count: int) -> list[tuple[int, int]]:
    """Positions (top, left) of at most `count` tiles of `size` x `size` pixels, row by row.

    They form a grid as square as the frame's aspect allows, whose outer tiles touch the frame's edges; a
    single row or column is centred. Fewer than `count` come where `count` has no near-square grid (5: 2 x 2)
    or tiles would coincide.

    Raises:
        DatasetError: If the frame is smaller than a tile.
        ValueError: If `size` or `count` is below 1.
    """
    if size < 1 or count < 1:
        raise ValueError(f"`size >= 1` and `count >= 1` must hold, but got {size=}, {count=}")
    if min(height, width) < size:
        raise DatasetError(
            f"a frame of {width} x {height} pixels is smaller than a tile of {size} x {size}; "
            "leave the frame out or choose a smaller crop"
        )
    rows, columns = min(((r, count // r) for r in range(1, count + 1)), key=_unevenness(height, width))
    return [(top, left) for top in _spread(height - size, rows) for left in _spread(width - size, columns)]


# Data bars and tiles


def _near(grey: NDArray[Any], level: int | NDArray[np.int16], distance: int) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(grey.astype(np.int16) - level) <= distance
    return near


def _uniform_rows(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    middle = np.median(grey, axis=1).astype(np.int16)[:, None]
    uniform: NDArray[np.bool_] = _near(grey, middle, 8).mean(axis=1) >= 0.95  # 8: JPEG ripples
    return uniform


def _has_writing(bar: NDArray[np.uint8], background: int) -> bool:
    rest = bar[~_near(bar, background, 16)]
    if not 0.005 * bar.size <= rest.size <= 0.6 * bar.size:
        return False
    ink = int(np.bincount(rest, minlength=256).argmax())
    return abs(ink - background) >= 64 and float(_near(rest, ink, 32).mean()) >= 0.4


def _unevenness(height: int, width: int) -> Callable[[tuple[int, int]], tuple[bool, float, float]]:
    def key(grid: tuple[int, int]) -> tuple[bool, float, float]:
        rows, columns = grid
        stretch = abs(math.log((width / columns) / (height / rows)))
        long_cells = stretch > math.log(2) + 1e-9
        return long_cells, 0 if long_cells else -rows * columns, stretch

    return key


def _spread(room: int, count: int) -> list[int]:
    if count == 1:
        return [room // 2]
    return list(dict.fromkeys(round(index * room / (count - 1)) for index in range(count)))
