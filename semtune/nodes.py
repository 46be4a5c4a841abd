"""What is known of the machines of a search, and what of it would spoil the search: rules, no collecting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

MUST_AGREE = ("semtune", "source", "python", "ray", "torch")
"""Versions without which a node does not compute what the others compute."""
_INSTALL = "`python -m pip install --constraint constraints.txt .` there brings the same"
_MUCH_APART, _APART = 600.0, 2.0  # seconds between clocks; S3 refuses what is 15 minutes off
_LITTLE_SHARED, _LITTLE_CACHE = 256 * 2**20, 2**30
_MIB = 2**20


class Gpu(BaseModel):
    """A graphics processor as its driver tells it."""

    model_config = ConfigDict(frozen=True)

    name: str
    memory: int
    """Bytes."""


class NodeFacts(BaseModel):
    """What a machine tells of itself.

    Attributes:
        versions: Of what must agree, by name; `source` is a digest of semtune's own files.
        cpus: Cores that its processes may use.
        memory: Bytes.
        shared_memory: Bytes of /dev/shm; None where there is none.
        gpus: As the driver lists them.
        driver: Version of the GPU driver; None without one.
        device: What torch would compute on, by name.
        cuda: Whether torch sees a GPU.
        bfloat16: Whether the device computes in bfloat16.
        engines: Each engine of `semtune score`, with what hinders it; empty where it can be used.
        token: Whether Ray asks for its token there; None where no cluster was joined.
        cache: Folder of the decoded frames.
        cache_free: Bytes free there.
        clock_ahead: Seconds that its clock is ahead of the asking machine's, less what the question took.
        ray_cpus: Cores that Ray gives to trials there; None where no cluster was joined.
        ray_gpus: GPUs, the same.
        storage: What hinders reading and writing the storage there; empty where nothing does.
    """

    model_config = ConfigDict(frozen=True)

    versions: dict[str, str]
    cpus: int
    memory: int
    shared_memory: int | None = None
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    device: str
    cuda: bool = False
    bfloat16: bool
    engines: dict[str, str]
    token: bool | None = None
    cache: str
    cache_free: int
    clock_ahead: float = 0.0
    ray_cpus: float | None = None
    ray_gpus: float | None = None
    storage: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, where, and what to do."""

    severity: Literal["fault", "warning"]
    node: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.node}: {self.what}; {self.remedy}"


def unlike(node: str, versions: Mapping[str, str], here: Mapping[str, str]) -> list[Finding]:
    """Faults of a node whose versions are not those of the machine that asks.

    Args:
        node: Its name.
        versions: Its versions, by name.
        here: Those of the machine that asks.
    """
    apart = [name for name in MUST_AGREE if _essence(name, versions) != _essence(name, here)]
    if apart == ["source"]:
        what = f"semtune {versions['semtune']} as here, but from other source files"
        return [Finding("fault", node, what, _INSTALL)]
    return [
        Finding("fault", node, f"{name} {versions.get(name, 'unknown')}, but {here.get(name)} here", _INSTALL)
        for name in apart
        if name != "source"
    ]


def _essence(name: str, versions: Mapping[str, str]) -> str:
    """What of a version must agree: Python's first two numbers, and not for which device torch was built."""
    version = versions.get(name, "")
    return version.rpartition(".")[0] if name == "python" else version.partition("+")[0]


def judge_nodes(nodes: Mapping[str, NodeFacts], here: Mapping[str, str]) -> list[Finding]:
    """All that is wrong with machines, alone and beside each other.

    Args:
        nodes: What each told, by name.
        here: Versions of the machine that asks.
    """
    findings = [
        found
        for node, facts in nodes.items()
        for found in [*unlike(node, facts.versions, here), *_judge(node, facts)]
    ]
    return [*findings, *_unlike_drivers(nodes), *_nobody_works(nodes)]


def _judge(node: str, facts: NodeFacts) -> list[Finding]:
    return [found for rule in _RULES for found in rule(node, facts)]


def _token(node: str, facts: NodeFacts) -> Sequence[Finding]:
    if facts.token is not False:
        return ()
    remedy = "`ray stop`, then `RAY_AUTH_MODE=token ray start ...` with the token file of the other nodes"
    what = "Ray asks for no token, so whoever reaches its ports can run code"
    return [Finding("fault", node, what, remedy)]


def _gpus(node: str, facts: NodeFacts) -> Sequence[Finding]:
    if facts.gpus and not facts.cuda:
        remedy = "install torch for CUDA, or a driver as new as it wants"
        return [Finding("fault", node, f"has {facts.gpus[0].name}, but torch sees no GPU", remedy)]
    if facts.ray_gpus is not None and facts.ray_gpus != len(facts.gpus):
        what = f"has {len(facts.gpus)} GPUs, but Ray gives {facts.ray_gpus:g} to trials"
        remedy = "start Ray there with --num-gpus, or look at CUDA_VISIBLE_DEVICES"
        return [Finding("warning", node, what, remedy)]
    return ()


def _shared_memory(node: str, facts: NodeFacts) -> Sequence[Finding]:
    if facts.shared_memory is None or facts.shared_memory >= _LITTLE_SHARED:
        return ()
    what = f"/dev/shm holds {facts.shared_memory // _MIB} MiB, so Ray shares memory through the disk"
    remedy = "give the container --shm-size 2g, or a Memory volume on /dev/shm"
    return [Finding("warning", node, what, remedy)]


def _clock(node: str, facts: NodeFacts) -> Sequence[Finding]:
    off = abs(facts.clock_ahead)
    if off < _APART:
        return ()
    way = "ahead of" if facts.clock_ahead > 0 else "behind"
    severity: Literal["fault", "warning"] = "fault" if off >= _MUCH_APART else "warning"
    return [Finding(severity, node, f"its clock is {off:.0f} s {way} this machine's", "let NTP set both")]


def _cache(node: str, facts: NodeFacts) -> Sequence[Finding]:
    if facts.cache_free >= _LITTLE_CACHE:
        return ()
    what = f"{facts.cache_free // _MIB} MiB are free for decoded frames in {facts.cache}"
    return [Finding("warning", node, what, "free space there")]


def _storage(node: str, facts: NodeFacts) -> Sequence[Finding]:
    if not facts.storage:
        return ()
    return [Finding("fault", node, facts.storage, "give --storage a folder or bucket that every node writes")]


_RULES: tuple[Callable[[str, NodeFacts], Sequence[Finding]], ...] = (
    _token, _gpus, _shared_memory, _clock, _cache, _storage,
)  # fmt: skip


def _unlike_drivers(nodes: Mapping[str, NodeFacts]) -> list[Finding]:
    drivers = {node: facts.driver for node, facts in nodes.items() if facts.driver}
    usual = max(drivers.values(), key=list(drivers.values()).count, default=None)
    return [
        Finding("warning", node, f"GPU driver {driver}, but {usual} elsewhere", "install the same driver")
        for node, driver in drivers.items()
        if driver != usual
    ]


def _nobody_works(nodes: Mapping[str, NodeFacts]) -> list[Finding]:
    given = [facts.ray_cpus for facts in nodes.values()]
    if not given or any(cpus is None or cpus > 0 for cpus in given):
        return []
    remedy = "start Ray on worker nodes, or wait for what adds them when trials ask"
    return [Finding("warning", "the cluster", "no node gives cores to trials", remedy)]
