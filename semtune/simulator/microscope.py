"""The simulated microscope: a column, a detector and knobs that take a frame of a chosen field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from semtune.errors import ConfigError
from semtune.simulator.disturbances import NO_DISTURBANCES, Disturbances
from semtune.simulator.fractal import FloatImage
from semtune.simulator.noise import electrons_per_pixel, noisy, signal_to_noise
from semtune.simulator.optics import (
    HALF_ANGLE_RAD,
    Spot,
    blurred,
    probe_diameter_nm,
    probe_sigma_px,
    spectrum,
)
from semtune.simulator.other_specimens import ALL_SPECIMENS
from semtune.simulator.specimen import FRAME_SHAPE, SPECIMENS
from semtune.simulator.variation import FieldVariation, Recording, Variation

MAGNIFICATIONS = (500, 1000, 2000, 5000, 10000)
VOLTAGES_KV = (5.0, 10.0, 15.0, 20.0, 30.0)
STANDARD_DWELL_US = 0.4

_GREY_PER_SIGNAL = 420.0
_MIDDLE_SIGNAL = 0.16
_FIELDS_IN_A_ROW = 2
_CONDITIONS, _PLACE, _EXPOSURE, _SETTING, _VARIATION, _RECORDING = range(6)

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
    dwell: float = STANDARD_DWELL_US
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
    varied: FieldVariation = field(default_factory=FieldVariation)
    """What a varied simulation draws beside; the standard microscope by default."""


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
        variation: Ranges from which fields and frames draw what is fixed without it, the disturbances of each
            frame among them.
    """

    def __init__(
        self,
        field_index: int,
        seed: int,
        disturbances: Disturbances | None = None,
        variation: Variation | None = None,
    ) -> None:
        self.field_index = field_index
        self.seed = seed
        self.variation = variation
        self.conditions = field_conditions(field_index, seed, variation)
        self._disturbances = disturbances or NO_DISTURBANCES
        self._spectra: dict[int, NDArray[np.complex64]] = {}

    def take_frame(self, knobs: Knobs, exposure: int = 0) -> Exposure:
        """Expose one frame.

        Args:
            knobs: The operator's settings. Another magnification shows another place of the specimen.
            exposure: Number of the exposure: another one has other noise.
        """
        rng = _generator(self.seed, self.field_index, _EXPOSURE, exposure)
        recording = self._recording(exposure)
        smoothing = recording.smoothing_px
        spot = self.spot(knobs)
        spot = replace(spot, sigma_px=math.hypot(spot.sigma_px, smoothing)) if smoothing else spot
        signal = recording.disturbances.applied(blurred(self._spectrum(knobs.magnification), spot), rng)
        electrons = electrons_per_pixel(knobs.dwell, self.conditions.varied.current_pa)
        frame = self._detected(noisy(signal, electrons, smoothing, rng), knobs)
        return Exposure(
            frame=_compressed(frame, recording.jpeg_quality) if recording.jpeg_quality else frame,
            noise_free=self._detected(signal, knobs),
            spot=spot,
            signal_to_noise=signal_to_noise(signal, electrons, smoothing),
        )

    def spot(self, knobs: Knobs) -> Spot:
        """What the column makes of a point of the specimen at these settings."""
        pixels_per_um = HALF_ANGLE_RAD / pixel_um(knobs.magnification)
        stigmators = (knobs.stigmator_x, knobs.stigmator_y)
        x, y = (
            pixels_per_um * (a - s) for a, s in zip(self.conditions.astigmatism_um, stigmators, strict=True)
        )
        return Spot(
            probe_sigma_px(self._probe_nm, pixel_um(knobs.magnification)),
            pixels_per_um * (knobs.focus - self.conditions.best_focus_um),
            (x, y),
        )

    def depth_of_field_um(self, magnification: int) -> float:
        """Range of focus in which defocus stays below the larger of a pixel and the probe, micrometres.

        References:
            Reimer (1998), Scanning Electron Microscopy, section 2.4 (depth of focus).
        """
        return max(pixel_um(magnification), 1e-3 * self._probe_nm) / HALF_ANGLE_RAD

    @property
    def _probe_nm(self) -> float:
        """Diameter of the focused probe."""
        varied = self.conditions.varied
        return varied.probe * probe_diameter_nm(self.conditions.voltage_kv, varied.current_pa)

    def _recording(self, exposure: int) -> Recording:
        if self.variation is None:
            return Recording(disturbances=self._disturbances)
        rng = _generator(self.seed, self.field_index, _RECORDING, exposure)
        return self.variation.draw_recording(self.conditions.varied.fault_share, rng)

    def _spectrum(self, magnification: int) -> NDArray[np.complex64]:
        if magnification not in self._spectra:
            rng = _generator(self.seed, self.field_index, _PLACE, magnification)
            signal = ALL_SPECIMENS[self.conditions.specimen].signal(pixel_um(magnification), rng)
            rendering = self.conditions.varied.rendering
            self._spectra[magnification] = spectrum(rendering.applied(signal, rng) if rendering else signal)
        return self._spectra[magnification]

    def _detected(self, signal: FloatImage, knobs: Knobs) -> GreyFrame:
        slope = _GREY_PER_SIGNAL * self.conditions.gain * 2 ** ((knobs.contrast - 50) / 15)
        offset = 128 + 3 * (knobs.brightness - 50) + self.conditions.brightness_offset
        grey = signal * np.float32(slope)
        grey += np.float32(offset - slope * _MIDDLE_SIGNAL)
        return np.clip(np.rint(grey, out=grey), 0, 255, out=grey).astype(np.uint8)


