"""The frame that an autofocus function accepts, and exact sums over its grey levels.

Sums of an integer frame are Python integers, so that no difference wraps and no sum of squares
overflows or rounds, however large the frame. Sums of a float frame are float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

GreyFrame: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating[Any]]
"""Grey levels of any scale, shape (height, width); a view need not be contiguous."""

BYTES, WORDS = EXACT = np.dtype(np.uint8), np.dtype(np.uint16)
"""Made once: to compare with a type, `frame.dtype == np.uint8`, makes a dtype at each call."""

BLOCK_PIXELS = 2**18
"""Pixels of a row block: squares of 16-bit levels then sum to at most 2**50.

Some builds of OpenCV take the root of a sum of squares and square it again; below 2**50 that error
is under one half, and rounding removes it. A block of this size also stays in the cache. Squares of
8-bit levels stay below 2**50 in any frame that fits into memory: there a frame is one block.
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
    rows, columns = frame.shape
    if rows < height or columns < width:
        raise ValueError(f"`height >= {height}` and `width >= {width}` must hold, but got {frame.shape}")
    if frame.dtype in EXACT:
        return frame
    if frame.dtype == WORDS.newbyteorder():  # TIFF files may hold the other byte order
        return frame.astype(np.uint16)
    if frame.dtype.kind != "f":
        raise ValueError(f"a frame must be uint8, uint16 or float, but got {frame.dtype}; convert it first")
    if not np.isfinite(frame).all():
        raise ValueError("all grey levels must be finite, but got NaN or infinity; crop or mend the frame")
    return frame.astype(np.float64, copy=False)


def is_exact(frame: GreyFrame) -> bool:
    """Whether the frame holds integers, so that its sums are exact."""
    return frame.dtype in EXACT


def row_blocks(frame: GreyFrame, overlap: int = 0, pixels: int = BLOCK_PIXELS) -> Iterator[GreyFrame]:
    """Views of consecutive rows, about `pixels` each; each block also sees `overlap` rows of the next."""
    step = max(1, pixels // frame.shape[1])
    for top in range(0, frame.shape[0] - overlap, step):
        yield frame[top : top + step + overlap]


def total(frame: GreyFrame) -> int:
    """Sum of the grey levels of an integer frame."""
    return int(cv2.sumElems(frame)[0])


def square_total(frame: GreyFrame) -> int:
    """Sum of the squared grey levels of an integer frame."""
    if frame.dtype != BYTES:
        return sum(round(cv2.norm(block, cv2.NORM_L2SQR)) for block in row_blocks(frame))
    columns = frame.shape[1]
    if columns % 2 == 0:
        # The same levels as two channels: OpenCV's own loop, which is faster than the one of Intel's IPP.
        frame = frame.reshape(-1, columns // 2, 2)
    return round(cv2.norm(frame, cv2.NORM_L2SQR))


def absolute_distance(a: GreyFrame, b: GreyFrame) -> float:
    """Sum of abs(a - b) of two equally shaped frames of one dtype; an int if they hold integers."""
    distance: float = cv2.norm(a, b, cv2.NORM_L1)
    return round(distance) if a.dtype != np.float64 else distance


def squared_distance(a: GreyFrame, b: GreyFrame) -> float:
    """Sum of (a - b)**2 of two equally shaped frames of one dtype; an int if they hold integers."""
    if a.dtype == BYTES:
        return round(cv2.norm(a, b, cv2.NORM_L2SQR))
    if not is_exact(a):
        return float(cv2.norm(a, b, cv2.NORM_L2SQR))
    pairs = zip(row_blocks(a), row_blocks(b), strict=True)
    return sum(round(cv2.norm(left, right, cv2.NORM_L2SQR)) for left, right in pairs)
