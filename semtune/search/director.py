"""Decides what runs next, what stops and who is a finalist. Pure bookkeeping: no Ray, no MLflow.

Trials are dealt evenly to the strata; ASHA and TPE compare only within one. When a stratum's trials have
ended, its best go on to the last epoch and meet the test frames; when all have, they are timed one by
one, with nothing else running.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from semtune.config import Hyperparameters
from semtune.journal import (
    FAILURES,
    EpochDone,
    Event,
    Noted,
    SearchRecord,
    StopReason,
    TrialEnded,
    TrialRecord,
    TrialRequeued,
    TrialStarted,
    TrialTested,
    TrialTimed,
)
from semtune.results import EpochResult
from semtune.search.halving import Halving
from semtune.search.line import Value
from semtune.search.sampler import Sampler
from semtune.search.space import SearchSpace

Role = Literal["search", "final", "measure"]


@dataclass(frozen=True)
class Order:
    """Have a worker do this."""

    trial: str
    role: Role
    hyperparameters: Hyperparameters
    seed: int
    alone: bool = False
    """Whether it must have no company: it ran out of memory in company."""


@dataclass
class Director:
    """The state of a running search.

    Args:
        space: What may be tried and how the search is run.
        record: What the journal says has happened already; kept up to date.
        study_file: Optuna's study.
        emit: Takes every new event; the journal is its first reader.
        seconds: Time budget of the trials in this session; finals come after it. None for no limit.
    """

    space: SearchSpace
    record: SearchRecord
    study_file: Path
    emit: Callable[[Event], None]
    seconds: float | None = None
    _live: dict[str, Role] = field(default_factory=dict)
    _samplers: dict[str, Sampler] = field(default_factory=dict)
    _halvings: dict[str, Halving] = field(default_factory=dict)
    _lonely: set[str] = field(default_factory=set)
    """Requeued trials that wait for a place of their own: others would take it before it is free."""
    _interrupted: bool = False
    _start: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Rebuild the rungs of ASHA, and tell the study what it missed when the session before died."""
        for trial in self.record.trials.values():
            stratum = trial.started.stratum
            for epoch in trial.epochs:
                self._halving(stratum).survives(trial.name, epoch)
                self._sampler(stratum).report(trial.name, epoch.epoch, epoch.validation_rmse)
            if trial.reason:
                self._sampler(stratum).tell(trial.name, trial.reason, trial.validation_rmse)

    # What runs next

    def next_order(self) -> Order | None:
        """Return the next order, or None if nothing can start before something ends."""
        if self._interrupted or self._lonely:
            return None
        return self._unfinished_trial() or self._new_trial() or self._final() or self._measurement()

    @property
    def interrupted(self) -> bool:
        """Whether the search was asked to stop."""
        return self._interrupted

    @property
    def busy(self) -> int:
        """Number of orders that workers are carrying out."""
        return len(self._live)

    @property
    def failure(self) -> str | None:
        """Why the search gives up, if it does."""
        failed = [trial for trial in self.record.trials.values() if trial.failed]
        limit = self.space.settings.max_failures
        limit = max(1, self.space.settings.trials // 4) if limit is None else limit
        if len(failed) <= limit:
            return None
        last = failed[-1]
        number = len(self.record.trials)
        return f"{len(failed)} of {number} trials failed, the last ({last.name}) with {last.reason!r}"

    def interrupt(self) -> None:
        """Start nothing more; running trials stop at their next epoch and can be resumed."""
        self._interrupted = True

    def _unfinished_trial(self) -> Order | None:
        """A trial that was running when an earlier session died or was interrupted."""
        if self._trials_closed():
            return None
        for trial in self.record.trials.values():
            if trial.reason in (None, "interrupted") and trial.name not in self._live:
                return self._order(trial, "search")
        return None

    def _new_trial(self) -> Order | None:
        if self._trials_closed() or len(self.record.trials) >= self.space.settings.trials:
            return None
        number = len(self.record.trials)
        name = f"trial-{number:04d}"
        stratum = min(self.space.strata, key=lambda each: self._count(each))
        chosen = self._sampler(stratum).propose(name)
        hyperparameters = Hyperparameters.model_validate(chosen)
        started = TrialStarted(
            trial=name,
            stratum=stratum,
            hyperparameters=hyperparameters.model_dump(),
            seed=self.space.settings.seed + number,
        )
        self._add(started)
        return self._order(self.record.trials[name], "search")

    def _trials_closed(self) -> bool:
        """Whether no trial may train under the scheduler any more."""
        return self.over_budget or self.failure is not None

    @property
    def over_budget(self) -> bool:
        """Whether the time budget of the trials is used up."""
        return self.seconds is not None and time.monotonic() - self._start > self.seconds

    def _final(self) -> Order | None:
        if self.failure:
            return None
        for stratum in self.space.strata:
            if not self._is_complete(stratum):
                continue
            for trial in self.finalists(stratum):
                if trial.tested is None and trial.name not in self._live:
                    return self._order(trial, "final")
        return None

    def _is_complete(self, stratum: str) -> bool:
        """Whether all trials of a stratum have ended."""
        trials = self._trials_of(stratum)
        ended = all(trial.reason not in (None, "interrupted") for trial in trials) or self._trials_closed()
        running = any(self._live.get(trial.name) == "search" for trial in trials)
        return (len(trials) >= self.space.share(stratum) or self._trials_closed()) and ended and not running

    def finalists(self, stratum: str) -> list[TrialRecord]:
        """The best trials of a stratum by validation: those that trained to the end first."""
        able = [trial for trial in self._trials_of(stratum) if not trial.failed and trial.epochs]
        able.sort(key=_rank)
        return able[: self.space.settings.finalists]

    def _measurement(self) -> Order | None:
        if self.failure or self._live:
            return None
        for trial in self.record.trials.values():
            if trial.tested and not trial.timed and not trial.failed:
                return self._order(trial, "measure")
        return None

    def _order(self, trial: TrialRecord, role: Role) -> Order:
        self._live[trial.name] = role
        if trial.requeued:
            self._lonely.add(trial.name)
        hyperparameters = Hyperparameters.model_validate(trial.started.hyperparameters)
        return Order(trial.name, role, hyperparameters, trial.started.seed, trial.requeued)

    def close(self) -> None:
        """Give a reason to trials that an earlier session left open and this one had no time for."""
        for trial in self.record.trials.values():
            if trial.reason in (None, "interrupted") and not self._interrupted:
                self._add(TrialEnded(trial=trial.name, reason="budget"))
                self._sampler(trial.started.stratum).tell(trial.name, "budget", trial.validation_rmse)

    @property
    def unneeded(self) -> list[str]:
        """Ended trials whose weights and checkpoints nobody will ask for: those that are no finalists."""
        kept = {trial.name for stratum in self.space.strata for trial in self.finalists(stratum)}
        ended = (t for t in self.record.trials.values() if t.reason not in (None, "interrupted"))
        return [trial.name for trial in ended if trial.name not in kept and trial.name not in self._live]

    # What has happened

    def epoch_done(self, trial: str, result: EpochResult) -> StopReason | None:
        """Record an epoch, unless it is known; returns why the trial must stop now, or None."""
        self._lonely.discard(trial)
        if result not in self.record.trials[trial].epochs:
            self._add(EpochDone(trial=trial, result=result))
        if self._live.get(trial) != "search":
            return "interrupted" if self._interrupted else None
        record = self.record.trials[trial]
        stratum = record.started.stratum
        self._sampler(stratum).report(trial, result.epoch, result.validation_rmse)
        survives = self._halving(stratum).survives(trial, result)
        if result.epoch >= int(str(record.started.hyperparameters["epochs"])):
            return None
        if self._interrupted:
            return "interrupted"
        if self._trials_closed():
            return "budget"
        return None if survives else "asha"

    def tested(self, trial: str, figures: dict[str, float]) -> None:
        """Record that a finalist met the test frames after its last epoch."""
        validation_rmse = self.record.trials[trial].epochs[-1].validation_rmse
        self._add(TrialTested(trial=trial, validation_rmse=validation_rmse, figures=figures))

    def timed(self, trial: str, figures: dict[str, float], device: str) -> None:
        """Record that a finalist was timed."""
        self._add(TrialTimed(trial=trial, figures=figures, device=device))

    def ended(self, trial: str, reason: StopReason, message: str = "") -> None:
        """Record that a worker let go of a trial, whatever its role was."""
        role = self._live.pop(trial, None)
        self._lonely.discard(trial)
        company = role in ("search", "final") and not self.record.trials[trial].requeued
        if company and reason == "out_of_memory":
            self._add(TrialRequeued(trial=trial, message=message))
        elif role == "search":
            self._add(TrialEnded(trial=trial, reason=reason, message=message))
            record = self.record.trials[trial]
            self._sampler(record.started.stratum).tell(trial, reason, record.validation_rmse)
        elif role and reason in FAILURES:
            self._add(TrialEnded(trial=trial, reason=reason, message=message))

    def noted(self, text: str) -> None:
        """Record what a user should know, unless it is known."""
        if text not in self.record.notes:
            self._add(Noted(text=text))

    def _add(self, event: Event) -> None:
        self.record.add(event)
        self.emit(event)

    def _trials_of(self, stratum: str) -> list[TrialRecord]:
        return [trial for trial in self.record.trials.values() if trial.started.stratum == stratum]

    def _count(self, stratum: str) -> int:
        return len(self._trials_of(stratum))

    def _sampler(self, stratum: str) -> Sampler:
        if stratum not in self._samplers:
            fixed: dict[str, Value] = (
                {self.space.settings.stratify: stratum} if self.space.settings.stratify else {}
            )
            seed = self.space.settings.seed + self.space.strata.index(stratum)
            self._samplers[stratum] = Sampler(self.space, self.study_file, stratum or "all", fixed, seed)
        return self._samplers[stratum]

    def _halving(self, stratum: str) -> Halving:
        if stratum not in self._halvings:
            epochs = self.space.epochs(stratum)
            self._halvings[stratum] = Halving(
                epochs, self.space.grace_epochs(stratum), self.space.settings.reduction_factor
            )
        return self._halvings[stratum]


def _rank(trial: TrialRecord) -> tuple[bool, float]:
    """Sort key: whole trials first, then by RMSE. It must not move while finals train."""
    last = trial.searched or trial.epochs[-1]
    return last.epoch < int(str(trial.started.hyperparameters["epochs"])), last.validation_rmse
