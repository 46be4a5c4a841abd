"""What an experiment says: one row a scorer, one a scorer and policy, with intervals."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version

import numpy as np
from scipy import stats

from semtune.focusing.bench import BenchSettings, Run
from semtune.focusing.criteria import Criteria
from semtune.focusing.experiment import Experiment
from semtune.focusing.scorers import FocusScorer
from semtune.results import bootstrap_interval, resampled_means
from semtune.timing import describe_processor

_PACKAGES = ("semtune", "numpy", "scipy", "opencv-python-headless", "torch")
CRITERIA = tuple(each.name for each in fields(Criteria))


@dataclass(frozen=True)
class CurveRow:
    """The focus curves of one scorer: the median over the fields of each criterion."""

    scorer: FocusScorer
    criteria: Criteria
    within: float
    """Share of the fields whose peak lies within one depth of field of true focus; higher is better."""


@dataclass(frozen=True)
class LoopRow:
    """The runs of one scorer under one policy."""

    scorer: FocusScorer
    policy: str
    within: float
    """Share of runs that end within one depth of field of true focus; higher is better."""
    within_low: float
    within_high: float
    """95 % interval of that share."""
    within_half: float
    """Share of runs that end inside the depth of field, half of it to either side."""
    defocus_um: float
    """Median distance from true focus in the end."""
    defocus_dof: float
    """The same in depths of field."""
    defocus_dof_p95: float
    """What 95 % of the runs stay below."""
    frames: float
    """Acquisitions used, mean."""
    most_frames: int
    rival: str = ""
    """Of a network: the autofocus function with the highest share under the same policy."""
    lead: float = math.nan
    """Share minus that of the rival."""
    lead_low: float = math.nan
    lead_high: float = math.nan
    """95 % interval of the lead, paired, over the fields."""


@dataclass(frozen=True, eq=False)
class FocusReport:
    """All that writers and figures show."""

    search: str
    experiment: Experiment
    curves: tuple[CurveRow, ...]
    loops: tuple[LoopRow, ...]
    versions: Mapping[str, str]
    """Of the packages that computed it."""
    hardware: str
    date: str
    seconds: float
    """Wall time of the experiment."""

    @property
    def settings(self) -> BenchSettings:
        """What fixed the experiment."""
        return self.experiment.settings

    def best_loop(self, scorer: str) -> LoopRow:
        """The policy under which a scorer does best; of equals the one that ends closer to true focus."""
        own = [row for row in self.loops if row.scorer.name == scorer]
        return max(own, key=lambda row: (row.within, -row.defocus_dof))


def summarise(search: str, experiment: Experiment, seconds: float) -> FocusReport:
    """Build the report of an experiment.

    Args:
        search: Name of the search that the networks are from.
        experiment: What was measured.
        seconds: Wall time that it took.
    """
    return FocusReport(
        search,
        experiment,
        curve_rows(experiment),
        loop_rows(experiment),
        versions={name: version(name) for name in _PACKAGES},
        hardware=describe_processor(os.cpu_count() or 1),
        date=time.strftime("%Y-%m-%d"),
        seconds=seconds,
    )


def curve_rows(experiment: Experiment) -> tuple[CurveRow, ...]:
    """Summarise the sweeps, a row a scorer."""
    rows = []
    for scorer in experiment.scorers:
        own = [outcome.sweep.criteria[scorer.name] for outcome in experiment.outcomes]
        medians = {name: float(np.nanmedian([getattr(each, name) for each in own])) for name in CRITERIA}
        within = float(np.mean([each.accuracy_dof <= 1 for each in own]))
        rows.append(CurveRow(scorer, Criteria(**medians), within))
    return tuple(rows)


def loop_rows(experiment: Experiment) -> tuple[LoopRow, ...]:
    """Summarise the closed loops, a row a scorer and policy."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for outcome in experiment.outcomes:
        for run in outcome.runs:
            runs.setdefault((run.scorer, run.policy), []).append(run)
    return tuple(
        _loop_row(
            scorer, policy, runs, [each.name for each in experiment.scorers if each.kind == "autofocus"]
        )
        for scorer in experiment.scorers
        for policy in experiment.policies
    )


def share_interval(
    hits: Sequence[bool], clusters: Sequence[int], coverage: float = 0.95
) -> tuple[float, float]:
    """Interval of a share of runs of which those of one field are alike: (low, high).

    Clopper and Pearson's, on the number of independent runs that would be as uncertain; unlike a bootstrap it
    has a width at 0 and at 1.

    Args:
        hits: Of each run.
        clusters: The field of each run; two or more in all.
        coverage: Of the interval.

    References:
        Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of positive
        counts estimated from survey data", Survey Methodology 24(2), 193-201.
    """
    count, share = len(hits), float(np.mean(hits))
    names, index = np.unique(clusters, return_inverse=True)
    excess = np.bincount(index, weights=np.asarray(hits, float) - share)
    variance = len(names) / (len(names) - 1) * float(np.sum(excess**2)) / count**2
    independent = share * (1 - share) / variance if variance else float(count)
    tail = (1 - coverage) / 2
    independent *= (stats.t.ppf(tail, count - 1) / stats.t.ppf(tail, len(names) - 1)) ** 2
    independent = min(independent, float(count))
    positive = share * independent
    low = stats.beta.ppf(tail, positive, independent - positive + 1) if share > 0 else 0.0
    high = stats.beta.ppf(1 - tail, positive + 1, independent - positive) if share < 1 else 1.0
    return float(low), float(high)


def _loop_row(
    scorer: FocusScorer, policy: str, runs: Mapping[tuple[str, str], list[Run]], rivals: Sequence[str]
) -> LoopRow:
    own = runs[scorer.name, policy]
    off = np.array([run.depths_off for run in own])
    frames = [run.frames for run in own]
    low, high = share_interval([run.depths_off <= 1 for run in own], [run.field for run in own])
    rival, lead = _lead(scorer, policy, runs, rivals)
    return LoopRow(
        scorer=scorer,
        policy=policy,
        within=float(np.mean(off <= 1)),
        within_low=low,
        within_high=high,
        within_half=float(np.mean(off <= 0.5)),
        defocus_um=float(np.median([abs(run.defocus_um) for run in own])),
        defocus_dof=float(np.median(off)),
        defocus_dof_p95=float(np.quantile(off, 0.95)),
        frames=float(np.mean(frames)),
        most_frames=max(frames),
        rival=rival,
        lead=lead[0],
        lead_low=lead[1],
        lead_high=lead[2],
    )


def _lead(
    scorer: FocusScorer, policy: str, runs: Mapping[tuple[str, str], list[Run]], rivals: Sequence[str]
) -> tuple[str, tuple[float, float, float]]:
    """A network's lead over the best rival; which one that is, the same runs say: that favours the rival."""
    if scorer.kind != "network" or not rivals:
        return "", (math.nan, math.nan, math.nan)
    hits = {name: np.array([run.depths_off <= 1 for run in runs[name, policy]], float) for name in rivals}
    best = max(rivals, key=lambda name: (hits[name].mean(), -_median_off(runs[name, policy])))
    own = runs[scorer.name, policy]
    gain = np.array([run.depths_off <= 1 for run in own], float) - hits[best]
    interval = bootstrap_interval(resampled_means(gain, [run.field for run in own]))
    return best, (float(gain.mean()), *interval)


def _median_off(runs: Sequence[Run]) -> float:
    return float(np.median([run.depths_off for run in runs]))
