"""One process's work on a search: everything it decides is in the journal before anyone hears of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semtune.config import TrialTask
from semtune.dataset.frames import open_frames
from semtune.errors import StorageError
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
from semtune.planning import SearchPlan
from semtune.search.depot import TrialFiles
from semtune.stopping import StopRequests
from semtune.storage import Storage
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
    session = _Session(folder, plan, observe)
    try:
        return session.work(resources, seconds, retry_failed)
    except KeyboardInterrupt:
        return session.conclude("interrupted")
    except Exception as error:
        trouble = str(error) if isinstance(error, StorageError) else disk_trouble(error)
        if trouble is None:
            session.conclude("failed", f"{type(error).__name__}: {error}")
            raise
        with suppress(StorageError):
            session.conclude("interrupted", trouble)
        raise StorageError(f"{trouble}, then `semtune resume {folder.name}` goes on") from error
    finally:
        session.opponents.stop()


class _Session:
    """What this process knows of the search and tells of it; opened when it is made.

    Args:
        folder: Of the search.
        plan: The search's.
        observe: Called with each event, after it is in the journal.
    """

    def __init__(self, folder: SearchFolder, plan: SearchPlan, observe: Observer) -> None:
        _tidy(folder)
        self._folder, self._plan, self._observe = folder, plan, observe
        self._requests = StopRequests(folder.stop)
        self._record = read_record(folder.journal)
        self._journal = Journal(folder.journal)
        storage = Storage(plan.storage) if plan.storage else None
        self._files = TrialFiles(folder.trials, storage, plan.search_id)
        self.opponents = OpponentsAside(folder.samples, folder.baselines)
        self._missing = not set(OPPONENTS) <= set(self._record.baselines)
        origin = str(plan.started_from) if plan.started_from else None
        self._take_in(SearchOpened(pid=os.getpid(), host=platform.node(), started_from=origin))

    def work(self, resources: Resources, seconds: float | None, retry_failed: bool) -> Outcome:
        """Run what is to run; the arguments are those of `run_session`."""
        director = _directed(
            self._folder, self._plan, self._record, self._publish, seconds, resources.wait, retry_failed
        )
        with interruptible(director.interrupt):
            self._train(director, resources)
            if self._missing and not director.interrupted:
                for baseline in _timed(self._folder, self.opponents.events):
                    self._take_in(baseline)
        if director.interrupted:
            return self.conclude("interrupted", director.trouble)
        return self.conclude("failed", director.failure) if director.failure else self.conclude("finished")

    def conclude(self, state: Literal["interrupted", "finished", "failed"], message: str = "") -> Outcome:
        """Close the session."""
        self._take_in(SearchClosed(state=state, message=message))
        return Outcome(state, message, self._record)

    def _train(self, director: Director, resources: Resources) -> None:
        # Ray and Optuna take seconds to import, which lists and reports are spared.
        from semtune.search.driver import run

        folder, plan = self._folder, self._plan
        resources = replace(resources, precision=plan.precision)
        probes = Workspace(folder.path.parents[1]).probes
        self._files.send(folder.samples, folder.start)
        run(director, self._task, resources, self._files, probes, wishes=self._requests.new)

    def _task(self, order: Order, allotment: Allotment) -> TrialTask:
        if order.role == "measure" and self._missing:
            _ = self.opponents.events  # timing wants a quiet machine
        self._files.want(order.trial)
        return _task(self._folder, self._plan, order, allotment)

    def _take_in(self, event: Event) -> None:
        self._record.add(event)
        self._publish(event)

    def _publish(self, event: Event) -> None:
        self._journal.append(event)
        self._observe(event)
        if self._missing and isinstance(event, EpochDone):  # the trials' processes are up
            self.opponents.start()


def _directed(
    folder: SearchFolder,
    plan: SearchPlan,
    record: SearchRecord,
    publish: Observer,
    seconds: float | None,
    wait: float,
    retry_failed: bool,
) -> Director:
    """A director that knows the past, and what is wanted again by now."""
    from semtune.search.director import Director
    from semtune.search.judgement import failures_again, finalists_longer

    again = [*finalists_longer(record, plan.space()), *(failures_again(record) if retry_failed else ())]
    for asked in again:
        record.add(asked)
        publish(asked)
    return Director(plan.space(), record, folder.study, publish, seconds, wait)


def _tidy(folder: SearchFolder) -> None:
    """Take away what a death left half-written: drafts of files, a torn line of Optuna's study."""
    sweep(folder.path)
    cut_torn_line(folder.study)


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
        storage=plan.storage,
        search=plan.search_id,
    )
