"""What the director asks at every step, kept up to date event by event: it is not sought among all trials.

Tests compare each answer with its plain definition, a look through all trials.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable

from semtune.journal import Event, RepeatAsked, SearchRecord, TrialEnded, TrialRecord, TrialStarted
from semtune.search.judgement import is_open, rank


class Standing:
    """Where the trials of a search stand.

    Args:
        record: All that has happened; every later event is handed to `add`, after the record has it.
    """

    def __init__(self, record: SearchRecord) -> None:
        self.open: dict[str, TrialRecord] = {}
        """Trials that the sampler proposed and that have training before them, the first started first."""
        self.proposed: Counter[str] = Counter()
        """Number of trials of each stratum; repeats are none of those that were asked for by number."""
        self.fresh: list[TrialRecord] = []
        """Trials with fresh seeds."""
        self.let_go = {name for name, trial in record.trials.items() if not is_open(trial)}
        """Trials that no worker has any more, and whose files may be there."""
        self._ranked: defaultdict[str, list[tuple[tuple[bool, float], int, TrialRecord]]] = defaultdict(list)
        self._failed: set[str] = set()
        self._again: set[str] = {asked.trial for asked in record.asked}
        self._trials = record.trials
        self._place: dict[str, int] = {}
        for trial in record.trials.values():
            self._start(trial)
            self._end(trial)

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, TrialStarted):
            self._start(self._trials[event.trial])
        elif isinstance(event, TrialEnded):
            self._end(self._trials[event.trial])
        elif isinstance(event, RepeatAsked):
            self._again.add(event.trial)

    @property
    def failures(self) -> int:
        """Failed trials that are not wanted again."""
        return len(self._failed - self._again)

    def release(self, kept: set[str]) -> list[str]:
        """Name the ended trials whose files nobody keeps, each once unless a worker lets go of it again."""
        named = {name for name in self.let_go - kept if not is_open(self._trials[name])}
        self.let_go -= named
        return sorted(named)

    def any_of(self, names: Iterable[str], stratum: str) -> bool:
        """Whether the sampler of a stratum proposed any of some trials."""
        started = (self._trials[name].started for name in names if name in self._trials)
        return any(each.reseeds is None and each.stratum == stratum for each in started)

    def best(self, stratum: str, number: int, without: set[str]) -> list[TrialRecord]:
        """The best trials of a stratum: those that trained to the end first, then by validation RMSE.

        None that failed or that the user stopped.

        Args:
            stratum: Its name.
            number: How many are wanted.
            without: Names that do not count.
        """
        ended = (entry for entry in self._ranked[stratum] if entry[2].name not in without)
        first = [entry for _, entry in zip(range(number), ended, strict=False)]
        running = [
            (rank(trial), self._place[trial.name], trial)
            for trial in self.open.values()
            if trial.started.stratum == stratum and trial.epochs and trial.name not in without
        ]
        return [trial for *_, trial in sorted([*first, *running])[:number]]

    def _start(self, trial: TrialRecord) -> None:
        self._place[trial.name] = len(self._place)
        if trial.started.reseeds is not None:
            self.fresh.append(trial)
            return
        self.open[trial.name] = trial
        self.proposed[trial.started.stratum] += trial.started.repeats is None

    def _end(self, trial: TrialRecord) -> None:
        if trial.failed:
            self._failed.add(trial.name)
        if is_open(trial) or trial.started.reseeds is not None:
            return
        was_open = self.open.pop(trial.name, None)
        ranked = self._ranked[trial.started.stratum]
        if trial.failed or trial.reason == "stopped":  # a finalist can fail after it had ended well
            ranked[:] = [entry for entry in ranked if entry[2] is not trial]
        elif was_open and trial.epochs:
            insort(ranked, (rank(trial), self._place[trial.name], trial))
