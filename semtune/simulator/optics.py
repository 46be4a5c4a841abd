"""The electron probe and how it blurs: aberrations, diffraction, defocus and astigmatism."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import constants, fft, special

from semtune.simulator.fractal import FloatImage
from semtune.simulator.specimen import FRAME_SHAPE, MARGINS, RENDERED_SHAPE

HALF_ANGLE_RAD = 5e-3
"""Half angle of the beam's cone at the specimen."""
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))

_BRIGHTNESS_PER_VOLT = 1e9 / 20e3  # A/m2/sr/V of a tungsten gun
_ENERGY_SPREAD_EV = 2.0
_SPHERICAL_ABERRATION_M = 40e-3
_CHROMATIC_ABERRATION_M = 15e-3
_LEAST_SIGMA_PIXELS = 0.3
_TABLE_STEPS = 512  # a unit of rho; the nearest entry is then within 5e-4 of the transfer


@dataclass(frozen=True)
class Spot:
    """What one point of the specimen becomes on the frame: an elliptic disc, softened by the probe."""

    sigma_px: float
    """Standard deviation of the Gaussian probe, at least 0.3."""
    defocus_px: float
    """Radius of the disc from defocus alone; its sign is the side of the focus."""
    astigmatism_px: tuple[float, float]
    """Residual twofold astigmatism along (x, diagonal); the semi-axes are abs(defocus +- its length)."""

    @property
    def semi_axes_px(self) -> tuple[float, float]:
        """Semi-axes of the disc, the longer first."""
        astigmatism = math.hypot(*self.astigmatism_px)
        return abs(self.defocus_px) + astigmatism, abs(abs(self.defocus_px) - astigmatism)

    @property
    def widths_px(self) -> tuple[float, float]:
        """Full width at half maximum of the Gaussian with the same variance, per axis, the longer first."""
        longer, shorter = (FWHM_PER_SIGMA * math.hypot(self.sigma_px, r / 2) for r in self.semi_axes_px)
        return longer, shorter


def probe_diameter_nm(
    voltage_kv: float, current_pa: float = 100, half_angle_rad: float = HALF_ANGLE_RAD
) -> float:
    """Diameter of the focused probe of a tungsten gun, nm: contributions added in the root-power-sum way.

    References:
        Barth and Kruit (1996), "Addition of different contributions to the charged particle probe size",
        Optik 101(3), 101-109.
    """
    volt = voltage_kv * 1e3
    source = 2 / math.pi * math.sqrt(current_pa * 1e-12 / (_BRIGHTNESS_PER_VOLT * volt)) / half_angle_rad
    diffraction = 0.54 * wavelength_m(voltage_kv) / half_angle_rad
    spherical = 0.18 * _SPHERICAL_ABERRATION_M * half_angle_rad**3
    chromatic = 0.34 * _CHROMATIC_ABERRATION_M * half_angle_rad * _ENERGY_SPREAD_EV / volt
    core = source**1.3 + (diffraction**4 + spherical**4) ** (1.3 / 4)
    return 1e9 * math.sqrt(core ** (2 / 1.3) + chromatic**2)


def wavelength_m(voltage_kv: float) -> float:
    """Relativistic de Broglie wavelength of the beam's electrons, m."""
    energy = constants.e * voltage_kv * 1e3
    momentum_squared = 2 * constants.m_e * energy + (energy / constants.c) ** 2
    return float(constants.h / math.sqrt(momentum_squared))


def spectrum(signal: FloatImage) -> NDArray[np.complex64]:
    """Fourier transform of a rendered signal, to be blurred any number of times."""
    transform: NDArray[np.complex64] = fft.rfft2(signal, workers=1)
    return transform


def blurred(signal_spectrum: NDArray[np.complex64], spot: Spot) -> FloatImage:
    """Signal as the spot shows it, cropped to the frame; never negative."""
    top, left = MARGINS
    columns = fft.ifft(signal_spectrum * transfer_function(spot), axis=0, workers=1, overwrite_x=True)
    rows = fft.irfft(columns[top : top + FRAME_SHAPE[0]], RENDERED_SHAPE[1], axis=1, workers=1)
    frame: FloatImage = np.maximum(rows[:, left : left + FRAME_SHAPE[1]], 0)
    return frame


def transfer_function(spot: Spot) -> FloatImage:
    """Transfer of an elliptic disc, 2 J1(rho)/rho, times that of a Gaussian; 1 at frequency zero.

    A ray at the point p of the aperture lands at M p with M = z + ((ax, ay), (ay, -ax)), so that rho is
    2 pi times the length of M f: no axes need be found.

    Returns:
        Shape (height, width // 2 + 1) of the rendered signal, as of a real FFT.

    References:
        Born and Wolf (1999), Principles of Optics, 8.5.2 (the disc).
    """
    fy, fx = _frequencies()
    z, (ax, ay) = spot.defocus_px, spot.astigmatism_px
    along_x = np.float32(z + ax) * fx + np.float32(ay) * fy
    along_y = np.float32(ay) * fx + np.float32(z - ax) * fy
    rho = np.sqrt(along_x**2 + along_y**2)
    rho *= np.float32(2 * np.pi * _TABLE_STEPS)
    disc = _disc_table(int(rho.max()) + 2).take((rho + np.float32(0.5)).astype(np.int32))
    falloff = -2 * (np.pi * spot.sigma_px) ** 2
    transfer: FloatImage = disc * np.exp(np.float32(falloff) * fy**2) * np.exp(np.float32(falloff) * fx**2)
    return transfer


def probe_sigma_px(diameter_nm: float, pixel_um: float) -> float:
    """Standard deviation of the focused probe in pixels; at least 0.3, the pixel's own width."""
    return max(diameter_nm / (1e3 * pixel_um) / FWHM_PER_SIGMA, _LEAST_SIGMA_PIXELS)


@lru_cache(maxsize=1)
def _frequencies() -> tuple[FloatImage, FloatImage]:
    """Vertical and horizontal frequencies in cycles a pixel, shapes (height, 1) and (1, width // 2 + 1)."""
    height, width = RENDERED_SHAPE
    fy, fx = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    return fy[:, None].astype(np.float32), fx[None, :].astype(np.float32)


def _disc_table(entries: int) -> FloatImage:
    size = 1 << max(entries - 1, 1 << 16).bit_length()  # few sizes, so that the cache holds them
    return _disc_table_of(size)


@lru_cache(maxsize=8)
def _disc_table_of(size: int) -> FloatImage:
    rho = np.maximum(np.arange(size) / _TABLE_STEPS, 1e-9)
    table: FloatImage = (2 * special.j1(rho) / rho).astype(np.float32)
    return table
