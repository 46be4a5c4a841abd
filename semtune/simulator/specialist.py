"""A model of the specialist who scores frames.

It is a formula, not a person: a network trained on simulated frames learns this formula, seen through noise.
Real specialists' scores take its place the moment there are any.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from semtune.errors import ConfigError
from semtune.registry import Registry
from semtune.simulator.microscope import Exposure, GreyFrame
from semtune.simulator.optics import Spot

RATER_NOISE = 0.35
"""Standard deviation of a specialist who scores the same frame again, score points."""


@dataclass(frozen=True)
class Qualities:
    """Four aspects of a frame, each 0..1; higher is better."""

    sharpness: float
    contrast: float
    brightness: float
    noise: float


@dataclass(frozen=True)
class Specialist:
    """A profile: how much each quality counts, and which of them can spoil the frame.

    Raises:
        ConfigError: If a weight is negative, the weights do not sum to 1, or no quality can spoil the frame.
    """

    name: str
    weights: Qualities
    """None below 0; they sum to 1."""
    spoilers: tuple[str, ...]
    """The qualities of which the worst makes half of the score."""

    def __post_init__(self) -> None:
        weights = asdict(self.weights)
        if min(weights.values()) < 0 or abs(sum(weights.values()) - 1) > 1e-6:
            raise ConfigError(f"weights must not be negative and sum to 1, but got {weights}")
        if not self.spoilers or set(self.spoilers) - set(weights):
            raise ConfigError(
                f"spoilers must name at least one of {', '.join(weights)}, but got {self.spoilers}"
            )

    def score(self, exposure: Exposure) -> float:
        """Score of a frame before rater noise, 0..10; higher is better."""
        values, weights = asdict(qualities(exposure)), asdict(self.weights)
        weighted = sum(weights[name] * values[name] for name in values)
        worst = min(values[name] for name in self.spoilers)
        return float(5 * (weighted + worst))


SPECIALISTS = Registry(
    "specialist",
    [
        Specialist(
            "overall",
            Qualities(sharpness=0.50, contrast=0.20, brightness=0.15, noise=0.15),
            spoilers=("sharpness", "contrast", "brightness", "noise"),
        ),
        Specialist(
            "focus",
            Qualities(sharpness=0.85, contrast=0.05, brightness=0.0, noise=0.10),
            spoilers=("sharpness",),
        ),
    ],
)


def rated(score: float, deviate: float) -> float:
    """Score as a specialist writes it down: with rater noise, to 0.1, within 0..10.

    Args:
        score: Before rater noise.
        deviate: A standard normal number.
    """
    return round(min(max(score + RATER_NOISE * deviate, 0.0), 10.0), 1)


def qualities(exposure: Exposure) -> Qualities:
    """The four qualities of an exposure, from its noise-free frame, its spot and its noise."""
    shares = _grey_level_shares(exposure.noise_free)
    snr = exposure.signal_to_noise**1.2
    return Qualities(
        sharpness=_sharpness(exposure.spot),
        contrast=_contrast(shares),
        brightness=float(np.exp(-(((shares @ np.arange(256) - 118) / 75) ** 2))),
        noise=snr / (snr + 0.8**1.2),
    )


def _sharpness(spot: Spot) -> float:
    longer, shorter = spot.widths_px
    excess = max((longer * shorter) ** 0.5 - 1.5, 0) / 6
    return float((shorter / longer) ** 0.35 / (1 + excess**1.3))


def _contrast(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    low, high = np.searchsorted(shares.cumsum(), (0.01, 0.99))
    clipped = max(0, shares[255] - 0.02) / 0.25 + max(0, shares[0] - 0.05) / 0.35
    return float(min(1, (high - low) / 170) ** 0.7 * np.exp(-clipped))


def _grey_level_shares(frame: GreyFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    counts = cv2.calcHist([frame], [0], None, [256], [0, 256])
    return np.asarray(counts, np.float64).ravel() / frame.size
