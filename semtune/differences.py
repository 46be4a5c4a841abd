"""Which differences between scorers are real: paired bootstrap over fields and seeds, all pairs at once.

Pointwise 95 % intervals of 190 pairs would call ten differences real by chance; here all intervals hold
together with 95 %, by the largest studentised deviation of each resample (max-T).

References:
    Westfall and Young (1993), "Resampling-based multiple testing", Wiley.
    Piepho (2004), "An algorithm for a letter-based representation of all-pairwise comparisons",
    J. Comput. Graph. Stat. 13(2), 456-466.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_letters

import numpy as np

from semtune.results import Predictions, Scores, resampled_rmse, rmse


@dataclass(frozen=True)
class Difference:
    """Mean RMSE over the seeds of one scorer minus that of another, score points."""

    of: str
    minus: str
    value: float
    """Below 0 where `of` is better."""
    low: float
    high: float
    """Bounds of an interval that holds together with those of all other pairs."""

    @property
    def is_real(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def differences(
    scorers: Mapping[str, Sequence[Predictions]], coverage: float = 0.95, resamples: int = 2000
) -> tuple[Difference, ...]:
    """Compare every pair of scorers, each with a network a seed, on the same frames.

    Each resample draws the fields anew, the same for all, and the seeds of each scorer.

    Args:
        scorers: Predictions of each scorer, one a seed.
        coverage: Probability that all intervals hold.
        resamples: Bootstrap resamples.
    """
    if len(scorers) < 2:
        return ()
    values = [
        float(np.mean([rmse(p.predicted_score, p.reference_score) for p in s])) for s in scorers.values()
    ]
    resampled = [_resampled(seeds, resamples, place) for place, seeds in enumerate(scorers.values())]
    pairs = list(combinations(range(len(scorers)), 2))
    value = np.array([values[a] - values[b] for a, b in pairs])
    deviation = np.array([resampled[a] - resampled[b] for a, b in pairs]) - value[:, None]
    scale = np.sqrt(np.mean(deviation**2, axis=1))
    studentised = np.abs(deviation) / np.where(scale > 0, scale, 1)[:, None]
    # Scorers without any spread of their difference are the same, or seen on a single field.
    half = np.where(scale > 0, np.quantile(studentised.max(axis=0), coverage) * scale, np.inf)
    names = list(scorers)
    return tuple(
        Difference(names[a], names[b], float(v), float(v - h), float(v + h))
        for (a, b), v, h in zip(pairs, value, half, strict=True)
    )


def letters(ranked: Sequence[str], compared: Iterable[Difference]) -> dict[str, str]:
    """Letters such that two scorers share one exactly where their difference is not real.

    Args:
        ranked: The scorers, best first; the best has an `a`.
        compared: Every pair of them.
    """
    groups = [set(ranked)]
    for each in compared:
        if each.is_real:
            split = [part for group in groups for part in _without_both(group, each.of, each.minus)]
            groups = _absorbed(split)
    groups.sort(key=lambda group: sorted(map(ranked.index, group)))
    return {
        name: "".join(letter for letter, group in zip(ascii_letters, groups, strict=False) if name in group)
        for name in ranked
    }


def _resampled(seeds: Sequence[Predictions], resamples: int, place: int) -> Scores:
    """Mean RMSE of each resample, shape (resamples,)."""
    each = np.array([resampled_rmse(predictions, resamples) for predictions in seeds])
    drawn = np.random.default_rng([place]).multinomial(
        len(seeds), np.full(len(seeds), 1 / len(seeds)), resamples
    )
    mean: Scores = np.sum(drawn.T * each, axis=0) / len(seeds)
    return mean


def _without_both(group: set[str], a: str, b: str) -> list[set[str]]:
    return [group - {a}, group - {b}] if {a, b} <= group else [group]


def _absorbed(groups: Sequence[set[str]]) -> list[set[str]]:
    """Only the groups that lie within no other; of equal ones the first."""
    return [
        group
        for place, group in enumerate(groups)
        if not any(group < other for other in groups) and group not in groups[:place]
    ]
