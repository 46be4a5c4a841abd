"""Where Optuna's studies of a search live: a file with one writer, of which samplers see a part.

Optuna's own file is made for many writers, who lock it and flush every line; and its TPE goes through all
trials for each proposal. See decision 0048.
"""

from __future__ import annotations

import json
import math
import os
from bisect import insort
from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

BEST, LATEST = 25, 1000
"""Finished trials of a study that samplers see. TPE holds the best 25 of any number against the others, and
the fewer others, the less it explores."""


class StudyFile(BaseJournalBackend):
    """A file of studies as Optuna's own backend writes it, for one writer: whoever holds the search's lock.

    Args:
        path: The file; made if it is missing. Its last line must be whole.
    """

    def __init__(self, path: Path) -> None:
        path.touch()
        self._path = path
        with path.open("rb") as lines:
            self._unread = [json.loads(line) for line in lines]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return what was written since the last call; the one storage that reads this knows the rest."""
        unread, self._unread = self._unread, []
        return unread

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines; a trial's name and its states are flushed to the disk, with all that came before."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with self._path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            if any("user_attr" in log or "state" in log for log in logs):
                file.flush()
                os.fsync(file.fileno())
        self._unread += [json.loads(line) for line in lines]


@dataclass
class _Window:
    """The part of a study that samplers see."""

    unfinished: set[int] = field(default_factory=set)
    """Ids."""
    best: list[tuple[tuple[int, float, float], int, FrozenTrial]] = field(default_factory=list)
    latest: deque[FrozenTrial] = field(default_factory=lambda: deque(maxlen=LATEST))
    _shown: dict[int, FrozenTrial] | None = None

    @property
    def finished(self) -> dict[int, FrozenTrial]:
        """The best and the latest, by number."""
        if self._shown is None:
            self._shown = {each.number: each for each in (*(best for *_, best in self.best), *self.latest)}
        return self._shown

    def finish(self, trial: FrozenTrial) -> None:
        """Take in a trial that has ended; nobody learns from one that failed."""
        self.unfinished.discard(trial._trial_id)
        if trial.state != TrialState.FAIL:
            insort(self.best, (_merit(trial), trial.number, trial))
            del self.best[BEST:]
            self.latest.append(trial)
            self._shown = None


class StudyStorage(JournalStorage):
    """Studies of which samplers see what is unfinished, the best and the latest trials.

    Everything is in the file, for readers with a storage of Optuna's own.
    """

    def __init__(self, path: Path) -> None:
        self._windows: dict[int, _Window] = {}
        self._study_of: dict[int, int] = {}
        """Ids of studies by those of unfinished trials."""
        super().__init__(StudyFile(path))
        for study in self.get_all_studies():
            for trial in super().get_all_trials(study._study_id, deepcopy=False):
                self._see(study._study_id, trial)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial, as Optuna asks for it."""
        trial_id = super().create_new_trial(study_id, template_trial)
        self._see(study_id, self.get_trial(trial_id))
        return trial_id

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Take note of a trial's state, as Optuna tells it."""
        done = super().set_trial_state_values(trial_id, state, values)
        if state.is_finished():
            self._window(self._study_of.pop(trial_id)).finish(self.get_trial(trial_id))
        return done

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return what samplers see of a study, in the order of the trials' numbers; never a copy."""
        window = self._window(study_id)
        unfinished = {trial.number: trial for trial in map(self.get_trial, window.unfinished)}
        seen = sorted((window.finished | unfinished).items())
        return [trial for _, trial in seen if states is None or trial.state in states]

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Count all trials of a study, seen or not."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(super().get_all_trials(study_id, deepcopy=False, states=states))

    def _window(self, study_id: int) -> _Window:
        return self._windows.setdefault(study_id, _Window())

    def _see(self, study_id: int, trial: FrozenTrial) -> None:
        if trial.state.is_finished():
            self._window(study_id).finish(trial)
        else:
            self._window(study_id).unfinished.add(trial._trial_id)
            self._study_of[trial._trial_id] = study_id


def _merit(trial: FrozenTrial) -> tuple[int, float, float]:
    """Sort key in TPE's order: whole trials by their value, then stopped ones by epoch and value."""
    if trial.state == TrialState.COMPLETE:
        return 0, 0.0, float(trial.value or 0.0)
    if not trial.intermediate_values:
        return 1, 1.0, 0.0
    epoch, value = max(trial.intermediate_values.items())
    return 1, -float(epoch), math.inf if math.isnan(value) else value
