"""Noise of counted electrons: drawn, smoothed and compared with the signal."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import constants

from semtune.simulator.fractal import FloatImage

_QUANTUM_EFFICIENCY = 0.35
_READ_VARIANCE = 0.05  # of the electrons of a pixel of signal 1


def electrons_per_pixel(dwell: float, current_pa: float) -> float:
    """Electrons detected in a pixel of signal 1; 87 at 0.4 us, 100 pA and 35 % quantum efficiency."""
    return float(current_pa * 1e-12 * dwell * 1e-6 * _QUANTUM_EFFICIENCY / constants.e)


def noisy(signal: FloatImage, electrons: float, smoothing_px: float, rng: np.random.Generator) -> FloatImage:
    """Signal with counting and reading noise.

    One normal deviate a pixel, bent such that mean, variance and skewness are those of Poisson(N0 S) / N0
    plus N(0, variance 0.05 / N0), by the expansion of Cornish and Fisher (1937). The reading noise of
    2 electrons hides the steps of the count. It takes a fifth of the time of drawing Poisson numbers.

    Args:
        signal: In units of which 1 gives `electrons`; smoothed already.
        electrons: N0.
        smoothing_px: Standard deviation of a smoothing of the noise; 0 leaves it white.
        rng: Source of the randomness.
    """
    deviate = rng.standard_normal(signal.shape, dtype=np.float32)
    total = signal + np.float32(_READ_VARIANCE)
    bend = signal / total
    bend *= np.float32(1 / (6 * electrons))
    bend *= deviate * deviate - 1
    np.sqrt(total, out=total)
    total *= np.float32(electrons**-0.5)
    total *= deviate
    frame: FloatImage = signal + total + bend
    if smoothing_px:
        frame = signal + cv2.GaussianBlur(frame - signal, None, smoothing_px, borderType=cv2.BORDER_REFLECT)
    return frame


def signal_to_noise(signal: FloatImage, electrons: float, smoothing_px: float) -> float:
    """Standard deviation of a signal over that of its noise; smoothed noise has less of it."""
    variance = (signal.mean(dtype=np.float64) + _READ_VARIANCE) / electrons
    return float(signal.std(dtype=np.float64) / (np.sqrt(variance) * _left_of_noise(smoothing_px)))


def _left_of_noise(smoothing_px: float) -> float:
    """Share of the standard deviation of white noise that a smoothing leaves: the kernel's norm."""
    if not smoothing_px:
        return 1.0
    distance = np.arange(-int(6 * smoothing_px) - 1, int(6 * smoothing_px) + 2)
    kernel = np.exp(-((distance / smoothing_px) ** 2) / 2)
    return float((kernel**2).sum() / kernel.sum() ** 2)
