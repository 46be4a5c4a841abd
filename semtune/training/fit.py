"""Training as a generator: one EpochResult an epoch; to stop a trial early, stop asking."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.config import Compilation, Hyperparameters, Precision
from semtune.errors import DivergedError
from semtune.results import EpochResult, Scores, rmse
from semtune.training.augmentation import plan_epoch
from semtune.training.compilation import compiles
from semtune.training.data import TrainingData
from semtune.training.predict import predict
from semtune.training.step import StepKey, TrainingStep
from semtune.training.validation import Validation, ValidationKey


def step_key(settings: Hyperparameters, data: TrainingData, precision: Precision) -> StepKey:
    """Tell which step a trial needs; any step of the same key will do."""
    batch = min(settings.batch_size, _drawn(settings, data))
    return StepKey.of(settings, data.controls.shape[1], batch, uses_bfloat16(precision, data.device))


def prepare_step(
    settings: Hyperparameters,
    data: TrainingData,
    seed: int,
    precision: Precision,
    earlier: TrainingStep | None,
    start: Mapping[str, Tensor] | None = None,
) -> TrainingStep:
    """Return a step with fresh weights for a trial; an earlier step of the same shape is taken over.

    Args:
        settings: The trial's hyperparameters.
        data: What it trains on.
        seed: Seed of the weights.
        precision: `auto` for bfloat16 where the device computes in it.
        earlier: The step of the trial before, if any.
        start: State of a trained network to start from in place of the seed's weights. Its scales are not
            taken over: control parameters and scores are scaled as the new training samples have them.
    """
    key = step_key(settings, data, precision)
    if earlier is not None and earlier.key != key:
        earlier = None  # a VGG's gigabytes go before the next network takes as many
    step = earlier or TrainingStep(key, data.frames, data.controls, data.scores)
    step.reset(seed, settings.weight_decay)
    if start is not None:
        step.network.load_state_dict(start)
    step.network.set_scales(data.controls[data.train], data.scores[data.train])
    return step


def fit(
    settings: Hyperparameters,
    data: TrainingData,
    step: TrainingStep,
    seed: int,
    epochs_done: int = 0,
    compilation: Compilation = "off",
) -> Iterator[EpochResult]:
    """Train, yielding after every epoch.

    Args:
        settings: The trial's hyperparameters.
        data: What to train and validate on.
        step: A prepared step; holds the network and the optimiser's state.
        seed: Seed of order, crops and dropout.
        epochs_done: Epochs that the step's state has behind it already.
        compilation: Whether to compile the network: `on`, `off`, or `auto` where the rest of the trial
            pays for it.

    Raises:
        DivergedError: If the loss became NaN or infinite.
    """
    drawn = _drawn(settings, data)
    steps = drawn // step.key.batch_size
    validate = validation_of(settings, data, step)
    reference = data.scores[data.validation].double().cpu().numpy()
    seconds = 0.0
    for epoch in range(epochs_done, settings.epochs):
        left = seconds * (settings.epochs - epoch)
        if compiles(compilation, step.key.architecture, data.device.type, left):
            step.compile()
        start = time.perf_counter()
        plan = plan_epoch(
            data.frames, data.train, settings.crop, settings.control_dropout, seed, epoch, drawn
        )
        training = step.run_epoch(plan, learning_rates(settings, steps, epoch), seed + epoch)
        validation_rmse = rmse(validate(), reference)  # the first to wait for the device
        training_rmse = float(training)
        for part, value in (("training", training_rmse), ("validation", validation_rmse)):
            if not math.isfinite(value):
                raise DivergedError(f"the {part} error became {value} in epoch {epoch + 1}")
        seconds = time.perf_counter() - start
        yield EpochResult(epoch + 1, training_rmse, validation_rmse, steps * step.key.batch_size, seconds)


def validation_of(settings: Hyperparameters, data: TrainingData, step: TrainingStep) -> Callable[[], Scores]:
    """Return what scores the validation frames with the network as it is then."""
    if step.capture is None:
        return lambda: score_samples(step, data, data.validation, settings)
    controls = _controls(data, data.validation)
    asked = ValidationKey(settings.crop, settings.tiles, data.score_range, step.key.bfloat16)
    if step.validation is None or not step.validation.serves(data.frames, data.validation, controls, asked):
        step.validation = Validation(
            step.network, data.frames, data.validation, controls, asked, step.capture, step.notes
        )
    return step.validation.run


def _drawn(settings: Hyperparameters, data: TrainingData) -> int:
    """Training frames of an epoch."""
    return min(settings.frames_per_epoch or len(data.train), len(data.train))


def score_samples(
    step: TrainingStep, data: TrainingData, rows: NDArray[np.int64], settings: Hyperparameters
) -> Scores:
    """Score samples as whole frames, in score points, shape (n,); higher is better.

    Args:
        step: Holds the trained network.
        data: The samples.
        rows: Which of them to score, shape (n,).
        settings: For crop and tiles.
    """
    return _predict(step, data, rows, settings, _controls(data, rows))


def score_with_and_without_controls(
    step: TrainingStep, data: TrainingData, rows: NDArray[np.int64], settings: Hyperparameters
) -> Scores:
    """Score samples twice, with their control parameters and as if all were missing, shape (2, n)."""
    known = _controls(data, rows)
    return _predict(step, data, rows, settings, torch.stack([known, torch.full_like(known, torch.nan)]))


def _controls(data: TrainingData, rows: NDArray[np.int64]) -> Tensor:
    return data.controls[torch.from_numpy(rows).to(data.device)]


def _predict(
    step: TrainingStep,
    data: TrainingData,
    rows: NDArray[np.int64],
    settings: Hyperparameters,
    controls: Tensor,
) -> Scores:
    return predict(
        step.network,
        data.frames,
        rows,
        controls,
        crop=settings.crop,
        tiles_per_frame=settings.tiles,
        score_range=data.score_range,
        bfloat16=step.key.bfloat16,
    )


def learning_rates(settings: Hyperparameters, steps: int, epoch: int) -> Tensor:
    """Learning rate of each step of one epoch, shape (steps,)."""
    done = epoch + (np.arange(steps) + 1) / max(steps, 1)
    warm = np.minimum(done / settings.warmup_epochs, 1) if settings.warmup_epochs else np.ones(steps)
    decay = np.ones(steps)
    if settings.schedule == "cosine":
        decay = 0.5 * (1 + np.cos(np.pi * np.minimum(done / settings.epochs, 1)))
    return torch.from_numpy((settings.learning_rate * warm * decay).astype(np.float32))


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether to compute in bfloat16: as asked, or on `auto` where the device has the instructions."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Older versions of torch cannot tell; they compute in float32.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
