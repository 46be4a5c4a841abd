"""What a worker trains on: decoded frames, control parameters and scores, as tensors on a device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.dataset.frames import FrameStore
from semtune.dataset.paging import Pager, host_memory, outgrows
from semtune.training.augmentation import FramePixels

_DEVICE_SHARE = 0.5  # of the free device memory that frames may take; activations need the rest


@dataclass(frozen=True)
class TrainingData:
    """The samples of a dataset with their split, ready for a device."""

    frames: FramePixels
    controls: Tensor
    """Shape (samples, controls), float32, on the training device; NaN where missing."""
    scores: Tensor
    """Reference scores, shape (samples,), float32, on the training device."""
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    score_range: tuple[float, float]

    @property
    def device(self) -> torch.device:
        """The training device."""
        return self.scores.device


def training_device() -> torch.device:
    """The GPU if there is one; shapes stay, so cuDNN may try all its ways and keep the fastest."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def place(
    store: FrameStore,
    controls: NDArray[np.float64],
    scores: NDArray[np.float64],
    parts: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    score_range: tuple[float, float],
    device: torch.device,
    share: float = 1.0,
    memory: int | None = None,
) -> TrainingData:
    """Bring samples to the device.

    Frames go to a GPU if they take at most half of its free memory; else they stay in the memory-mapped
    file, from which crops are cut on the host. If they take more than half of the host's memory, pages are
    read as they are needed and given back.

    Args:
        store: Decoded frames of all samples.
        controls: Shape (samples, controls), NaN where missing.
        scores: Shape (samples,), score points.
        parts: Indices of the training, validation and test samples.
        score_range: Lowest and highest score.
        device: Where to train.
        share: Of the GPU's memory that is this process's.
        memory: Of the host, bytes; by default as it is.
    """
    size = store.pixels.nbytes
    frames = _on_host(store, Pager(store.mapping) if outgrows(size, memory or host_memory()) else None)
    if device.type == "cuda" and size < _DEVICE_SHARE * _free(device, share):
        frames = frames.to(device)
    return TrainingData(
        frames,
        torch.from_numpy(controls.astype(np.float32)).to(device),
        torch.from_numpy(scores.astype(np.float32)).to(device),
        *parts,
        score_range=score_range,
    )


def whereabouts(data: TrainingData) -> str | None:
    """Say where frames are that fit neither on the GPU nor in memory; None for the usual places."""
    frames = data.frames
    size = f"{frames.pixels.nbytes / 1e9:.3g} GB of frames"
    if frames.pixels.device != data.device and frames.pager is None:
        return f"{size}: cut on the host, for they do not fit on the GPU"
    if frames.pixels.device.type == "cpu" and frames.pager is not None:
        return f"{size}: read from disk as they are needed"
    return None


def _on_host(store: FrameStore, pager: Pager | None) -> FramePixels:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        pixels = torch.from_numpy(store.pixels)  # nobody writes to frames
    offsets, heights, widths = map(torch.from_numpy, (store.offsets, store.heights, store.widths))
    return FramePixels(pixels, offsets, heights, widths, pager)


def _free(device: torch.device, share: float) -> float:
    """Bytes of the device that are free and this process's."""
    free, total = torch.cuda.mem_get_info(device)
    return min(float(free), share * total)
