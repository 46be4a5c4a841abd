"""Who is at work in a search, where, and what its trials took of machines: folded from the journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from semtune.events import (
    Event,
    NodeLost,
    SearchClosed,
    SearchOpened,
    TrialAtWork,
    TrialDied,
    TrialEnded,
    TrialTested,
    TrialTimed,
)


@dataclass(frozen=True)
class Hours:
    """What a search took of machines, while its trials were at work."""

    gpu: float
    cpu: float
    """Hours of one core."""
    per_gpu_hour: float | None = None
    """What a GPU-hour costs, in the user's currency."""
    preempted: int = 0
    """How often a machine was taken away from under a trial."""

    @property
    def cost(self) -> float | None:
        """Of the GPU-hours, where it is known what one costs."""
        return None if self.per_gpu_hour is None else self.per_gpu_hour * self.gpu

    def __str__(self) -> str:
        """In words."""
        cost = "" if self.cost is None else f", cost {self.cost:.2f}"
        return f"{self.gpu:.2f} GPU-hours{cost}, {self.cpu:.2f} core-hours"


@dataclass
class Usage:
    """Time that trials had of processors and GPUs, over all sessions; idle machines are not in it."""

    at_work: dict[str, TrialAtWork] = field(default_factory=dict)
    """Trials that a worker has now, by name."""
    lost_nodes: set[str] = field(default_factory=set)
    """Machines that left."""
    _cpu_seconds: float = 0.0
    _gpu_seconds: float = 0.0
    _last: float = 0.0

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, TrialAtWork):
            self._leave(event.trial, event.at)
            self.at_work[event.trial] = event
        elif isinstance(event, TrialDied | TrialEnded | TrialTested | TrialTimed):
            self._leave(event.trial, event.at)
        elif isinstance(event, NodeLost):
            self.lost_nodes.add(event.node)
            for trial in event.trials:
                self._leave(trial, event.at)
        elif isinstance(event, SearchOpened | SearchClosed):
            # A session that was killed took no time behind its last line.
            end = self._last if isinstance(event, SearchOpened) else event.at
            for trial in list(self.at_work):
                self._leave(trial, end)
        self._last = event.at

    def gpu_hours(self, now: float) -> float:
        """GPU-hours of all trials.

        Args:
            now: Seconds since 1970, up to which those that are at work count.
        """
        return (self._gpu_seconds + sum(_seconds(e, now) * e.gpus for e in self.at_work.values())) / 3600

    def cpu_hours(self, now: float) -> float:
        """Core-hours of all trials, up to `now` as in `gpu_hours`."""
        return (self._cpu_seconds + sum(_seconds(e, now) * e.cpus for e in self.at_work.values())) / 3600

    def _leave(self, trial: str, now: float) -> None:
        left = self.at_work.pop(trial, None)
        if left:
            self._cpu_seconds += _seconds(left, now) * left.cpus
            self._gpu_seconds += _seconds(left, now) * left.gpus


def _seconds(stay: TrialAtWork, now: float) -> float:
    """A clock that was set back counts as standing still."""
    return max(0.0, now - stay.at)
