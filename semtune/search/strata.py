"""What is kept for each stratum: its sampler, and its ASHA among trials of equal length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from semtune.journal import TrialRecord
from semtune.search.halving import Halving
from semtune.search.judgement import epochs_of
from semtune.search.line import Value
from semtune.search.sampler import Sampler
from semtune.search.space import SearchSpace
from semtune.search.study import StudyStorage


@dataclass
class Strata:
    """Samplers and schedulers, made when they are first asked for."""

    space: SearchSpace
    study_file: Path | None
    _samplers: dict[str, Sampler] = field(default_factory=dict)
    _halvings: dict[tuple[str, int], Halving] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the file of the studies."""
        self._storage = StudyStorage(self.study_file) if self.study_file else None

    def sampler(self, stratum: str) -> Sampler:
        """The sampler of a stratum."""
        if stratum not in self._samplers:
            fixed: dict[str, Value] = (
                {self.space.settings.stratify: stratum} if self.space.settings.stratify else {}
            )
            seed = self.space.settings.seed + self.space.strata.index(stratum)
            self._samplers[stratum] = Sampler(self.space, self._storage, stratum or "all", fixed, seed)
        return self._samplers[stratum]

    def halving(self, trial: TrialRecord) -> Halving:
        """ASHA of a trial's stratum among trials of as many epochs: others do not compare."""
        key = trial.started.stratum, epochs_of(trial)
        if key not in self._halvings:
            factor = self.space.settings.reduction_factor
            self._halvings[key] = Halving(key[1], self.space.grace_of(key[1]), factor)
        return self._halvings[key]

    def replay(self, trials: Iterable[TrialRecord]) -> None:
        """Rebuild the rungs of ASHA, and tell the study what it missed when the session before died.

        Args:
            trials: All of the search; those with fresh seeds are none of a sampler's.
        """
        for trial in trials:
            if trial.started.reseeds is not None:
                continue
            sampler = self.sampler(trial.started.stratum)
            for epoch in trial.epochs:
                self.halving(trial).survives(trial.name, epoch)
                sampler.report(trial.name, epoch.epoch, epoch.validation_rmse)
            if trial.reason:
                sampler.tell(trial.name, trial.reason, trial.validation_rmse)
