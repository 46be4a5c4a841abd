"""What a bad day adds to a frame: line noise, drift and shading; all off by default."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from semtune.simulator.fractal import FloatImage


@dataclass(frozen=True)
class Disturbances:
    """Faults of a microscope and its room; 0 turns one off."""

    line_noise: float = 0.0
    """Standard deviation of an offset common to all pixels of a line, in units of the signal."""
    drift_px: float = 0.0
    """Standard deviation, at the end of the frame, of the random walk of the lines along x and y."""
    shading: float = 0.0
    """Share of the signal that is lost from the left to the right side of the frame, 0..1."""

    def applied(self, signal: FloatImage, rng: np.random.Generator) -> FloatImage:
        """The signal with all faults that are on; the very same array if there are none."""
        if self.drift_px:
            signal = _drifted(signal, self.drift_px, rng)
        if self.shading:
            signal = signal * np.linspace(1, 1 - self.shading, signal.shape[1], dtype=np.float32)
        if self.line_noise:
            lines = rng.normal(0, self.line_noise, (signal.shape[0], 1)).astype(np.float32)
            signal = np.maximum(signal + lines, 0)
        return signal


def _drifted(signal: FloatImage, drift_px: float, rng: np.random.Generator) -> FloatImage:
    height, width = signal.shape
    walk = rng.normal(0, drift_px / np.sqrt(height), (2, height)).cumsum(axis=1).astype(np.float32)
    columns = np.arange(width, dtype=np.float32) + walk[0][:, None]
    rows = np.broadcast_to((np.arange(height, dtype=np.float32) + walk[1])[:, None], signal.shape)
    drifted = cv2.remap(
        signal, columns, np.ascontiguousarray(rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(drifted, np.float32)
