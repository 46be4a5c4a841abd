"""Brings crops to the device: cut there, or on the host while the step before trains."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from semtune.training.augmentation import FramePixels


class Feed(Protocol):
    """Gives the crops of one batch after the other."""

    def start(self, geometry: Tensor) -> None:
        """Begin with the first batch of a list of crops, int64 on the host, shape (batches * batch, 4)."""

    def fetch(self) -> None:
        """Make the next batch ready; called before each step, outside of what is captured."""

    def crops(self, geometry: Tensor) -> Tensor:
        """Return the batch that is ready; called in the step, may be captured.

        Args:
            geometry: Frame, top, left, symmetry of this batch on the device, int64, shape (batch, 4).

        Returns:
            Grey levels on the device, uint8, shape (batch, 1, size, size).
        """


def feed_of(frames: FramePixels, batch: int, size: int, device: torch.device) -> Feed:
    """Return the feed that suits where the frames are.

    Args:
        frames: All frames; on the device, or on the host.
        batch: Crops a step.
        size: Side of the crops in pixels.
        device: Where the crops are needed.
    """
    if device.type == "cpu":
        return HostFeed(frames, batch, size)
    if frames.pixels.device.type == "cpu":
        return StagedFeed(frames, batch, size, device)
    return ResidentFeed(frames, size)


class ResidentFeed:
    """Frames on the device: crops are cut in the step itself."""

    def __init__(self, frames: FramePixels, size: int) -> None:
        self._frames, self._size = frames, size

    def start(self, geometry: Tensor) -> None:
        """Nothing: the step knows its crops."""

    def fetch(self) -> None:
        """Nothing: all frames are there."""

    def crops(self, geometry: Tensor) -> Tensor:
        """Cut the crops."""
        return self._frames.gather(geometry, self._size)


class HostFeed:
    """Training on the host: crops are cut when they are needed."""

    def __init__(self, frames: FramePixels, batch: int, size: int) -> None:
        self._frames = frames
        self._crops = torch.empty((batch, 1, size, size), dtype=torch.uint8)
        self._parts: Iterator[Tensor] = iter(())

    def start(self, geometry: Tensor) -> None:
        """Begin with the first batch."""
        self._parts = _foreseen(self._frames, geometry, len(self._crops), self._crops.shape[-1])

    def fetch(self) -> None:
        """Cut the next batch."""
        self._frames.cut_into(self._crops, next(self._parts))

    def crops(self, geometry: Tensor) -> Tensor:
        """Return the batch that was cut."""
        return self._crops


class StagedFeed:
    """Frames on the host, training on a device: a thread cuts the next crops while a step trains.

    Two pinned buffers take turns; one is written again only when its copy to the device is done, which the
    thread waits for, not the step. The device keeps the order of its stream, so that crops are never
    overwritten while a step reads them.

    Args:
        frames: All frames on the host.
        batch: Crops a step.
        size: Side of the crops in pixels.
        device: Where the crops are needed; on a CPU the same is done without pinned memory.
    """

    def __init__(self, frames: FramePixels, batch: int, size: int, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        shape = (batch, 1, size, size)
        self._frames = frames
        self._staged = [torch.empty(shape, dtype=torch.uint8, pin_memory=on_gpu) for _ in range(2)]
        self._copied = [torch.cuda.Event() if on_gpu else None for _ in range(2)]  # type: ignore[no-untyped-call]
        self._crops = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._parts: Iterator[Tensor] = iter(())
        self._turn = 0
        self._cutter = ThreadPoolExecutor(1)
        self._cut: Future[None] | None = None

    def start(self, geometry: Tensor) -> None:
        """Begin to cut the first batch; what a plan that was broken off left is waited for."""
        if self._cut is not None:
            self._cut.result()
        self._parts = _foreseen(self._frames, geometry, len(self._crops), self._crops.shape[-1])
        self._submit()

    def fetch(self) -> None:
        """Send the batch that was cut to the device and have the next one cut."""
        if self._cut is None:
            raise RuntimeError("there is no batch left; start anew")
        self._cut.result()
        self._crops.copy_(self._staged[self._turn], non_blocking=True)
        copied = self._copied[self._turn]
        if copied is not None:
            copied.record()
        self._turn = 1 - self._turn
        self._submit()

    def crops(self, geometry: Tensor) -> Tensor:
        """Return the batch that was sent."""
        return self._crops

    def _submit(self) -> None:
        part = next(self._parts, None)
        self._cut = None if part is None else self._cutter.submit(self._cut_next, part, self._turn)

    def _cut_next(self, part: Tensor, turn: int) -> None:
        copied = self._copied[turn]
        if copied is not None:
            copied.synchronize()
        self._frames.cut_into(self._staged[turn], part)


def _foreseen(frames: FramePixels, geometry: Tensor, batch: int, size: int) -> Iterator[Tensor]:
    """Yield the full batches of a list of crops; the pages of the one after are asked for ahead."""
    parts = [geometry[start : start + batch] for start in range(0, len(geometry) - batch + 1, batch)]
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        if after is not None:
            frames.expect(after, size)
        yield part
