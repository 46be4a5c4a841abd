"""The nodes of the cluster, asked for by a thread of its own: a head that is gone blocks who asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

import ray
from ray.exceptions import RayError

from semtune.search.packing import Node

_LOOK = 1.0  # seconds between two looks


@dataclass
class Lookout:
    """What is known of the nodes."""

    nodes: tuple[Node, ...] = ()
    """Alive, in the order of their names."""
    answered: float = field(default_factory=time.monotonic)
    """Seconds of the clock at which the head last answered."""
    watches: bool = False
    """Whether it asks again and again."""

    def look(self) -> None:
        """Ask the head."""
        self.nodes = tuple(_alive())
        self.answered = time.monotonic()


@contextmanager
def lookout(local: bool) -> Iterator[Lookout]:
    """Watch the nodes; of a cluster of our own there is one, which is asked once."""
    found, done = Lookout(watches=not local), Event()
    found.look()

    def watch() -> None:
        while not done.wait(_LOOK):
            with suppress(RayError, RuntimeError):  # the head is away; whoever reads `answered` knows
                found.look()

    thread = Thread(target=watch, name="lookout", daemon=True)
    if found.watches:
        thread.start()
    try:
        yield found
    finally:
        done.set()
        if found.watches:
            thread.join(_LOOK)  # one that waits for a dead head is left to itself


def _alive() -> Iterator[Node]:
    for told in sorted(ray.nodes(), key=lambda each: str(each["NodeID"])):
        if told["Alive"]:
            has = told["Resources"]
            host = f"{told['NodeManagerAddress']}"
            yield Node(told["NodeID"], host, int(has.get("CPU", 0)), float(has.get("GPU", 0)))
