"""What a trial or a baseline achieved, and the figures that judge it.

`rmse` is the headline (score points, lower is better). Intervals come from a cluster bootstrap over
fields, because the frames of one field are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Kind = Literal["network", "autofocus", "joint", "controls", "constant", "ceiling"]
CLASSICAL: tuple[Kind, ...] = ("constant", "autofocus", "controls", "joint")
"""The kinds of row that a network must beat, in the order of the comparison table."""


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial."""

    epoch: int
    """Epochs trained so far; 1 after the first."""
    training_rmse: float
    """Of the augmented crops seen in this epoch, score points; lower is better."""
    validation_rmse: float
    """Of whole validation frames, score points; lower is better."""
    frames: int
    """Training frames of this epoch."""
    seconds: float
    """Wall time of this epoch, validation included."""


@dataclass(frozen=True)
class Predictions:
    """Predicted and reference scores of the same frames, with the field that each frame shows."""

    frames: tuple[str, ...]
    fields: tuple[str, ...]
    reference_score: Scores
    predicted_score: Scores


@dataclass(frozen=True)
class Result:
    """One row of the comparison table: a network, a baseline, or a bound. NaN where not measured."""

    name: str
    kind: Kind
    validation_rmse: float = math.nan
    test_rmse: float = math.nan
    test_rmse_low: float = math.nan
    test_rmse_high: float = math.nan
    test_r2: float = math.nan
    test_plcc: float = math.nan
    test_srcc: float = math.nan
    test_krcc: float = math.nan
    test_mae: float = math.nan
    milliseconds_per_image: float = math.nan
    milliseconds_per_image_batch32: float = math.nan
    device: str | None = None
    trial: str | None = None
    run_id: str | None = None
    details: Mapping[str, str | float] = field(default_factory=dict)
    """What belongs to this kind alone: hyperparameters, other maps, RMSE without control parameters."""


_FIGURES = frozenset(each.name for each in fields(Result) if each.type == "float")


def with_figures(row: Result, figures: Mapping[str, float]) -> Result:
    """Take figures into a row: into its fields where it has them, else into its details."""
    known = {name: value for name, value in figures.items() if name in _FIGURES}
    others = {name: value for name, value in figures.items() if name not in _FIGURES}
    return replace(row, **known, details={**row.details, **others})  # type: ignore[arg-type]


def rmse(predicted: Scores, reference: Scores) -> float:
    """Root-mean-square error in score points; lower is better.

    Raises:
        ValueError: If the shapes differ or are empty.
    """
    return math.sqrt(float(np.mean(_errors(predicted, reference) ** 2)))


def mae(predicted: Scores, reference: Scores) -> float:
    """Mean absolute error in score points; lower is better."""
    return float(np.mean(np.abs(_errors(predicted, reference))))


def r2(predicted: Scores, reference: Scores) -> float:
    """Share of the variance explained; 1 is perfect, 0 the constant mean; NaN for a constant reference."""
    unexplained = float(np.sum(_errors(predicted, reference) ** 2))
    spread = float(np.sum((reference - np.mean(reference)) ** 2))
    return 1 - unexplained / spread if spread else math.nan


def plcc(predicted: Scores, reference: Scores) -> float:
    """Pearson's linear correlation, -1..1; higher is better; NaN where one side is constant."""
    return _correlation("pearsonr", predicted, reference)


def srcc(predicted: Scores, reference: Scores) -> float:
    """Spearman's rank correlation, -1..1; higher is better; NaN where one side is constant."""
    return _correlation("spearmanr", predicted, reference)


def krcc(predicted: Scores, reference: Scores) -> float:
    """Kendall's rank correlation (tau-b), -1..1; higher is better; NaN where one side is constant."""
    return _correlation("kendalltau", predicted, reference)


def judge(predictions: Predictions) -> dict[str, float]:
    """All test figures of one set of predictions, by their names in tables and in MLflow."""
    predicted, reference = predictions.predicted_score, predictions.reference_score
    low, high = bootstrap_interval(resampled_rmse(predictions))
    return {
        "test_rmse": rmse(predicted, reference),
        "test_rmse_low": low,
        "test_rmse_high": high,
        "test_r2": r2(predicted, reference),
        "test_plcc": plcc(predicted, reference),
        "test_srcc": srcc(predicted, reference),
        "test_krcc": krcc(predicted, reference),
        "test_mae": mae(predicted, reference),
    }


def resampled_rmse(predictions: Predictions, resamples: int = 2000, seed: int = 0) -> Scores:
    """RMSE of each bootstrap resample of the fields, shape (resamples,).

    A cluster bootstrap: see `resampled_means`.
    """
    squares = _errors(predictions.predicted_score, predictions.reference_score) ** 2
    resampled: Scores = np.sqrt(resampled_means(squares, predictions.fields, resamples, seed))
    return resampled


def resampled_means(
    values: Scores, clusters: Sequence[object], resamples: int = 2000, seed: int = 0
) -> Scores:
    """Mean of each bootstrap resample of the clusters, shape (resamples,).

    Clusters (fields) are drawn with replacement and bring all their values. The draws depend only on the seed
    and the number of clusters: two sets of values of the same frames or runs get the same resamples, so that
    the difference of two outputs is a paired bootstrap.

    Args:
        values: Shape (n,).
        clusters: The cluster of each value.
        resamples: Number of resamples.
        seed: Of the draws.
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, weights=values)
    counts = np.bincount(index).astype(np.float64)
    drawn = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), resamples
    )
    means: Scores = (drawn @ sums) / (drawn @ counts)
    return means


def bootstrap_interval(resampled: Scores, coverage: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values: (low, high)."""
    low, high = np.quantile(resampled, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def paired_difference(a: Predictions, b: Predictions) -> tuple[float, float, float]:
    """RMSE of `a` minus RMSE of `b` with its 95 % paired interval: (difference, low, high).

    Raises:
        ValueError: If the two were not made on the same frames.
    """
    if a.frames != b.frames:
        raise ValueError("a paired difference needs predictions of the same frames in the same order")
    difference = rmse(a.predicted_score, a.reference_score) - rmse(b.predicted_score, b.reference_score)
    low, high = bootstrap_interval(resampled_rmse(a) - resampled_rmse(b))
    return difference, low, high


def best(results: Sequence[Result], key: str = "validation_rmse") -> Result:
    """The result with the lowest `key` (NaN never wins); the faster of equals.

    Raises:
        ValueError: If no result has a number there.
    """
    measured = [result for result in results if math.isfinite(getattr(result, key))]
    if not measured:
        raise ValueError(f"no result has a finite {key}")

    def error_then_time(result: Result) -> tuple[float, float]:
        time = result.milliseconds_per_image
        return getattr(result, key), math.inf if math.isnan(time) else time

    return min(measured, key=error_then_time)


def _errors(predicted: Scores, reference: Scores) -> Scores:
    if predicted.shape != reference.shape or not predicted.size:
        raise ValueError(
            f"equal, non-empty shapes must hold, but got {predicted.shape} and {reference.shape}"
        )
    return np.asarray(predicted, np.float64) - np.asarray(reference, np.float64)


def _correlation(statistic: str, predicted: Scores, reference: Scores) -> float:
    if np.ptp(predicted) == 0 or np.ptp(reference) == 0:
        return math.nan
    from scipy import stats  # a second to import, which a search is spared until its first test

    return float(getattr(stats, statistic)(predicted, reference).statistic)
