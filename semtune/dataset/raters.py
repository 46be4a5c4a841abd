"""How well raters agree with themselves and with each other, and what noise that leaves in their mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from semtune.dataset.ratings import Rating, by_rater, counted
from semtune.results import plcc, srcc

FEWEST_REPEATS = 10
"""Degrees of freedom from which a noise is told to a report: its standard error is then 22 % of it."""


@dataclass(frozen=True)
class RaterFacts:
    """One rater's ratings, and the noise of one of them."""

    rater: str
    ratings: int
    frames: int
    repeats: int
    """Ratings of a frame beyond the first: the degrees of freedom of the noise."""
    noise: float | None
    """Standard deviation of one rating about the rater's own mean of the frame, score points."""
    noise_low: float | None
    noise_high: float | None
    """95 % interval."""


@dataclass(frozen=True)
class PairFacts:
    """How two raters compare on the frames that both rated, each by the mean of own ratings."""

    first: str
    second: str
    frames: int
    mean_difference: float
    """First less second, score points."""
    sd_difference: float | None
    plcc: float | None
    srcc: float | None


@dataclass(frozen=True)
class RatersReport:
    """All that the ratings of a dataset tell of its raters."""

    raters: tuple[RaterFacts, ...]
    pairs: tuple[PairFacts, ...]
    icc: float | None
    """ICC(2,1): agreement of single raters, absolute, over the frames that all rated."""
    icc_of_mean: float | None
    """ICC(2,k): of the mean of all raters."""
    icc_frames: int
    reference_noise: float | None
    """Standard deviation of the noise in the reference scores; None while `repeats` is too low."""
    repeats: int
    """Of all raters together."""
    all_rated_all: bool
    """Whether every rater rated every frame."""


def judge_raters(ratings: Collection[Rating]) -> RatersReport | None:
    """Judge the raters of a dataset; None where there is no rating.

    References:
        Shrout, Fleiss (1979), "Intraclass correlations: uses in assessing rater reliability", Psychological
        Bulletin 86(2), 420-428.
    """
    scores = by_rater(ratings)
    if not scores:
        return None
    images = sorted({image for each in scores.values() for image in each})
    means = {
        rater: {image: float(np.mean(given)) for image, given in each.items()}
        for rater, each in scores.items()
    }
    shared = [image for image in images if all(image in each for each in means.values())]
    table = np.array([[each[image] for each in means.values()] for image in shared])
    icc, icc_of_mean = intraclass_correlations(table) if len(means) > 1 else (None, None)
    return RatersReport(
        tuple(_facts_of(rater, list(each.values())) for rater, each in sorted(scores.items())),
        tuple(_compared(first, second, means) for first, second in combinations(sorted(means), 2)),
        icc,
        icc_of_mean,
        len(shared),
        reference_noise(scores),
        sum(len(given) - 1 for each in scores.values() for given in each.values()),
        all(len(each) == len(images) for each in means.values()),
    )


