"""How long a running search will still take, by what its trials have taken so far."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from semtune.journal import TrialRecord
from semtune.search.judgement import epochs_of, is_open
from semtune.search.space import SearchSpace


def time_left(trials: Sequence[TrialRecord], space: SearchSpace) -> float | None:
    """Seconds that trials and fresh seeds will still take with as many at a time as now; tests come after.

    Trials that have not started are taken to train as large a share of their epochs as those of their stratum
    that have ended.

    Returns:
        None while a stratum has no ended trial, so that nothing is known of it.
    """
    work = [
        _work(space, stratum, [t for t in trials if t.started.stratum == stratum]) for stratum in space.strata
    ]
    if None in work:
        return None
    return sum(filter(None, work)) / max(1, sum(trial.reason is None for trial in trials))


def _work(space: SearchSpace, stratum: str, trials: Sequence[TrialRecord]) -> float | None:
    """Seconds of training that a stratum has before it, one trial after the other."""
    searched = [trial for trial in trials if trial.started.reseeds is None]
    ended = [trial for trial in searched if not is_open(trial) and trial.epochs]
    if not ended:
        return None
    share = fmean(len(trial.epochs) / epochs_of(trial) for trial in ended)
    seconds = fmean(epoch.seconds for trial in trials for epoch in trial.epochs)
    planned, settings = space.epochs(stratum), space.settings
    wanted = max(0, space.share(stratum) - sum(trial.started.repeats is None for trial in searched))
    epochs = wanted * share * planned
    epochs += sum(max(1.0, share * planned - len(trial.epochs)) for trial in searched if is_open(trial))
    if settings.seeds > 1:
        done = sum(len(trial.epochs) for trial in trials if trial.started.reseeds)
        epochs += max(0, settings.seeds * settings.finalists * planned - done)
    return epochs * seconds
