"""Focus values from differences of neighbouring pixels.

Differences run along the rows, the fast direction of the scan. A filter of 3 x 3 pixels counts only
where it lies inside the frame: nothing is invented beyond the border.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from semtune.autofocus.sums import BYTES, GreyFrame, absolute_distance, checked, row_blocks, squared_distance

FILTERED_PIXELS = 2**19
"""Pixels filtered at once, so that responses to a big frame take some megabytes, not more."""
BELL = np.array([1, 4, 1], np.float64)


def absolute_gradient(frame: GreyFrame) -> float:
    """Mean absolute difference of horizontal neighbours, over height x (width - 1) pairs.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), width >= 2.

    Returns:
        Focus value in grey levels, 0 for a constant frame, at most 255 for uint8; sharper is higher.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Jarvis (1976), "Focus optimization criteria for computer image processing",
        Microscope 24, 163-180.
    """
    grey = checked(frame, width=2)
    return absolute_distance(grey[:, 1:], grey[:, :-1]) / (grey.size - len(grey))


def squared_gradient(frame: GreyFrame) -> float:
    """Mean squared difference of horizontal neighbours, over height x (width - 1) pairs.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), width >= 2.

    Returns:
        Focus value in squared grey levels, 0 for a constant frame, at most 65025 for uint8; sharper is
        higher. White noise of variance s adds 2 s.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Groen, Young and Ligthart (1985), Cytometry 6, 81-91.
    """
    grey = checked(frame, width=2)
    return squared_distance(grey[:, 1:], grey[:, :-1]) / (grey.size - len(grey))


def brenner(frame: GreyFrame) -> float:
    """Mean squared difference of pixels two columns apart, over height x (width - 2) pairs.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), width >= 3.

    Returns:
        Focus value in squared grey levels, 0 for a constant frame, at most 65025 for uint8; sharper is
        higher.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Brenner et al. (1976), "An automated microscope for cytologic research",
        J. Histochem. Cytochem. 24(1), 100-111.
    """
    grey = checked(frame, width=3)
    return squared_distance(grey[:, 2:], grey[:, :-2]) / (grey.size - 2 * len(grey))


def tenengrad(frame: GreyFrame) -> float:
    """Mean squared length of the Sobel gradient (1-2-1), over the inner (height - 2) x (width - 2) pixels.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), both >= 3.

    Returns:
        Focus value in squared grey levels, 0 for a constant frame; sharper is higher.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Tenenbaum (1970), "Accommodation in computer vision", Stanford University; the threshold is 0.
    """
    grey = checked(frame, height=3, width=3)
    return _mean_square(grey, _sobel_squares)


def laplacian_energy(frame: GreyFrame) -> float:
    """Mean squared response to [-1 -4 -1; -4 20 -4; -1 -4 -1], over the inner pixels.

    Args:
        frame: Grey levels, uint8, uint16 or float, shape (height, width), both >= 3.

    Returns:
        Focus value in squared grey levels, 0 for a constant frame; sharper is higher, and so is noise.

    Raises:
        ValueError: If the frame is too small, not two-dimensional, of another dtype or not finite.

    References:
        Subbarao, Choi and Nikzad (1993), "Focusing techniques", Opt. Eng. 32(11), 2824-2836.
    """
    return _mean_square(checked(frame, height=3, width=3), _laplacian_squares)


def _mean_square(grey: GreyFrame, squares: Callable[[GreyFrame, int], float]) -> float:
    # Responses to 8-bit levels fit into int16; to all others they are taken in float64.
    depth = cv2.CV_16S if grey.dtype == BYTES else cv2.CV_64F
    blocks = row_blocks(grey, 2, FILTERED_PIXELS)
    return sum(squares(block, depth) for block in blocks) / grey[1:-1, 1:-1].size


def _sobel_squares(block: GreyFrame, depth: int) -> float:
    if depth == cv2.CV_16S:
        along, across = cv2.spatialGradient(block)  # both in one pass, for 8-bit levels only
    else:
        along, across = cv2.Sobel(block, depth, 1, 0), cv2.Sobel(block, depth, 0, 1)
    inner = (along[1:-1, 1:-1], across[1:-1, 1:-1])
    return sum(float(cv2.norm(response, cv2.NORM_L2SQR)) for response in inner)


def _laplacian_squares(block: GreyFrame, depth: int) -> float:
    # The kernel is 36 times the pixel less (1 4 1) x (1 4 1), which is separable and so twice as fast.
    surround = cv2.sepFilter2D(block, depth, BELL, BELL)
    centre = np.multiply(block, 36, dtype=surround.dtype)
    return float(cv2.norm(centre[1:-1, 1:-1], surround[1:-1, 1:-1], cv2.NORM_L2SQR))
