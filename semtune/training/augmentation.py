"""Crops, quarter turns and flips, cut where the frames are: by indexing on a device, by slices on the host.

A free rotation would interpolate, which blurs, which damages the label; the eight symmetries of the
square only move pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.dataset.paging import Pager

_TURNS = (
    (False, False, False),
    (False, True, True),
    (True, True, False),
    (True, False, True),
    (True, False, False),
    (False, False, True),
    (False, True, False),
    (True, True, True),
)
"""The eight symmetries of the square: whether rows and columns are reversed, and then exchanged."""
SYMMETRIES = len(_TURNS)


@cache
def _turns(device: torch.device) -> Tensor:
    """The table on a device: brought there once, because nothing may be copied while a step is captured."""
    return torch.tensor(_TURNS, device=device)


@dataclass(frozen=True)
class FramePixels:
    """Decoded frames, one after the other, on one device; frames may differ in size."""

    pixels: Tensor
    """Grey levels, uint8, shape (all pixels of all frames,)."""
    offsets: Tensor
    """Where each frame starts in `pixels`, int64, shape (frames,)."""
    heights: Tensor
    widths: Tensor
    pager: Pager | None = None
    """Of the mapped file that `pixels` looks into, where that is larger than memory."""

    @classmethod
    def stacked(cls, frames: Sequence[NDArray[np.uint8]]) -> FramePixels:
        """Put frames one after the other, on the host."""
        sizes = np.array([frame.shape for frame in frames], np.int64)
        ends = np.cumsum(sizes[:, 0] * sizes[:, 1])
        return cls(
            torch.from_numpy(np.concatenate([frame.reshape(-1) for frame in frames])),
            torch.from_numpy(ends - sizes[:, 0] * sizes[:, 1]),
            torch.from_numpy(sizes[:, 0].copy()),
            torch.from_numpy(sizes[:, 1].copy()),
        )

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
        if self.pixels.device.type == "cpu":
            crops = torch.empty((len(rows), 1, size, size), dtype=torch.uint8)
            self.cut_into(crops, torch.stack([rows, top, left, symmetry], 1))
            return crops
        return self.gather(torch.stack([rows, top, left, symmetry], 1), size)

    def gather(self, geometry: Tensor, size: int) -> Tensor:
        """Do as `cut` in one indexing step without a look at the values, as a captured step must.

        A pixel's place is linear in the row and the column of the crop.

        Args:
            geometry: Frame, top, left, symmetry; int64, shape (batch, 4).
            size: Side of the crops in pixels.
        """
        rows, top, left, symmetry = geometry.unbind(1)
        reverse_rows, reverse_columns, exchange = _turns(rows.device)[symmetry].unbind(1)
        width = self.widths[rows]
        down = torch.where(reverse_rows, -width, width)
        right = torch.where(reverse_columns, -1, 1)
        last = (size - 1) * (reverse_rows * width + reverse_columns)
        first = self.offsets[rows] + top * width + left + last
        i = torch.arange(size, device=rows.device)
        along = torch.where(exchange, right, down).unsqueeze(1) * i
        across = torch.where(exchange, down, right).unsqueeze(1) * i
        return self.pixels[(first.unsqueeze(1) + along).unsqueeze(2) + across.unsqueeze(1)].unsqueeze(1)

    def cut_into(self, crops: Tensor, geometry: Tensor) -> None:
        """Do as `cut` on the host by slices, which touch only the rows that are needed.

        Args:
            crops: Takes the grey levels, uint8, shape (batch, 1, size, size).
            geometry: Frame, top, left, symmetry; int64, shape (batch, 4).
        """
        size, pixels = crops.shape[-1], self.pixels.numpy()
        for crop, (row, top, left, symmetry) in zip(crops.numpy()[:, 0], geometry.tolist(), strict=True):
            start, length, width = self._span(row, top, size)
            square = pixels[start : start + length].reshape(size, width)[:, left : left + size]
            reverse_rows, reverse_columns, exchange = _TURNS[symmetry]
            turned = square[:: -1 if reverse_rows else 1, :: -1 if reverse_columns else 1]
            np.copyto(crop, turned.T if exchange else turned)

    def expect(self, geometry: Tensor, size: int) -> None:
        """Have the pages read that crops will need; nothing where the frames are in memory.

        Args:
            geometry: Frame, top and first of all the rest; int64, shape (batch, 2 or more).
            size: Side of the crops in pixels.
        """
        if self.pager is not None:
            for row, top in geometry[:, :2].tolist():
                self.pager.expect(*self._span(row, top, size)[:2])

    def _span(self, row: int, top: int, size: int) -> tuple[int, int, int]:
        """First byte and number of bytes of the rows that a crop needs, and the width of the frame."""
        width = int(self.widths[row])
        return int(self.offsets[row]) + top * width, size * width, width


def as_grey_levels(crops: Tensor) -> Tensor:
    """Turn uint8 crops (batch, 1, height, width) into float grey levels in [0, 1]."""
    return crops.float().div_(255).contiguous(memory_format=torch.channels_last)


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
