"""The simulated microscope: a column, a detector and knobs that take a frame of a chosen field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import constants

from semtune.errors import ConfigError
from semtune.simulator.disturbances import Disturbances
from semtune.simulator.fractal import FloatImage
from semtune.simulator.optics import (
    HALF_ANGLE_RAD,
    Spot,
    blurred,
    probe_diameter_nm,
    probe_sigma_px,
    spectrum,
)
from semtune.simulator.specimen import FRAME_SHAPE, SPECIMENS

MAGNIFICATIONS = (500, 1000, 2000, 5000, 10000)
VOLTAGES_KV = (5.0, 10.0, 15.0, 20.0, 30.0)
CURRENT_PA = 100.0

_QUANTUM_EFFICIENCY = 0.35
_READ_VARIANCE = 0.05  # of the electrons of a pixel of signal 1
_GREY_PER_SIGNAL = 420.0
_MIDDLE_SIGNAL = 0.16
_FIELDS_IN_A_ROW = 2
_CONDITIONS, _PLACE, _EXPOSURE, _SETTING = range(4)

GreyFrame = NDArray[np.uint8]
"""A frame, shape (480, 640)."""


@dataclass(frozen=True)
class Knobs:
    """What the operator sets for one frame.

    Raises:
        ConfigError: If brightness or contrast leaves 0..100, or magnification or dwell is not positive.
    """

    brightness: float = 50.0
    """Per cent; one raises every grey level by 3."""
    contrast: float = 50.0
    """Per cent; 15 double the gain."""
    focus: float = 0.0
    """Micrometres; the reading at best focus differs from field to field."""
    stigmator_x: float = 0.0
    """Micrometres of astigmatism along x that are cancelled."""
    stigmator_y: float = 0.0
    """Micrometres of astigmatism along the diagonal that are cancelled."""
    magnification: int = 1000
    """Of a display 127 mm wide."""
    dwell: float = 0.4
    """Microseconds a pixel; the noise falls with its square root."""

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast"):
            if not 0 <= getattr(self, name) <= 100:
                raise ConfigError(f"`0 <= {name} <= 100` must hold, but got {name}={getattr(self, name)}")
        for name in ("magnification", "dwell"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"`{name} > 0` must hold, but got {name}={getattr(self, name)}")


@dataclass(frozen=True)
class FieldConditions:
    """What holds for all frames of one field."""

    specimen: str
    magnification: int
    voltage_kv: float
    best_focus_um: float
    """Reading of the focus knob in focus."""
    astigmatism_um: tuple[float, float]
    """Of the column, along (x, diagonal); the stigmator readings that cancel it."""
    brightness_offset: float
    """Grey levels that the detector adds: the best brightness is not 50 for every field."""
    gain: float
    """Of the detector, beside the contrast knob: the best contrast is not 50 for every field."""


@dataclass(frozen=True, eq=False)
class Exposure:
    """One frame, and what a specialist sees in it but a camera does not tell."""

    frame: GreyFrame
    noise_free: GreyFrame
    spot: Spot
    signal_to_noise: float
    """Standard deviation of the blurred signal over that of the noise."""


class VirtualMicroscope:
    """A microscope with a specimen in it, looking at one field.

    The same seed, field, knobs and exposure number give the same frame.

    Args:
        field_index: Which field; names its specimen and its conditions.
        seed: Of the whole session.
        disturbances: Faults that are on; none by default.
    """

    def __init__(self, field_index: int, seed: int, disturbances: Disturbances | None = None) -> None:
        self.field_index = field_index
        self.seed = seed
        self.conditions = field_conditions(field_index, seed)
        self._disturbances = disturbances or Disturbances()
        self._spectra: dict[int, NDArray[np.complex64]] = {}

    def take_frame(self, knobs: Knobs, exposure: int = 0) -> Exposure:
        """Expose one frame.

        Args:
            knobs: The operator's settings. Another magnification shows another place of the specimen.
            exposure: Number of the exposure: another one has other noise.
        """
        rng = _generator(self.seed, self.field_index, _EXPOSURE, exposure)
        spot = self.spot(knobs)
        signal = self._disturbances.applied(blurred(self._spectrum(knobs.magnification), spot), rng)
        electrons = electrons_per_pixel(knobs.dwell)
        return Exposure(
            frame=self._detected(_noisy(signal, electrons, rng), knobs),
            noise_free=self._detected(signal, knobs),
            spot=spot,
            signal_to_noise=_signal_to_noise(signal, electrons),
        )

    def spot(self, knobs: Knobs) -> Spot:
        """What a point of the specimen becomes at these settings."""
        pixels_per_um = HALF_ANGLE_RAD / pixel_um(knobs.magnification)
        stigmators = (knobs.stigmator_x, knobs.stigmator_y)
        x, y = (
            pixels_per_um * (a - s) for a, s in zip(self.conditions.astigmatism_um, stigmators, strict=True)
        )
        return Spot(
            probe_sigma_px(self.conditions.voltage_kv, CURRENT_PA, pixel_um(knobs.magnification)),
            pixels_per_um * (knobs.focus - self.conditions.best_focus_um),
            (x, y),
        )

    def depth_of_field_um(self, magnification: int) -> float:
        """Range of focus in which defocus stays below the larger of a pixel and the probe, micrometres.

        References:
            Reimer (1998), Scanning Electron Microscopy, section 2.4 (depth of focus).
        """
        probe_um = probe_diameter_nm(self.conditions.voltage_kv, CURRENT_PA) * 1e-3
        return max(pixel_um(magnification), probe_um) / HALF_ANGLE_RAD

    def _spectrum(self, magnification: int) -> NDArray[np.complex64]:
        if magnification not in self._spectra:
            rng = _generator(self.seed, self.field_index, _PLACE, magnification)
            specimen = SPECIMENS[self.conditions.specimen]
            self._spectra[magnification] = spectrum(specimen.signal(pixel_um(magnification), rng))
        return self._spectra[magnification]

    def _detected(self, signal: FloatImage, knobs: Knobs) -> GreyFrame:
        slope = _GREY_PER_SIGNAL * self.conditions.gain * 2 ** ((knobs.contrast - 50) / 15)
        offset = 128 + 3 * (knobs.brightness - 50) + self.conditions.brightness_offset
        grey = signal * np.float32(slope)
        grey += np.float32(offset - slope * _MIDDLE_SIGNAL)
        return np.clip(np.rint(grey, out=grey), 0, 255, out=grey).astype(np.uint8)


def field_conditions(field_index: int, seed: int) -> FieldConditions:
    """Draw the conditions of a field.

    Two fields in a row share a specimen, and the eight specimens take turns: with an even number of fields,
    or more than 16, no field is alone in its specimen. Voltage and magnification are drawn evenly. In units
    of the defocus that gives a disc 8 pixels wide, the focus reading is N(0, 1) and the astigmatism
    0.15 |N(0, 1)| in a direction of its own. The detector is set up for the kind of specimen, but for
    N(0, 12) grey levels of offset and a factor of 2^N(0, 0.25) of gain.
    """
    rng = _generator(seed, field_index, _CONDITIONS, 0)
    magnification = int(rng.choice(MAGNIFICATIONS))
    unit = defocus_unit_um(magnification)
    voltage_kv = float(rng.choice(VOLTAGES_KV))
    best_focus_um = unit * rng.standard_normal()
    astigmatism, direction = 0.15 * unit * abs(rng.standard_normal()), rng.uniform(0, 2 * np.pi)
    specimen = list(SPECIMENS)[field_index // _FIELDS_IN_A_ROW % len(SPECIMENS)]
    return FieldConditions(
        specimen=specimen.name,
        magnification=magnification,
        voltage_kv=voltage_kv,
        best_focus_um=best_focus_um,
        astigmatism_um=(float(astigmatism * np.cos(direction)), float(astigmatism * np.sin(direction))),
        brightness_offset=specimen.usual_offset + rng.normal(0, 12),
        gain=specimen.usual_gain * 2 ** rng.normal(0, 0.25),
    )


def draw_knobs(microscope: VirtualMicroscope, setting: int) -> Knobs:
    """Draw one of the settings at which an operator of mixed skill leaves a field.

    Brightness and contrast are Laplace(10) and Laplace(13) about 50, to 0.1; the defocus is Laplace(1.6) in
    units of the defocus that gives a disc 8 pixels wide, cut at 12 of them, focus to 0.01 um.
    """
    conditions = microscope.conditions
    rng = _generator(microscope.seed, microscope.field_index, _SETTING, setting)
    brightness, contrast = np.clip(rng.laplace(50, (10, 13)), 0, 100)
    # Beyond 12 units, with some astigmatism, the disc would reach over the margin that is rendered.
    defocus_um = np.clip(rng.laplace(0, 1.6), -12, 12) * defocus_unit_um(conditions.magnification)
    return Knobs(
        brightness=round(float(brightness), 1),
        contrast=round(float(contrast), 1),
        focus=round(float(conditions.best_focus_um + defocus_um), 2),
        magnification=conditions.magnification,
    )


def pixel_um(magnification: float) -> float:
    """Size of a pixel on the specimen, micrometres: the frame is 127 mm / magnification wide."""
    return 127e3 / magnification / FRAME_SHAPE[1]


def defocus_unit_um(magnification: float) -> float:
    """Defocus that blurs a point to a disc 8 pixels wide, micrometres."""
    return 4 * pixel_um(magnification) / HALF_ANGLE_RAD


def electrons_per_pixel(dwell: float) -> float:
    """Electrons detected in a pixel of signal 1; 87 at 0.4 us, 100 pA and 35 % quantum efficiency."""
    return float(CURRENT_PA * 1e-12 * dwell * 1e-6 * _QUANTUM_EFFICIENCY / constants.e)


def _noisy(signal: FloatImage, electrons: float, rng: np.random.Generator) -> FloatImage:
    """Signal with counting and reading noise.

    One normal deviate a pixel, bent such that mean, variance and skewness are those of Poisson(N0 S) / N0
    plus N(0, variance 0.05 / N0), by the expansion of Cornish and Fisher (1937). The reading noise of
    2 electrons hides the steps of the count. It takes a fifth of the time of drawing Poisson numbers.
    """
    deviate = rng.standard_normal(signal.shape, dtype=np.float32)
    total = signal + np.float32(_READ_VARIANCE)
    bend = signal / total
    bend *= np.float32(1 / (6 * electrons))
    bend *= deviate * deviate - 1
    np.sqrt(total, out=total)
    total *= np.float32(electrons**-0.5)
    total *= deviate
    return signal + total + bend


def _signal_to_noise(signal: FloatImage, electrons: float) -> float:
    variance = (signal.mean(dtype=np.float64) + _READ_VARIANCE) / electrons
    return float(signal.std(dtype=np.float64) / np.sqrt(variance))


def _generator(seed: int, field_index: int, stream: int, number: int) -> np.random.Generator:
    key = (field_index, stream, number)
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))
