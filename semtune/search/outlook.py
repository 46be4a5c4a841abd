"""Whether more trials would help: what the last doubling of their number brought, beside the luck of seeds.

References:
    Tang et al. (2020), "Showing your work doesn't always work", ACL: the expected best of fewer trials.
    Glick (1978), "Breaking records and breaking boards", Am. Math. Monthly 85(1): the chance of a new record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

from semtune.journal import TrialRecord
from semtune.search.importance import FEWEST, ranked, reached

_SHARE = 0.01
"""Of the best RMSE: what counts as noise where no fresh seeds tell how much luck there is."""


@dataclass(frozen=True)
class Outlook:
    """What the trials of one stratum say of further ones. RMSE in score points, of validation frames."""

    trials: int
    best: float
    """RMSE of the best trial of all."""
    best_place: int
    """Which trial that was, in the order of their start, from 1."""
    half: float
    """Expected best RMSE of half as many of these trials, drawn at random."""
    low: float
    """Least gain of the second half if any one trial had not been there."""
    high: float
    """Largest of the same."""
    noise: float
    """A gain up to here is no gain."""
    noise_from_seeds: bool
    """Whether the noise is the spread over fresh seeds, and not 1 % of the best RMSE."""

    @property
    def gain(self) -> float:
        """By how much the second half of the trials lowered the expected best, >= 0."""
        return self.half - self.best

    @property
    def chance(self) -> float:
        """That the next trial is the best of all, 0..1, if it is drawn as those before were."""
        return 1 / (self.trials + 1)

    @property
    def helps(self) -> bool | None:
        """Whether as many trials again are likely to help; None where one trial more or less decides that."""
        if (self.low > self.noise) != (self.high > self.noise):
            return None
        return self.gain > self.noise


def outlook(trials: Sequence[TrialRecord]) -> Outlook | str:
    """Reckon what more trials would bring, or say why that cannot be done.

    Args:
        trials: Of one stratum, those with fresh seeds too, in the order of their start.
    """
    known = ranked(trials)
    if len(known) < FEWEST:
        return f"that needs {FEWEST} trials; {len(known)} have trained an epoch"
    errors = [reached(trial) for trial in known]
    best, half = min(errors), expected_best(errors, len(errors) // 2)
    without = [errors[:place] + errors[place + 1 :] for place in range(len(errors))]
    gains = [expected_best(each, len(errors) // 2) - min(each) for each in without]
    seeds = [t.epochs[-1].validation_rmse for t in trials if t.started.reseeds and t.epochs and not t.failed]
    noise = stdev(seeds) if len(seeds) > 1 else _SHARE * best
    place = errors.index(best) + 1
    return Outlook(len(errors), best, place, half, min(gains), max(gains), noise, len(seeds) > 1)


def expected_best(errors: Sequence[float], count: int) -> float:
    """Mean, over all choices of `count` of the errors, of the lowest: unbiased for the best of so many.

    Args:
        errors: At least `count` of them.
        count: At least 1.
    """
    ordered, ways = sorted(errors), math.comb(len(errors), count)
    return sum(
        error * math.comb(len(ordered) - 1 - place, count - 1) / ways for place, error in enumerate(ordered)
    )
