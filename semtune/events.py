"""The events of a search: what a line of its journal can say."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from semtune.results import EpochResult

StopReason = Literal[
    "epochs", "asha", "budget", "stopped", "diverged", "stalled", "error", "out_of_memory", "lost", "hung",
    "interrupted",
]  # fmt: skip
FAILURES: tuple[StopReason, ...] = ("diverged", "stalled", "error", "out_of_memory", "lost", "hung")
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
    started_from: str | None = None
    """What trials of one architecture start from instead of their seed, with its digest."""


class TrialStarted(_Event):
    """A trial was proposed."""

    event: Literal["trial_started"] = "trial_started"
    trial: str
    stratum: str
    hyperparameters: dict[str, str | int | float | None]
    seed: int
    repeats: str | None = None
    """The trial whose hyperparameters and seed it has, as `RepeatAsked` wanted."""
    reseeds: str | None = None
    """The finalist whose hyperparameters it has, with a seed of its own: `semtune.search.finals`."""

    @field_validator("hyperparameters")
    @classmethod
    def _can_be_read(cls, given: dict[str, str | int | float | None]) -> dict[str, str | int | float | None]:
        """Refuse a line without what every reader of a journal asks for: the architecture."""
        if not isinstance(given.get("architecture"), str):
            raise ValueError("a trial has an architecture")
        return given


class RepeatAsked(_Event):
    """A trial is wanted again from its start, under a new name: after a failure, or for more epochs."""

    event: Literal["repeat_asked"] = "repeat_asked"
    trial: str
    epochs: int


class TrialPlaced(_Event):
    """A process took a trial up: what a retraining must have in common with it to give the same numbers."""

    event: Literal["trial_placed"] = "trial_placed"
    trial: str
    threads: int
    device: str
    """Processor with its threads, or GPU."""
    precision: Literal["float32", "bfloat16"]
    started_from: str | None = None
    """SHA-256 of the weights that it started from; None for weights from its seed."""


class TrialAtWork(_Event):
    """A worker took a trial up, for whatever role: from here on it costs time of a machine."""

    event: Literal["trial_at_work"] = "trial_at_work"
    trial: str
    node: str
    """Ray's name of the machine, never reused."""
    host: str
    """Address of the machine."""
    cpus: float
    gpus: float
    """What is reserved for the trial: a share, where trials share a GPU."""


class EpochDone(_Event):
    """A trial trained one epoch."""

    event: Literal["epoch_done"] = "epoch_done"
    trial: str
    result: EpochResult


class TrialDied(_Event):
    """The process of a trial died; the trial went back to the queue, to go on from its checkpoint."""

    event: Literal["trial_died"] = "trial_died"
    trial: str
    message: str
    alone: bool = False
    """Whether it ran out of memory beside others, and from now on must run alone."""
    node: str = ""
    """Where it was at work, if that is known."""


class NodeLost(_Event):
    """A machine left the cluster; what was at work there was preempted, which is no failure of a trial."""

    event: Literal["node_lost"] = "node_lost"
    node: str
    host: str
    trials: tuple[str, ...]
    """Trials that were at work there, and those that died there in the last minute: Ray knows of a death at
    once, of the machine's up to half a minute later."""


class NothingRuns(_Event):
    """Trials wait, and no node takes one: told when it begins for want of nodes, then every minute."""

    event: Literal["nothing_runs"] = "nothing_runs"
    seconds: float
    """For so long, counted while the search was awake itself."""
    limit: float
    """After so many seconds the search ends, and can be resumed."""
    nodes: int
    """Nodes of the cluster that could take a trial if they had room."""


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


Event = (
    SearchOpened
    | TrialStarted
    | RepeatAsked
    | TrialPlaced
    | TrialAtWork
    | EpochDone
    | TrialDied
    | NodeLost
    | NothingRuns
    | Noted
    | TrialEnded
    | TrialTested
    | TrialTimed
    | BaselineFitted
    | SearchClosed
)
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
"""Reads any event; only a model's own method writes NaN as it was."""
