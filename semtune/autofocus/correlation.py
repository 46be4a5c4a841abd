"""Focus values from the vertical autocorrelation of the frame.

The lag crosses scan lines, where white noise is independent and cancels in the mean.
"""

from __future__ import annotations

import numpy as np

from semtune.autofocus.sums import GreyFrame, checked, is_exact, square_total, squared_distance, total


def vollath_f4(frame: GreyFrame) -> float:
    """Mean of g(r, c) [g(r+1, c) - g(r+2, c)] over the rows r that have both: Vollath's F4.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), height >= 3.

    Returns:
        Focus value in squared grey levels, 0 for a constant frame, may be negative; sharper is higher.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Vollath (1987), "Automatic focusing by correlative methods", J. Microsc. 147(3), 279-288.
    """
    grey = checked(frame, height=3)
    first, second, third = grey[:-2], grey[1:-1], grey[2:]
    if not is_exact(grey):
        return float(np.mean(first * (second - third)))
    # 2 a (b - c) = b^2 - c^2 - (a - b)^2 + (a - c)^2, and of b^2 - c^2 only the end rows remain.
    ends = square_total(grey[1:2]) - square_total(grey[-1:])
    return (ends - squared_distance(first, second) + squared_distance(first, third)) / (2 * first.size)


def vollath_f5(frame: GreyFrame) -> float:
    """Mean of g(r, c) g(r+1, c) over the rows r that have both, minus mu^2: Vollath's F5.

    mu is the mean of the frame. An offset of the grey levels changes it only through the first and the last
    row, which stand in mu twice and in one factor once.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), height >= 2.

    Returns:
        Focus value in squared grey levels, 0 for a constant frame, may be negative; sharper is higher.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Vollath (1988), "The influence of the scene parameters and of noise on the behaviour of
        automatic focusing algorithms", J. Microsc. 151(2), 133-146.
    """
    grey = checked(frame, height=2)
    upper, lower = grey[:-1], grey[1:]
    if not is_exact(grey):
        mu = np.mean(grey)
        offset = mu * (np.mean(upper) + np.mean(lower) - 2 * mu)
        return float(np.mean((upper - mu) * (lower - mu)) + offset)
    # 2 a b = a^2 + b^2 - (a - b)^2, and a^2 + b^2 counts all rows twice but the end rows.
    ends = square_total(grey[:1]) + square_total(grey[-1:])
    products = 2 * square_total(grey) - ends - squared_distance(upper, lower)
    return (grey.size**2 * products - 2 * upper.size * total(grey) ** 2) / (2 * upper.size * grey.size**2)
