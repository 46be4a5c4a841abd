"""What of a search stands where in MLflow. Pure: journal events in, points, parameters and tags out.

An experiment a search; in it a parent run, and below it a run a trial and a run a baseline, all with the
same metric names, so that one table of MLflow's page compares them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from semtune.journal import (
    BaselineFitted,
    EpochDone,
    Event,
    NodeLost,
    RepeatAsked,
    SearchOpened,
    SearchRecord,
    StopReason,
    TrialAtWork,
    TrialDied,
    TrialEnded,
    TrialPlaced,
    TrialRecord,
    TrialStarted,
    TrialTested,
    TrialTimed,
)
from semtune.workspace import SearchFolder

PARENT = ""
"""The key of the parent run, where trials and baselines have their names."""
SEARCH_ID, TRIAL, KIND = "semtune.search_id", "semtune.trial", "semtune.kind"
PREDICTIONS, WEIGHTS, TRACEBACK = "predictions.csv", "weights.safetensors", "traceback.txt"

_LONGEST_TAG = 4000  # characters; MLflow takes 8000 bytes
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
_ENDINGS: Mapping[StopReason, Status] = {
    "epochs": "FINISHED",
    "asha": "FINISHED",
    "budget": "FINISHED",
    "stopped": "KILLED",
    "diverged": "FAILED",
    "stalled": "FAILED",
    "error": "FAILED",
    "out_of_memory": "FAILED",
    "lost": "FAILED",
    "hung": "FAILED",
    "interrupted": "KILLED",
}
_CLOSINGS: Mapping[str, Status] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@dataclass(frozen=True)
class TrackedSearch:
    """What holds for all runs of a search."""

    name: str
    search_id: str
    """Never reused, unlike a name."""
    parameters: Mapping[str, object]
    """Of the plan: the search space's name, settings, split."""
    dataset_name: str
    dataset_digest: str
    dataset_folder: str
    dataset_profile: Mapping[str, object]
    """Counts and ranges, shown beside the dataset."""
    device: str
    version: str
    """Of semtune."""
    changeable: Mapping[str, object] = field(default_factory=dict)
    """Settings that a later session may change: tags of the parent run, for MLflow's parameters stay."""


class Point(NamedTuple):
    """One value of a metric."""

    metric: str
    value: float
    milliseconds: int
    """Since 1970."""
    step: int


class Birth(NamedTuple):
    """What a run is made with."""

    name: str
    kind: str
    milliseconds: int | None
    """Since 1970; None for now."""


class Standing(NamedTuple):
    """The state that a run should have, and since when if it has ended."""

    status: Status
    milliseconds: int | None


@dataclass
class RunUpdate:
    """What some events add to one run."""

    points: list[Point] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    """By their names as artifacts."""
    traceback: str = ""
    names_dataset: bool = False


def search_tags(search: TrackedSearch) -> dict[str, str]:
    """Tags that every run of a search bears, so that runs can be filtered without their parent."""
    return {
        "semtune.search": search.name,
        SEARCH_ID: search.search_id,
        "semtune.dataset_digest": search.dataset_digest,
        "semtune.device": search.device,
        "semtune.version": search.version,
    }


def experiment_names(search: TrackedSearch) -> tuple[str, str, str]:
    """Names for the search's experiment, best first; another search may have taken one."""
    name = search.name
    return name, f"{name}-{search.dataset_digest[:8]}", f"{name}-{search.search_id}"