def noise_of(repeated: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Pooled standard deviation of single ratings about the mean of their frame, and its degrees of freedom.

    Args:
        repeated: The ratings of each frame by one rater, or of each frame and rater.

    Returns:
        Score points, NaN without degrees of freedom; their number.
    """
    freedom = sum(len(given) - 1 for given in repeated)
    squares = sum(float(np.sum((np.asarray(given) - np.mean(given)) ** 2)) for given in repeated)
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def reference_noise(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> float | None:
    """Standard deviation of the noise in reference scores, score points: the floor of a scorer's RMSE.

    A reference score is the mean over R raters of the mean over k_j ratings of each; with s the noise of one
    rating, pooled over raters, its noise is s sqrt(mean over frames of sum over raters of 1/k_j, over R^2).

    Args:
        scores: Of each rater, by image.

    Returns:
        None below `FEWEST_REPEATS` degrees of freedom.
    """
    noise, freedom = noise_of([given for each in scores.values() for given in each.values()])
    if freedom < FEWEST_REPEATS:
        return None
    images = {image for each in scores.values() for image in each}
    shares = []
    for image in images:
        counts = [len(each[image]) for each in scores.values() if image in each]
        shares.append(sum(1 / count for count in counts) / len(counts) ** 2)
    return noise * math.sqrt(float(np.mean(shares)))


def intraclass_correlations(table: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """ICC(2,1) and ICC(2,k): two-way random effects, absolute agreement, of one rater and of their mean.

    Args:
        table: Shape (frames, raters).

    Returns:
        At most 1, which is perfect agreement; None below two frames or raters, or if all is equal.
    """
    if table.ndim != 2 or min(table.shape) < 2:
        return None, None
    frames, raters = table.shape
    rows, columns, grand = table.mean(axis=1), table.mean(axis=0), table.mean()
    of_rows = raters * float(np.sum((rows - grand) ** 2)) / (frames - 1)
    of_columns = frames * float(np.sum((columns - grand) ** 2)) / (raters - 1)
    rest = float(np.sum((table - rows[:, None] - columns + grand) ** 2)) / ((frames - 1) * (raters - 1))
    single = of_rows + (raters - 1) * rest + raters * (of_columns - rest) / frames
    mean = of_rows + (of_columns - rest) / frames
    if min(single, mean) <= 0:
        return None, None
    return (of_rows - rest) / single, (of_rows - rest) / mean


def raters_in_words(report: RatersReport) -> list[str]:
    """What the ratings tell, a line each."""
    lines = [_rater_line(each) for each in report.raters]
    lines += [_pair_line(each) for each in report.pairs]
    if report.icc is not None and report.icc_of_mean is not None:
        raters = len(report.raters)
        lines.append(
            f"agreement over {counted(report.icc_frames, 'frame')} that all rated: ICC(2,1) {report.icc:.2f} "
            f"of one rater, ICC(2,{raters}) {report.icc_of_mean:.2f} of the mean of {raters}"
        )
    if report.reference_noise is None:
        repeats = counted(report.repeats, "repeat")
        lines.append(f"noise of the reference scores: unknown ({repeats}, {FEWEST_REPEATS} are needed)")
    else:
        lines.append(f"noise of the reference scores: {report.reference_noise:.2f}, the floor of any RMSE")
        if not report.all_rated_all:
            lines.append("not every rater rated every frame: by what raters differ comes on top of that")
    return lines


def _facts_of(rater: str, given: Sequence[Sequence[float]]) -> RaterFacts:
    from scipy.stats import chi2  # takes a second, which a check without ratings is spared

    noise, freedom = noise_of(given)
    if not freedom:
        return RaterFacts(rater, len(given), len(given), 0, None, None, None)
    low, high = (noise * math.sqrt(freedom / float(chi2.ppf(q, freedom))) for q in (0.975, 0.025))
    return RaterFacts(rater, sum(map(len, given)), len(given), freedom, noise, low, high)


def _compared(first: str, second: str, means: Mapping[str, Mapping[str, float]]) -> PairFacts:
    both = sorted(means[first].keys() & means[second].keys())
    a = np.array([means[first][image] for image in both])
    b = np.array([means[second][image] for image in both])
    if len(both) < 2:
        return PairFacts(first, second, len(both), float(np.mean(a - b)) if both else 0.0, None, None, None)
    of_values, of_ranks = plcc(a, b), srcc(a, b)
    return PairFacts(
        first,
        second,
        len(both),
        float(np.mean(a - b)),
        float(np.std(a - b, ddof=1)),
        of_values if math.isfinite(of_values) else None,
        of_ranks if math.isfinite(of_ranks) else None,
    )


def _rater_line(each: RaterFacts) -> str:
    said = f"rater {each.rater}: {counted(each.ratings, 'rating')} of {counted(each.frames, 'frame')}"
    if each.noise is None:
        return f"{said}, noise unknown (no frame was rated twice)"
    interval = f"95 %: {each.noise_low:.2f} to {each.noise_high:.2f}"
    return f"{said}, noise of one rating {each.noise:.2f} ({interval}; {counted(each.repeats, 'repeat')})"


def _pair_line(each: PairFacts) -> str:
    if each.sd_difference is None:
        return (
            f"{each.first} and {each.second}: {counted(each.frames, 'frame')} in common, too few to compare"
        )
    differ = f"{each.first} scores {each.mean_difference:+.2f} higher (sd {each.sd_difference:.2f})"
    known = [(name, value) for name, value in (("PLCC", each.plcc), ("SRCC", each.srcc)) if value is not None]
    correlations = "".join(f", {name} {value:.2f}" for name, value in known)
    return (
        f"{each.first} and {each.second}: {counted(each.frames, 'frame')} in common, {differ}{correlations}"
    )
