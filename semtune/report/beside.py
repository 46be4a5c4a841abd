"""Predictions of two searches or trials on the test frames that both met, paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from semtune.report.table import ComparisonTable, key
from semtune.results import Predictions, paired_difference


@dataclass(frozen=True)
class Paired:
    """RMSE of one minus that of another on the same frames, score points; below 0: the first is better."""

    value: float
    low: float
    high: float
    """Bounds of the paired 95 % interval over fields."""
    frames: int
    """That both met."""

    @property
    def words(self) -> str:
        """The difference with its interval."""
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"

    @property
    def facts(self) -> dict[str, Any]:
        """For machines."""
        return {**vars(self), "is_real": self.low > 0 or self.high < 0}


def pair(one: Predictions, other: Predictions) -> Paired | None:
    """Compare two scorers on the frames of one dataset that both met; None if there are none.

    Args:
        one: Predictions of the first.
        other: Of the second; a frame has the same name in both.
    """
    common = sorted(set(one.frames) & set(other.frames))
    if not common:
        return None
    return Paired(*paired_difference(_of(one, common), _of(other, common)), len(common))


def paired_rows(table: ComparisonTable) -> dict[str, Paired]:
    """Pair each scorer with itself in the search beside this one, where both met frames of one dataset."""
    other = table.beside
    if other is None or other.dataset.digest != table.dataset.digest:
        return {}
    there = {row.name: other.predictions.get(key(row)) for row in other.rows}
    both = [(row.name, table.predictions.get(key(row)), there.get(row.name)) for row in table.rows]
    found = {name: pair(one, two) for name, one, two in both if one is not None and two is not None}
    return {name: each for name, each in found.items() if each}


def _of(predictions: Predictions, frames: list[str]) -> Predictions:
    """The predictions of some frames, in their order."""
    place = {frame: index for index, frame in enumerate(predictions.frames)}
    rows = np.array([place[frame] for frame in frames])
    return Predictions(
        tuple(frames),
        tuple(predictions.fields[row] for row in rows),
        predictions.reference_score[rows],
        predictions.predicted_score[rows],
    )
