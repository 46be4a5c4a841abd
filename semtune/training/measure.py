"""Time a trained scorer on whole frames, by the engine that `semtune score` would use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from semtune.config import Hyperparameters
from semtune.engines.choice import PreparedEngine, choose_engine, describe_device
from semtune.networks.head import ScoreNetwork
from semtune.results import Scores
from semtune.timing import figures_of, time_calls
from semtune.training.data import TrainingData
from semtune.training.predict import cut_tiles, predict

_SECONDS = 0.3  # to time a scorer for
_BATCH = 32


def measure_scorer(
    network: ScoreNetwork, data: TrainingData, settings: Hyperparameters, bfloat16: bool
) -> tuple[dict[str, float], str]:
    """Choose the fastest exact engine and time it from grey levels in memory to the score.

    Args:
        network: A trained scorer.
        data: Its samples; test frames are scored.
        settings: For crop and tiles.
        bfloat16: Whether the network was validated and tested in bfloat16.

    Returns:
        Milliseconds an image, one frame and 32 at once, by their MLflow names; and what they were measured
        on: device, threads, precision, engine.
    """
    rows = np.resize(data.test, _BATCH)
    crops = cut_tiles(data.frames, int(rows[0]), settings.crop, settings.tiles).to(data.device)
    controls = data.controls[int(rows[0])].expand(len(crops), -1)
    low, high = data.score_range
    engine = choose_engine(network, crops, controls, bfloat16=bfloat16, score_span=high - low).winner
    # Scores come back to the host, so a call ends when the device has done its work.
    single = time_calls(_scoring(engine, network, data, settings, rows[:1]), _SECONDS)
    batch = time_calls(_scoring(engine, network, data, settings, rows), _SECONDS)
    where = describe_device(data.device, torch.get_num_threads())
    return figures_of(single, batch, _BATCH), f"{where}, {engine.precision}, {engine.name}"


def _scoring(
    engine: PreparedEngine,
    network: ScoreNetwork,
    data: TrainingData,
    settings: Hyperparameters,
    rows: NDArray[np.int64],
) -> Callable[[], Scores]:
    controls = data.controls[torch.from_numpy(rows).to(data.device)]
    return lambda: predict(
        network,
        data.frames,
        rows,
        controls,
        crop=settings.crop,
        tiles_per_frame=settings.tiles,
        score_range=data.score_range,
        score_crops=engine.score_crops,
    )
