"""Decides what runs next, what stops and who is a finalist. Pure bookkeeping: no Ray, no MLflow.

Trials are dealt evenly to the strata; ASHA and TPE compare only within one. When a stratum's trials have
ended, its best go on to the last epoch or are trained with fresh seeds, and meet the test frames; when all
have, each is timed alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from semtune.config import Hyperparameters
from semtune.journal import (
    FAILURES,
    EpochDone,
    Event,
    Remark,
    SearchRecord,
    StopReason,
    TrialDied,
    TrialEnded,
    TrialRecord,
    TrialStarted,
    TrialTested,
    TrialTimed,
)
from semtune.results import EpochResult
from semtune.search.circumstances import Circumstances, Limits
from semtune.search.finals import Finals
from semtune.search.judgement import (
    epochs_of,
    explanation,
    is_known,
    is_open,
    is_stalled,
    may_be_tried_again,
    too_many,
    why_give_up,
)
from semtune.search.order import Order, Role
from semtune.search.space import SearchSpace
from semtune.search.standing import Standing
from semtune.search.strata import Strata


@dataclass
class Director:
    """The state of a running search.

    Args:
        space: What may be tried and how the search is run.
        record: What the journal says has happened already; kept up to date.
        study_file: Optuna's study; None keeps it in memory, for a search that nobody will resume.
        emit: Takes every new event; the journal is its first reader.
        seconds: Time budget of the trials in this session; finals come after it. None for no limit.
        wait: Seconds without a trial at work after which the search ends, resumable.
    """

    space: SearchSpace
    record: SearchRecord
    study_file: Path | None
    emit: Callable[[Event], None]
    seconds: float | None = None
    wait: float = 1800.0
    _stops: set[str] = field(default_factory=set)  # trials that are to end at their next epoch
    _live: dict[str, Role] = field(default_factory=dict)
    _lonely: set[str] = field(default_factory=set)  # wait for a place of their own, which others would take
    interrupted: bool = field(default=False, init=False)
    """Whether the search was asked to stop."""
    trouble: str = field(default="", init=False)
    """What made the search stop, other than its user at the keyboard; empty if nothing did."""

    def __post_init__(self) -> None:
        """Rebuild the rungs of ASHA, and tell the study what it missed when the session before died."""
        self._strata = Strata(self.space, self.study_file)
        self.standing = Standing(self.record)
        self.finals = Finals(self.space.settings, self.record, self.standing)
        limits = Limits(self.seconds, self.space.settings.gpu_hours, self.wait)
        self.circumstances = Circumstances(self.record, self._add, self.interrupt, limits)
        self._strata.replay(self.record.trials.values())

    # What runs next

    def next_order(self) -> Order | None:
        """Return the next order, or None if nothing can start before something ends."""
        if self.interrupted or self._lonely:
            return None
        if order := self._unfinished_trial() or self._new_trial():
            return order
        return None if self.failure else self._fresh_seed() or self._final() or self._measurement()

    @property
    def busy(self) -> int:
        """Orders at work."""
        return len(self._live)

    @property
    def failure(self) -> str | None:
        """Why the search gives up, if it does."""
        return why_give_up(self.record) if too_many(self.standing.failures, self.space.settings) else None

    def interrupt(self, trouble: str = "") -> None:
        """Start nothing more; running trials stop at their next epoch and can be resumed.

        Args:
            trouble: What of the machine makes it necessary, such as a full disk.
        """
        self.interrupted = True
        self.trouble = self.trouble or trouble

    def stop(self, trial: str) -> None:
        """End a trial of the search phase at its next epoch, at once if it is not at work."""
        if self._live.get(trial) == "search":
            self._stops.add(trial)
        elif trial not in self._live and trial in self.record.trials and is_open(self.record.trials[trial]):
            self._live[trial] = "search"
            self.ended(trial, "stopped")

    def withdraw(self) -> None:
        """Put all orders back into the queue: no worker has taken one up."""
        self._live.clear()
        self._lonely.clear()

    def _unfinished_trial(self) -> Order | None:
        """A trial that was running when an earlier session died or was interrupted."""
        return None if self._trials_closed() else self._first(self.standing.open.values(), "search")

    def _new_trial(self) -> Order | None:
        if self._trials_closed():
            return None
        name = f"trial-{len(self.record.trials):04d}"
        started = self._repeat(name) or self._proposal(name)
        if started is None:
            return None
        self._add(started)
        return self._order(self.record.trials[name], "reseed" if started.reseeds else "search")

    def _proposal(self, name: str) -> TrialStarted | None:
        """A trial with hyperparameters that the sampler chooses; None if there are as many as wanted."""
        count = self.standing.proposed
        if sum(count[each] for each in self.space.strata) >= self.space.settings.trials:
            return None
        stratum = min(self.space.strata, key=lambda each: count[each])
        chosen = Hyperparameters.model_validate(self._strata.sampler(stratum).propose(name))
        seed = self.space.settings.seed + len(self.record.trials)
        return TrialStarted(trial=name, stratum=stratum, hyperparameters=chosen.model_dump(), seed=seed)

    def _repeat(self, name: str) -> TrialStarted | None:
        """A trial that is wanted again, with the hyperparameters and the seed that it had."""
        asked = next((each for each in self.record.pending if each.trial in self.record.trials), None)
        if asked is None:
            return None
        first = self.record.trials[asked.trial].started
        settings = {**first.hyperparameters, "epochs": asked.epochs}
        if first.reseeds is None:
            self._strata.sampler(first.stratum).propose(name, settings)
        return first.model_copy(
            update={"at": time.time(), "trial": name, "hyperparameters": settings, "repeats": asked.trial}
        )

    def _trials_closed(self) -> bool:
        """Whether no trial may train under the scheduler any more."""
        return self.circumstances.over_budget or self.failure is not None

    def _fresh_seed(self) -> Order | None:
        """A finalist's hyperparameters with a seed of their own, once its stratum's trials have ended."""
        for stratum in filter(self._is_complete, self.space.strata):
            for origin in self.finals.finalists(stratum):
                order = self._first(filter(is_open, self.finals.reseeded(origin)), "reseed")
                if order is None and (started := self.finals.fresh_seed(origin)):
                    self._add(started)
                    order = self._order(self.record.trials[started.trial], "reseed")
                if order:
                    return order
        return None

    def _final(self) -> Order | None:
        complete = filter(self._is_complete, self.space.strata)
        untested = (t for each in complete for t in self.finals.contestants(each) if t.tested is None)
        return self._first(untested, "final")

    def _is_complete(self, stratum: str) -> bool:
        """Whether all trials of a stratum have ended that the search phase wants."""
        if self._trials_closed():
            return not self.standing.any_of((n for n, r in self._live.items() if r == "search"), stratum)
        wanted = self.standing.proposed[stratum] < self.space.share(stratum)
        expected = [*self.standing.open, *(each.trial for each in self.record.pending)]
        return not wanted and not self.standing.any_of(expected, stratum)

    def _measurement(self) -> Order | None:
        return None if self._live else self._first(self.finals.untimed(), "measure")

    def _first(self, trials: Iterable[TrialRecord], role: Role) -> Order | None:
        """An order for the first of some trials that is not at work."""
        trial = next((trial for trial in trials if trial.name not in self._live), None)
        return self._order(trial, role) if trial else None

    def _order(self, trial: TrialRecord, role: Role) -> Order:
        self._live[trial.name] = role
        self._lonely |= {trial.name} if trial.alone else set()
        settings = Hyperparameters.model_validate(trial.started.hyperparameters)
        return Order(trial.name, role, settings, trial.started.seed, trial.alone)

    def close(self) -> None:
        """Give a reason to trials that an earlier session left open and this one had no time for."""
        for trial in [] if self.interrupted else list(self.standing.open.values()):
            self._add(TrialEnded(trial=trial.name, reason="budget"))
            self._strata.sampler(trial.started.stratum).tell(trial.name, "budget", trial.validation_rmse)

    def unneeded(self) -> list[str]:
        """Ended trials whose weights and checkpoints nobody will ask for, no finalists: each named once."""
        return self.standing.release(set(self._live).union(*map(self.finals.kept, self.space.strata)))

    # What has happened

    def epoch_done(self, trial: str, result: EpochResult) -> StopReason | None:
        """Record an epoch, unless it is known; returns why the trial must stop now, or None."""
        record = self.record.trials[trial]
        self._lonely.discard(trial)
        if not is_known(record.epochs, result):
            self._add(EpochDone(trial=trial, result=result))
        if self._live.get(trial) != "search":
            return "interrupted" if self.interrupted else None
        self._strata.sampler(record.started.stratum).report(trial, result.epoch, result.validation_rmse)
        survives = self._strata.halving(record).survives(trial, result)
        if result.epoch >= epochs_of(record):
            return None
        if self.interrupted:
            return "interrupted"
        if trial in self._stops:
            return "stopped"
        if self._trials_closed():
            return "budget"
        if is_stalled(record.epochs):
            return "stalled"
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
        self.standing.let_go.add(trial)
        trains = role not in (None, "measure")
        if reason == "out_of_memory" and trains and not self.record.trials[trial].alone:
            return self._add(TrialDied(trial=trial, message=message, alone=True))
        message = message or explanation(reason)
        if role in ("search", "reseed"):
            self._add(TrialEnded(trial=trial, reason=reason, message=message))
            record = self.record.trials[trial]
            self._strata.sampler(record.started.stratum).tell(trial, reason, record.validation_rmse)
        elif role and reason in FAILURES:
            self._add(TrialEnded(trial=trial, reason=reason, message=message))

    def died(self, trial: str, reason: StopReason, message: str, node: str = "") -> None:
        """Record that a trial's process died: the trial goes back to the queue, unless that leads nowhere.

        Args:
            trial: Its name.
            reason: How it ends if it is not tried again.
            message: What is known of the death.
            node: Where it was at work, if that is known.
        """
        if self.interrupted:
            self.ended(trial, "interrupted")
            return
        self._add(TrialDied(trial=trial, message=message, alone=reason == "out_of_memory", node=node))
        if not may_be_tried_again(self.record.trials[trial]):
            self.ended(trial, reason, message)
        self._live.pop(trial, None)
        self._lonely.discard(trial)

    def all_died(self, reason: StopReason, message: str) -> None:
        """Record the death of all live trials' processes."""
        for trial in list(self._live):
            self.died(trial, reason, message)

    def noted(self, event: Remark) -> None:
        """Record what a user should know, or where a trial trains, unless it is known."""
        if not self.record.knows(event):
            self._add(event)

    def _add(self, event: Event) -> None:
        self.record.add(event)
        self.standing.add(event)
        self.emit(event)
