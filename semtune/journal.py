"""The journal of a search: one line an event, appended and never changed; the truth that survives any death.

What a search has done is what its journal says: resuming, listing and reporting replay it, and the
tracking writer sends it to MLflow. A line that a crash cut short is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from semtune.errors import StorageError
from semtune.events import (
    EVENT,
    FAILURES,
    BaselineFitted,
    EpochDone,
    Event,
    NodeLost,
    Noted,
    NothingRuns,
    RepeatAsked,
    SearchClosed,
    SearchOpened,
    SearchState,
    StopReason,
    TrialAtWork,
    TrialDied,
    TrialEnded,
    TrialPlaced,
    TrialStarted,
    TrialTested,
    TrialTimed,
)
from semtune.files import disk_trouble
from semtune.results import EpochResult
from semtune.usage import Usage

__all__ = [
    "FAILURES", "BaselineFitted", "EpochDone", "Event", "Journal", "NodeLost", "Noted", "NothingRuns",
    "Remark", "RepeatAsked", "SearchClosed", "SearchOpened", "SearchRecord", "SearchState", "StopReason",
    "TrialAtWork", "TrialDied", "TrialEnded", "TrialPlaced", "TrialRecord", "TrialStarted", "TrialTested",
    "TrialTimed", "as_json", "cut_torn_line", "read_events", "read_record",
]  # fmt: skip

TrialEvent = EpochDone | TrialPlaced | TrialDied | TrialEnded | TrialTested | TrialTimed
Remark = Noted | TrialPlaced
"""Events that are worth telling once."""


@dataclass
class TrialRecord:
    """All that the journal says of one trial."""

    started: TrialStarted
    epochs: list[EpochResult] = field(default_factory=list)
    placed: list[TrialPlaced] = field(default_factory=list)
    """Where it trained: once for each process that took it up somewhere else."""
    ended: TrialEnded | None = None
    tested: TrialTested | None = None
    timed: TrialTimed | None = None
    searched: EpochResult | None = None
    """The last epoch under the scheduler: what ranks trials, unmoved by the epochs of a final."""
    alone: bool = False
    """Whether the trial ran out of memory beside others, and must run alone."""
    deaths: int = 0
    """Processes that died with the trial since its last new epoch; none on machines that left."""
    died: TrialDied | None = None
    preempted: int = 0
    """Machines that left while the trial was at work there."""

    @property
    def name(self) -> str:
        """Name of the trial, unique in its search."""
        return self.started.trial

    @property
    def architecture(self) -> str:
        """Registry name of the network."""
        return str(self.started.hyperparameters["architecture"])

    @property
    def reason(self) -> StopReason | None:
        """Why the trial stopped; None while it runs or after a death."""
        return self.ended.reason if self.ended else None

    def add_preemption(self, node: str) -> None:
        """Take in that the machine is gone where the trial was at work, or had just died."""
        self.preempted += 1
        if self.died and self.died.node == node:
            self.deaths, self.died = max(0, self.deaths - 1), None

    @property
    def failed(self) -> bool:
        """Whether the trial ended by a failure."""
        return self.reason in FAILURES

    @property
    def validation_rmse(self) -> float | None:
        """RMSE on the validation frames after the last epoch so far."""
        return self.epochs[-1].validation_rmse if self.epochs else None


@dataclass
class SearchRecord:
    """A search, folded from its journal."""

    trials: dict[str, TrialRecord] = field(default_factory=dict)
    baselines: dict[str, BaselineFitted] = field(default_factory=dict)
    asked: list[RepeatAsked] = field(default_factory=list)
    """Repeats that are wanted, started or not."""
    started_again: set[tuple[str, object]] = field(default_factory=set)
    """Trials of which a repeat was started, with its epochs."""
    notes: list[str] = field(default_factory=list)
    sessions: list[tuple[SearchOpened, float]] = field(default_factory=list)
    """Each process that worked on the search, with the time of its last event."""
    usage: Usage = field(default_factory=Usage)
    closed: SearchClosed | None = None

    def add(self, event: Event) -> None:
        """Take in one event."""
        self.usage.add(event)
        if isinstance(event, NothingRuns | TrialAtWork):
            pass  # usage has it
        elif isinstance(event, SearchOpened):
            self.sessions.append((event, event.at))
            self.closed = None
        elif isinstance(event, TrialStarted):
            self.trials[event.trial] = TrialRecord(event)
            if event.repeats:
                self.started_again.add((event.repeats, event.hyperparameters.get("epochs")))
        elif isinstance(event, BaselineFitted):
            self.baselines[event.name] = event
        elif isinstance(event, SearchClosed):
            self.closed = event
        elif isinstance(event, RepeatAsked):
            self.asked.append(event)
        elif isinstance(event, Noted):
            self.notes.append(event.text)
        elif isinstance(event, NodeLost):
            for name in self.trials.keys() & set(event.trials):
                self.trials[name].add_preemption(event.node)
        elif event.trial in self.trials:  # else the line with its start was damaged
            self._add_to_trial(self.trials[event.trial], event)
        if self.sessions:
            self.sessions[-1] = (self.sessions[-1][0], event.at)

    def _add_to_trial(self, trial: TrialRecord, event: TrialEvent) -> None:
        if isinstance(event, EpochDone):
            if event.result.epoch > len(trial.epochs):
                trial.deaths = 0
            # A trial that goes on from an older checkpoint repeats epochs; the later values count.
            del trial.epochs[event.result.epoch - 1 :]
            trial.epochs.append(event.result)
        elif isinstance(event, TrialPlaced):
            trial.placed.append(event)
        elif isinstance(event, TrialDied):
            trial.alone |= event.alone
            if event.node not in self.usage.lost_nodes:
                trial.deaths, trial.died = trial.deaths + 1, event
        elif isinstance(event, TrialEnded):
            trial.ended = event
            trial.searched = trial.epochs[-1] if trial.epochs else None
        elif isinstance(event, TrialTested):
            trial.tested = event
        else:
            trial.timed = event

    def knows(self, event: Remark) -> bool:
        """Tell whether a note stands here already, or a trial trained at such a place before."""
        if isinstance(event, Noted):
            return event.text in self.notes
        return any(
            place.model_copy(update={"at": event.at}) == event for place in self.trials[event.trial].placed
        )

    @property
    def seconds(self) -> float:
        """Time that processes spent on the search; a clock that was set back counts as standing still."""
        return sum(max(0.0, last - opened.at) for opened, last in self.sessions)

    @property
    def pending(self) -> list[RepeatAsked]:
        """Repeats that are wanted and have not been started."""
        return [each for each in self.asked if (each.trial, each.epochs) not in self.started_again]

    @property
    def open_failures(self) -> list[TrialRecord]:
        """Failed trials that are not wanted again."""
        again = {each.trial for each in self.asked}
        return [trial for trial in self.trials.values() if trial.failed and trial.name not in again]

    @property
    def frames_trained(self) -> int:
        """Training frames of all epochs of all trials."""
        return sum(epoch.frames for trial in self.trials.values() for epoch in trial.epochs)

    @property
    def epochs_trained(self) -> int:
        """Epochs of all trials."""
        return sum(len(trial.epochs) for trial in self.trials.values())

    @property
    def best_trial(self) -> TrialRecord | None:
        """The trial with the lowest RMSE on the validation frames of those that did not fail."""
        known = [t for t in self.trials.values() if not t.failed and t.epochs]
        return min(known, key=lambda trial: trial.epochs[-1].validation_rmse, default=None)


class Journal:
    """Appends events to a file; each line is whole on disk before `append` returns.

    Args:
        path: The journal; made if it is missing. A last line cut short is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told():
            cut_torn_line(path)
            self._file = path.open("ab", buffering=0)

    def append(self, event: Event) -> None:
        """Write one event; ends of trials and of the search are flushed to the disk itself.

        Raises:
            StorageError: If the disk does not take it; what it took of the line is removed again.
        """
        # The model's own method knows how NaN is written; the adapter of the union writes null.
        line = event.model_dump_json().encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        with self._told():
            try:
                while line:
                    line = line[self._file.write(line) :]
                if not isinstance(event, EpochDone):
                    os.fsync(self._file.fileno())
            except BaseException:
                self._file.truncate(end)
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            trouble = disk_trouble(error) or f"{error.strerror}; correct that"
            raise StorageError(f"{self.path}: the journal cannot be written: {trouble}") from error


def read_events(path: Path, start: int = 0, only: str = "") -> Iterator[tuple[Event, int]]:
    """Yield the events from a byte position on, or `only` those of a name, with the position behind each."""
    mark = f'"event":"{only}"'.encode() if only else b""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            if mark not in line:
                continue
            try:
                yield EVENT.validate_json(line), start
            except ValidationError:
                continue


def read_record(path: Path) -> SearchRecord:
    """Fold a whole journal."""
    record = SearchRecord()
    for event, _ in read_events(path):
        record.add(event)
    return record


def cut_torn_line(path: Path) -> None:
    """Remove what a death left of a last line, in any file of lines; a missing file is left missing."""
    if not path.exists():
        return
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("r+b") as file:
            file.truncate(end)


def as_json(event: Event) -> str:
    """One event as a line of plain JSON, for machines; what is not finite is null."""
    return EVENT.dump_json(event).decode()
