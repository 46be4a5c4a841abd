"""Who has been silent for too long, counted only while this process was awake itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

_LONGEST_STEP = 5.0  # seconds between two looks that count; a longer gap was a sleep of this process


class AwakeClock:
    """Time that passes while this process is awake: a sleep or a jump of the clock counts five seconds."""

    def __init__(self) -> None:
        self._last_look = time.monotonic()

    def passed(self, now: float | None = None) -> float:
        """Seconds since the last look, or since the clock was made.

        Args:
            now: Seconds of a clock that never goes back; by default the system's.
        """
        now = time.monotonic() if now is None else now
        passed, self._last_look = min(now - self._last_look, _LONGEST_STEP), now
        return passed


@dataclass
class Heartbeat:
    """Silence of running trials.

    A laptop that slept, a stopped process or a clock that jumped makes nobody look dead: what counts is
    the time between two looks, at most five seconds each.

    Args:
        limit: Seconds of silence that are too many.
    """

    limit: float
    _silence: dict[str, float] = field(default_factory=dict)
    _clock: AwakeClock = field(default_factory=AwakeClock)

    def heard(self, trial: str) -> None:
        """Take note of a sign of life, the first of all included."""
        self._silence[trial] = 0.0

    def forget(self, trial: str) -> None:
        """Expect nothing more of a trial."""
        self._silence.pop(trial, None)

    def overdue(self, now: float | None = None) -> list[str]:
        """Look at the clock, and name the trials that have been silent for too long.

        Args:
            now: Seconds of a clock that never goes back; by default the system's.
        """
        passed = self._clock.passed(now)
        for trial in self._silence:
            self._silence[trial] += passed
        return [trial for trial, silence in self._silence.items() if silence > self.limit]
