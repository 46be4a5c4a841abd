"""How good a focus curve is: the criteria of Groen (1985), Firestone (1991) and Sun (2004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from semtune.results import Scores

_LEAST_PROMINENCE = 0.01
"""Of the curve's range: what rises less is no maximum, but noise, which has a criterion of its own."""


@dataclass(frozen=True)
class Criteria:
    """What is asked of a focus curve; every figure is a mean over the repeats of the sweep."""

    accuracy_um: float
    """Distance of the peak from true focus; lower is better."""
    accuracy_dof: float
    """The same in depths of field."""
    false_maxima: float
    """Local maxima beside the peak; lower is better."""
    width_um: float
    """Width of the peak at half of the curve's range; narrower tells neighbouring settings apart."""
    width_dof: float
    """The same in depths of field."""
    monotone_um: float
    """Distance between the minima next to the peak: from there a climb finds it; wider is better."""
    monotone_dof: float
    """The same in depths of field."""
    noise: float
    """Standard deviation between repeats at equal focus, as a share of the curve's range; lower is better."""
    reproducibility_um: float
    """Standard deviation of the peak between repeats; lower is better."""
    reproducibility_dof: float
    """The same in depths of field."""


def criteria(defocus_um: Scores, curves: Scores, depth_of_field_um: float) -> Criteria:
    """Judge the curves of one scorer over one field.

    Args:
        defocus_um: Evenly spaced, rising, 0 at true focus, shape (positions,), 3 positions or more.
        curves: Focus values or scores, higher being sharper, shape (repeats, positions): the same sweep with
            other noise.
        depth_of_field_um: Of the field.

    Returns:
        Figures in micrometres, depths of field, counts and shares; the spread between repeats is NaN where
        there is one repeat.

    References:
        Groen, Young, Ligthart (1985), "A comparison of different focus functions for use in autofocus
        algorithms", Cytometry 6(2), 81-91: unimodality, accuracy, reproducibility, range.
        Firestone et al. (1991), "Comparison of autofocus methods for automated microscopy", Cytometry 12(3),
        195-206: accuracy, false maxima, width at half maximum, range.
        Sun, Duthaler, Nelson (2004), "Autofocusing in computer microscopy: selecting the optimal focus
        algorithm", Microscopy Research and Technique 65(3), 139-149: the same with the noise level.
    """
    peaks = np.array([peak_position(defocus_um, curve) for curve in curves])
    accuracy = float(np.mean(np.abs(peaks)))
    width = float(np.mean([half_width(defocus_um, curve) for curve in curves]))
    monotone = float(np.mean([monotone_range(defocus_um, curve) for curve in curves]))
    repeated = len(curves) > 1
    spread = float(np.std(peaks, ddof=1)) if repeated else np.nan
    return Criteria(
        accuracy_um=accuracy,
        accuracy_dof=accuracy / depth_of_field_um,
        false_maxima=float(np.mean([false_maxima(curve) for curve in curves])),
        width_um=width,
        width_dof=width / depth_of_field_um,
        monotone_um=monotone,
        monotone_dof=monotone / depth_of_field_um,
        noise=noise_level(curves) if repeated else np.nan,
        reproducibility_um=spread,
        reproducibility_dof=spread / depth_of_field_um,
    )


def peak_position(positions: Scores, curve: Scores) -> float:
    """Position of the highest value, refined by the parabola through it and its neighbours."""
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(positions[top])
    before, peak, after = curve[top - 1 : top + 2]
    bend = before - 2 * peak + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(positions[top] + shift * (positions[1] - positions[0]))


def false_maxima(curve: Scores) -> int:
    """Count the maxima beside the highest that rise over their surroundings by 1 % of the curve's range."""
    span = float(np.ptp(curve))
    if span == 0:
        return 0
    # Walls of the lowest value let a maximum lie on the edge.
    walled = np.concatenate(([curve.min()], curve, [curve.min()]))
    maxima, _ = find_peaks(walled, prominence=_LEAST_PROMINENCE * span)
    return max(0, len(maxima) - 1)


def half_width(positions: Scores, curve: Scores) -> float:
    """Width of the part around the peak that lies above the middle of the curve's range, interpolated."""
    middle = (curve.max() + curve.min()) / 2
    top = int(np.argmax(curve))
    right = _crossing(positions[top:], curve[top:], middle)
    left = _crossing(positions[top::-1], curve[top::-1], middle)
    return right - left


def monotone_range(positions: Scores, curve: Scores) -> float:
    """Distance between the two minima next to the peak, every rise, however small, counting as one."""
    top = int(np.argmax(curve))
    rises = np.diff(curve) >= 0
    left = top
    while left > 0 and rises[left - 1]:
        left -= 1
    right = top
    while right < len(curve) - 1 and not rises[right]:
        right += 1
    return float(positions[right] - positions[left])


def noise_level(curves: Scores) -> float:
    """Standard deviation between repeats over the range of the mean curve; NaN for a flat one."""
    span = float(np.ptp(curves.mean(axis=0)))
    return float(np.sqrt(np.mean(np.var(curves, axis=0, ddof=1))) / span) if span else np.nan


def _crossing(positions: Scores, curve: Scores, level: float) -> float:
    """Where a curve that starts at or above the level first falls below it; its end if it does not."""
    below = np.flatnonzero(curve < level)
    if not below.size:
        return float(positions[-1])
    after = int(below[0])
    share = (curve[after - 1] - level) / (curve[after - 1] - curve[after])
    return float(positions[after - 1] + share * (positions[after] - positions[after - 1]))
