"""What a search will do and cost: survivors by rung; time, memory and device-hours from a probe."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_all_start_methods, get_context
from typing import TYPE_CHECKING, Any

from semtune.config import Hyperparameters, Precision
from semtune.dataset.paging import host_memory
from semtune.planning import SearchPlan
from semtune.search.packing import Allotment, Node, allot, largest_trial
from semtune.search.space import SearchSpace
from semtune.training.samples import SampleTable

if TYPE_CHECKING:
    from semtune.search.driver import Resources
    from semtune.training.cost import TrialCost

_START_SECONDS = 15.0
"""Of the cluster's start, of the classical opponents and of timing; as seen on two cores (decision 0053)."""


@dataclass(frozen=True)
class Stage:
    """Trials of one stratum at one rung."""

    epoch: int
    """The rung, or the last epoch."""
    trials: float
    """That are expected to get there, of those that are searched."""


@dataclass(frozen=True)
class Cost:
    """What the trials of one architecture are expected to take."""

    architecture: str
    epochs: float
    """Of all its trials, fresh seeds included."""
    seconds_per_epoch: float
    seconds: float
    """Of all its trials, one after the other."""
    peak_bytes: int
    """Of one trial."""


@dataclass(frozen=True)
class Forecast:
    """What a search is expected to take on this machine, as busy as it is now."""

    seconds: float
    device: str
    """`core` or `GPU`."""
    device_hours: float
    concurrent: int
    """Trials at the same time."""
    peak_bytes: int
    """Of so many of the largest trials."""
    memory_bytes: int
    """Of the machine, or of its GPUs."""
    probe_seconds: float
    costs: tuple[Cost, ...]


def foreseen(
    plan: SearchPlan,
    samples: SampleTable,
    resources: Resources | None = None,
) -> dict[str, Any]:
    """Tell what a planned search would do and, where resources are given, what it would take, by a probe."""
    space = plan.space()
    settings = space.settings
    fresh = settings.seeds * settings.finalists if settings.seeds > 1 else 0
    stages = {stratum: _stages(space, stratum) for stratum in space.strata}
    strata = [
        {
            "name": stratum or "all architectures",
            "trials": space.share(stratum),
            "fresh_seeds": fresh,
            "epochs": space.epochs(stratum),
            "rungs": [stage.epoch for stage in stages[stratum][:-1]],
            "survivors": [round(stage.trials, 1) for stage in stages[stratum][1:]],
        }
        for stratum in space.strata
    ]
    forecast = _forecast(plan, samples, stages, fresh, resources) if resources else None
    return {
        "digest": plan.dataset_digest,
        "frames": plan.frames,
        "fields": plan.fields,
        "started_from": plan.started_from.model_dump() if plan.started_from else None,
        "split": plan.split_kind,
        "strata": strata,
        "most_epochs": sum((space.share(each) + fresh) * space.epochs(each) for each in space.strata),
        "forecast": asdict(forecast) if forecast else None,
    }


def _stages(space: SearchSpace, stratum: str) -> list[Stage]:
    from semtune.search.halving import rungs, survivors  # ray comes in here

    epochs, factor = space.epochs(stratum), space.settings.reduction_factor
    grace, trials = space.grace_epochs(stratum), space.share(stratum)
    there = survivors(trials, epochs, grace, factor)
    return [Stage(*each) for each in zip([*rungs(epochs, grace, factor), epochs], there, strict=True)]


def _forecast(
    plan: SearchPlan,
    samples: SampleTable,
    stages: Mapping[str, list[Stage]],
    fresh: int,
    resources: Resources,
) -> Forecast:
    from semtune.training.cost import gpus_here  # torch comes in here

    space = plan.space()
    trials = {name: largest_trial(space, name) for name in space.architectures}
    cpus, start = os.cpu_count() or 1, time.perf_counter()
    gpus, gpu_bytes = gpus_here()
    here = Node("", "this machine", cpus, gpus)
    layout = allot([here], resources.concurrent, resources.gpus_per_trial, {})
    measured = _probed(list(trials.values()), plan.precision, layout)
    spent = time.perf_counter() - start
    costs = tuple(
        _cost(trials[name], measured[name], samples, _epochs(space, stages, fresh, name)) for name in trials
    )
    work = sum(cost.seconds for cost in costs)
    longest = max(cost.seconds_per_epoch * trials[cost.architecture].epochs for cost in costs)
    each = layout.gpus or layout.cpus
    return Forecast(
        seconds=_START_SECONDS + max(work / layout.concurrent, longest * (2 if fresh else 1)),
        device="GPU" if layout.gpus else "core",
        device_hours=work * each / 3600,
        concurrent=layout.concurrent,
        peak_bytes=layout.concurrent * max(cost.peak_bytes for cost in costs),
        memory_bytes=gpu_bytes if layout.gpus else host_memory(),
        probe_seconds=spent,
        costs=costs,
    )


def _epochs(space: SearchSpace, stages: Mapping[str, list[Stage]], fresh: int, architecture: str) -> float:
    """Epochs that all trials of an architecture are expected to train; alike ones where all compete."""
    stratum = architecture if space.settings.stratify else ""
    share = 1 if stratum else 1 / len(space.architectures)
    trained, before = 0.0, 0
    for stage in stages[stratum]:
        trained += stage.trials * (stage.epoch - before)
        before = stage.epoch
    return share * (trained + fresh * before)


def _cost(trial: Hyperparameters, cost: TrialCost, samples: SampleTable, epochs: float) -> Cost:
    drawn = min(trial.frames_per_epoch or len(samples.train), len(samples.train))
    steps = drawn // min(trial.batch_size, drawn)
    seconds = steps * cost.seconds_per_step + len(samples.validation) * trial.tiles * cost.seconds_per_crop
    return Cost(trial.architecture, epochs, seconds, epochs * seconds, cost.peak_bytes)


def _probed(trials: list[Hyperparameters], precision: Precision, layout: Allotment) -> dict[str, TrialCost]:
    """Measure a batch of each trial, as many at the same time as in the search, each in a fresh process."""
    from semtune.training.cost import measure_cost  # torch comes in here

    quick = "forkserver" in get_all_start_methods()  # torch is then imported once for all
    context = get_context("forkserver" if quick else "spawn")
    if quick:
        context.set_forkserver_preload(["semtune.training.cost"])
    workers = min(layout.concurrent, len(trials))
    with ProcessPoolExecutor(workers, context, max_tasks_per_child=1) as pool:
        asked = {
            trial.architecture: pool.submit(measure_cost, trial, precision, layout.cpus) for trial in trials
        }
        return {name: future.result() for name, future in asked.items()}
