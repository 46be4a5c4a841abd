"""A short trial on frames of noise: how much memory it takes and how many frames a second it trains."""

from __future__ import annotations

import time

import numpy as np
import torch

from semtune.config import Hyperparameters, Precision
from semtune.training.augmentation import FramePixels, plan_epoch
from semtune.training.data import TrainingData, training_device
from semtune.training.fit import learning_rates, prepare_step, validation_of
from semtune.training.step import TrainingStep

_STEPS = 20
_CONTROLS = 3
_CONTEXT = 600 * 2**20
"""Bytes that a process's CUDA context is taken to hold; torch does not count them."""


class ShortTrial:
    """A trial that is prepared and, on a GPU, captured; then timed, at the same time as its company.

    Args:
        settings: The trial's hyperparameters.
        precision: As in a search.
    """

    def __init__(self, settings: Hyperparameters, precision: Precision) -> None:
        torch.set_num_threads(1)  # its company has the other cores
        device = training_device()
        data = noise(settings, device)
        self._settings, self._device = settings, device
        self._step: TrainingStep = prepare_step(settings, data, 0, precision, None)
        self._validate = validation_of(settings, data, self._step)
        self._plan = plan_epoch(data.frames, data.train, settings.crop, 0.2, 0, 0)
        self._train()
        self._validate()

    def measure(self, seconds: float) -> tuple[float, int, int]:
        """Train for about so long.

        Returns:
            Frames a second; device memory that the process took at most, the driver's context included; all
            memory of the device. The memory is not told on a CPU: 0 of 1.
        """
        trained, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            trained += self._train()
        rate = trained / (time.perf_counter() - start)
        if self._device.type != "cuda":
            return rate, 0, 1
        total = torch.cuda.get_device_properties(self._device).total_memory
        return rate, torch.cuda.max_memory_reserved(self._device) + _CONTEXT, total

    def _train(self) -> int:
        error = self._step.run_epoch(self._plan, learning_rates(self._settings, _STEPS, 0), 0)
        float(error)  # waits for the device
        return _STEPS * self._step.key.batch_size


def noise(settings: Hyperparameters, device: torch.device, steps: int = _STEPS) -> TrainingData:
    """Frames of noise, twice as wide as a crop, for some training steps and a batch of validation."""
    random = np.random.default_rng(0)
    count, side = steps * settings.batch_size + 64, 2 * settings.crop
    shown = 16  # frames of pixels; the samples share them
    pixels = torch.from_numpy(random.integers(0, 256, shown * side * side, dtype=np.uint8))
    offsets = torch.arange(count) % shown * side * side
    sides = torch.full((count,), side)
    frames = FramePixels(pixels, offsets, sides, sides).to(device)
    controls = torch.from_numpy(random.normal(size=(count, _CONTROLS)).astype(np.float32)).to(device)
    scores = torch.from_numpy(random.uniform(0, 10, count).astype(np.float32)).to(device)
    train, validation = np.arange(count - 64), np.arange(count - 64, count)
    return TrainingData(frames, controls, scores, train, validation, validation, (0.0, 10.0))
