"""Domain randomisation: microscopes, specimens and recordings as unlike each other as real ones are.

The plain simulation is one microscope with two kinds of specimen; a network that saw nothing else takes its
habits for laws. Here what is fixed there is drawn anew for every field or frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semtune.simulator.disturbances import NO_DISTURBANCES, Disturbances
from semtune.simulator.fractal import FloatImage, fractal_surface
from semtune.simulator.specimen import RENDERED_SHAPE

Range = tuple[float, float]
"""Lowest and highest value; drawn evenly over the logarithm, or evenly if the lowest is 0."""

_MEAN_SIGNAL = 0.17
_LEAST_SIGNAL = 0.01
_LEAST_GREY = 1e-3  # before a power below 1


@dataclass(frozen=True)
class Variation:
    """Ranges of all that varies; a range (x, x) holds a quantity at x."""

    magnification: Range = (300.0, 50000.0)
    """A field's."""
    current_pa: Range = (20.0, 800.0)
    """Of the beam; a field's. More current, less noise and a wider probe."""
    probe: Range = (0.03, 2.0)
    """Factor on the probe's diameter, from field emission to a worn filament; a field's."""
    astigmatism: Range = (0.2, 4.0)
    """Factor on the column's astigmatism; a field's."""
    gain: Range = (0.6, 1.7)
    """Factor on the detector's gain; a field's."""
    knob_spread: Range = (0.7, 2.0)
    """Factor on how far brightness and contrast are left from 50; a field's."""
    contrast: Range = (0.035, 0.14)
    """Standard deviation of the specimen's signal, whose mean is 0.17; a field's."""
    gamma: Range = (0.4, 2.5)
    """Power to which the specimen's yield is raised; a field's. In half of the fields bright and dark change
    places, as with another detector."""
    texture: Range = (0.003, 0.15)
    """Standard deviation of a texture over all, as a share of the signal; a field's."""
    texture_beta: Range = (0.5, 2.5)
    """Exponent of its power spectrum: 0.5 is sandy, 2.5 cloudy."""
    dwell: Range = (0.1, 6.0)
    """Microseconds a pixel; a frame's."""
    fault_share: Range = (0.0, 0.6)
    """Probability of each of the faults below in a field's frames."""
    smoothing_px: Range = (0.3, 6.0)
    """Standard deviation of a smoothing of signal and noise alike: a slow detector, a filter, enlargement."""
    jpeg_quality: Range = (30.0, 95.0)
    line_noise: Range = (0.002, 0.02)
    drift_px: Range = (0.1, 1.0)
    charging: Range = (0.03, 0.3)
    shading: Range = (0.03, 0.4)

    def draw_field(self, rng: np.random.Generator) -> FieldVariation:
        """Draw what holds for all frames of a field."""
        return FieldVariation(
            magnification=round(_drawn(self.magnification, rng)),
            current_pa=_drawn(self.current_pa, rng),
            probe=_drawn(self.probe, rng),
            astigmatism=_drawn(self.astigmatism, rng),
            gain=_drawn(self.gain, rng),
            knob_spread=_drawn(self.knob_spread, rng),
            fault_share=_drawn(self.fault_share, rng),
            rendering=Rendering(
                contrast=_drawn(self.contrast, rng) * float(rng.choice((-1, 1))),
                gamma=_drawn(self.gamma, rng),
                texture=_drawn(self.texture, rng),
                texture_beta=_drawn(self.texture_beta, rng),
            ),
        )

    def draw_dwell(self, rng: np.random.Generator) -> float:
        """Draw the dwell of one frame, microseconds a pixel."""
        return _drawn(self.dwell, rng)

    def draw_recording(self, fault_share: float, rng: np.random.Generator) -> Recording:
        """Draw what happens to one frame on its way from the specimen to the file."""
        ranges = (
            self.smoothing_px, self.jpeg_quality, self.line_noise, self.drift_px, self.charging, self.shading,
        )  # fmt: skip
        values = [_drawn(each, rng) if rng.random() < fault_share else 0.0 for each in ranges]
        smoothing, quality, line_noise, drift, charging, shading = values
        return Recording(
            smoothing_px=smoothing,
            jpeg_quality=round(quality),
            disturbances=Disturbances(line_noise, drift, charging, shading),
        )


@dataclass(frozen=True)
class Rendering:
    """How a specimen looks beside how it is rendered by default."""

    contrast: float
    """Standard deviation of the signal; bright and dark change places if negative."""
    gamma: float
    texture: float
    texture_beta: float

    def applied(self, signal: FloatImage, rng: np.random.Generator) -> FloatImage:
        """The signal of a specimen as this rendering shows it, with mean 0.17; never negative."""
        bent = np.maximum(signal, np.float32(_LEAST_GREY)) ** np.float32(self.gamma)
        bent -= bent.mean(dtype=np.float64)
        bent *= np.float32(self.contrast / bent.std(dtype=np.float64))
        bent += np.float32(_MEAN_SIGNAL)
        texture = fractal_surface(RENDERED_SHAPE, self.texture_beta, rng)
        bent *= 1 + np.float32(self.texture) * texture
        return np.maximum(bent, np.float32(_LEAST_SIGNAL))


@dataclass(frozen=True)
class FieldVariation:
    """What varies from field to field, as in `Variation`; by default the standard microscope."""

    magnification: int = 0
    """0 leaves the standard draw."""
    current_pa: float = 100.0
    probe: float = 1.0
    astigmatism: float = 1.0
    gain: float = 1.0
    knob_spread: float = 1.0
    fault_share: float = 0.0
    rendering: Rendering | None = None


@dataclass(frozen=True)
class Recording:
    """What happens to a frame on its way to the file; nothing by default."""

    smoothing_px: float = 0.0
    jpeg_quality: int = 0
    """0 keeps the frame as it is."""
    disturbances: Disturbances = NO_DISTURBANCES


def _drawn(limits: Range, rng: np.random.Generator) -> float:
    low, high = limits
    return float(np.exp(rng.uniform(np.log(low), np.log(high))) if low > 0 else rng.uniform(low, high))
