"""What a bad day adds to a frame: line noise, drift, charging and shading; all off by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf

import cv2
import numpy as np
from scipy import signal as filters

from semtune.errors import ConfigError
from semtune.registry import nearest_name
from semtune.simulator.fractal import FloatImage

_TAIL_PIXELS = 40.0


@dataclass(frozen=True)
class Disturbances:
    """Faults of a microscope and its room; 0 turns one off."""

    line_noise: float = 0.0
    """Standard deviation of an offset common to all pixels of a line, in units of the signal."""
    drift_px: float = 0.0
    """Standard deviation, at the end of the frame, of the random walk of the lines along x and y."""
    charging: float = 0.0
    """Depth of the dark tails that bright places draw along the scan lines, as a share of their excess over
    the mean signal."""
    shading: float = 0.0
    """Share of the signal that is lost from the left to the right side of the frame, 0..1."""

    @classmethod
    def from_values(cls, values: Mapping[str, float]) -> Disturbances:
        """Faults by name, the others off.

        Raises:
            ConfigError: If a name is unknown, a value is negative or more than a whole share is lost.
        """
        known = [each.name for each in fields(cls)]
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f"no disturbance named {name!r}; {nearest_name(name, known)}")
            most = 1 if name in ("charging", "shading") else inf
            if not 0 <= value <= most:
                raise ConfigError(f"`0 <= {name} <= {most}` must hold, but got {name}={value:g}")
        return cls(**values)

    def applied(self, signal: FloatImage, rng: np.random.Generator) -> FloatImage:
        """The signal with all faults that are on; the very same array if there are none."""
        if self.drift_px:
            signal = _drifted(signal, self.drift_px, rng)
        if self.charging:
            signal = np.maximum(signal - self.charging * _tails(signal), 0)
        if self.shading:
            signal = signal * np.linspace(1, 1 - self.shading, signal.shape[1], dtype=np.float32)
        if self.line_noise:
            lines = rng.normal(0, self.line_noise, (signal.shape[0], 1)).astype(np.float32)
            signal = np.maximum(signal + lines, 0)
        return signal


NO_DISTURBANCES = Disturbances()


def _tails(signal: FloatImage) -> FloatImage:
    """What is left at each pixel of the excess of the bright places before it, fading over 40 pixels."""
    excess = np.maximum(signal - signal.mean(dtype=np.float64), 0).astype(np.float32)
    kept = np.float32(np.exp(-1 / _TAIL_PIXELS))
    feed, recursion = np.array([0, 1 - kept], np.float32), np.array([1, -kept], np.float32)
    return np.asarray(filters.lfilter(feed, recursion, excess, axis=1), np.float32)


def _drifted(signal: FloatImage, drift_px: float, rng: np.random.Generator) -> FloatImage:
    height, width = signal.shape
    walk = rng.normal(0, drift_px / np.sqrt(height), (2, height)).cumsum(axis=1).astype(np.float32)
    columns = np.arange(width, dtype=np.float32) + walk[0][:, None]
    rows = np.broadcast_to((np.arange(height, dtype=np.float32) + walk[1])[:, None], signal.shape)
    drifted = cv2.remap(
        signal, columns, np.ascontiguousarray(rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(drifted, np.float32)
