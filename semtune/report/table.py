"""The comparison table of a search: networks and classical opponents on the same test frames."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Literal, TypeAlias

from semtune.config import SplitKind
from semtune.differences import Difference, differences, letters
from semtune.journal import BaselineFitted, SearchRecord, TrialRecord
from semtune.published import TABLE1
from semtune.report.material import Material
from semtune.results import CLASSICAL, Predictions, Result, best, paired_difference, with_figures

JOINT = "joint"
"""Name of the strongest classical opponent: all autofocus functions and control parameters together."""
CEILING = "rater_noise"

PairedDifference: TypeAlias = tuple[float, float, float]
"""RMSE minus RMSE of the joint row (below 0: better than it), with its 95 % interval: low, high."""


@dataclass(frozen=True)
class DatasetFacts:
    """What a report says of the dataset and its split."""

    digest: str
    origin: Literal["simulated", "measured"]
    frames: int
    fields: int
    split: Mapping[str, Sequence[str]]
    """Names of the fields under `train`, `validation` and `test`."""
    seed: int
    """Of the split."""
    score_range: tuple[float, float]
    name: str = ""
    rater_noise: float | None = None
    """Standard deviation of the noise in the reference scores, score points; None if unknown."""
    frames_by_part: Mapping[str, int] = field(default_factory=dict)
    """Frames under `train`, `validation` and `test`, where they are known."""
    split_kind: SplitKind = "field"
    """`random` cuts fields: it leaks."""
    near_copies: Sequence[str] = ()
    """Pairs of fields on two sides of the split with frames that look alike."""


@dataclass(frozen=True)
class UsesOfTest:
    """How often networks met the test frames, as far as the workspace knows."""

    here: int
    """Networks of this search."""
    everywhere: int
    """Networks of all searches on this dataset."""
    searches: int
    """Searches on this dataset with such a network."""


@dataclass(frozen=True)
class OrderCheck:
    """A predictor that averages the two training frames nearest in the order of acquisition."""

    by: Literal["times", "names"]
    """What the order was taken from."""
    rmse: float
    """Of the test frames, score points."""
    difference: PairedDifference
    """To the constant: below 0 where the order knows something of the scores."""


@dataclass(frozen=True)
class ComparisonTable:
    """All that a report shows; every writer and every figure reads this and nothing else."""

    search: str
    dataset: DatasetFacts
    rows: tuple[Result, ...]
    """Constant, autofocus functions, controls, joint, networks, ceiling; Table 1's order among equals."""
    trials: tuple[TrialRecord, ...]
    """Every trial of the search, in the order it was proposed."""
    predictions: Mapping[str, Predictions]
    """Of the test frames, by the `key` of the row."""
    differences: Mapping[str, PairedDifference]
    """Paired difference to the joint row, by the `key` of the row; of rows with predictions."""
    versions: Mapping[str, str]
    """Of the packages that computed the search."""
    commit: str | None = None
    hardware: str | None = None
    started_from: str | None = None
    """Whose weights trials of one architecture started from, in a sentence."""
    material: Material = field(default_factory=Material)
    """What only the figures show."""
    compared: tuple[Difference, ...] = ()
    """Every pair of rows with predictions, by the `key` of the row; all intervals hold at once."""
    letters: Mapping[str, str] = field(default_factory=dict)
    """By the `key` of the row; two rows share one exactly where their difference is not real."""
    uses: UsesOfTest | None = None
    order: OrderCheck | None = None
    """What the order of acquisition alone knows of the scores."""
    beside: ComparisonTable | None = None
    """Of another search, to be shown beside this one."""

    @property
    def leaks(self) -> bool:
        """Whether the split cuts fields, so that test frames are near-copies of training frames."""
        return self.dataset.split_kind == "random"

    @property
    def simulated(self) -> bool:
        """Whether frames and scores come from the simulated microscope and its formula of a specialist."""
        return self.dataset.origin == "simulated"

    @property
    def networks(self) -> tuple[Result, ...]:
        """Rows of networks, tested or not."""
        return tuple(row for row in self.rows if row.kind == "network")

    @property
    def best_network(self) -> Result | None:
        """The network with the lowest validation RMSE of those that met the test frames; None without any.

        Architectures are compared by their mean over seeds, so that more seeds are no more chances.
        Test RMSE never chooses: it would no longer be a figure of unseen frames.
        """
        tested = [row for row in self.networks if math.isfinite(row.test_rmse)]
        return min(tested, key=_mean_validation, default=None)

    @property
    def best_classical(self) -> Result | None:
        """The classical row with the lowest test RMSE: the choice that favours the opponent."""
        measured = [row for row in self.rows if row.kind in CLASSICAL and math.isfinite(row.test_rmse)]
        return best(measured, "test_rmse") if measured else None


def key(row: Result) -> str:
    """The name under which a row's predictions and MLflow run are kept: its trial, or its own name."""
    return row.trial or row.name


def seeds_of(row: Result) -> list[str]:
    """The `key` under which the predictions of each seed of a row are kept."""
    return str(row.details.get("seed_trials", key(row))).split()


def _mean_validation(row: Result) -> float:
    return float(row.details.get("validation_rmse_mean", row.validation_rmse))


def mean_rmse(row: Result) -> float:
    """Test RMSE, the mean over seeds where there are several."""
    return float(row.details.get("test_rmse_mean", row.test_rmse))


