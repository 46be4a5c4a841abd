"""Runs a search on Ray Tune: the director decides, Tune places trials on warm workers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from semtune.config import Precision, TrialTask
from semtune.journal import Noted, StopReason, TrialPlaced
from semtune.results import EpochResult
from semtune.search.director import Director
from semtune.search.heartbeat import Heartbeat
from semtune.search.order import Order
from semtune.search.packing import Allotment, ProbeFile, allot, settings_to_probe
from semtune.search.prober import companies, surroundings
from semtune.search.space import SearchSpace
from semtune.search.trainable import TASK, RayTrial
from semtune.search.tune_habits import break_habits, part_of

_LABEL, _PLACE = "trial", "place"
"""Keys of Tune's configuration of a trial: its name, and what it takes."""
_COLOUR = re.compile(r"\x1b\[\d*m")
_LOW = "running low on memory"  # so Ray says that its memory monitor killed a worker
_RAISED = "ray::"  # so Ray begins the traceback of an exception in a worker


@dataclass(frozen=True)
class Resources:
    """What a search may use, and what each of its trials takes."""

    concurrent: int | None = None
    """Trials at the same time; by default as many as fit."""
    gpus_per_trial: float | None = None
    """By default as probes of each architecture find best, where there are GPUs."""
    address: str | None = None
    """Of a running Ray cluster; by default one is started on this machine."""
    precision: Precision = "auto"
    heartbeat: float = 600.0
    """Seconds without an epoch after which a trial hangs and its process is killed."""


class _NotInSnapshots:
    """Tune pickles its parts into snapshots; ours stay out of them: a search is resumed from its journal."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Proposals(_NotInSnapshots, Searcher):  # type: ignore[misc]
    """Hands the director's orders to Tune."""

    def __init__(
        self, director: Director, allotment: Allotment, task_of: Callable[[Order, Allotment], TrialTask]
    ) -> None:
        super().__init__(metric="validation_rmse", mode="min")
        self._director, self._allotment, self._task_of = director, allotment, task_of

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._director.busy >= self._allotment.concurrent:
            return None
        order = self._director.next_order()
        if order:
            cpus, gpus = self._allotment.of(order.hyperparameters.architecture, order.alone)
            task = self._task_of(order, self._allotment)
            return {
                _LABEL: order.trial,
                _PLACE: {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus},
                TASK: task.model_copy(update={"gpu_share": min(1.0, gpus or 1.0)}).model_dump(),
            }
        return None if self._director.busy else str(Searcher.FINISHED)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the director learns it from the callback."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class _Verdicts(_NotInSnapshots, tune.schedulers.FIFOScheduler):  # type: ignore[misc]
    """Brings each report to the director and its verdict to Tune; ASHA is behind the director."""

    def __init__(self, director: Director) -> None:
        super().__init__()
        self._director = director
        self.stopped: dict[str, StopReason] = {}

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        name = trial.config[_LABEL]
        _tell(self._director, name, result)
        epoch = _epoch(result)
        reason = self._director.epoch_done(name, epoch) if epoch else None
        if reason is None:
            return str(TrialScheduler.CONTINUE)
        self.stopped[name] = reason
        return str(TrialScheduler.STOP)


class _Endings(_NotInSnapshots, tune.Callback):  # type: ignore[misc]
    """Tells the director how trials ended, and kills the processes of those that hang."""

    def __init__(
        self,
        director: Director,
        verdicts: _Verdicts,
        heartbeat: Heartbeat,
        prune: Callable[[list[str]], None],
    ) -> None:
        self._director, self._verdicts, self._prune = director, verdicts, prune
        self._heartbeat, self._hung = heartbeat, set[str]()
        self._running: dict[str, Trial] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        self._heartbeat.heard(trial.config[_LABEL])

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        self._running[trial.config[_LABEL]] = trial
        self._heartbeat.heard(trial.config[_LABEL])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        for name in self._heartbeat.overdue():
            self._hung.add(name)
            self._heartbeat.forget(name)
            ray.kill(self._running[name].temporary_state.ray_actor)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        name, last = trial.config[_LABEL], trial.last_result or {}
        if name in self._verdicts.stopped:
            self._end(name, self._verdicts.stopped.pop(name), "")
            return
        _tell(self._director, name, last)
        epoch = _epoch(last)
        if epoch:
            self._director.epoch_done(name, epoch)
        if "tested" in last:
            self._director.tested(name, last["tested"])
        if "timed" in last:
            self._director.timed(name, last["timed"]["figures"], last["timed"]["device"])
        if last.get("reason") == "interrupted":  # the worker's disk takes no more
            self._director.interrupt(last["message"])
        self._end(name, last.get("reason", "epochs"), last.get("message", ""))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        name, error = trial.config[_LABEL], _error_of(trial)
        if name in self._hung:
            self._end(name, "hung", f"no epoch for {self._heartbeat.limit:g} s (--heartbeat)")
        elif _RAISED in error and _LOW not in error:
            self._end(name, "error", error)
        else:
            self._forget(name)
            reason: StopReason = "out_of_memory" if _LOW in error else "lost"
            self._director.died(name, reason, f"the process of the trial died: {error}")

    def _end(self, name: str, reason: StopReason, message: str) -> None:
        self._forget(name)
        self._director.ended(name, reason, message)
        self._prune(self._director.unneeded())

    def _forget(self, name: str) -> None:
        self._heartbeat.forget(name)
        self._hung.discard(name)
        if trial := self._running.pop(name, None):
            # Tune keeps statistics of every number of every trial, 20 kB that nobody asks for.
            trial.run_metadata.metric_analysis.clear()
            trial.run_metadata.metric_n_steps.clear()


