"""Runs a search on Ray Tune: the director decides, Tune places trials on warm workers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
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
from semtune.search.layout import Layout, Place
from semtune.search.nodes import lookout
from semtune.search.order import Order
from semtune.search.packing import Allotment, Node, ProbeFile, settings_to_probe
from semtune.search.prober import companies, surroundings
from semtune.search.space import SearchSpace
from semtune.search.trainable import NODE, TASK, RayTrial
from semtune.search.tune_habits import break_habits, part_of
from semtune.search.watch import HeadGoneError, Watch

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
    max_nodes: int | None = None
    """Nodes that have trials at the same time; by default all."""


class _NotInSnapshots:
    """Tune pickles its parts into snapshots; ours stay out of them: a search is resumed from its journal."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Proposals(_NotInSnapshots, Searcher):  # type: ignore[misc]
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


class _Verdicts(_NotInSnapshots, tune.schedulers.FIFOScheduler):  # type: ignore[misc]
    """Brings each report to the director and its verdict to Tune; ASHA is behind the director."""

    def __init__(self, director: Director, watch: Watch) -> None:
        super().__init__()
        self._director, self._watch = director, watch
        self.stopped: dict[str, StopReason] = {}

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
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


class _Endings(_NotInSnapshots, tune.Callback):  # type: ignore[misc]
    """Tells the director how trials ended, and kills the processes of those that hang."""

    def __init__(
        self,
        director: Director,
        verdicts: _Verdicts,
        watch: Watch,
        heartbeat: Heartbeat,
        prune: Callable[[list[str]], None],
    ) -> None:
        self._director, self._verdicts, self._watch, self._prune = director, verdicts, watch, prune
        self._heartbeat, self._hung = heartbeat, set[str]()
        self._running: dict[str, Trial] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        self._heartbeat.heard(trial.config[_LABEL])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: object) -> None:
        for trial in trials:  # Tune tells of no start in a process that served another trial before
            if trial.status == Trial.RUNNING and self._running.get(trial.config[_LABEL]) is not trial:
                self._running[trial.config[_LABEL]] = trial
                self._heartbeat.heard(trial.config[_LABEL])
        for name in self._heartbeat.overdue():
            self._hung.add(name)
            self._heartbeat.forget(name)
            ray.kill(self._running[name].temporary_state.ray_actor)
        self._watch.running = len(self._running)
        self._watch.look()

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
            node = self._forget(name)
            reason: StopReason = "out_of_memory" if _LOW in error else "lost"
            self._director.died(name, reason, f"the process of the trial died: {error}", node)

    def _end(self, name: str, reason: StopReason, message: str) -> None:
        self._forget(name)
        self._director.ended(name, reason, message)
        self._prune(self._director.unneeded)

    def _forget(self, name: str) -> str:
        """Expect nothing more of a trial; returns the node that it was on."""
        self._heartbeat.forget(name)
        self._hung.discard(name)
        if trial := self._running.pop(name, None):
            # Tune keeps statistics of every number of every trial, 20 kB that nobody asks for.
            trial.run_metadata.metric_analysis.clear()
            trial.run_metadata.metric_n_steps.clear()
        return self._watch.left(name)


class _Ending(_NotInSnapshots, tune.Stopper):  # type: ignore[misc]
    """Ends Tune where it would wait: for trials that nobody wants any more, or for nodes that are gone."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._watch.over or self._watch.stranded


def run(
    director: Director,
    task_of: Callable[[Order, Allotment], TrialTask],
    resources: Resources,
    trials_folder: Path,
    probes: Path | None = None,
    trainable: type[tune.Trainable] = RayTrial,
    wishes: Callable[[], list[str]] = list,
) -> None:
    """Run a search on the connected cluster until the director has no more orders.

    Args:
        director: Decides; emits the events.
        task_of: Turns an order into what a worker needs.
        resources: What may be used.
        trials_folder: Folder of the trials' folders; checkpoints of trials that are no finalists are removed.
        probes: File of what was measured of trials that share a GPU; None to measure nothing.
        trainable: What the workers run.
        wishes: Returns the trials that the user asked to stop since the last call, `*` for the whole search.

    Raises:
        SearchError: If no node has enough for one trial.
    """
    local = resources.address is None
    break_habits(local)
    # How many trials may wait is the layout's to say, which follows the nodes; Tune would say it once.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000000"
    with lookout(local) as seen:
        sharing = _sharing(seen.nodes, resources, director.space, probes)
        layout = Layout(
            resources.concurrent, resources.gpus_per_trial, resources.max_nodes, not local, sharing
        )
        layout.look(seen.nodes)
        watch = Watch(director, layout, seen, wishes)
        proposals, verdicts = _Proposals(director, layout, watch, task_of), _Verdicts(director, watch)

        def endings() -> _Endings:
            heartbeat = Heartbeat(resources.heartbeat)
            return _Endings(director, verdicts, watch, heartbeat, partial(_prune, trials_folder))

        with suppress(HeadGoneError):  # the director knows
            while _fit(
                director, tune.with_resources(trainable, _place), proposals, verdicts, endings(), watch
            ):
                watch.forget()
    director.close()


def _fit(
    director: Director,
    workers: type[tune.Trainable],
    proposals: _Proposals,
    verdicts: _Verdicts,
    endings: _Endings,
    watch: Watch,
) -> bool:
    """Let Tune run until the director has no more orders, or until it must start anew.

    It must where Ray's memory monitor killed a worker, which Tune takes for an error of its own, and where all
    that waits can only go to nodes that are gone. The director knows all that Tune knew.

    Returns:
        Whether Tune must start anew.
    """
    scratch = Path(mkdtemp(prefix="semtune-"))
    run_config = tune.RunConfig(
        name="search",
        storage_path=str(scratch),
        verbose=0,
        callbacks=[endings],
        stop=_Ending(watch),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
    )
    config = tune.TuneConfig(num_samples=-1, search_alg=proposals, scheduler=verdicts, reuse_actors=True)
    try:
        tune.Tuner(workers, tune_config=config, run_config=run_config).fit()
    except RuntimeError as error:
        if not isinstance(error.__cause__, OutOfMemoryError):
            raise
        director.all_died("out_of_memory", str(error.__cause__))
        return True
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if watch.stranded and not watch.over:
        director.withdraw()
        return True
    return False


def _place(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune must reserve for a trial."""
    place = Place(**config[_PLACE])
    if not place.nodes:
        return tune.PlacementGroupFactory([place.resources])
    on_these = [{"ray.io/node-id": f"in({','.join(place.nodes)})"}]
    return tune.PlacementGroupFactory([place.resources], bundle_label_selector=on_these)


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


def _sharing(
    nodes: Sequence[Node], resources: Resources, space: SearchSpace, probes: Path | None
) -> dict[str, int]:
    """How many trials share a GPU, by architecture, as probes find; empty where the user said so."""
    gpus = sum(node.gpus for node in nodes)
    if not probes or not gpus or resources.gpus_per_trial is not None or space.settings.trials <= gpus:
        return {}
    return companies(settings_to_probe(space), resources.precision, ProbeFile(probes, surroundings()))


def _prune(trials_folder: Path, names: list[str]) -> None:
    """Remove the large files of trials that are no finalists."""
    for name in names:
        for file in (trials_folder / name).glob("*.safetensors*"):
            file.unlink(missing_ok=True)
