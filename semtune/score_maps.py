"""Maps from focus values to scores: what makes an autofocus function comparable with a scorer.

Each is fitted on training samples, but for `as_published`, which says so; every prediction is clipped to the
score range, as those of the networks are: no score lies beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from semtune.registry import Registry
from semtune.results import Scores, rmse

ScoreRange: TypeAlias = tuple[float, float]
Predict: TypeAlias = Callable[[Scores], Scores]
"""Focus values or features, one sample a row -> predicted scores, shape (n,)."""


@dataclass(frozen=True)
class ScoreMap:
    """A way from focus values to scores; all predictions lie in the score range."""

    name: str
    label: str
    """What it does, for a table's head or foot."""
    fit: Callable[[Scores, Scores, ScoreRange], Predict]
    """Focus values (n,), reference scores (n,), score range -> map. Equal values give a constant."""
    fitted_on: Literal["train", "test"] = "train"


def fit_affine(values: Scores, scores: Scores, score_range: ScoreRange) -> Predict:
    """Least-squares line `a v + b` of either slope; the mean score for equal values."""
    middle, mean = np.mean(values), np.mean(scores)
    spread = np.sum((values - middle) ** 2)
    slope = np.sum((values - middle) * (scores - mean)) / spread if np.ptp(values) else 0.0
    return clipped(lambda v: mean + slope * (v - middle), score_range)


def fit_minmax(values: Scores, scores: Scores, score_range: ScoreRange) -> Predict:
    """The extremes of the focus values become those of the score range; `scores` are not looked at."""
    return _stretched(np.min(values), values, score_range)


def fit_as_published(values: Scores, scores: Scores, score_range: ScoreRange) -> Predict:
    """The extremes' distance becomes that of the score range, but the minimum is not subtracted."""
    return _stretched(0.0, values, score_range)


def fit_isotonic(values: Scores, scores: Scores, score_range: ScoreRange) -> Predict:
    """The monotone step function of least squares, rising or falling, whichever fits better."""
    rising, falling = (
        IsotonicRegression(increasing=increasing, out_of_bounds="clip").fit(values, scores)
        for increasing in (True, False)
    )
    closer = min(rising, falling, key=lambda steps: rmse(steps.predict(values), scores))
    return clipped(closer.predict, score_range)


def fit_logistic(values: Scores, scores: Scores, score_range: ScoreRange) -> Predict:
    """The logistic curve of least squares, rising or falling: height, width, centre and level are free."""
    if not np.ptp(values):
        return fit_affine(values, scores, score_range)
    middle, scale = np.mean(values), np.std(values)

    def curve(parameters: Scores, v: Scores) -> Scores:
        level, height, log_width, centre = parameters
        return np.asarray(level + height * expit(((v - middle) / scale - centre) / np.exp(log_width)))

    # From the line's slope, which a logistic of width 1 has at its centre if it is 4 times as high. The
    # bounds keep the curve from a step of no width and from a height without end.
    height = 4 * np.mean((values - middle) * (scores - np.mean(scores))) / scale
    start = (np.mean(scores) - height / 2, height, 0.0, 0.0)
    bounds = ((-np.inf, -np.inf, -3, -10), (np.inf, np.inf, 3, 10))
    fit = least_squares(
        lambda parameters: curve(parameters, values) - scores, start, bounds=bounds, max_nfev=100
    )
    return clipped(lambda v: curve(fit.x, v), score_range)


SCORE_MAPS = Registry(
    "score map",
    [
        ScoreMap("affine", "a v + b by least squares on training samples", fit_affine),
        ScoreMap("minmax", "extremes of training samples, no labels seen", fit_minmax),
        ScoreMap(
            "as_published",
            "as published: v over (max - min) of the test samples, the minimum not subtracted",
            fit_as_published,
            fitted_on="test",
        ),
        ScoreMap("isotonic", "monotone steps by least squares on training samples", fit_isotonic),
        ScoreMap("logistic", "logistic curve by least squares on training samples", fit_logistic),
    ],
)


def _stretched(zero: float, values: Scores, score_range: ScoreRange) -> Predict:
    low, high = score_range
    span = np.ptp(values)
    if not span:
        return lambda v: np.full(np.shape(v), (low + high) / 2)
    return clipped(lambda v: low + (high - low) * (v - zero) / span, score_range)


def clipped(predict: Callable[[Scores], Any], score_range: ScoreRange) -> Predict:
    """Keep the predictions within the score range."""
    return lambda features: np.clip(np.asarray(predict(features), np.float64), *score_range)
