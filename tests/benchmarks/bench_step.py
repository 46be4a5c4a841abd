"""Where a training step of PACF spends its time on one core: frames a second, and milliseconds by phase.

Batch 16, crop 96, frames of 480 x 640. Phases are timed apart, each the median of interleaved rounds in
processor time, which other work on the machine disturbs least; what a step does between them is `rest`.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from semtune.config import Hyperparameters
from semtune.training.augmentation import FramePixels, plan_epoch
from semtune.training.data import TrainingData
from semtune.training.fit import learning_rates, prepare_step, score_samples
from semtune.training.step import TrainingStep, as_grey_levels

ROUNDS = 15
STEPS = 2
"""Training steps of a round."""
SETTINGS = Hyperparameters(architecture="pacf", batch_size=16, crop=96, tiles=1, epochs=ROUNDS)


def run() -> dict[str, Any]:
    """Milliseconds a batch by phase and precision, with their share, and frames a second in `step`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bfloat16 = torch.cpu.get_capabilities().get("avx512_bf16") is True
        kinds = ["float32", "bfloat16"] if bfloat16 else ["float32"]
        return {f"{kind} {name}": row for kind in kinds for name, row in figures(kind).items()}
    finally:
        torch.set_num_threads(threads)


def figures(precision: str) -> dict[str, dict[str, float]]:
    data = frames_in_memory()
    step = prepare_step(SETTINGS, data, 0, precision, None)
    spent = milliseconds(phases(step, data))
    parts = {name: spent[name] for name in ("cut", "convert", "forward", "backward", "optimiser")}
    rows = {**parts, "rest": spent["step"] - sum(parts.values()), "step": spent["step"]}
    batch = SETTINGS.batch_size
    table = {
        name: {"ms": ms, "share": ms / spent["step"], "frames/s": 1e3 * batch / ms}
        for name, ms in rows.items()
        if ms > 0
    }
    validated = len(data.validation)
    return {
        **table,
        "validation": {"ms": spent["validation"], "frames/s": 1e3 * validated / spent["validation"]},
    }


def phases(step: TrainingStep, data: TrainingData) -> dict[str, Callable[[], object]]:
    """The calls to time; those that a step needs ready are prepared outside of them."""
    size, batch = SETTINGS.crop, SETTINGS.batch_size
    plan = plan_epoch(data.frames, data.train, size, 0.2, seed=0, epoch=0)
    rows, top, left, symmetry = plan.geometry[:batch].T.contiguous()
    crops = data.frames.cut(rows, top, left, symmetry, size)
    pixels, controls, scores = as_grey_levels(crops), data.controls[rows], data.scores[rows]
    rates = learning_rates(SETTINGS, STEPS, 0)
    state: dict[str, torch.Tensor] = {}

    def forward() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=step.key.bfloat16):
            state["predicted"] = step.network.train()(pixels, controls)

    def backward() -> None:
        step.optimizer.zero_grad(set_to_none=True)
        ((state["predicted"] - scores) ** 2).mean().backward()

    return {
        "cut": lambda: data.frames.cut(rows, top, left, symmetry, size),
        "convert": lambda: as_grey_levels(crops),
        "forward": forward,
        "backward": backward,
        "optimiser": step.optimizer.step,
        "validation": lambda: score_samples(step, data, data.validation, SETTINGS),
        "step": lambda: step.run_epoch(plan, rates, seed=0),
    }


def milliseconds(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor time of each call; `step` is that of one step."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            call()
            spent[name].append(1e3 * (time.process_time() - start))
    middle = {name: statistics.median(each[1:]) for name, each in spent.items()}
    return {**middle, "step": middle["step"] / STEPS}


def frames_in_memory() -> TrainingData:
    """Noise (what a frame shows does not change how long it takes): 16 a step to train on, 32 to validate."""
    random, count = np.random.default_rng(0), 16 * STEPS + 32
    pixels = torch.from_numpy(random.integers(0, 256, count * 480 * 640, dtype=np.uint8))
    heights, widths = torch.full((count,), 480), torch.full((count,), 640)
    frames = FramePixels(pixels, torch.arange(count) * 480 * 640, heights, widths)
    controls = torch.from_numpy(random.normal(size=(count, 3)).astype(np.float32))
    scores = torch.from_numpy(random.uniform(0, 10, count).astype(np.float32))
    train, validation = np.arange(16 * STEPS), np.arange(16 * STEPS, count)
    return TrainingData(frames, controls, scores, train, validation, validation, (0.0, 10.0))


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
