"""Fits the classical opponents of a search, judges them, and writes them down like trials.

The program of the process that a search keeps beside its trials, for its imports take a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from semtune.baseline import BaselineData, focus_values, rows
from semtune.dataset.frames import FrameStore, open_frames
from semtune.journal import BaselineFitted
from semtune.predictions import write_predictions
from semtune.results import judge, rmse
from semtune.timing import describe_processor
from semtune.training.samples import SampleTable, read_samples


def fit_opponents(table: SampleTable, store: FrameStore, folder: Path) -> Iterator[BaselineFitted]:
    """Fit every baseline on the training samples and let it meet the test frames.

    Args:
        table: Samples and their split.
        store: Their decoded frames.
        folder: Where a CSV file of predictions is written for each.

    Yields:
        One event a baseline: figures by their MLflow names, those of time left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for baseline in rows(_baseline_data(table, store)):
        predictions = table.predictions(table.test, baseline.predicted_score)
        write_predictions(predictions, None, folder / f"{baseline.name}.csv")
        details = baseline.details.items()
        figures = {
            "validation_rmse": rmse(baseline.validation_score, table.scores[table.validation]),
            **judge(predictions),
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
        focus_values=focus_values(store.walk()),
        controls=table.controls,
        scores=table.scores,
        fields=tuple(table.fields.tolist()),
        train=tuple(table.train.tolist()),
        validation=tuple(table.validation.tolist()),
        test=tuple(table.test.tolist()),
        score_range=table.score_range,
    )


def print_opponents() -> None:
    """Fit the opponents; the command line names the samples' file and the folder of the predictions."""
    samples_file, folder = sys.argv[1:]
    table = read_samples(Path(samples_file))
    for event in fit_opponents(table, open_frames(Path(table.cache_folder), table.digest), Path(folder)):
        sys.stdout.write(event.model_dump_json() + "\n")
