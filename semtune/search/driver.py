"""Runs a search on Ray Tune: the director decides, Tune places trials on warm workers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from ray import tune
from ray.exceptions import OutOfMemoryError

from semtune.config import Precision, TrialTask
from semtune.search.adapters import Ending, Endings, Proposals, Verdicts, place
from semtune.search.depot import TrialFiles
from semtune.search.director import Director
from semtune.search.heartbeat import Heartbeat
from semtune.search.layout import Layout
from semtune.search.nodes import lookout
from semtune.search.order import Order
from semtune.search.packing import Allotment, Node, ProbeFile, settings_to_probe
from semtune.search.prober import companies, surroundings
from semtune.search.space import SearchSpace
from semtune.search.trainable import RayTrial
from semtune.search.tune_habits import break_habits
from semtune.search.watch import HeadGoneError, Watch


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
    wait: float = 1800.0
    """Seconds without a trial at work after which the search ends, resumable."""


def run(
    director: Director,
    task_of: Callable[[Order, Allotment], TrialTask],
    resources: Resources,
    files: TrialFiles,
    probes: Path | None = None,
    trainable: type[tune.Trainable] = RayTrial,
    wishes: Callable[[], list[str]] = list,
) -> None:
    """Run a search on the connected cluster until the director has no more orders.

    Args:
        director: Decides; emits the events.
        task_of: Turns an order into what a worker needs.
        resources: What may be used.
        files: Of the trials; checkpoints of those that are no finalists are removed.
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
        proposals, verdicts = Proposals(director, layout, watch, task_of), Verdicts(director, watch)

        def endings() -> Endings:
            heartbeat = Heartbeat(resources.heartbeat)
            return Endings(director, verdicts, watch, heartbeat, files)

        with suppress(HeadGoneError):  # the director knows
            while _fit(
                director, tune.with_resources(trainable, place), proposals, verdicts, endings(), watch
            ):
                watch.forget()
    director.close()
    files.settle()


def _fit(
    director: Director,
    workers: type[tune.Trainable],
    proposals: Proposals,
    verdicts: Verdicts,
    endings: Endings,
    watch: Watch,
) -> bool:
    """Let Tune run until the director has no more orders, or until it must start anew.

    It must where Ray's memory monitor killed a worker, which Tune takes for an error of its own, and where
    all that waits can only go to nodes that are gone. The director knows all that Tune knew.

    Returns:
        Whether Tune must start anew.
    """
    scratch = Path(mkdtemp(prefix="semtune-"))
    run_config = tune.RunConfig(
        name="search",
        storage_path=str(scratch),
        verbose=0,
        callbacks=[endings],
        stop=Ending(watch),
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


def _sharing(
    nodes: Sequence[Node], resources: Resources, space: SearchSpace, probes: Path | None
) -> dict[str, int]:
    """How many trials share a GPU, by architecture, as probes find; empty where the user said so."""
    gpus = sum(node.gpus for node in nodes)
    if not probes or not gpus or resources.gpus_per_trial is not None or space.settings.trials <= gpus:
        return {}
    return companies(settings_to_probe(space), resources.precision, ProbeFile(probes, surroundings()))
