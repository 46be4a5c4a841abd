"""Predictions on disk: one CSV line a frame, written by trials and baselines, read by reports."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from semtune.errors import SearchError
from semtune.files import written_whole
from semtune.results import Predictions, Scores

_COLUMNS = ("frame", "field", "reference_score", "predicted_score", "predicted_without_controls")


def write_predictions(predictions: Predictions, without_controls: Scores | None, path: Path) -> None:
    """Write predictions as CSV: frame, field, reference, predicted, predicted without controls.

    Args:
        predictions: Of n frames.
        without_controls: Predicted scores, shape (n,), of the same frames shown without control parameters;
            None where that was not asked.
        path: The file; a half-written one is never seen under this name.
    """
    bare = np.full(len(predictions.frames), np.nan) if without_controls is None else without_controls
    with written_whole(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        scores = (predictions.reference_score.tolist(), predictions.predicted_score.tolist(), bare.tolist())
        writer.writerows(zip(predictions.frames, predictions.fields, *scores, strict=True))


def read_predictions(path: Path) -> Predictions:
    """Read predictions that `write_predictions` wrote.

    Raises:
        SearchError: If the file cannot be read or is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        return Predictions(
            tuple(row["frame"] for row in rows),
            tuple(row["field"] for row in rows),
            np.array([float(row["reference_score"]) for row in rows]),
            np.array([float(row["predicted_score"]) for row in rows]),
        )
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:
        raise SearchError(f"{path}: the predictions are damaged ({error}); restore the file") from None