def build_table(
    search: str,
    record: SearchRecord,
    dataset: DatasetFacts,
    versions: Mapping[str, str],
    run_ids: Mapping[str, str] = MappingProxyType({}),
    predictions: Mapping[str, Predictions] = MappingProxyType({}),
    commit: str | None = None,
    hardware: str | None = None,
) -> ComparisonTable:
    """Build the table of a search, finished or not.

    Args:
        search: Name of the search.
        record: All that its journal says.
        dataset: What the plan says of the data.
        versions: Of the packages that computed the search.
        run_ids: MLflow run by trial or baseline.
        predictions: Of the test frames, by trial or baseline; those at hand.
        commit: Of the source that computed the search.
        hardware: Of the machines that trained.

    Raises:
        ValueError: If predictions of two rows are not of the same frames in the same order.
    """
    rows = (*_classical(record, run_ids), *_networks(record, run_ids), *_ceiling(dataset))
    shown = {key(row): predictions[key(row)] for row in rows if key(row) in predictions}
    to_joint = {
        name: paired_difference(each, shown[JOINT])
        for name, each in shown.items()
        if JOINT in shown and name != JOINT
    }
    trials = tuple(record.trials.values())
    compared, lettered = _compared([row for row in rows if key(row) in shown], predictions)
    return ComparisonTable(
        search,
        dataset,
        rows,
        trials,
        shown,
        to_joint,
        versions,
        commit,
        hardware,
        compared=compared,
        letters=lettered,
    )


def _compared(
    rows: Sequence[Result], predictions: Mapping[str, Predictions]
) -> tuple[tuple[Difference, ...], dict[str, str]]:
    """All paired differences between rows, each with all its seeds, and the letters that tell them."""
    compared = differences(
        {key(row): [predictions[name] for name in seeds_of(row) if name in predictions] for row in rows}
    )
    return compared, letters([key(row) for row in sorted(rows, key=mean_rmse)], compared)


def _classical(record: SearchRecord, run_ids: Mapping[str, str]) -> list[Result]:
    ordered = sorted(
        record.baselines.values(), key=lambda each: (CLASSICAL.index(each.kind), _place(each.name))
    )
    return [_baseline_row(each, run_ids.get(each.name)) for each in ordered]


def _networks(record: SearchRecord, run_ids: Mapping[str, str]) -> Iterator[Result]:
    searched = dict.fromkeys(trial.architecture for trial in record.trials.values())
    for architecture in sorted(searched, key=_place):
        trials = [trial for trial in record.trials.values() if trial.architecture == architecture]
        tested = [t for t in trials if t.tested and math.isfinite(t.tested.validation_rmse)]
        if tested:
            yield _with_seeds(
                [_network_row(trial, trials, run_ids.get(trial.name)) for trial in tested], record
            )
        else:
            yield Result(architecture, "network", details={"not_tested": _why_untested(trials)})


def _ceiling(dataset: DatasetFacts) -> list[Result]:
    if dataset.rater_noise is None:
        return []
    return [Result(CEILING, "ceiling", test_rmse=dataset.rater_noise)]


def _place(name: str) -> int:
    """Place in Table 1; what is not there comes behind, in its own order, for sorting is stable."""
    return list(TABLE1).index(name) if name in TABLE1 else len(TABLE1)


def _baseline_row(event: BaselineFitted, run_id: str | None) -> Result:
    row = Result(event.name, event.kind, device=event.device, run_id=run_id, details=event.facts)
    return with_figures(row, event.figures)


def _network_row(trial: TrialRecord, siblings: Sequence[TrialRecord], run_id: str | None) -> Result:
    given = {name: value for name, value in trial.started.hyperparameters.items() if value is not None}
    counts = {
        "epochs_trained": len(trial.epochs),
        "stop_reason": trial.reason or "running",
        "trials": sum(each.started.reseeds is None for each in siblings),
        "trials_tested": sum(each.tested is not None for each in siblings),
    }
    row = Result(trial.architecture, "network", trial=trial.name, run_id=run_id, details={**given, **counts})
    if trial.tested:
        row = with_figures(replace(row, validation_rmse=trial.tested.validation_rmse), trial.tested.figures)
    if trial.timed:
        row = with_figures(replace(row, device=trial.timed.device), trial.timed.figures)
    return row


def _with_seeds(tested: Sequence[Result], record: SearchRecord) -> Result:
    """The row of an architecture: of the configuration that is best by validation, its best seed.

    Where configurations were trained with fresh seeds these alone count: the trials that the search found
    were chosen for their luck too.
    """
    groups: dict[str, list[Result]] = {}
    for row in tested:
        groups.setdefault(record.trials[key(row)].started.reseeds or "", []).append(row)
    found = groups.pop("", [])
    if not groups:
        return best(found)
    origin, seeds = min(groups.items(), key=lambda each: fmean(row.validation_rmse for row in each[1]))
    trained = [trial for trial in record.trials.values() if trial.started.reseeds == origin]
    failed = sum(trial.failed for trial in trained)
    spread: dict[str, str | float] = {"seeds_failed": failed} if failed else {}
    if len(seeds) == 1:
        return replace(seeds[0], details={**seeds[0].details, **spread})
    spread |= {"seeds": len(seeds), "seed_trials": " ".join(map(key, seeds))}
    for name in ("validation_rmse", "test_rmse"):
        figures = [getattr(row, name) for row in seeds]
        spread |= {f"{name}_mean": fmean(figures), f"{name}_sd": stdev(figures)}
    chosen = best(seeds)
    return replace(chosen, details={**chosen.details, **spread})


def _why_untested(trials: Sequence[TrialRecord]) -> str:
    reasons = Counter(trial.reason or "running" for trial in trials)
    stopped = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"no trial met the test frames; {len(trials)} proposed, by reason of their end: {stopped}"
