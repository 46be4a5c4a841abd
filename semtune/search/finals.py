"""Who goes on when a stratum's trials have ended: finalists, fresh seeds, who meets the test frames.

The lowest validation RMSE of many trials is too low, for the winner was lucky too. With `seeds` above 1 each
finalist is trained anew with as many fresh seeds; their mean chooses, and they alone meet the test frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from semtune.config import SearchSettings
from semtune.journal import SearchRecord, TrialRecord, TrialStarted
from semtune.search.judgement import is_open, rank
from semtune.search.standing import Standing


@dataclass(frozen=True)
class Finals:
    """Pure rules over what the journal says; nothing is remembered here."""

    settings: SearchSettings
    record: SearchRecord
    standing: Standing

    def finalists(self, stratum: str) -> list[TrialRecord]:
        """The best trials of a stratum by validation: those that trained to the end first.

        One that failed with every fresh seed makes way for the next; one that the user stopped is none.
        """
        hopeless = {
            origin
            for origin, group in self._reseeded().items()
            if len(group) >= self.settings.seeds and all(trial.failed for trial in group)
        }
        return self.standing.best(stratum, self.settings.finalists, hopeless)

    def reseeded(self, origin: TrialRecord) -> list[TrialRecord]:
        """A finalist's trials with fresh seeds; a repeat stands for what it repeats."""
        return self._reseeded().get(origin.name, [])

    def fresh_seed(self, origin: TrialRecord) -> TrialStarted | None:
        """The start of a finalist's next trial with a seed that no trial had; None if it has enough."""
        if self.settings.seeds == 1 or len(self.reseeded(origin)) >= self.settings.seeds:
            return None
        number = len(self.record.trials)
        return TrialStarted(
            trial=f"trial-{number:04d}",
            stratum=origin.started.stratum,
            hyperparameters=origin.started.hyperparameters,
            seed=self.settings.seed + number,
            reseeds=origin.name,
        )

    def contestants(self, stratum: str) -> list[TrialRecord]:
        """The trials of a stratum that meet the test frames, once they are known.

        Without fresh seeds they are the finalists. With them they are, of each architecture, those of the
        finalist whose seeds failed least often, then had the lowest mean validation RMSE; known when all
        have ended.
        """
        best = self.finalists(stratum)
        if self.settings.seeds == 1:
            return best
        groups = [self.reseeded(origin) for origin in best]
        if any(map(self.fresh_seed, best)) or any(is_open(trial) for group in groups for trial in group):
            return []
        chosen: dict[str, list[TrialRecord]] = {}
        for group in sorted(groups, key=_failures_then_mean):
            chosen.setdefault(group[0].architecture, group)
        return [trial for group in chosen.values() for trial in group if not trial.failed]

    def untimed(self) -> list[TrialRecord]:
        """Trials to be timed: those that met the test frames; of fresh seeds, which are equally fast, one."""
        tested = [trial for trial in self.record.trials.values() if trial.tested and not trial.failed]
        worst_first = sorted(tested, key=rank, reverse=True)
        best = {trial.started.reseeds or trial.name: trial for trial in worst_first}
        return [trial for trial in best.values() if not trial.timed]

    def kept(self, stratum: str) -> set[str]:
        """Names of the trials of a stratum whose weights somebody may ask for."""
        return {t.name for each in self.finalists(stratum) for t in (each, *self.reseeded(each))}

    def _reseeded(self) -> dict[str, list[TrialRecord]]:
        """All trials with fresh seeds, by the finalist whose hyperparameters they have."""
        repeated = {name for name, _ in self.record.started_again}
        groups: dict[str, list[TrialRecord]] = {}
        for trial in self.standing.fresh:
            if trial.started.reseeds and trial.name not in repeated:
                groups.setdefault(trial.started.reseeds, []).append(trial)
        return groups


def _failures_then_mean(group: list[TrialRecord]) -> tuple[int, float]:
    errors = [trial.epochs[-1].validation_rmse for trial in group if not trial.failed]
    return len(group) - len(errors), sum(errors) / len(errors)
