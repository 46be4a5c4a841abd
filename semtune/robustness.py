"""Does a scorer hold on frames unlike its training frames? Made worse in steps, they must score less.

Nobody needs to have scored them: that a blurred, noisy, pale or clipped copy is the worse one is known
beforehand. It is a test of sense, not of accuracy: a scorer can pass it and still give wrong scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semtune.registry import Registry

GreyFrame = NDArray[np.uint8]
"""Grey levels, shape (height, width)."""
ScoreFrames = Callable[[Sequence[GreyFrame]], NDArray[np.float64]]
"""Scores of some frames, shape (frames,); higher is better."""

_SEED = 0


@dataclass(frozen=True)
class Ladder:
    """One way of making a frame worse, and how far in each step."""

    name: str
    levels: tuple[float, ...]
    """Each worse than the one before; the frame as it is stands above the first."""
    worsen: Callable[[GreyFrame, float], NDArray[np.floating]]

    def frames(self, frame: GreyFrame) -> list[GreyFrame]:
        """The frame as it is, then at each level."""
        worse = (self.worsen(frame, level) for level in self.levels)
        return [frame, *(np.clip(np.rint(each), 0, 255).astype(np.uint8) for each in worse)]


@dataclass(frozen=True)
class Descent:
    """Scores of one frame down one ladder."""

    frame: str
    ladder: str
    scores: tuple[float, ...]
    """Of the frame as it is and of each level, score points."""
    lowest: float
    """The lowest score that the scorer can give."""

    @property
    def right_steps(self) -> int:
        """Steps on which the score falls; at the lowest score it may stay."""
        return sum(b < a or a == b == self.lowest for a, b in pairwise(self.scores))


def descend(score: ScoreFrames, frames: Mapping[str, GreyFrame], lowest: float = 0.0) -> Iterator[Descent]:
    """Score every frame down every ladder.

    Args:
        score: The scorer.
        frames: Frames by name; control parameters do not enter, as no operator set those of a degraded frame.
        lowest: The lowest score that the scorer can give.
    """
    for name, frame in frames.items():
        for ladder in LADDERS:
            scores = score(ladder.frames(frame))
            yield Descent(name, ladder.name, tuple(map(float, scores)), lowest)


def monotone_share(descents: Iterable[Descent]) -> float:
    """Share of all steps on which the score falls, 0..1; higher is better."""
    listed = list(descents)
    return sum(each.right_steps for each in listed) / sum(len(each.scores) - 1 for each in listed)


def _blurred(frame: GreyFrame, sigma_px: float) -> NDArray[np.floating]:
    return np.asarray(ndimage.gaussian_filter(frame.astype(np.float32), sigma_px), np.float32)


def _noised(frame: GreyFrame, sigma: float) -> NDArray[np.floating]:
    return frame + sigma * np.random.default_rng(_SEED).standard_normal(frame.shape, np.float32)


def _washed_out(frame: GreyFrame, lost: float) -> NDArray[np.floating]:
    return np.asarray(frame + lost * (frame.mean() - frame), np.float32)


def _clipped_white(frame: GreyFrame, share: float) -> NDArray[np.floating]:
    return frame + (255 - np.quantile(frame, 1 - share))  # uint8 + 255 would wrap


def _clipped_black(frame: GreyFrame, share: float) -> NDArray[np.floating]:
    return frame - np.quantile(frame, share)


LADDERS = Registry(
    "ladder",
    [
        Ladder("blurred", (1.5, 3.0, 6.0, 12.0), _blurred),
        Ladder("noised", (10.0, 20.0, 40.0, 80.0), _noised),
        Ladder("washed_out", (0.3, 0.55, 0.75, 0.88), _washed_out),
        Ladder("clipped_white", (0.1, 0.3, 0.5, 0.8), _clipped_white),
        Ladder("clipped_black", (0.1, 0.3, 0.5, 0.8), _clipped_black),
    ],
)
"""Levels: standard deviation of a Gaussian blur, pixels; of white noise, grey levels; share of the contrast
that is lost; share of the pixels that a shift of brightness saturates."""
