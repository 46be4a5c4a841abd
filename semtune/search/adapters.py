"""What hands the director's orders to Ray Tune, and brings it what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from semtune.config import TrialTask
from semtune.errors import StorageError
from semtune.journal import Noted, StopReason, TrialPlaced
from semtune.results import EpochResult
from semtune.search.depot import TrialFiles
from semtune.search.director import Director
from semtune.search.heartbeat import Heartbeat
from semtune.search.layout import Layout, Place
from semtune.search.order import Order
from semtune.search.packing import Allotment
from semtune.search.trainable import NODE, TASK
from semtune.search.tune_habits import part_of
from semtune.search.watch import Watch

_LABEL, _PLACE = "trial", "place"
"""Keys of Tune's configuration of a trial: its name, and what it takes."""
_COLOUR = re.compile(r"\x1b\[\d*m")
_LOW = "running low on memory"  # so Ray says that its memory monitor killed a worker
_RAISED = "ray::"  # so Ray begins the traceback of an exception in a worker


class _NotInSnapshots:
    """Tune pickles its parts into snapshots; ours stay out of them: a search is resumed from its journal."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Proposals(_NotInSnapshots, Searcher):  # type: ignore[misc]
    """Hands the director's orders to Tune."""

    def __init__(
        self,
        director: Director,
        layout: Layout,
        watch: Watch,
        task_of: Callable[[Order, Allotment], TrialTask],
    ) -> None:
        super().__init__(metric="validation_rmse", mode="min")
        self._director, self._layout, self._watch, self._task_of = director, layout, watch, task_of

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return Tune's configuration of the next trial, None for not now, or that there is none."""
        self._watch.look()  # Tune asks here, and nowhere else, while it has no trial at all
        if self._director.busy >= self._layout.allotment.concurrent and not self._watch.over:
            return None
        order = self._director.next_order()
        if order:
            place = self._layout.place(order.hyperparameters.architecture, order.alone)
            self._watch.ordered(order.trial, place)
            task = self._task_of(order, self._layout.allotment)
            return {
                _LABEL: order.trial,
                _PLACE: asdict(place),
                TASK: task.model_copy(update={"gpu_share": min(1.0, place.gpus or 1.0)}).model_dump(),
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


class Verdicts(_NotInSnapshots, tune.schedulers.FIFOScheduler):  # type: ignore[misc]
    """Brings each report to the director and its verdict to Tune; ASHA is behind the director."""

    def __init__(self, director: Director, watch: Watch) -> None:
        super().__init__()
        self._director, self._watch = director, watch
        self.stopped: dict[str, StopReason] = {}

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        """Tell the director of a report; returns Tune's word for going on or stopping."""
        name = trial.config[_LABEL]
        if node := result.get(NODE):
            self._watch.at_work(name, node)
        _tell(self._director, name, result)
        epoch = _epoch(result)
        reason = self._director.epoch_done(name, epoch) if epoch else None
        if reason is None:
            return str(TrialScheduler.CONTINUE)
        self.stopped[name] = reason
        return str(TrialScheduler.STOP)


class Endings(_NotInSnapshots, tune.Callback):  # type: ignore[misc]
    """Tells the director how trials ended, and kills the processes of those that hang."""

    def __init__(
        self,
        director: Director,
        verdicts: Verdicts,
        watch: Watch,
        heartbeat: Heartbeat,
        files: TrialFiles,
    ) -> None:
        self._director, self._verdicts, self._watch, self._files = director, verdicts, watch, files
        self._heartbeat, self._hung = heartbeat, set[str]()
        self._running: dict[str, Trial] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        """Take note of a sign of life."""
        self._heartbeat.heard(trial.config[_LABEL])

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Take note of a worker that begins a trial, in a new process or in one that served another."""
        self._running[trial.config[_LABEL]] = trial
        self._watch.started()
        self._heartbeat.heard(trial.config[_LABEL])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Kill what hangs; look around."""
        for name in self._heartbeat.overdue():
            self._hung.add(name)
            self._heartbeat.forget(name)
            ray.kill(self._running[name].temporary_state.ray_actor)
        self._watch.running = len(self._running)
        self._watch.look()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Tell the director of an end that the worker or the director itself wanted."""
        name, last = trial.config[_LABEL], trial.last_result or {}
        if name in self._verdicts.stopped:
            self._end(name, self._verdicts.stopped.pop(name), "")
            return
        _tell(self._director, name, last)
        epoch = _epoch(last)
        if epoch:
            self._director.epoch_done(name, epoch)
        if "tested" in last and self._fetched(name):
            self._director.tested(name, last["tested"])
        if "timed" in last:
            self._director.timed(name, last["timed"]["figures"], last["timed"]["device"])
        if last.get("reason") == "interrupted":  # the worker's disk takes no more
            self._director.interrupt(last["message"])
        self._end(name, last.get("reason", "epochs"), last.get("message", ""))

    def _fetched(self, name: str) -> bool:
        """Whether what a tested trial left is here; a storage that is away ends the search, resumable."""
        try:
            self._files.fetch(name)
        except StorageError as error:
            self._director.interrupt(str(error))
            return False
        return True

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Tell the director of an exception or of a death."""
        name, error = trial.config[_LABEL], _error_of(trial)
        if name in self._hung:
            self._end(name, "hung", f"no epoch for {self._heartbeat.limit:g} s (--heartbeat)")
        elif _RAISED in error and _LOW not in error:
            self._end(name, "error", error)
        else:
            node = self._forget(name)
            reason: StopReason = "out_of_memory" if _LOW in error else "lost"
            self._director.died(name, reason, f"the process of the trial died: {error}", node)

    def _end(self, name: str, reason: StopReason, message: str) -> None:
        self._forget(name)
        self._director.ended(name, reason, message)
        self._files.drop(self._director.unneeded())

    def _forget(self, name: str) -> str:
        """Expect nothing more of a trial; returns the node that it was on."""
        self._heartbeat.forget(name)
        self._hung.discard(name)
        if trial := self._running.pop(name, None):
            # Tune keeps statistics of every number of every trial, 20 kB that nobody asks for.
            trial.run_metadata.metric_analysis.clear()
            trial.run_metadata.metric_n_steps.clear()
        return self._watch.left(name)


class Ending(_NotInSnapshots, tune.Stopper):  # type: ignore[misc]
    """Ends Tune where it would wait: for trials that nobody wants any more, or for nodes that are gone."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no trial: that is the verdicts' to do."""
        return False

    def stop_all(self) -> bool:
        """Whether Tune is to end."""
        return self._watch.over or self._watch.stranded


def place(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune must reserve for a trial."""
    wanted = Place(**config[_PLACE])
    if not wanted.nodes:
        return tune.PlacementGroupFactory([wanted.resources])
    on_these = [{"ray.io/node-id": f"in({','.join(wanted.nodes)})"}]
    return tune.PlacementGroupFactory([wanted.resources], bundle_label_selector=on_these)


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
