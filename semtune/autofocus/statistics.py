"""Focus values from the distribution of grey levels, wherever the pixels lie."""

from __future__ import annotations

import cv2
import numpy as np

from semtune.autofocus.sums import BYTES, GreyFrame, checked, is_exact, row_blocks, square_total, total

HISTOGRAM_PIXELS = 2**24
"""OpenCV counts in float32, which is exact up to here."""


def absolute_variance(frame: GreyFrame) -> float:
    """Mean absolute deviation from the mean grey level (absolute central moment, ACM).

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width).

    Returns:
        Focus value in grey levels, 0 for a constant frame, at most 127.5 for uint8; sharper is higher.

    Raises:
        ValueError: If the frame is empty, not two-dimensional, of another dtype or not finite.

    References:
        Shirvaikar (2004), "An optimal measure for camera focus and exposure", SSST 36.
    """
    grey = checked(frame)
    if not is_exact(grey):
        return float(np.mean(np.abs(grey - np.mean(grey))))
    # Deviations above and below the mean cancel: twice the part above is all.
    level_sum = total(grey)
    pixels = grey.size
    bright = cv2.threshold(grey, level_sum // pixels, 0, cv2.THRESH_TOZERO)[1]
    # Read as signed, 8 bits are counted by OpenCV's own loop, which is faster than the one of Intel's IPP.
    count = cv2.countNonZero(bright.view(np.int8) if bright.dtype == BYTES else bright)
    return 2 * (pixels * total(bright) - count * level_sum) / pixels**2


def squared_variance(frame: GreyFrame) -> float:
    """Mean squared deviation from the mean grey level.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width).

    Returns:
        Focus value in squared grey levels, 0 for a constant frame, at most 16256.25 for uint8;
        sharper is higher.

    Raises:
        ValueError: If the frame is empty, not two-dimensional, of another dtype or not finite.

    References:
        Groen, Young and Ligthart (1985), "A comparison of different focus functions for use in
        autofocus algorithms", Cytometry 6, 81-91.
    """
    grey = checked(frame)
    if not is_exact(grey):
        return float(np.var(grey))
    return _exact_variance(grey, total(grey))


def normalised_variance(frame: GreyFrame) -> float:
    """Variance over the mean grey level, which discounts the brightness.

    Args:
        frame: Grey levels >= 0, uint8, uint16 or float, shape (height, width).

    Returns:
        Focus value in grey levels, 0 for a constant or black frame; sharper is higher.

    Raises:
        ValueError: If the frame is empty, not two-dimensional, of another dtype or not finite.

    References:
        Groen, Young and Ligthart (1985), Cytometry 6, 81-91.
    """
    grey = checked(frame)
    if not is_exact(grey):
        mean = float(np.mean(grey))
        return float(np.var(grey)) / mean if mean else 0.0
    level_sum = total(grey)
    return _exact_variance(grey, level_sum) / (level_sum / grey.size) if level_sum else 0.0


def entropy(frame: GreyFrame) -> float:
    """Shannon entropy of the grey-level histogram.

    A level is an integer: levels of a float frame are rounded, so that a frame scaled to 0..1 must be
    brought back to the grey levels of its detector first.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width).

    Returns:
        Focus value in bits, 0 for a constant frame, at most 8 for uint8 and 16 for uint16;
        sharper is held to be higher.

    Raises:
        ValueError: If the frame is empty, not two-dimensional, of another dtype or not finite, or if
            its levels span more than 65536 integers.

    References:
        Firestone et al. (1991), "Comparison of autofocus methods for automated microscopy",
        Cytometry 12, 195-206.
    """
    grey = _levels(checked(frame))
    bins = 256 if grey.dtype == BYTES else 65536
    counts = np.zeros(bins)
    for block in row_blocks(grey, 0, HISTOGRAM_PIXELS):
        counts += cv2.calcHist([block], [0], None, [bins], [0, bins]).ravel()
    shares = counts[counts > 0] / grey.size
    # Subtracted from zero, because a constant frame has 0 bits, not -0.
    return 0.0 - float(np.dot(shares, np.log2(shares)))


def _exact_variance(grey: GreyFrame, level_sum: int) -> float:
    return (grey.size * square_total(grey) - level_sum**2) / grey.size**2


def _levels(grey: GreyFrame) -> GreyFrame:
    if is_exact(grey):
        return grey
    levels = np.rint(grey)
    levels -= levels.min()
    if levels.max() > 65535:
        span = f"{levels.max() + 1:.0f}"
        raise ValueError(f"grey levels must span at most 65536 integers, but span {span}; rescale the frame")
    return levels.astype(np.uint16)
