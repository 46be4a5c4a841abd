"""Fields that look as if they showed one place: a split may put one to train and the other to test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semtune.images.likeness import BITS

NEAR_BITS = 51
"""A fifth of the bits. In the simulated set frames of two fields differ in at least 64 of 255, those of one
field in 14 in the median: decision 0036."""
_ROWS = 512  # of the matrix of distances at a time


@dataclass(frozen=True)
class NearCopies:
    """The two most alike frames of two fields."""

    first: int
    second: int
    """Their rows; `first` is the lower one."""
    bits: int
    """How many of 255 bits differ."""


def near_copies(hashes: NDArray[np.bool_], fields: Sequence[str]) -> list[NearCopies]:
    """Find the pairs of fields with frames that look alike; blank frames look like nothing.

    Args:
        hashes: Perceptual hashes, shape (frames, 255).
        fields: The field of each frame.
    """
    shown = np.flatnonzero(hashes.any(axis=1))
    signs = np.where(hashes[shown], np.float32(1), np.float32(-1))
    _, field = np.unique(np.asarray(fields)[shown], return_inverse=True)
    nearest: dict[tuple[int, int], NearCopies] = {}
    for start in range(0, len(shown), _ROWS):
        bits = np.rint((BITS - signs[start : start + _ROWS] @ signs.T) / 2).astype(np.int64)
        alike = (bits <= NEAR_BITS) & (field[start : start + _ROWS, None] < field[None])
        for row, column in np.argwhere(alike).tolist():
            pair = int(field[start + row]), int(field[column])
            first, second = sorted((int(shown[start + row]), int(shown[column])))
            found = NearCopies(first, second, int(bits[row, column]))
            if pair not in nearest or found.bits < nearest[pair].bits:
                nearest[pair] = found
    return sorted(nearest.values(), key=lambda each: (each.second, each.first))
