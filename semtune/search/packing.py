"""How trials are laid out: how many share a GPU, how many threads each has. Rules without Ray or torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from semtune.config import Hyperparameters
from semtune.errors import SearchError
from semtune.search.line import Value
from semtune.search.space import SearchSpace

COMPANIES = (1, 2, 4)
"""Numbers of trials on one GPU that are probed, one after the other while each is worth it."""
_GAIN = 1.1
"""More trials on a GPU must train at least so many times the frames a second, all together."""
_FILLED = 0.9
"""Most of a GPU's memory that trials may fill by their peaks."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, and what it gives to trials."""

    name: str
    """Ray's, never reused."""
    host: str
    """Its address."""
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Probe:
    """What so many equal trials took and gave together on one GPU."""

    company: int
    """Trials at the same time."""
    frames_per_second: float
    """Of all together."""
    peak_bytes: int
    """Of each, context of the driver included."""
    device_bytes: int
    """Memory of the GPU."""


@dataclass(frozen=True)
class Allotment:
    """How trials are laid out on the cluster."""

    concurrent: int
    """Trials at the same time."""
    cpus: int
    """Threads of a trial."""
    gpus: float
    """GPUs of a trial whose architecture has no share of its own."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """GPUs of a trial by architecture, where they were probed."""
    all_cpus: int = 1
    """What a trial takes to have the machine to itself where there is no GPU."""

    def of(self, architecture: str, alone: bool) -> tuple[int, float]:
        """Cores to reserve and GPUs of a trial.

        Args:
            architecture: Of the trial.
            alone: Whether it must have no company, for it ran out of memory in company.
        """
        if not alone:
            return self.cpus, self.shares.get(architecture, self.gpus)
        return (self.cpus, max(1.0, self.gpus)) if self.gpus else (self.all_cpus, 0.0)


def best_company(probes: Iterable[Probe]) -> int:
    """How many equal trials share a GPU: more, while memory allows and each step up is worth it.

    Args:
        probes: By rising company, starting with 1; those that ran out of memory are left out.
    """
    best = None
    for probe in probes:
        fits = probe.company * probe.peak_bytes <= _FILLED * probe.device_bytes
        if best and not (fits and probe.frames_per_second >= _GAIN * best.frames_per_second):
            break
        best = probe
    return best.company if best else 1


def probed(measure: Callable[[int], Probe | None], companies: Iterable[int] = COMPANIES) -> list[Probe]:
    """Probe rising companies until one does not fit, is not worth it, or would not fit by its peak.

    Args:
        measure: Runs so many equal trials on one GPU; None where memory was too little.
        companies: The numbers to try, rising from 1.
    """
    found: list[Probe] = []
    for company in companies:
        if found and company * found[-1].peak_bytes > _FILLED * found[-1].device_bytes:
            break
        probe = measure(company)
        if probe is None:
            break
        found.append(probe)
        if best_company(found) != company:
            break
    return found


def allot(
    nodes: Sequence[Node],
    concurrent: int | None,
    gpus_per_trial: float | None,
    companies: Mapping[str, int],
    patient: bool = False,
) -> Allotment:
    """Lay trials out: on GPUs as probed, else one thread a trial and one trial a core.

    One thread a trial because two PACF trials of one thread train more frames a second than one of two; for
    large networks that is not known (docs/decisions/0022).

    Args:
        nodes: Of the cluster. A trial has a place on one of them; those without a core take none.
        concurrent: Most trials at the same time, if the user said so.
        gpus_per_trial: If the user said so; else a GPU each where there are any.
        companies: Trials that share a GPU, by architecture.
        patient: Whether trials may wait for nodes to come: `concurrent` of them even if fewer fit.

    Raises:
        SearchError: If no node has enough for one trial, though some could train.
    """
    workers = [node for node in nodes if node.cpus]
    per_trial = min(1.0, sum(n.gpus for n in workers)) if gpus_per_trial is None else gpus_per_trial
    shares = {} if gpus_per_trial is not None else {name: 1 / each for name, each in companies.items()}
    smallest = min(shares.values(), default=per_trial)
    fitting = {node: min(_fit(node.gpus, smallest), node.cpus) if smallest else node.cpus for node in workers}
    total = sum(fitting.values())
    if workers and not any(node.gpus >= per_trial for node in workers):
        raise SearchError(
            f"a trial asks for {per_trial:g} GPUs, but no node has so many ({listed(workers)}); "
            "lower --gpus-per-trial"
        )
    together = min(concurrent or total, total)
    threads = [
        max(1, node.cpus // math.ceil(fits * together / total)) for node, fits in fitting.items() if fits
    ]
    most = max((node.cpus for node in workers), default=1)
    wanted = max(together, concurrent or 1) if patient else together
    return Allotment(wanted, min(threads, default=1), per_trial, shares, most)


def listed(nodes: Iterable[Node]) -> str:
    """Which node has how much, in words."""
    return ", ".join(f"{node.host}: {node.cpus} cores, {node.gpus:g} GPUs" for node in nodes) or "no nodes"


def _fit(gpus: float, share: float) -> int:
    """Trials that find room on so many GPUs, each on its own or sharing one."""
    return int(gpus) * int(1 / share + 1e-9) if share < 1 else int(gpus / share + 1e-9)


def settings_to_probe(space: SearchSpace) -> list[Hyperparameters]:
    """The largest trial of each architecture that a space can choose."""
    return [
        Hyperparameters(architecture=name, batch_size=space.largest("batch_size"), crop=space.largest("crop"))
        for name in space.architectures
    ]


def largest_trial(space: SearchSpace, architecture: str) -> Hyperparameters:
    """A trial of an architecture with the largest whole numbers that a space has, and the first of others."""
    chosen: dict[str, Value] = {"architecture": architecture}
    for line in space.parameters:
        if line.name == "architecture":
            continue
        values = line.values if line.holds(chosen) else (line.otherwise,)
        whole = [value for value in values if isinstance(value, int)]
        value = max(whole) if whole else values[0]
        if value is not None:
            chosen[line.name] = value
    return Hyperparameters.model_validate(chosen)


class ProbeFile:
    """Probes kept for later searches on the same kind of GPU.

    Args:
        path: A JSON file; made when there is something to keep.
        surroundings: What probes depend on beside the trial: the GPU, the versions.
    """

    def __init__(self, path: Path, surroundings: str) -> None:
        self._path, self._surroundings = path, surroundings

    def find(self, trial: str) -> list[Probe] | None:
        """Return the probes of a trial, if they are known."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return [Probe(**each) for each in kept[self._surroundings][trial]]
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def keep(self, trial: str, probes: list[Probe]) -> None:
        """Write the probes of a trial beside those that are known."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            kept = {}
        kept.setdefault(self._surroundings, {})[trial] = [asdict(each) for each in probes]
        beside = self._path.with_suffix(".part")
        beside.write_text(json.dumps(kept, indent=1), "utf-8")
        beside.replace(self._path)
