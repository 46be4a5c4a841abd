"""Asynchronous successive halving: Ray Tune's ASHA, asked about our trials by our names.

Rungs are rebuilt by asking again in the old order, because Ray's snapshots do not hold them.
"""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from semtune.results import EpochResult


class Halving:
    """ASHA over the trials of one stratum.

    Args:
        epochs: Epochs of a whole trial.
        grace_epochs: First rung: no trial stops before it.
        reduction_factor: The best 1/reduction_factor pass each rung.
    """

    def __init__(self, epochs: int, grace_epochs: int, reduction_factor: float) -> None:
        self._epochs = epochs
        self._asha = ASHAScheduler(
            time_attr="epoch",
            metric="validation_rmse",
            mode="min",
            max_t=epochs,
            grace_period=min(grace_epochs, epochs),
            reduction_factor=reduction_factor,
        )
        self._known: set[str] = set()

    def survives(self, trial: str, result: EpochResult) -> bool:
        """Record an epoch and tell whether the trial may go on."""
        if result.epoch >= self._epochs:
            return True
        stand_in = SimpleNamespace(trial_id=trial)
        if trial not in self._known:
            self._known.add(trial)
            self._asha.on_trial_add(None, stand_in)
        reported = {"epoch": result.epoch, "validation_rmse": result.validation_rmse}
        return str(self._asha.on_trial_result(None, stand_in, reported)) != str(TrialScheduler.STOP)


_DRAWS = 20


def survivors(trials: int, epochs: int, grace_epochs: int, reduction_factor: float) -> list[float]:
    """Trials expected at each rung and at the last epoch, out of so many.

    The scheduler itself is asked about made-up trials of random merit, which keep their order from rung to
    rung and come one after the other: the first at a rung pass whatever they are, so that more survive than
    1/reduction_factor.
    """
    marks = [*rungs(epochs, grace_epochs, reduction_factor), epochs]
    reached = [0] * len(marks)
    draw = random.Random(0)
    for _ in range(_DRAWS):
        halving = Halving(epochs, grace_epochs, reduction_factor)
        for number in range(trials):
            merit = draw.random()
            for place, epoch in enumerate(marks):
                reached[place] += 1
                if not halving.survives(str(number), EpochResult(epoch, merit, merit, 0, 0.0)):
                    break
    return [count / _DRAWS for count in reached]


def rungs(epochs: int, grace_epochs: int, reduction_factor: float) -> list[int]:
    """Epochs at which ASHA may stop a trial, for plans."""
    listed, epoch = [], float(grace_epochs)
    while epoch < epochs:
        listed.append(math.ceil(epoch))
        epoch *= reduction_factor
    return listed
