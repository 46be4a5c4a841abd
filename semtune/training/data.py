"""What a worker trains on: decoded frames, control parameters and scores, as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.dataset.frames import FrameStore
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


def place(
    store: FrameStore,
    controls: NDArray[np.float64],
    scores: NDArray[np.float64],
    parts: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    score_range: tuple[float, float],
    device: torch.device,
) -> TrainingData:
    """Bring samples to the device.

    Frames go to a GPU if they take at most half of its free memory; else they stay in the memory-mapped
    file, from which crops are cut on the host.

    Args:
        store: Decoded frames of all samples.
        controls: Shape (samples, controls), NaN where missing.
        scores: Shape (samples,), score points.
        parts: Indices of the training, validation and test samples.
        score_range: Lowest and highest score.
        device: Where to train.
    """
    frames = FramePixels(
        torch.from_numpy(store.pixels),
        torch.from_numpy(store.offsets),
        torch.from_numpy(store.heights),
        torch.from_numpy(store.widths),
    )
    if device.type == "cuda" and store.pixels.nbytes < _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        frames = frames.to(device)
    return TrainingData(
        frames,
        torch.from_numpy(controls.astype(np.float32)).to(device),
        torch.from_numpy(scores.astype(np.float32)).to(device),
        *parts,
        score_range=score_range,
    )