def run(
    director: Director,
    task_of: Callable[[Order, Allotment], TrialTask],
    resources: Resources,
    trials_folder: Path,
    probes: Path | None = None,
    trainable: type[tune.Trainable] = RayTrial,
) -> None:
    """Run a search on the connected cluster until the director has no more orders.

    Args:
        director: Decides; emits the events.
        task_of: Turns an order into what a worker needs.
        resources: What may be used.
        trials_folder: Folder of the trials' folders; checkpoints of trials that are no finalists are removed.
        probes: File of what was measured of trials that share a GPU; None to measure nothing.
        trainable: What the workers run.

    Raises:
        SearchError: If the cluster has too little for one trial.
    """
    break_habits(local=resources.address is None)
    allotment = _allot(resources, director.space, probes)
    # Tune starts the workers of a custom searcher one after the other unless told otherwise.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(allotment.concurrent)
    workers = tune.with_resources(trainable, _place)
    proposals = _Proposals(director, allotment, task_of)
    verdicts = _Verdicts(director)

    def endings() -> _Endings:
        return _Endings(director, verdicts, Heartbeat(resources.heartbeat), partial(_prune, trials_folder))

    while killed := _fit(workers, proposals, verdicts, endings()):
        director.all_died("out_of_memory", killed)
    director.close()


def _fit(
    workers: type[tune.Trainable], proposals: _Proposals, verdicts: _Verdicts, endings: _Endings
) -> str | None:
    """Let Tune run until the director has no more orders, or until Ray's memory monitor kills a worker.

    Tune takes that kill for an error of its own and gives up; the director knows all, so Tune can start
    anew.

    Returns:
        What the monitor said; None when all is done.
    """
    scratch = Path(mkdtemp(prefix="semtune-"))
    run_config = tune.RunConfig(
        name="search",
        storage_path=str(scratch),
        verbose=0,
        callbacks=[endings],
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
    )
    config = tune.TuneConfig(num_samples=-1, search_alg=proposals, scheduler=verdicts, reuse_actors=True)
    try:
        tune.Tuner(workers, tune_config=config, run_config=run_config).fit()
    except RuntimeError as error:
        if not isinstance(error.__cause__, OutOfMemoryError):
            raise
        return str(error.__cause__)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return None


def _place(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune must reserve for a trial."""
    return tune.PlacementGroupFactory([config[_PLACE]])


def _tell(director: Director, name: str, report: dict[str, Any]) -> None:
    if place := part_of(report, "placed"):
        director.noted(TrialPlaced(trial=name, **place))
    for note in report.get("notes", ()):
        director.noted(Noted(text=note))


def _error_of(trial: Trial) -> str:
    """What Tune wrote down of an error; its own functions look where it will be copied later."""
    if not trial.error_file:
        return "no word of why"
    _, _, text = Path(trial.error_file).read_text("utf-8").partition("\n")  # behind Tune's own line
    return _COLOUR.sub("", text)


def _epoch(result: dict[str, Any]) -> EpochResult | None:
    found = part_of(result, "epoch")
    return EpochResult(**found) if found else None


def _allot(resources: Resources, space: SearchSpace, probes: Path | None) -> Allotment:
    """Lay trials out; on GPUs by what probes find, unless the user said how."""
    available = ray.cluster_resources()
    cpus, gpus = int(available.get("CPU", 1)), float(available.get("GPU", 0))
    sharing: dict[str, int] = {}
    if probes and gpus and resources.gpus_per_trial is None and space.settings.trials > gpus:
        known = ProbeFile(probes, surroundings())
        sharing = companies(settings_to_probe(space), resources.precision, known)
    return allot(cpus, gpus, resources.concurrent, resources.gpus_per_trial, sharing)


def _prune(trials_folder: Path, names: list[str]) -> None:
    """Remove the large files of trials that are no finalists, and their folders: no worker adds one."""
    for name in names:
        for file in (trials_folder / name).glob("*.safetensors*"):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds predictions, or was never made
            (trials_folder / name).rmdir()
