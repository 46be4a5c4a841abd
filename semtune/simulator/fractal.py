"""Random surfaces without a scale of their own (fractional Brownian motion)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

FloatImage = NDArray[np.float32]
"""Any quantity over the frame, shape (height, width)."""


def fractal_surface(shape: tuple[int, int], beta: float, rng: np.random.Generator) -> FloatImage:
    """Random surface with power spectrum f^-beta, mean 0 and standard deviation 1; periodic.

    Args:
        shape: Height and width in pixels.
        beta: 0 is white; the larger, the smoother.
        rng: Source of the randomness.

    References:
        Voss (1985), "Random fractal forgeries", in: Fundamental Algorithms for Computer Graphics.
    """
    amplitude = _amplitude(shape, beta)
    draws = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    surface: FloatImage = fft.irfft2(draws * amplitude, s=shape, workers=1)
    surface /= surface.std(dtype=np.float64)
    return surface


@lru_cache(maxsize=8)
def _amplitude(shape: tuple[int, int], beta: float) -> FloatImage:
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    frequency[0, 0] = np.inf  # no constant term: the mean is 0
    amplitude: FloatImage = (frequency ** (-beta / 2)).astype(np.float32)
    return amplitude
