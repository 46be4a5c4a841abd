"""Whether a process works on a search, and what others may tell of it or ask of it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from semtune.config import SPLIT_LABELS
from semtune.errors import SearchError, StorageError
from semtune.files import disk_trouble
from semtune.journal import SearchRecord, SearchState, read_record
from semtune.planning import SearchPlan, read_plan
from semtune.registry import nearest_name
from semtune.stopping import WHOLE, ask_to_stop
from semtune.usage import Hours
from semtune.workspace import SearchFolder


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
        folder.stop.unlink(missing_ok=True)  # asked of a process that is gone
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
    """What a list says of a search; `running` is None unless a process works on it."""
    record, plan = read_record(folder.journal), read_plan(folder.plan)
    state = state_of(folder, record)
    hours = hours_of(record, plan, running=state == "running")
    return {
        "name": folder.name,
        "state": state,
        "trials": len(record.trials),
        "finished": sum(trial.reason == "epochs" for trial in record.trials.values()),
        "failed": sum(trial.failed for trial in record.trials.values()),
        "preempted": hours.preempted,
        "epochs": record.epochs_trained,
        "frames_trained": record.frames_trained,
        "seconds": round(record.seconds, 1),
        "gpu_hours": round(hours.gpu, 3),
        "cpu_hours": round(hours.cpu, 3),
        "cost": None if hours.cost is None else round(hours.cost, 2),
        "best_validation_rmse": record.best_trial.validation_rmse if record.best_trial else None,
        "split": SPLIT_LABELS[plan.split_kind],
        "running": _work_of(record) if state == "running" else None,
    }


def stop_search(folder: SearchFolder, trial: str | None = None) -> None:
    """Ask the process that works on a search to end it, to be resumed, or to end one of its trials.

    Raises:
        SearchError: If no process works on the search, or the trial is none that can be ended alone.
    """
    record = read_record(folder.journal)
    if (state := state_of(folder, record)) != "running":
        raise SearchError(f"search {folder.name!r} is not running; it is {state}")
    if trial is not None:
        _refuse_unstoppable(folder.name, record, trial)
    ask_to_stop(folder.stop, trial or WHOLE)


def _refuse_unstoppable(search: str, record: SearchRecord, name: str) -> None:
    trial = record.trials.get(name)
    if trial is None:
        raise SearchError(f"no trial {name!r} in search {search!r}; {nearest_name(name, record.trials)}")
    if trial.reason not in (None, "interrupted"):
        raise SearchError(f"{name} has ended already ({trial.reason})")
    if trial.started.reseeds:
        raise SearchError(
            f"{name} trains a finalist with a fresh seed, which the report needs; "
            f"`semtune stop {search}` ends the search, to be resumed"
        )


def hours_of(record: SearchRecord, plan: SearchPlan, running: bool = False) -> Hours:
    """What a search took of machines; of one that runs, up to now."""
    now = time.time() if running else record.sessions[-1][1] if record.sessions else 0.0
    preempted = sum(trial.preempted for trial in record.trials.values())
    cost = plan.space().settings.cost_per_gpu_hour
    return Hours(record.usage.gpu_hours(now), record.usage.cpu_hours(now), cost, preempted)


def _work_of(record: SearchRecord) -> dict[str, Any]:
    """Who works on a running search, since when, and where."""
    opened, stays = record.sessions[-1][0], record.usage.at_work
    return {
        "host": opened.host,
        "pid": opened.pid,
        "since": opened.at,
        "nodes": sorted({stay.host for stay in stays.values()}),
        "trials": sorted(stays),
    }


def _last_state(record: SearchRecord) -> SearchState:
    return record.closed.state if record.closed else "interrupted"
