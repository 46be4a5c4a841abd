"""Asks every node of a Ray cluster the same question at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from semtune.errors import SearchError, words_of
from semtune.nodes import unlike
from semtune.provenance import source_here, versions_here
from semtune.storage import Storage, probe, probing

_PATIENCE, _CLOCK_PATIENCE = 60.0, 5.0  # seconds, for all answers together and for the clock of one node


@dataclass(frozen=True)
class Answer:
    """What one node said."""

    node: str
    """Host name and address."""
    told: Any
    """What the question returned; None where there was no answer."""
    trouble: str = ""
    """Why there was no answer."""
    cpus: float = 0.0
    """Cores that Ray gives to trials there."""
    gpus: float = 0.0
    clock_ahead: float = 0.0
    """Seconds that its clock is ahead of this machine's beyond what the question took."""


def ask_nodes(question: Callable[..., Any], *given: str | None, afresh: bool = False) -> list[Answer]:
    """Call a function of semtune in a process on every node of the connected cluster.

    Args:
        question: Called on each node; it takes names and numbers and returns such.
        given: Its arguments.
        afresh: Whether the processes end with their answers: what they loaded, on a GPU too, goes with them.

    Returns:
        One answer a node, in the order of their names.
    """
    nodes = {_name(node): node for node in ray.nodes() if node["Alive"]}
    calls = 1 if afresh else 0  # 0 for any number
    asked = {name: _on(node, question, calls).remote(*given) for name, node in nodes.items()}
    end = time.monotonic() + _PATIENCE
    return [_answer(name, nodes[name], asked[name], end) for name in sorted(nodes)]


def refuse_strangers() -> None:
    """See to it that every node runs the same semtune, Ray and torch as this machine.

    Raises:
        SearchError: If one does not, by its name.
    """
    here = versions_of_code()
    for answer in ask_nodes(versions_of_code):
        if answer.trouble:
            raise SearchError(f"{answer.node}: {answer.trouble}; `semtune doctor --address ...` looks closer")
        for finding in unlike(answer.node, answer.told, here):
            raise SearchError(str(finding))


def refuse_blind(address: str) -> None:
    """See to it that every node reads and writes the same storage as this machine.

    Args:
        address: Of the storage, or the folder of the workspace where all are to share it.

    Raises:
        SearchError: If a node does not, by its name.
        StorageError: If this machine does not.
    """
    for node, trouble in hindered(address).items():
        remedy = "give --storage a folder or bucket that every node reads and writes"
        raise SearchError(f"{node}: {trouble}; {remedy}")


def hindered(address: str) -> dict[str, str]:
    """What keeps nodes from a storage, by their names; empty where all read and write it.

    Args:
        address: Of the storage, or a folder that all are to share.

    Raises:
        StorageError: If this machine cannot use it.
    """
    with probing(Storage(address)) as nonce:
        answers = {each.node: each.trouble or each.told for each in ask_nodes(probe, address, nonce)}
    return {node: trouble for node, trouble in answers.items() if trouble}


def versions_of_code() -> Mapping[str, str]:
    """What must agree between nodes, of this one."""
    return {**versions_here(), "source": source_here()}


def read_clock() -> float:
    """Seconds since 1970 by this machine's clock."""
    return time.time()


def _answer(name: str, node: dict[str, Any], reference: object, end: float) -> Answer:
    try:
        told = ray.get(reference, timeout=max(0.0, end - time.monotonic()))
        cpus, gpus = (node["Resources"].get(kind, 0.0) for kind in ("CPU", "GPU"))
        return Answer(name, told, cpus=cpus, gpus=gpus, clock_ahead=_clock_ahead(node))
    except GetTimeoutError:
        return Answer(name, None, "does not answer in time")
    except RayError as error:
        return Answer(name, None, _cause(error))


def _clock_ahead(node: dict[str, Any]) -> float:
    """Compare clocks by a question of some milliseconds; what it took is doubt, and taken off."""
    asked = time.time()
    there: float = ray.get(_on(node, read_clock).remote(), timeout=_CLOCK_PATIENCE)
    heard = time.time()
    ahead, doubt = there - (asked + heard) / 2, (heard - asked) / 2
    return max(0.0, abs(ahead) - doubt) * (1 if ahead > 0 else -1)


def _on(node: dict[str, Any], question: Callable[..., Any], calls: int = 0) -> Any:  # noqa: ANN401 - Ray's
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return ray.remote(num_cpus=0, max_retries=0, max_calls=calls, scheduling_strategy=place)(question)


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _cause(error: RayError) -> str:
    """Last line of what Ray says, where Python tells what was raised."""
    lines: Sequence[str] = [line for line in str(error).splitlines() if line.strip()]
    return f"cannot run semtune there: {words_of(RuntimeError(lines[-1] if lines else ''))}"
