"""One process's work on a search: everything it decides is in the journal before anyone hears of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from semtune.config import SPLIT_LABELS, TrialTask
from semtune.dataset.frames import open_frames
from semtune.errors import SearchError, StorageError
from semtune.files import disk_trouble, sweep
from semtune.interruption import interruptible
from semtune.journal import (
    BaselineFitted,
    EpochDone,
    Event,
    Journal,
    SearchClosed,
    SearchOpened,
    SearchRecord,
    SearchState,
    cut_torn_line,
    read_record,
)
from semtune.opponents import OPPONENTS, OpponentsAside, timed
from semtune.planning import SearchPlan, read_plan
from semtune.training.samples import read_samples
from semtune.workspace import SearchFolder, Workspace

if TYPE_CHECKING:
    from semtune.search.director import Director
    from semtune.search.driver import Resources
    from semtune.search.order import Order
    from semtune.search.packing import Allotment

Observer = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """How a session ended."""

    state: SearchState
    message: str
    record: SearchRecord


def run_session(
    folder: SearchFolder,
    plan: SearchPlan,
    resources: Resources,
    seconds: float | None,
    observe: Observer,
    retry_failed: bool = False,
) -> Outcome:
    """Work on a search, new or not, until it is finished, failed or interrupted.

    Args:
        folder: Of a search whose plan and samples are written; the caller holds it by `only_one`.
        plan: The search's.
        resources: What may be used.
        seconds: Time budget of the trials.
        observe: Called with each event, after it is in the journal.
        retry_failed: Whether failed trials are to run again.

    Raises:
        SearchError: If the cluster cannot serve the search.
        StorageError: If the disk takes no more; resuming goes on when it does.
    """
    _tidy(folder)
    record = read_record(folder.journal)
    journal = Journal(folder.journal)
    opponents = OpponentsAside(folder.samples, folder.baselines)
    missing = not set(OPPONENTS) <= set(record.baselines)

    def take_in(event: Event) -> None:
        record.add(event)
        publish(event)

    def publish(event: Event) -> None:
        journal.append(event)
        observe(event)
        if missing and isinstance(event, EpochDone):  # the trials' processes are up
            opponents.start()

    def conclude(state: SearchState, message: str = "") -> Outcome:
        take_in(SearchClosed(state=state, message=message))
        return Outcome(state, message, record)

    def task_of(order: Order, allotment: Allotment) -> TrialTask:
        if order.role == "measure" and missing:
            _ = opponents.events  # timing wants a quiet machine
        return _task(folder, plan, order, allotment)

    origin = str(plan.started_from) if plan.started_from else None
    take_in(SearchOpened(pid=os.getpid(), host=platform.node(), started_from=origin))
    try:
        director = _directed(folder, plan, record, publish, seconds, retry_failed)
        with interruptible(director.interrupt):
            _train(director, task_of, resources, plan, folder)
            for baseline in _timed(folder, opponents.events) if missing and not director.interrupted else []:
                take_in(baseline)
    except KeyboardInterrupt:
        return conclude("interrupted")
    except Exception as error:
        trouble = disk_trouble(error)
        if trouble is None:
            conclude("failed", f"{type(error).__name__}: {error}")
            raise
        with suppress(StorageError):
            conclude("interrupted", trouble)
        raise StorageError(f"{trouble}, then `semtune resume {folder.name}` goes on") from error
    finally:
        opponents.stop()
    if director.interrupted:
        return conclude("interrupted", director.trouble)
    return conclude("failed", director.failure) if director.failure else conclude("finished")


def _train(
    director: Director,
    task_of: Callable[[Order, Allotment], TrialTask],
    resources: Resources,
    plan: SearchPlan,
    folder: SearchFolder,
) -> None:
    # Ray and Optuna take seconds to import, which lists and reports are spared.
    from semtune.search.driver import run

    probes = Workspace(folder.path.parents[1]).probes
    run(director, task_of, replace(resources, precision=plan.precision), folder.trials, probes)


def _directed(
    folder: SearchFolder,
    plan: SearchPlan,
    record: SearchRecord,
    publish: Observer,
    seconds: float | None,
    retry_failed: bool,
) -> Director:
    """A director that knows the past, and what is wanted again by now."""
    from semtune.search.director import Director
    from semtune.search.judgement import failures_again, finalists_longer

    again = [*finalists_longer(record, plan.space()), *(failures_again(record) if retry_failed else ())]
    for asked in again:
        record.add(asked)
        publish(asked)
    return Director(plan.space(), record, folder.study, publish, seconds)


def _tidy(folder: SearchFolder) -> None:
    """Take away what a death left half-written: drafts of files, a torn line of Optuna's study."""
    sweep(folder.path)
    cut_torn_line(folder.study)


@contextmanager
def only_one(folder: SearchFolder, patience: float = 1.0) -> Iterator[None]:
    """Hold the search's lock, which the system releases when the process dies, however it dies.

    Args:
        folder: Of the search.
        patience: Seconds to wait for the lock: whoever lists the searches holds it for a moment.

    Raises:
        SearchError: If another process works on the search.
    """
    lock = FileLock(folder.path / "lock", timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise SearchError(
            f"search {folder.name!r} is running in another process; wait for it or stop it"
        ) from None
    except OSError as error:
        told = disk_trouble(error) or f"{error.strerror}; correct that"
        raise StorageError(f"{folder.path}: the search cannot be taken up: {told}") from error
    try:
        yield
    finally:
        lock.release()


def state_of(folder: SearchFolder, record: SearchRecord) -> SearchState:
    """Tell whether a process works on the search, and how the last one left it."""
    try:
        with only_one(folder, patience=0):
            return _last_state(record)
    except SearchError:
        return "running"
    except StorageError:  # nobody works on a search whose disk takes nothing
        return _last_state(record)


def summary(folder: SearchFolder) -> dict[str, Any]:
    """What a list says of a search."""
    record = read_record(folder.journal)
    return {
        "name": folder.name,
        "state": state_of(folder, record),
        "trials": len(record.trials),
        "finished": sum(trial.reason == "epochs" for trial in record.trials.values()),
        "epochs": record.epochs_trained,
        "frames_trained": record.frames_trained,
        "seconds": round(record.seconds, 1),
        "best_validation_rmse": record.best_validation_rmse,
        "split": SPLIT_LABELS[read_plan(folder.plan).split_kind],
    }


def _last_state(record: SearchRecord) -> SearchState:
    return record.closed.state if record.closed else "interrupted"


def _timed(folder: SearchFolder, opponents: list[BaselineFitted]) -> list[BaselineFitted]:
    table = read_samples(folder.samples)
    return timed(opponents, table, open_frames(Path(table.cache_folder), table.digest))


def _task(folder: SearchFolder, plan: SearchPlan, order: Order, allotment: Allotment) -> TrialTask:
    return TrialTask(
        trial=order.trial,
        role=order.role,
        hyperparameters=order.hyperparameters,
        seed=order.seed,
        trial_folder=str(folder.trials / order.trial),
        samples_file=str(folder.samples),
        threads=allotment.cpus,
        precision=plan.precision,
        compilation=plan.compilation,
        start=str(folder.start) if plan.starts(order.hyperparameters.architecture) else None,
    )
