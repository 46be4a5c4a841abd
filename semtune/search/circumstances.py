"""What happens around a search: machines that come and go, GPU-hours, waiting. Rules without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from semtune.events import Event, NodeLost, NothingRuns, TrialAtWork
from semtune.journal import SearchRecord

_MINUTE = 60.0
_RECENT = 60.0  # seconds; Ray takes up to half of it to find that a machine is gone


@dataclass
class Limits:
    """What ends the search phase, or the session."""

    seconds: float | None
    """Time budget of the trials in this session; None for no limit."""
    gpu_hours: float | None
    """Budget of the search over all its sessions; None for no limit."""
    wait: float
    """Seconds without a trial at work after which the session ends."""


@dataclass
class Circumstances:
    """Judges what the driver sees of the cluster.

    Args:
        record: What the journal says.
        add: Takes new events.
        interrupt: Ends the search, resumable, for a reason.
        limits: What may be used up.
    """

    record: SearchRecord
    add: Callable[[Event], None]
    interrupt: Callable[[str], None]
    limits: Limits
    _start: float = field(default_factory=time.monotonic)
    _idle: float = 0.0
    _told: float = -1.0  # idle seconds when it was last told

    @property
    def over_budget(self) -> bool:
        """Whether the time of the trials is used up, or their GPU-hours are."""
        seconds, hours = self.limits.seconds, self.limits.gpu_hours
        late = seconds is not None and time.monotonic() - self._start > seconds
        return late or (hours is not None and self.record.usage.gpu_hours(time.time()) >= hours)

    def at_work(self, trial: str, node: str, host: str, cpus: float, gpus: float) -> None:
        """Record that a worker took a trial up.

        Args:
            trial: Its name.
            node: Ray's name of the machine.
            host: Address of the machine.
            cpus: Cores that are reserved for the trial.
            gpus: GPUs, the same.
        """
        self.add(TrialAtWork(trial=trial, node=node, host=host, cpus=cpus, gpus=gpus))

    def node_lost(self, node: str, host: str) -> None:
        """Record that a machine left: the trials there were preempted, whenever Ray tells of their deaths."""
        now = time.time()
        there = [name for name, stay in self.record.usage.at_work.items() if stay.node == node]
        there += [
            name
            for name, trial in self.record.trials.items()
            if trial.died and trial.died.node == node and now - trial.died.at < _RECENT
        ]
        self.add(NodeLost(node=node, host=host, trials=tuple(dict.fromkeys(there))))

    def runs(self) -> None:
        """Take note that a trial runs."""
        self._idle, self._told = 0.0, -1.0

    def waits(self, seconds: float, nodes: int) -> None:
        """Take note that no trial runs, though some are wanted; tell of it every minute, and end it.

        Args:
            seconds: Since the last look, while this process was awake.
            nodes: How many could take a trial if they had room.
        """
        self._idle += seconds
        if self._idle - max(self._told, 0.0) >= _MINUTE or (not nodes and self._told < 0):
            self._told = self._idle
            self.add(NothingRuns(seconds=self._idle, limit=self.limits.wait, nodes=nodes))
        if self._idle >= self.limits.wait:
            room = f"none of {nodes} nodes has had room for a trial"
            found = room if nodes else "there has been no node to train on"
            self.interrupt(f"{found} for {self._idle / _MINUTE:.3g} min (--wait); add nodes")
