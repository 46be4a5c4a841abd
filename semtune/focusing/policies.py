"""How a microscope is focused: from values at a few settings of the knob to the best setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from semtune.focusing.criteria import peak_position
from semtune.registry import Registry
from semtune.results import Scores

LEAST_BUDGET = 5
"""Acquisitions without which no policy can do its work."""
_GOLDEN = (sqrt(5) - 1) / 2
_FIRST_STRIDE = 1 / 8
"""Of the window: how far the local policies go at first."""
_SHARPNESSES = (1.5, 2.0, 3.0, 4.0)
"""Exponents of the fitted peaks: pointed to flat on top."""


class Acquisitions:
    """What a policy may ask: the value at whole steps of the focus knob, as often as the budget allows.

    Args:
        objective: Step -> value, higher being sharper; asked once for each step.
        last: The window goes from step 0 to this one.
        budget: Most steps that may be asked for, `LEAST_BUDGET` or more.
    """

    def __init__(self, objective: Callable[[int], float], last: int, budget: int) -> None:
        self._objective, self.last, self.budget = objective, last, budget
        self.values: dict[int, float] = {}

    def at(self, position: float) -> float:
        """Value at the step nearest to a position, which is first brought into the window.

        Raises:
            ValueError: If the step is a new one and the budget is spent.
        """
        step = self.step(position)
        if step not in self.values:
            if not self.left:
                raise ValueError(f"a budget of {self.budget} acquisitions is spent; ask `left` first")
            self.values[step] = self._objective(step)
        return self.values[step]

    def step(self, position: float) -> int:
        """The step of the window that is nearest to a position."""
        return round(min(max(position, 0.0), float(self.last)))

    @property
    def left(self) -> int:
        """Acquisitions that may still be asked for."""
        return self.budget - len(self.values)

    @property
    def best(self) -> int:
        """The step with the highest value so far; the first of equals."""
        return max(self.values, key=lambda step: self.values[step])


@dataclass(frozen=True)
class Policy:
    """A way to focus, with what tables say of it."""

    name: str
    focus: Callable[[Acquisitions], float]
    """Where it leaves the focus knob, a position of the window."""
    label: str


def full_sweep(ask: Acquisitions) -> float:
    """Spend the budget evenly on the window; the vertex of the parabola through the three best in a row."""
    positions = ask.last * (np.arange(ask.budget) + 0.5) / ask.budget
    return peak_position(positions, np.array([ask.at(position) for position in positions]))


def golden_section(ask: Acquisitions) -> float:
    """Narrow the window by the golden section; the best setting seen.

    References:
        Kiefer (1953), "Sequential minimax search for a maximum", Proc. Amer. Math. Soc. 4(3), 502-506.
    """
    low, high = 0.0, float(ask.last)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    ask.at(left)
    while ask.left and high - low > 1:
        if ask.at(left) > ask.at(right):
            high, right = right, left
            left = high - _GOLDEN * (high - low)
        else:
            low, left = left, right
            right = low + _GOLDEN * (high - low)
    return float(ask.best)


def hill_climb(ask: Acquisitions) -> float:
    """Walk uphill from the start with strides that are halved where neither side is higher; the best seen."""
    here, stride, dead_ends = ask.last / 2, ask.last * _FIRST_STRIDE, 0
    ask.at(here)
    while ask.left and abs(stride) >= 1:
        there = here + stride
        if ask.at(there) > ask.at(here):
            here, dead_ends = there, 0
            continue
        stride, dead_ends = -stride, dead_ends + 1
        if dead_ends == 2:
            stride, dead_ends = stride / 2, 0
    return float(ask.best)


def three_point_parabola(ask: Acquisitions) -> float:
    """Bracket the peak from the start, then go to the vertex of the parabola again and again; the best seen.

    References:
        Brent (1973), Algorithms for Minimization without Derivatives, chapter 5.
    """
    stride = ask.last * _FIRST_STRIDE
    low, middle, high = ask.last / 2 - stride, ask.last / 2, ask.last / 2 + stride
    for position in (low, middle, high):
        ask.at(position)
    while ask.left and ask.at(middle) < max(ask.at(low), ask.at(high)) and 0 < ask.best < ask.last:
        if ask.at(low) > ask.at(high):
            low, middle, high = max(2 * low - middle, 0.0), low, middle
        else:
            low, middle, high = middle, high, min(2 * high - middle, float(ask.last))
        for position in (low, high):
            if ask.left:
                ask.at(position)
    while ask.left and high - low > 2:
        there = _vertex(ask, low, middle, high)
        if ask.at(there) > ask.at(middle):
            low, middle, high = (low, there, middle) if there < middle else (middle, there, high)
        elif there < middle:
            low = there
        else:
            high = there
    return float(ask.best)


def peak_fit(ask: Acquisitions) -> float:
    """Half of the budget over the window, the rest about the peak; the middle of the peak that fits all best.

    Every frame counts, those on the flanks too: a score that is flat on top, or noisy, is centred as well.
    """
    coarse = max(LEAST_BUDGET - 1, ask.budget // 2)
    for position in ask.last * (np.arange(coarse) + 0.5) / coarse:
        ask.at(position)
    centre, width = fit_peak(ask.values, ask.last)
    sides = (0.0, -1.0, 1.0, -0.5, 0.5, -1.5, 1.5)
    for place in range(ask.left):
        ask.at(_unseen(ask, centre + width * sides[place % len(sides)]))
        centre, width = fit_peak(ask.values, ask.last)
    return centre


POLICIES = Registry(
    "focusing policy",
    [
        Policy("full_sweep", full_sweep, "full sweep"),
        Policy("golden_section", golden_section, "golden section"),
        Policy("hill_climb", hill_climb, "hill climb"),
        Policy("three_point_parabola", three_point_parabola, "three-point parabola"),
        Policy("peak_fit", peak_fit, "peak fit"),
    ],
)


def fit_peak(values: dict[int, float], last: int) -> tuple[float, float]:
    """Fit floor + height / (1 + abs((x - centre) / width) ** sharpness) by least squares.

    Centre and width are taken from grids, the second about the best of the first, floor and height from a
    linear fit; only peaks that rise are allowed.

    Args:
        values: By step, 4 or more.
        last: The centre lies between 0 and this.

    Returns:
        Centre and width, steps; the step of the highest value where no peak fits.
    """
    steps = np.array(list(values), float)
    heights = np.array(list(values.values()))
    widths = last * np.geomspace(1 / 128, 1 / 2, 13)
    centre, width = _best_peak(steps, heights, np.linspace(0, last, 97), widths)
    around = np.clip(centre + last / 96 * np.linspace(-1, 1, 33), 0, last)
    return _best_peak(steps, heights, around, width * np.geomspace(2**-0.5, 2**0.5, 9))


def _best_peak(steps: Scores, heights: Scores, centres: Scores, widths: Scores) -> tuple[float, float]:
    centre, width, sharpness = (
        axis.ravel() for axis in np.meshgrid(centres, widths, _SHARPNESSES, indexing="ij")
    )
    distances = np.abs(steps - centre[:, None]) / width[:, None]
    shapes = 1 / (1 + distances ** sharpness[:, None])  # (candidates, frames)
    shapes -= shapes.mean(axis=1, keepdims=True)
    rise = shapes @ (heights - heights.mean())
    norm = np.maximum(np.sum(shapes**2, axis=1), 1e-12)
    explained = np.where(rise > 0, rise**2 / norm, 0.0)
    best = int(np.argmax(explained))
    if not explained[best] > 0:
        return float(steps[np.argmax(heights)]), float(np.median(widths))
    return float(centre[best]), float(width[best])


def _unseen(ask: Acquisitions, position: float) -> float:
    """The step nearest to a position that has not been asked for yet."""
    wanted = ask.step(position)
    free = (step for step in range(ask.last + 1) if step not in ask.values)
    return min(free, key=lambda step: abs(step - wanted))


def _vertex(ask: Acquisitions, low: float, middle: float, high: float) -> float:
    """A new position in a bracket: the vertex of its parabola, or the middle of its longer part."""
    left, right = ask.at(middle) - ask.at(low), ask.at(middle) - ask.at(high)
    a, b = middle - low, high - middle
    bend = a * right + b * left
    vertex = middle - 0.5 * (a * a * right - b * b * left) / bend if bend > 0 else middle
    known = ask.step(vertex) in ask.values or not low < vertex < high
    if not known:
        return vertex
    return (low + middle) / 2 if a > b else (middle + high) / 2
