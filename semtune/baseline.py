"""The classical opponents: focus values and control parameters, fitted to the score scale.

Everything is fitted on training samples only (but for the map `as_published`, which says so), and every
prediction is clipped to the score range, as those of the networks are: no score lies beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.images import Frame
from semtune.results import Kind, Scores, rmse
from semtune.score_maps import SCORE_MAPS, Predict, ScoreMap, ScoreRange, clipped

FOLDS = 5
"""Of the training fields, to choose among the regressors."""
HEADLINE_MAP = "affine"
"""The fair default: networks see labels, so may the autofocus function."""
BLENDS = (
    ("constant",),
    ("ridge",),
    ("boosting",),
    ("kernel",),
    ("boosting", "kernel"),
    ("ridge", "boosting", "kernel"),
)
"""Regressors whose mean prediction competes; cross-validation on training fields picks one blend."""


@dataclass(frozen=True)
class BaselineData:
    """All that the baselines see of a dataset; rows are samples, in the dataset's order."""

    focus_values: Scores
    """Shape (n, functions): one column per entry of `AUTOFOCUS_FUNCTIONS`, in its order."""
    controls: Scores
    """Shape (n, parameters), NaN where missing; no columns if the dataset has none."""
    scores: Scores
    """Reference scores, shape (n,)."""
    fields: tuple[str, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    score_range: ScoreRange


@dataclass(frozen=True)
class Baseline:
    """One row of the comparison table, before it is judged."""

    name: str
    kind: Kind
    predicted_score: Scores
    """Of the test samples, in the order of `BaselineData.test`."""
    validation_score: Scores
    """Predicted, of the validation samples, in the order of `BaselineData.validation`."""
    details: Mapping[str, str | float] = field(default_factory=dict)


def focus_values(frames: Iterable[Frame]) -> Scores:
    """Focus values of every autofocus function, shape (frames, functions), in the registry's order."""
    rows = [[function.focus_value(frame) for function in AUTOFOCUS_FUNCTIONS] for frame in frames]
    return np.array(rows, np.float64).reshape(-1, len(AUTOFOCUS_FUNCTIONS))


@dataclass(frozen=True)
class Regression:
    """A blend of regressors on several features, and how it was chosen."""

    predict: Predict
    name: str
    cross_validated_rmse: float
    """On training fields, score points; NaN if there is but one, and then the constant is taken."""


def rows(data: BaselineData) -> tuple[Baseline, ...]:
    """Every classical row of the comparison table: the constant, controls, joint, autofocus functions."""
    functions = (autofocus(data, name) for name in AUTOFOCUS_FUNCTIONS.names)
    return (constant(data), controls(data), joint(data), *functions)


def constant(data: BaselineData) -> Baseline:
    """The mean of the training scores, whatever the frame; a scorer above its RMSE knows nothing."""
    mean = np.mean(data.scores[list(data.train)])
    return Baseline(
        "constant", "constant", np.full(len(data.test), mean), np.full(len(data.validation), mean)
    )


def controls(data: BaselineData) -> Baseline:
    """The control parameters alone, no frame seen: what they give away of the score."""
    return _regressed("controls", "controls", data.controls, data)


def joint(data: BaselineData) -> Baseline:
    """All autofocus functions and control parameters together: the strongest classical opponent."""
    return _regressed("joint", "joint", np.hstack([data.focus_values, data.controls]), data)


def autofocus(data: BaselineData, name: str) -> Baseline:
    """One autofocus function by the headline map, with the test RMSE of every map as details.

    Raises:
        UnknownNameError: If there is no autofocus function of that name.
    """
    column = AUTOFOCUS_FUNCTIONS.names.index(AUTOFOCUS_FUNCTIONS[name].name)
    values, test = data.focus_values[:, column], list(data.test)
    maps = {score_map.name: _fitted(score_map, values, data) for score_map in SCORE_MAPS}
    errors = {
        f"test_rmse_{of}": rmse(predict(values[test]), data.scores[test]) for of, predict in maps.items()
    }
    headline = maps[HEADLINE_MAP]
    return Baseline(
        name, "autofocus", headline(values[test]), headline(values[list(data.validation)]), errors
    )


def fit_regression(
    features: Scores, scores: Scores, fields: Sequence[str], score_range: ScoreRange
) -> Regression:
    """Fit the blend of regressors that does best in a cross-validation over fields.

    Args:
        features: Shape (n, features), at least one; NaN where missing.
        scores: Reference scores, shape (n,).
        fields: The field of each sample; no field is cut between folds.
        score_range: Predictions are clipped to it.
    """
    regressors = _regressors()
    blend, error = _choose(regressors, features, scores, fields, score_range)
    fitted = [regressors[part].fit(features, scores) for part in blend]
    predict = clipped(lambda x: np.mean([part.predict(x) for part in fitted], axis=0), score_range)
    return Regression(predict, " + ".join(blend), error)


def _choose(
    regressors: Mapping[str, Any],
    features: Scores,
    scores: Scores,
    fields: Sequence[str],
    score_range: ScoreRange,
) -> tuple[tuple[str, ...], float]:
    folds = min(FOLDS, len(set(fields)))
    if folds < 2:
        return BLENDS[0], math.nan
    unseen = {
        name: cross_val_predict(regressor, features, scores, groups=fields, cv=GroupKFold(folds))
        for name, regressor in regressors.items()
    }
    means = {blend: np.mean([unseen[part] for part in blend], axis=0) for blend in BLENDS}
    errors = {blend: rmse(np.clip(mean, *score_range), scores) for blend, mean in means.items()}
    best = min(errors, key=lambda blend: errors[blend])
    return best, errors[best]


def _regressors() -> dict[str, Any]:
    scaled = (FunctionTransformer(_with_logarithms), _filled(), StandardScaler())
    trees = GradientBoostingRegressor(max_depth=3, max_features=0.4, random_state=0)
    kernel = TransformedTargetRegressor(SVR(C=3, epsilon=0.15), transformer=StandardScaler())
    return {
        "constant": DummyRegressor(),
        "ridge": make_pipeline(*scaled, Ridge()),
        "boosting": make_pipeline(_filled(), trees),
        "kernel": make_pipeline(*scaled, kernel),
    }


def _filled() -> SimpleImputer:
    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)


def _with_logarithms(features: Scores) -> Scores:
    # Focus values span decades; control parameters and correlations have signs.
    return np.hstack([features, np.sign(features) * np.log1p(np.abs(features))])


def _regressed(name: str, kind: Kind, features: Scores, data: BaselineData) -> Baseline:
    train, test = list(data.train), list(data.test)
    if not features.shape[1]:
        return replace(constant(data), name=name, kind=kind)
    fields = [data.fields[index] for index in train]
    regression = fit_regression(features[train], data.scores[train], fields, data.score_range)
    details: dict[str, str | float] = {
        "regressor": regression.name,
        "cross_validated_rmse": regression.cross_validated_rmse,
    }
    validated = regression.predict(features[list(data.validation)])
    return Baseline(name, kind, regression.predict(features[test]), validated, details)


def _fitted(score_map: ScoreMap, values: Scores, data: BaselineData) -> Predict:
    seen = list(data.train if score_map.fitted_on == "train" else data.test)
    return score_map.fit(values[seen], data.scores[seen], data.score_range)
