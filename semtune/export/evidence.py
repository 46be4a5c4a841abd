"""Whether an exported model scores as torch does, on frames of the dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semtune.dataset.frames import FrameStore
from semtune.errors import SearchError
from semtune.export import score_frame
from semtune.images import tiles
from semtune.results import rmse
from semtune.scoring import Scorer
from semtune.training.samples import SampleTable

_MOST_CROPS = 32


@dataclass(frozen=True)
class Model:
    """A scorer, where it comes from, and the frames of its search."""

    scorer: Scorer
    source: str
    """Such as `champion version 3` or `tin/trial-0007`."""
    samples: SampleTable
    frames: FrameStore


@dataclass(frozen=True)
class Parity:
    """How far an exported model is from torch in float32."""

    crops: int
    """Of test frames; a third of them with their control parameters, with none, and with all but one."""
    largest_difference: float
    """Score points."""
    allowed: float
    """Score points."""


@dataclass(frozen=True)
class Loss:
    """What the arithmetic of an exported model costs on the test frames."""

    frames: int
    rmse_float32: float
    """Of torch, score points; lower is better."""
    rmse: float
    """Of the exported model."""


def parity_of(model: Model, exported: score_frame.Scorer, allowed: float) -> Parity:
    """Score crops of test frames both ways.

    Raises:
        SearchError: If a score differs by more than `allowed`, or is no number.
    """
    crops, controls = _evidence(model)
    with np.errstate(invalid="ignore"):
        differences = np.abs(
            exported.score_crops(crops, controls) - model.scorer.score_crops(crops, controls)
        )
    largest = float(differences.max())
    if not largest <= allowed:
        raise SearchError(
            f"not exported: the model's scores differ from torch's by up to {largest:.2g} points, more than "
            f"{allowed:.2g}; export another trial, or with other versions of torch and onnxruntime"
        )
    return Parity(len(crops), float(f"{largest:.1e}"), allowed)


def loss_of(model: Model, exported: score_frame.Scorer) -> Loss:
    """Score all test frames both ways."""
    rows = model.samples.test
    known = [_known(model.scorer.control_parameters, row) for row in model.samples.controls[rows].tolist()]
    frames = [model.frames.frame(index) for index in rows.tolist()]
    reference = model.samples.scores[rows]
    rmse_of_both = (
        round(rmse(np.array([score(*each) for each in zip(frames, known, strict=True)]), reference), 4)
        for score in (model.scorer.score, exported.score)
    )
    return Loss(len(rows), *rmse_of_both)


def _evidence(model: Model) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crops from all places of test frames, and control parameters with gaps."""
    settings, rows = model.scorer.settings, model.samples.test
    chosen = rows[np.linspace(0, len(rows) - 1, min(_MOST_CROPS, len(rows))).astype(int)]
    crops, side = [], settings.crop
    for number, row in enumerate(chosen.tolist()):
        frame = model.frames.frame(row)
        places = tiles(frame.shape[0], frame.shape[1], side, settings.tiles)
        top, left = places[number % len(places)]
        crops.append(frame[top : top + side, left : left + side])
    controls = model.samples.controls[chosen].astype(np.float32)
    controls[1::3] = np.nan
    if controls.shape[1]:
        gaps = np.arange(2, len(controls), 3)
        controls[gaps, gaps // 3 % controls.shape[1]] = np.nan
    return np.stack(crops)[:, None], controls


def _known(names: tuple[str, ...], row: list[float]) -> dict[str, float]:
    return {name: value for name, value in zip(names, row, strict=True) if np.isfinite(value)}
