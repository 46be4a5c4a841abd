"""The frame that an autofocus function accepts, and exact sums over its grey levels.

Sums of an integer frame are Python integers, so that no difference wraps and no sum of squares
overflows or rounds, however large the frame. Sums of a float frame are float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

GreyFrame: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating[Any]]
"""Grey levels of any scale, shape (height, width); a view need not be contiguous."""

BLOCK_PIXELS = 2**18
"""Pixels of a row block: squares of 16-bit levels then sum to at most 2**50.

Some builds of OpenCV take the root of a sum of squares and square it again; below 2**50 that error
is under one half, and rounding removes it. A block of this size also stays in the cache.
"""


def checked(frame: GreyFrame, height: int = 1, width: int = 1) -> GreyFrame:
    """Return the frame itself if 8 or 16 bits deep, or a float64 frame of the same values.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width).
        height: Fewest rows that the caller can use.
        width: Fewest columns that the caller can use.

    Raises:
        ValueError: If the frame is not two-dimensional, too small, of another dtype or not finite.
    """
    if frame.ndim != 2:
        raise ValueError(f"a frame has the shape (height, width), but got {frame.shape}; make it grey first")
    if frame.shape[0] < height or frame.shape[1] < width:
        raise ValueError(f"`height >= {height}` and `width >= {width}` must hold, but got {frame.shape}")
    if frame.dtype == np.uint8 or frame.dtype == np.uint16:
        return frame
    if frame.dtype == np.dtype(np.uint16).newbyteorder():  # TIFF files may hold the other byte order
        return frame.astype(np.uint16)
    if frame.dtype.kind != "f":
        raise ValueError(f"a frame must be uint8, uint16 or float, but got {frame.dtype}; convert it first")
    if not np.isfinite(frame).all():
        raise ValueError("all grey levels must be finite, but got NaN or infinity; crop or mend the frame")
    return frame.astype(np.float64, copy=False)


def is_exact(frame: GreyFrame) -> bool:
    """Whether the frame holds integers, so that its sums are exact."""
    return frame.dtype.kind == "u"


def row_blocks(frame: GreyFrame, overlap: int = 0, pixels: int = BLOCK_PIXELS) -> Iterator[GreyFrame]:
    """Views of consecutive rows, about `pixels` each; each block also sees `overlap` rows of the next."""
    step = max(1, pixels // frame.shape[1])
    for top in range(0, frame.shape[0] - overlap, step):
        yield frame[top : top + step + overlap]


def total(frame: GreyFrame) -> int:
    """Sum of the grey levels of an integer frame."""
    return sum(round(cv2.norm(block, cv2.NORM_L1)) for block in _exact_blocks(frame))


def square_total(frame: GreyFrame) -> int:
    """Sum of the squared grey levels of an integer frame."""
    return sum(round(cv2.norm(block, cv2.NORM_L2SQR)) for block in _exact_blocks(frame))


def absolute_distance(a: GreyFrame, b: GreyFrame) -> float:
    """Sum of abs(a - b) of two equally shaped frames of one dtype; an int if they hold integers."""
    return _distance(a, b, cv2.NORM_L1)


def squared_distance(a: GreyFrame, b: GreyFrame) -> float:
    """Sum of (a - b)**2 of two equally shaped frames of one dtype; an int if they hold integers."""
    return _distance(a, b, cv2.NORM_L2SQR)


def _distance(a: GreyFrame, b: GreyFrame, norm: int) -> float:
    if not is_exact(a):
        return float(cv2.norm(a, b, norm))
    pairs = zip(_exact_blocks(a), _exact_blocks(b), strict=True)
    return sum(round(cv2.norm(left, right, norm)) for left, right in pairs)


def _exact_blocks(frame: GreyFrame) -> Iterable[GreyFrame]:
    # Squares of 8-bit levels stay below 2**50 in any frame that fits into memory: one block.
    return (frame,) if frame.dtype == np.uint8 else row_blocks(frame)
