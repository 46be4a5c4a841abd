"""Which hyperparameters made the difference among the trials of a search, as Optuna reckons it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from semtune.journal import TrialRecord
from semtune.search.line import Parameter
from semtune.search.space import SearchSpace

FEWEST = 8
"""Trials below which nothing is said."""
CHANCE = "chance"
"""Name of a random number that no trial knew, judged beside the hyperparameters."""
_FORESTS = 6
_TREES = 32
_MOST = 500
"""Trials that are looked at: the best do not need more, and the reader has seconds."""


@dataclass(frozen=True)
class Importance:
    """What a forest of trees says of the hyperparameters."""

    shares: Mapping[str, float]
    """Of the differences in validation RMSE among the trials, 0..1, by hyperparameter and for `chance`."""
    spread: Mapping[str, float]
    """Standard deviation over forests."""
    trials: int
    partial: tuple[str, ...]
    """Hyperparameters that only some trials have, and that are not judged."""


def searched(space: SearchSpace) -> list[Parameter]:
    """The hyperparameters of a space that can differ from trial to trial."""
    return [line for line in space.parameters if line.distribution != "value" and len(set(line.values)) > 1]


def ranked(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Trials that can be compared: proposed by the sampler, not failed, with a finite RMSE."""
    return [
        trial
        for trial in trials
        if not trial.failed
        and trial.started.repeats is None
        and trial.started.reseeds is None
        and trial.epochs
        and math.isfinite(reached(trial))
    ]


def importance(space: SearchSpace, trials: Sequence[TrialRecord]) -> Importance | str:
    """Judge the hyperparameters by the mean decrease in impurity, or say why that cannot be done.

    Each trial counts with the RMSE of its last epoch under the scheduler, which is what the search ranks by.

    References:
        optuna.importance.MeanDecreaseImpurityImportanceEvaluator; Breiman (2001), "Random Forests".
    """
    lines = searched(space)
    known = [
        trial
        for trial in ranked(trials)[-_MOST:]
        if all(line.contains(trial.started.hyperparameters.get(line.name)) for line in _held(lines, trial))
    ]
    common = [line for line in lines if all(line.holds(trial.started.hyperparameters) for trial in known)]
    if len(common) < 2:
        return f"importance needs two hyperparameters that all trials have; there are {len(common)}"
    if len(known) < FEWEST:
        return f"importance needs {FEWEST} trials; {len(known)} have trained an epoch"
    if len({reached(trial) for trial in known}) < 2:
        return "all trials reached the same RMSE"
    shares = _shares(common, known)
    mean = {name: sum(each[name] for each in shares) / len(shares) for name in shares[0]}
    spread = {
        name: math.sqrt(sum((each[name] - mean[name]) ** 2 for each in shares) / len(shares)) for name in mean
    }
    partial = tuple(line.name for line in lines if line not in common)
    return Importance(mean, spread, len(known), partial)


def _shares(lines: Sequence[Parameter], trials: Sequence[TrialRecord]) -> list[dict[str, float]]:
    """Shares by one forest after the other, each with another random number beside the hyperparameters."""
    import optuna

    from semtune.search.sampler import suggest

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for trial in trials:
        study.enqueue_trial({line.name: trial.started.hyperparameters[line.name] for line in lines})
        asked = study.ask()
        for line in lines:
            suggest(asked, line)
        for number in range(_FORESTS):
            asked.suggest_float(f"{CHANCE} {number}", 0, 1)
        study.tell(asked, reached(trial))
    evaluator = optuna.importance.MeanDecreaseImpurityImportanceEvaluator
    names = [line.name for line in lines]
    found = []
    for number in range(_FORESTS):
        # Optuna 5.0 gives each share to another name unless the names are sorted.
        judged = optuna.importance.get_param_importances(
            study,
            evaluator=evaluator(n_trees=_TREES, seed=number),
            params=sorted([*names, f"{CHANCE} {number}"]),
        )
        found.append({name if name in names else CHANCE: float(share) for name, share in judged.items()})
    return found


def _held(lines: Sequence[Parameter], trial: TrialRecord) -> list[Parameter]:
    return [line for line in lines if line.holds(trial.started.hyperparameters)]


def reached(trial: TrialRecord) -> float:
    """Validation RMSE of a trial's last epoch under the scheduler, score points."""
    return (trial.searched or trial.epochs[-1]).validation_rmse
