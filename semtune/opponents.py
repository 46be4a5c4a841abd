"""The classical opponents of a search: fitted, judged, timed, and written down like trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from semtune.autofocus import AUTOFOCUS_FUNCTIONS, AutofocusFunction, single_thread
from semtune.baseline import BaselineData, focus_values, rows
from semtune.dataset.frames import FrameStore
from semtune.images import Frame
from semtune.journal import BaselineFitted
from semtune.predictions import write_predictions
from semtune.results import judge, rmse
from semtune.timing import describe_processor, figures_of, time_calls
from semtune.training.samples import SampleTable

OPPONENTS = ("constant", "controls", "joint", *AUTOFOCUS_FUNCTIONS.names)
"""Names of all rows that a search is compared with."""
_SECONDS = 0.01  # to time a function for; one call takes some microseconds


def fit_opponents(table: SampleTable, store: FrameStore, folder: Path) -> Iterator[BaselineFitted]:
    """Fit every baseline on the training samples and let it meet the test frames.

    Args:
        table: Samples and their split.
        store: Their decoded frames.
        folder: Where a CSV file of predictions is written for each.

    Yields:
        One event a baseline: figures by their MLflow names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    milliseconds = _milliseconds([store.frame(int(index)) for index in np.resize(table.test, 32)])
    for baseline in rows(_baseline_data(table, store)):
        predictions = table.predictions(table.test, baseline.predicted_score)
        write_predictions(predictions, None, folder / f"{baseline.name}.csv")
        details = baseline.details.items()
        figures = {
            "validation_rmse": rmse(baseline.validation_score, table.scores[table.validation]),
            **judge(predictions),
            **milliseconds.get(baseline.name, {}),
            **{name: value for name, value in details if isinstance(value, float)},
        }
        yield BaselineFitted(
            name=baseline.name,
            kind=baseline.kind,
            figures=figures,
            facts={name: value for name, value in details if isinstance(value, str)},
            device=f"{describe_processor(1)}, uint8",
        )


def _baseline_data(table: SampleTable, store: FrameStore) -> BaselineData:
    return BaselineData(
        focus_values=focus_values(store.frame(index) for index in range(len(store))),
        controls=table.controls,
        scores=table.scores,
        fields=tuple(table.fields.tolist()),
        train=tuple(table.train.tolist()),
        validation=tuple(table.validation.tolist()),
        test=tuple(table.test.tolist()),
        score_range=table.score_range,
    )


def _milliseconds(frames: Sequence[Frame]) -> dict[str, dict[str, float]]:
    """Time each autofocus function, and all together: what the joint row has to compute."""
    with single_thread():
        timed = {function.name: _time([function], frames) for function in AUTOFOCUS_FUNCTIONS}
        return {**timed, "joint": _time(list(AUTOFOCUS_FUNCTIONS), frames)}


def _time(functions: Sequence[AutofocusFunction], frames: Sequence[Frame]) -> dict[str, float]:
    single = time_calls(lambda: [function.focus_value(frames[0]) for function in functions], _SECONDS)
    batch = time_calls(lambda: [f.focus_value(frame) for f in functions for frame in frames], _SECONDS)
    return figures_of(single, batch, len(frames))
