"""What a trial costs, measured by a batch of noise: seconds a step, seconds a scored crop, memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from semtune.config import Hyperparameters, Precision
from semtune.training.augmentation import plan_epoch
from semtune.training.data import TrainingData, training_device
from semtune.training.fit import learning_rates, prepare_step, score_samples
from semtune.training.probe import noise
from semtune.training.step import TrainingStep

_FEW_PIXELS = 2 * 224**2
"""Of a batch on a CPU, where a whole one of a VGG takes half a minute; few small crops would mislead."""
_TRANSIENT = 1.25
"""Memory at the height of a step by what its forward pass keeps for the backward pass."""


@dataclass(frozen=True)
class TrialCost:
    """What training takes with so many threads, or on a GPU."""

    seconds_per_step: float
    """Of a whole batch."""
    seconds_per_crop: float
    """Scored, not trained."""
    peak_bytes: int
    """Of the process; on a GPU of its memory."""


def measure_cost(settings: Hyperparameters, precision: Precision, threads: int) -> TrialCost:
    """Train a batch and score a few crops, in a process that does nothing else before.

    On a GPU the batch is whole. On a CPU it has the pixels of two crops of 224, and what the optimiser takes,
    which does not grow with the batch, is timed apart.

    Args:
        settings: Of the trial.
        precision: As in the search.
        threads: That a trial has.
    """
    torch.set_num_threads(threads)
    device = training_device()
    on_gpu = device.type == "cuda"
    base = _resident_bytes()
    few = settings.batch_size if on_gpu else max(2, _FEW_PIXELS // settings.crop**2)
    batch = min(few, settings.batch_size)
    asked = settings.model_copy(update={"batch_size": batch})
    data = noise(asked, device, steps=1)
    step = prepare_step(asked, data, 0, precision, None)
    plan = plan_epoch(data.frames, data.train[:batch], settings.crop, 0.2, 0, 0)
    rates = learning_rates(asked, 1, 0)
    kept = _kept_bytes(step, lambda: float(step.run_epoch(plan, rates, 0)))
    seconds = _seconds(lambda: float(step.run_epoch(plan, rates, 0)))
    scored = _scored(asked, step, data)
    if on_gpu:
        return TrialCost(seconds, scored, torch.cuda.max_memory_reserved(device))
    fixed = min(seconds, _seconds(step.optimizer.step))
    times = settings.batch_size / batch
    peak = base + step.nbytes + round(_TRANSIENT * times * kept)
    return TrialCost(fixed + times * (seconds - fixed), scored, peak)


def gpus_here() -> tuple[int, int]:
    """Number of GPUs of this machine, and their memory together, bytes."""
    count = torch.cuda.device_count()
    return count, sum(torch.cuda.get_device_properties(each).total_memory for each in range(count))


def _kept_bytes(step: TrainingStep, train: Callable[[], object]) -> int:
    """Memory that the forward pass of a step keeps for its backward pass, weights apart."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in step.network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        train()
    return sum(kept.values())


def _scored(settings: Hyperparameters, step: TrainingStep, data: TrainingData) -> float:
    """Seconds a crop of scoring one frame of noise, which is two crops wide."""
    asked = settings.model_copy(update={"tiles": 2})
    score = partial(score_samples, step, data, data.validation[:1], asked)
    score()
    return _seconds(score) / 2


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _resident_bytes() -> int:
    """Memory of this process now; 0 where the system does not say, as outside Linux."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * 4096 if file.exists() else 0
