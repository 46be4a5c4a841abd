"""Two searches or two trials side by side: settings that differ, figures, paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from semtune.errors import SearchError
from semtune.journal import TrialRecord, read_record
from semtune.planning import SearchPlan, read_plan
from semtune.predictions import read_predictions
from semtune.report.beside import Paired, pair, paired_rows
from semtune.report.table import ComparisonTable
from semtune.report.text import NOTHING, Columns, beside_columns, points
from semtune.search.line import Parameter
from semtune.workspace import PREDICTIONS, SearchFolder, Workspace


@dataclass(frozen=True)
class Comparison:
    """What two searches, or two trials, have apart."""

    one: str
    other: str
    settings: Mapping[str, tuple[str, str]]
    """What differs, by name: here, there."""
    figures: Columns
    paired: Mapping[str, Paired] = field(default_factory=dict)
    """By scorer: RMSE here minus RMSE there on the test frames that both met."""

    @property
    def facts(self) -> dict[str, Any]:
        """All of it for machines."""
        rows = [dict(zip(self.figures.headers, row, strict=True)) for row in self.figures.rows]
        return {
            "one": self.one,
            "other": self.other,
            "settings": {name: list(both) for name, both in self.settings.items()},
            "figures": rows,
            "paired": {name: each.facts for name, each in self.paired.items()},
        }

    def tables(self) -> Iterator[tuple[str, Columns]]:
        """Headings with the tables below them."""
        rows = tuple((name, *both) for name, both in self.settings.items())
        if rows:
            yield "What differs", Columns(("setting", self.one, self.other), rows, texts=3)
        yield "Figures", self.figures

    def notes(self) -> Iterator[str]:
        """What must be known to read the tables."""
        if not self.settings:
            yield "No setting differs."
        yield (
            "RMSE in score points; a negative gap says that the first is better. Intervals: paired bootstrap "
            "over the fields of the test frames that both met, 95 %, each by itself."
            if self.paired
            else "No paired interval: the two have met no test frames in common."
        )


def compare_searches(table: ComparisonTable, one: SearchFolder, other: SearchFolder) -> Comparison:
    """Put two searches side by side.

    Args:
        table: Of the first, with the second beside it.
        one: The first.
        other: The second.
    """
    here, there = (_facts(read_plan(folder.plan)) for folder in (one, other))
    return Comparison(
        one.name, other.name, _differing(here, there), beside_columns(table), paired_rows(table)
    )


def compare_trials(workspace: Workspace, one: str, other: str) -> Comparison:
    """Put two trials side by side, each named as NAME/trial-0003.

    Raises:
        SearchError: If there is no such trial.
    """
    (folder, plan, here), (folder2, plan2, there) = (_trial(workspace, name) for name in (one, other))
    settings = _differing(_settings(plan, here), _settings(plan2, there))
    files = folder.trials / here.name / PREDICTIONS, folder2.trials / there.name / PREDICTIONS
    paired = None
    if plan.dataset_digest == plan2.dataset_digest and all(file.exists() for file in files):
        paired = pair(*map(read_predictions, files))
    rows = tuple(
        (name, value, _figures(there)[name], paired.words if paired and name == "test RMSE" else NOTHING)
        for name, value in _figures(here).items()
    )
    figures = Columns(("figure", one, other, "gap, 95 % interval"), rows, texts=1)
    return Comparison(one, other, settings, figures, {"test RMSE": paired} if paired else {})


def _trial(workspace: Workspace, asked: str) -> tuple[SearchFolder, SearchPlan, TrialRecord]:
    name, _, trial = asked.partition("/")
    folder = workspace.existing(name)
    trials = read_record(folder.journal).trials
    if trial not in trials:
        known = f"{name}/{next(iter(trials))} to {name}/{next(reversed(trials))}" if trials else "none yet"
        raise SearchError(f"no trial {asked!r}; there are: {known}")
    return folder, read_plan(folder.plan), trials[trial]


def _settings(plan: SearchPlan, trial: TrialRecord) -> dict[str, str]:
    own = {
        name: f"{value:.4g}" if isinstance(value, float) else str(value)
        for name, value in trial.started.hyperparameters.items()
    }
    return {**own, "seed": str(trial.started.seed), **_data(plan)}


def _figures(trial: TrialRecord) -> dict[str, str]:
    tested = trial.tested.figures["test_rmse"] if trial.tested else None
    return {
        "epochs": str(len(trial.epochs)),
        "ended by": trial.reason or "running",
        "validation RMSE": points(trial.validation_rmse),
        "lowest validation RMSE": points(min((e.validation_rmse for e in trial.epochs), default=None)),
        "test RMSE": points(tested),
        "seconds of training": f"{sum(epoch.seconds for epoch in trial.epochs):.1f}",
    }


def _facts(plan: SearchPlan) -> dict[str, str]:
    """All that fixes a search, as words by name."""
    space = plan.space()
    return {
        "space": space.name,
        **{line.name: _words(line) for line in space.parameters},
        **{name: str(value) for name, value in space.settings.model_dump().items()},
        "precision": plan.precision,
        "compilation": plan.compilation,
        "started from": plan.started_from.source if plan.started_from else NOTHING,
        **_data(plan),
        "hardware": plan.hardware or NOTHING,
        "commit": plan.commit or NOTHING,
        **{f"version of {name}": version for name, version in plan.versions.items()},
    }


def _data(plan: SearchPlan) -> dict[str, str]:
    return {
        "dataset": f"{plan.dataset_name} {plan.dataset_digest[:12]}",
        "split": f"{plan.split_kind}, seed {plan.split_seed}",
    }


def _words(line: Parameter) -> str:
    values = ", ".join(map(str, line.values))
    when = "".join(f" when {name} is {' or '.join(map(str, values))}" for name, values in line.when)
    return (values if line.distribution == "value" else f"{line.distribution} {values}") + when


def _differing(here: Mapping[str, str], there: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys([*here, *there])
    both = {name: (here.get(name, NOTHING), there.get(name, NOTHING)) for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}
