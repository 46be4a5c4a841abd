"""What gives scores away that no frame shows: a split, the order of acquisition, use of the test frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semtune.journal import TrialTested, read_events
from semtune.planning import SearchPlan, read_plan
from semtune.report.table import OrderCheck, UsesOfTest
from semtune.results import Scores, paired_difference, rmse
from semtune.training.samples import SampleTable
from semtune.workspace import Workspace

_NEIGHBOURS = 2


def order_check(table: SampleTable) -> OrderCheck:
    """Predict each test frame by the mean score of the two training frames recorded nearest to it.

    Frames of one session follow each other; where a split cuts a session, its neighbours give scores away,
    whatever the frames show. The order is that of the times of acquisition where all are known, else that of
    the frames' names, numbers within them read as numbers.
    """
    timed = bool(np.isfinite(table.acquired).all())
    moments = table.acquired if timed else _places(table.frames)
    predicted = _nearest_mean(moments[table.train], table.scores[table.train], moments[table.test])
    constant = np.full(len(table.test), np.mean(table.scores[table.train]))
    own = table.predictions(table.test, predicted)
    return OrderCheck(
        "times" if timed else "names",
        rmse(own.predicted_score, own.reference_score),
        paired_difference(own, table.predictions(table.test, constant)),
    )


def leaks_of(plan: SearchPlan) -> Iterator[str]:
    """What a user must be told of the split before hours are spent, a sentence each."""
    if plan.split_kind == "random":
        yield "--split random leaks: frames of one field train and test; for comparison only, never promoted"
    for pair in plan.near_copies[:3]:
        yield f"{pair} look alike on two sides of the split; if they show one place, give them one field"
    if len(plan.near_copies) > 3:
        yield f"and {len(plan.near_copies) - 3} more such pairs; `semtune check` names them"


def test_uses(workspace: Workspace, digest: str, name: str) -> UsesOfTest:
    """Count the networks that met test frames of a dataset, in one search and in the whole workspace."""
    folders = [each for each in workspace.all() if read_plan(each.plan).dataset_digest == digest]
    counts = {folder.name: _tested(folder.journal) for folder in folders}
    return UsesOfTest(counts[name], sum(counts.values()), sum(count > 0 for count in counts.values()))


def _tested(journal: Path) -> int:
    events = (event for event, _ in read_events(journal, only="trial_tested"))
    return len({event.trial for event in events if isinstance(event, TrialTested)})


def _nearest_mean(known: Scores, scores: Scores, asked: Scores) -> Scores:
    """Mean score of the nearest moments, shape (asked,)."""
    order = np.argsort(known, kind="stable")
    moments, scores = known[order], scores[order]
    # The nearest two are among the two before and the two behind.
    around = np.searchsorted(moments, asked)[:, None] + np.arange(-_NEIGHBOURS, _NEIGHBOURS)
    inside = (around >= 0) & (around < len(moments))
    around = np.clip(around, 0, len(moments) - 1)
    distance = np.where(inside, np.abs(moments[around] - asked[:, None]), np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(_NEIGHBOURS, len(moments))]
    mean: Scores = np.mean(scores[np.take_along_axis(around, nearest, axis=1)], axis=1)
    return mean


def _places(names: NDArray[np.str_]) -> Scores:
    """The place of each name in their natural order, in which `2.png` comes before `10.png`."""

    def natural(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]

    places = np.empty(len(names))
    places[sorted(range(len(names)), key=lambda row: natural(str(names[row])))] = np.arange(len(names))
    return places
