"""Data bars, tiles and grey levels: numpy alone, because it travels into `score_frame.py` of an export."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semtune.errors import DatasetError

Frame = NDArray[np.uint8] | NDArray[np.uint16]
"""Grey levels, shape (height, width)."""


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
