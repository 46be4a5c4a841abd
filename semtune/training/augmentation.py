"""Crops, quarter turns and flips, cut in one indexing step on the device that holds the frames.

A free rotation would interpolate, which blurs, which damages the label; the eight symmetries of the
square only move pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# For each symmetry of the square, source row and column as a * i + b * j + c * (size - 1).
_SYMMETRIES = torch.tensor(
    [
        [[1, 0, 0], [0, 1, 0]],
        [[0, 1, 0], [-1, 0, 1]],
        [[-1, 0, 1], [0, -1, 1]],
        [[0, -1, 1], [1, 0, 0]],
        [[-1, 0, 1], [0, 1, 0]],
        [[0, 1, 0], [1, 0, 0]],
        [[1, 0, 0], [0, -1, 1]],
        [[0, -1, 1], [-1, 0, 1]],
    ]
)
SYMMETRIES = len(_SYMMETRIES)


@cache
def _symmetries(device: torch.device) -> Tensor:
    """The table on a device: brought there once, because nothing may be copied while a step is captured."""
    return _SYMMETRIES.to(device)


@dataclass(frozen=True)
class FramePixels:
    """Decoded frames, one after the other, on one device; frames may differ in size."""

    pixels: Tensor
    """Grey levels, uint8, shape (all pixels of all frames,)."""
    offsets: Tensor
    """Where each frame starts in `pixels`, int64, shape (frames,)."""
    heights: Tensor
    widths: Tensor

    def to(self, device: torch.device) -> FramePixels:
        """Return the same frames on another device."""
        return FramePixels(
            self.pixels.to(device), self.offsets.to(device), self.heights.to(device), self.widths.to(device)
        )

    def cut(self, rows: Tensor, top: Tensor, left: Tensor, symmetry: Tensor, size: int) -> Tensor:
        """Cut one square crop from each of the given frames.

        Args:
            rows: Indices of frames, int64, shape (batch,).
            top: First row of each crop, int64, shape (batch,).
            left: First column of each crop, int64, shape (batch,).
            symmetry: Which of the eight symmetries of the square, int64 in 0..7, shape (batch,).
            size: Side of the crops in pixels.

        Returns:
            Grey levels, uint8, shape (batch, 1, size, size).
        """
        table = _symmetries(rows.device)[symmetry]
        i = torch.arange(size, device=rows.device).view(1, size, 1)
        j = i.view(1, 1, size)
        row, column = (
            table[:, axis, 0, None, None] * i
            + table[:, axis, 1, None, None] * j
            + table[:, axis, 2, None, None] * (size - 1)
            for axis in (0, 1)
        )
        width = self.widths[rows].view(-1, 1, 1)
        start = (self.offsets[rows] + left).view(-1, 1, 1) + (top.view(-1, 1, 1) + row) * width
        return self.pixels[start + column].unsqueeze(1)


@dataclass(frozen=True)
class EpochPlan:
    """What every crop of one epoch shows: the random part of an epoch, drawn before it starts."""

    geometry: Tensor
    """Frame, top, left, symmetry; int64, shape (crops, 4)."""
    without_controls: Tensor
    """Whether the crop is shown without its control parameters; bool, shape (crops,)."""


def plan_epoch(
    frames: FramePixels,
    train: NDArray[np.int64],
    size: int,
    control_dropout: float,
    seed: int,
    epoch: int,
    drawn: int | None = None,
) -> EpochPlan:
    """Draw order, crops, symmetries and dropped control parameters of one epoch.

    The draws depend on the seed and the epoch alone, so that a resumed trial sees what it would have seen.

    Args:
        frames: All frames, for their sizes.
        train: Indices of the training frames, shape (train,).
        size: Side of the crops, pixels.
        control_dropout: Share of the crops that are shown without control parameters, in [0, 1].
        seed: Seed of the trial.
        epoch: Number of the epoch.
        drawn: Training frames of this epoch, none of them twice; by default all.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(train)[:drawn]
    heights, widths = frames.heights.cpu().numpy()[order], frames.widths.cpu().numpy()[order]
    geometry = np.stack(
        [
            order,
            random.integers(0, heights - size + 1),
            random.integers(0, widths - size + 1),
            random.integers(0, SYMMETRIES, len(order)),
        ],
        axis=1,
    )
    return EpochPlan(
        torch.from_numpy(geometry.astype(np.int64)),
        torch.from_numpy(random.random(len(order)) < control_dropout),
    )