def updates(
    events: Iterable[Event], record: SearchRecord, search: TrackedSearch, folder: SearchFolder
) -> dict[str, RunUpdate]:
    """Sort events by run and translate them.

    Args:
        events: In the order of the journal.
        record: The journal folded, these events included.
        search: What holds for all runs.
        folder: Where trials and baselines left their files.

    Returns:
        By key of the run: `PARENT`, the name of a trial, or the name of a baseline.
    """
    found: dict[str, RunUpdate] = {}
    for event in events:
        update = found.setdefault(_key(event), RunUpdate())
        now = _milliseconds(event.at)
        if isinstance(event, SearchOpened):
            update.parameters |= _texts(search.parameters)
            update.tags |= {f"semtune.{name}": str(value) for name, value in search.changeable.items()}
            update.names_dataset = True
            if event.started_from:
                update.tags["semtune.started_from"] = event.started_from
        elif isinstance(event, TrialStarted):
            update.parameters |= _texts({**event.hyperparameters, "seed": event.seed})
            origins = {"semtune.repeats": event.repeats, "semtune.reseeds": event.reseeds}
            update.tags |= {tag: trial for tag, trial in origins.items() if trial}
        elif isinstance(event, TrialPlaced):
            update.tags["semtune.trained_on"] = f"{event.device}, {event.precision}"
            if event.started_from:
                update.tags["semtune.started_from"] = f"sha256:{event.started_from}"
        elif isinstance(event, NodeLost):
            _preempt(event, record, found)
        elif isinstance(event, TrialAtWork):
            update.tags["semtune.host"] = event.host
        elif isinstance(event, TrialDied):
            update.tags["semtune.last_death"] = event.message[:_LONGEST_TAG]
        elif isinstance(event, EpochDone):
            result = event.result
            curves = {
                "validation_rmse": result.validation_rmse,
                "training_rmse": result.training_rmse,
                "epoch_seconds": result.seconds,
            }
            update.points += _points(curves, now, result.epoch)
        elif isinstance(event, TrialEnded):
            update.tags["semtune.stop_reason"] = event.reason
            update.traceback = event.message
        elif isinstance(event, TrialTested):
            last_epoch = len(record.trials[event.trial].epochs)
            update.points += _points({"validation_rmse": event.validation_rmse}, now, last_epoch)
            update.points += _points(event.figures, now, 0)
            update.files |= {name: folder.trials / event.trial / name for name in (PREDICTIONS, WEIGHTS)}
        elif isinstance(event, TrialTimed):
            update.points += _points(event.figures, now, 0)
            update.tags["semtune.device"] = event.device
        elif isinstance(event, BaselineFitted):
            update.points += _points(event.figures, now, 0)
            update.parameters |= event.facts
            update.tags["semtune.device"] = event.device
            update.files[PREDICTIONS] = folder.baselines / f"{event.name}.csv"
    return found


def _preempt(event: NodeLost, record: SearchRecord, found: dict[str, RunUpdate]) -> None:
    for name in record.trials.keys() & set(event.trials):
        times = record.trials[name].preempted
        found.setdefault(name, RunUpdate()).tags["semtune.preempted"] = str(times)


def birth(key: str, record: SearchRecord, search: TrackedSearch) -> Birth:
    """Name, kind and start of a run, by its key."""
    if key == PARENT:
        start = _milliseconds(record.sessions[0][0].at) if record.sessions else None
        return Birth(search.name, "search", start)
    if key in record.baselines:
        fitted = record.baselines[key]
        return Birth(fitted.name, fitted.kind, _milliseconds(fitted.at))
    trial = record.trials[key]
    return Birth(f"{trial.architecture} {trial.name}", "network", _milliseconds(trial.started.at))


def standings(record: SearchRecord, alive: bool = True) -> dict[str, Standing]:
    """The state that each run of a search should have, by its key.

    Args:
        record: The journal folded.
        alive: Whether a process may work on the search; if none does, one that was not closed was killed.
    """
    closed = record.closed
    killed = None if alive or closed or not record.sessions else record.sessions[-1][1]
    end = _milliseconds(closed.at) if closed else _milliseconds(killed) if killed else None
    state = closed.state if closed else "interrupted" if killed else None
    found = {PARENT: Standing(_CLOSINGS[state] if state else "RUNNING", end)}
    found |= {key: Standing("FINISHED", _milliseconds(fitted.at)) for key, fitted in record.baselines.items()}
    # A trial that the end of its search left open was cut off: no process works on it.
    open_trial = Standing("KILLED", end) if state else Standing("RUNNING", None)
    return found | {key: _standing(trial, open_trial) for key, trial in record.trials.items()}


def _standing(trial: TrialRecord, open_trial: Standing) -> Standing:
    if trial.ended is None:
        return open_trial
    return Standing(_ENDINGS[trial.ended.reason], _milliseconds((trial.tested or trial.ended).at))


def _key(event: Event) -> str:
    if isinstance(event, BaselineFitted):
        return event.name
    return PARENT if isinstance(event, RepeatAsked) else getattr(event, "trial", PARENT)


def _points(figures: Mapping[str, float], milliseconds: int, step: int) -> list[Point]:
    # MLflow stores infinity as 1.8e308, which ruins every chart and every sorting.
    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    return [Point(name, value, milliseconds, step) for name, value in finite.items()]


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
