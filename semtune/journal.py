"""The journal of a search: one line an event, appended and never changed; the truth that survives any death.

What a search has done is what its journal says: resuming, listing and reporting replay it, and the
tracking writer sends it to MLflow. A line that a crash cut short is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from semtune.results import EpochResult

StopReason = Literal["epochs", "asha", "budget", "diverged", "error", "out_of_memory", "lost", "interrupted"]
FAILURES: tuple[StopReason, ...] = ("diverged", "error", "out_of_memory", "lost")
SearchState = Literal["running", "interrupted", "finished", "failed"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")
    at: float = Field(default_factory=time.time)
    """Seconds since 1970."""


class SearchOpened(_Event):
    """A process took the search up, for the first time or again."""

    event: Literal["search_opened"] = "search_opened"
    pid: int
    host: str


class TrialStarted(_Event):
    """A trial was proposed."""

    event: Literal["trial_started"] = "trial_started"
    trial: str
    stratum: str
    hyperparameters: dict[str, str | int | float | None]
    seed: int


class EpochDone(_Event):
    """A trial trained one epoch."""

    event: Literal["epoch_done"] = "epoch_done"
    trial: str
    result: EpochResult


class TrialRequeued(_Event):
    """A trial ran out of memory beside others; it goes on from its checkpoint, alone."""

    event: Literal["trial_requeued"] = "trial_requeued"
    trial: str
    message: str = ""


class Noted(_Event):
    """What a user should know about how the search runs, once."""

    event: Literal["noted"] = "noted"
    text: str


class TrialEnded(_Event):
    """A trial stopped training under the scheduler; `message` has the traceback of an error."""

    event: Literal["trial_ended"] = "trial_ended"
    trial: str
    reason: StopReason
    message: str = ""


class TrialTested(_Event):
    """A finalist met the test frames after its last epoch; `figures` by their MLflow names."""

    event: Literal["trial_tested"] = "trial_tested"
    trial: str
    validation_rmse: float
    figures: dict[str, float]


class TrialTimed(_Event):
    """A finalist's scorer was timed."""

    event: Literal["trial_timed"] = "trial_timed"
    trial: str
    figures: dict[str, float]
    device: str


class BaselineFitted(_Event):
    """A baseline was fitted and met the test frames."""

    event: Literal["baseline_fitted"] = "baseline_fitted"
    name: str
    kind: Literal["autofocus", "joint", "controls", "constant"]
    figures: dict[str, float]
    facts: dict[str, str]
    device: str


class SearchClosed(_Event):
    """The process that ran the search let go of it."""

    event: Literal["search_closed"] = "search_closed"
    state: Literal["interrupted", "finished", "failed"]
    message: str = ""


TrialEvent = EpochDone | TrialRequeued | TrialEnded | TrialTested | TrialTimed
Event = TrialEvent | SearchOpened | TrialStarted | Noted | BaselineFitted | SearchClosed
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass
class TrialRecord:
    """All that the journal says of one trial."""

    started: TrialStarted
    epochs: list[EpochResult] = field(default_factory=list)
    ended: TrialEnded | None = None
    tested: TrialTested | None = None
    timed: TrialTimed | None = None
    searched: EpochResult | None = None
    """The last epoch under the scheduler: what ranks trials, unmoved by the epochs of a final."""
    requeued: bool = False
    """Whether the trial ran out of memory beside others, and must run alone."""

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
    sessions: list[tuple[SearchOpened, float]] = field(default_factory=list)
    """Each process that worked on the search, with the time of its last event."""
    closed: SearchClosed | None = None
    notes: list[str] = field(default_factory=list)
    """What a user should know about how the search runs."""

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, SearchOpened):
            self.sessions.append((event, event.at))
            self.closed = None
        elif isinstance(event, TrialStarted):
            self.trials[event.trial] = TrialRecord(event)
        elif isinstance(event, BaselineFitted):
            self.baselines[event.name] = event
        elif isinstance(event, SearchClosed):
            self.closed = event
        elif isinstance(event, Noted):
            self.notes.append(event.text)
        elif event.trial in self.trials:  # else the line with its start was damaged
            self._add_to_trial(self.trials[event.trial], event)
        if self.sessions:
            self.sessions[-1] = (self.sessions[-1][0], event.at)

    @staticmethod
    def _add_to_trial(trial: TrialRecord, event: TrialEvent) -> None:
        if isinstance(event, TrialRequeued):
            trial.requeued = True
        elif isinstance(event, EpochDone):
            # A trial that goes on from an older checkpoint repeats epochs; the later values count.
            del trial.epochs[event.result.epoch - 1 :]
            trial.epochs.append(event.result)
        elif isinstance(event, TrialEnded):
            trial.ended = event
            trial.searched = trial.epochs[-1] if trial.epochs else None
        elif isinstance(event, TrialTested):
            trial.tested = event
        else:
            trial.timed = event

    @property
    def seconds(self) -> float:
        """Time that processes spent on the search."""
        return sum(last - opened.at for opened, last in self.sessions)

    @property
    def frames_trained(self) -> int:
        """Training frames of all epochs of all trials."""
        return sum(epoch.frames for trial in self.trials.values() for epoch in trial.epochs)

    @property
    def epochs_trained(self) -> int:
        """Epochs of all trials."""
        return sum(len(trial.epochs) for trial in self.trials.values())

    @property
    def best_validation_rmse(self) -> float | None:
        """Lowest RMSE on the validation frames of any trial that did not fail."""
        known = [
            t.validation_rmse for t in self.trials.values() if not t.failed and t.validation_rmse is not None
        ]
        return min(known, default=None)


class Journal:
    """Appends events to a file; each line is whole on disk before `append` returns.

    Args:
        path: The journal; made if it is missing. A last line cut short is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        self._file: BufferedWriter = path.open("ab")

    def append(self, event: Event) -> None:
        """Write one event; ends of trials and of the search are flushed to the disk itself."""
        # The model's own method knows how NaN is written; the adapter of the union writes null.
        self._file.write(event.model_dump_json().encode() + b"\n")
        self._file.flush()
        if not isinstance(event, EpochDone):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path, start: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield the events of a journal with the byte position behind each, from a byte position on."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            try:
                yield _EVENT.validate_json(line), start
            except ValidationError:
                continue


def read_record(path: Path) -> SearchRecord:
    """Fold a whole journal."""
    record = SearchRecord()
    for event, _ in read_events(path):
        record.add(event)
    return record


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("r+b") as file:
            file.truncate(end)


def as_json(event: Event) -> str:
    """One event as a line of plain JSON, for machines; what is not finite is null."""
    return _EVENT.dump_json(event).decode()
