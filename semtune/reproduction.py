"""Train a trial again from its record, and tell whether the numbers come out again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from semtune.config import Hyperparameters, Precision, TrialTask
from semtune.errors import SearchError
from semtune.journal import TrialRecord, read_record
from semtune.planning import SearchPlan, ensure_frames, read_plan
from semtune.provenance import commit_here, versions_here
from semtune.registry import nearest_name
from semtune.results import EpochResult
from semtune.timing import describe_processor
from semtune.tracking.progress import run_ids
from semtune.training.samples import read_samples
from semtune.workspace import SearchFolder, Workspace

EXACT = 1e-6
"""Score points by which a validation RMSE may differ on the same kind of processor with the same torch."""
LOOSE = 0.1
"""The same as a share of the recorded RMSE, on a GPU or under other conditions: rounding grows from step to
step, so that this finds gross contradictions and proves nothing (docs/decisions/0039)."""

_DECISIVE = {"torch", "numpy", "opencv-python-headless"}
"""Packages of other people that decide about the last digits; our own code must not change them."""


@dataclass(frozen=True)
class Reproduction:
    """A trial as it was recorded and as it came out now."""

    trial: str
    """As `NAME/trial-0003`."""
    agrees: bool
    reason: str
    """One sentence that explains the verdict."""
    recorded: tuple[float, ...]
    """Validation RMSE of each epoch, score points."""
    retrained: tuple[float, ...]
    largest_difference: float
    """Score points, over the epochs that both have."""
    tolerance: float
    """Score points if `exact`, else a share of the recorded RMSE."""
    exact: bool
    """Whether the conditions are those of the record, so that the numbers must be the same."""
    differences: tuple[str, ...]
    """What is otherwise now than it was then: versions, hardware, threads."""


def find_trial(workspace: Workspace, run: str) -> tuple[SearchFolder, str]:
    """Find a trial by `NAME/trial-0003`, or by the id of its MLflow run.

    Raises:
        SearchError: If no search of the workspace has such a trial.
    """
    name, separator, trial = run.partition("/")
    if not separator:
        for folder in workspace.all():
            keys = [key for key, run_id in run_ids(folder).items() if run_id == run and key]
            if keys:
                return folder, keys[0]
        raise SearchError(
            f"no search of {workspace.path} has an MLflow run {run!r}; name a trial, such as NAME/trial-0003"
        )
    folder = workspace.existing(name)
    trials = read_record(folder.journal).trials
    if trial not in trials:
        raise SearchError(f"no trial named {trial!r} in {name!r}; {nearest_name(trial, trials)}")
    return folder, trial


def reproduce(
    workspace: Workspace, run: str, observe: Callable[[float, EpochResult], None] = lambda then, now: None
) -> Reproduction:
    """Train a trial again in this process, for as many epochs as are recorded.

    Args:
        workspace: Of the search.
        run: The trial, as `find_trial` takes it.
        observe: Called after each epoch with the recorded validation RMSE and what came out now.

    Raises:
        SearchError: If the record cannot be retrained: no epochs, or samples that are not the plan's.
        DatasetError: If the frames are gone or are others.
    """
    folder, name = find_trial(workspace, run)
    plan = read_plan(folder.plan)
    record = read_record(folder.journal).trials.get(name)
    if record is None or not record.epochs:
        raise SearchError(f"{run}: it trained no epoch, so there is nothing to reproduce; name another trial")
    ensure_frames(plan, workspace.frames)
    _check_samples(folder, plan)
    epochs, ending = _retrained(folder, plan, record, observe)
    return _verdict(f"{folder.name}/{name}", record, epochs, ending, *_differences(plan, record))


def _check_samples(folder: SearchFolder, plan: SearchPlan) -> None:
    table = read_samples(folder.samples)
    split = {part: set(table.fields[getattr(table, part)].tolist()) for part in plan.split}
    if table.digest != plan.dataset_digest or split != {
        part: set(names) for part, names in plan.split.items()
    }:
        raise SearchError(
            f"{folder.samples}: dataset or split are not those of {folder.plan.name}; restore the two files"
        )


def _retrained(
    folder: SearchFolder, plan: SearchPlan, record: TrialRecord, observe: Callable[[float, EpochResult], None]
) -> tuple[list[EpochResult], str | None]:
    """Train until the record ends, and one report further if that was a divergence.

    Returns:
        The epochs, and the reason of an end that came of itself.
    """
    from semtune.search.worker import WarmWorker  # torch comes in here

    epochs: list[EpochResult] = []
    with TemporaryDirectory(prefix="semtune-") as scratch:
        worker = WarmWorker()
        worker.start(_task(folder, plan, record, Path(scratch)))
        wanted = len(record.epochs) + (record.reason == "diverged")
        for report in islice(_reports(worker.advance), wanted):
            if "epoch" in report and len(epochs) < len(record.epochs):
                epochs.append(EpochResult(**report["epoch"]))
                observe(record.epochs[len(epochs) - 1].validation_rmse, epochs[-1])
            if report.get("reason") not in (None, "epochs"):
                return epochs, report["reason"]
    return epochs, None


def _reports(advance: Callable[[], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    report = advance()
    yield report
    while not report["done"]:
        report = advance()
        yield report


def _task(folder: SearchFolder, plan: SearchPlan, record: TrialRecord, scratch: Path) -> TrialTask:
    place = record.placed[0] if record.placed else None
    starts = place.started_from if place else plan.starts(record.architecture)
    precision: Precision = place.precision if place else plan.precision
    return TrialTask(
        trial=record.name,
        role="search",
        hyperparameters=Hyperparameters.model_validate(record.started.hyperparameters),
        seed=record.started.seed,
        trial_folder=str(scratch),
        samples_file=str(folder.samples),
        threads=place.threads if place else 1,
        precision=precision,
        compilation=plan.compilation,
        start=str(folder.start) if starts else None,
    )


def _differences(plan: SearchPlan, record: TrialRecord) -> tuple[tuple[str, ...], bool]:
    """What is otherwise now than then, and whether the same numbers must come out all the same."""
    then, now = (
        {**versions, "semtune's commit": commit}
        for versions, commit in (
            (plan.versions, plan.commit),
            (versions_here(), commit_here()),
        )
    )
    changed = {
        name: f"{name}: {version} then, {now.get(name)} now"
        for name, version in then.items()
        if version != now.get(name)
    }
    moved = tuple(_moved(plan, record))
    return (*changed.values(), *moved), not moved and not _DECISIVE & changed.keys()


def _moved(plan: SearchPlan, record: TrialRecord) -> Iterator[str]:
    from semtune.engines.choice import describe_device
    from semtune.training.data import training_device

    here = training_device()
    places = list(dict.fromkeys((each.device, each.precision) for each in record.placed))
    if not places:
        then, now = plan.hardware, describe_processor(os.cpu_count() or 1)
        yield from [f"trained on {then}, now on {now}"] if then != now else []
        return
    now = describe_device(here, record.placed[0].threads)
    if len(places) > 1:
        yield f"trained in {len(places)} places: {'; '.join(', '.join(place) for place in places)}"
    elif places[0][0] != now:
        yield f"trained on {places[0][0]}, now on {now}"
    elif here.type != "cpu":
        yield f"{now}: a GPU's sums depend on their order"


def _verdict(
    trial: str,
    record: TrialRecord,
    epochs: list[EpochResult],
    ending: str | None,
    differences: tuple[str, ...],
    exact: bool,
) -> Reproduction:
    recorded = [each.validation_rmse for each in record.epochs]
    retrained = [each.validation_rmse for each in epochs]
    apart = [abs(then - now) for then, now in zip(recorded, retrained, strict=False)]
    allowed = [EXACT if exact else LOOSE * then for then in recorded]
    agrees = False
    wrong = next((at for at, (by, most) in enumerate(zip(apart, allowed, strict=False)) if by > most), None)
    if wrong is not None:
        reason = f"epoch {wrong + 1} was {recorded[wrong]:.7f} and is {retrained[wrong]:.7f}"
    elif len(retrained) < len(recorded):
        reason = f"{len(recorded)} epochs are recorded, but it ended as {ending!r} after {len(retrained)}"
    elif record.reason == "diverged" and ending != "diverged":
        reason = f"it diverged after epoch {len(recorded)}, and does not now"
    else:
        agrees, reason = True, f"all {len(recorded)} epochs agree"
    largest = max(apart, default=0.0)
    tolerance = EXACT if exact else LOOSE
    return Reproduction(
        trial, agrees, reason, tuple(recorded), tuple(retrained), largest, tolerance, exact, differences
    )