def field_conditions(field_index: int, seed: int, variation: Variation | None = None) -> FieldConditions:
    """Draw the conditions of a field.

    Two fields in a row share a specimen, and the eight specimens take turns: with an even number of fields,
    or more than 16, no field is alone in its specimen. Voltage and magnification are drawn evenly. In units
    of the defocus that gives a disc 8 pixels wide, the focus reading is N(0, 1) and the astigmatism
    0.15 |N(0, 1)| in a direction of its own. The detector is set up for the kind of specimen, but for
    N(0, 12) grey levels of offset and a factor of 2^N(0, 0.25) of gain. A variation adds specimens and draws
    more, in place of these or on top of them.
    """
    rng = _generator(seed, field_index, _CONDITIONS, 0)
    varied = FieldVariation()
    if variation is not None:
        varied = variation.draw_field(_generator(seed, field_index, _VARIATION, 0))
    specimens = ALL_SPECIMENS if variation else SPECIMENS
    magnification = varied.magnification or int(rng.choice(MAGNIFICATIONS))
    unit = defocus_unit_um(magnification)
    voltage_kv = float(rng.choice(VOLTAGES_KV))
    best_focus_um = unit * rng.standard_normal()
    astigmatism, direction = 0.15 * unit * abs(rng.standard_normal()), rng.uniform(0, 2 * np.pi)
    name = specimens.names[field_index // _FIELDS_IN_A_ROW % len(specimens)]
    # A rendering brings the signal to the middle of the detector's range by itself.
    gain, offset = (
        (1.0, 0.0) if varied.rendering else (SPECIMENS[name].usual_gain, SPECIMENS[name].usual_offset)
    )
    astigmatism *= varied.astigmatism
    return FieldConditions(
        specimen=name,
        magnification=magnification,
        voltage_kv=voltage_kv,
        best_focus_um=best_focus_um,
        astigmatism_um=(float(astigmatism * np.cos(direction)), float(astigmatism * np.sin(direction))),
        brightness_offset=offset + rng.normal(0, 12),
        gain=gain * varied.gain * 2 ** rng.normal(0, 0.25),
        varied=varied,
    )


def draw_knobs(microscope: VirtualMicroscope, setting: int) -> Knobs:
    """Draw one of the settings at which an operator of mixed skill leaves a field.

    Brightness and contrast are Laplace(10) and Laplace(13) about 50, to 0.1; the defocus is Laplace(1.6) in
    units of the defocus that gives a disc 8 pixels wide, cut at 12 of them, focus to 0.01 um. A variation
    spreads brightness and contrast otherwise, and draws the dwell too.
    """
    conditions, variation = microscope.conditions, microscope.variation
    rng = _generator(microscope.seed, microscope.field_index, _SETTING, setting)
    spread = conditions.varied.knob_spread
    brightness, contrast = np.clip(rng.laplace(50, (10 * spread, 13 * spread)), 0, 100)
    # Beyond 12 units, with some astigmatism, the disc would reach over the margin that is rendered.
    defocus_um = np.clip(rng.laplace(0, 1.6), -12, 12) * defocus_unit_um(conditions.magnification)
    return Knobs(
        brightness=round(float(brightness), 1),
        contrast=round(float(contrast), 1),
        focus=round(float(conditions.best_focus_um + defocus_um), 2),
        magnification=conditions.magnification,
        dwell=variation.draw_dwell(rng) if variation else STANDARD_DWELL_US,
    )


def pixel_um(magnification: float) -> float:
    """Size of a pixel on the specimen, micrometres: the frame is 127 mm / magnification wide."""
    return 127e3 / magnification / FRAME_SHAPE[1]


def defocus_unit_um(magnification: float) -> float:
    """Defocus that blurs a point to a disc 8 pixels wide, micrometres."""
    return 4 * pixel_um(magnification) / HALF_ANGLE_RAD


def _compressed(frame: GreyFrame, jpeg_quality: int) -> GreyFrame:
    """The frame after a JPEG file of that quality, 1..100."""
    coded = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, jpeg_quality))[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _generator(seed: int, field_index: int, stream: int, number: int) -> np.random.Generator:
    key = (field_index, stream, number)
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))
