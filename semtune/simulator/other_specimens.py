"""Specimens for a varied simulation, beside the standard ones: reliefs, phases, spheres and fibres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semtune.registry import Registry
from semtune.simulator.fractal import FloatImage, fractal_surface
from semtune.simulator.specimen import RENDERED_SHAPE, SPECIMENS, Grid, TinBalls

_FLAT = 0.16
_GAP = 0.06


@dataclass(frozen=True)
class Relief:
    """A rough surface such as a fracture or a powder; it looks alike at any magnification."""

    name: str
    beta: tuple[float, float]
    """Exponent of the power spectrum of its heights: the larger, the smoother."""

    def signal(self, pixel_um: float, rng: np.random.Generator) -> FloatImage:
        """Render one place, shape `RENDERED_SHAPE`: yield 0.16 / cos of the slope, which is 1 on average."""
        slope = _slope(fractal_surface(RENDERED_SHAPE, rng.uniform(*self.beta), rng))
        return np.asarray(_FLAT * np.sqrt(1 + (slope / slope.mean()) ** 2), np.float32)


@dataclass(frozen=True)
class Phases:
    """Areas of different yields with seams between them, such as cells in resin or the grains of an alloy."""

    name: str
    areas: tuple[int, int]
    """Least and largest number of levels; the more, the smaller the areas."""

    def signal(self, pixel_um: float, rng: np.random.Generator) -> FloatImage:
        """Render one place, shape `RENDERED_SHAPE`: the level sets of a smooth random surface."""
        surface = fractal_surface(RENDERED_SHAPE, rng.uniform(2.8, 4.0), rng)
        slope = _slope(surface) + np.float32(1e-3)
        signal: FloatImage = np.full(RENDERED_SHAPE, rng.uniform(0.08, 0.24), np.float32)
        seam, seam_px = np.float32(rng.uniform(0.02, 0.4)), np.float32(rng.uniform(0.7, 4))
        count = int(rng.integers(*self.areas, endpoint=True))
        for level in np.sort(rng.uniform(-1.8, 1.8, count)):
            inside_px = (surface - np.float32(level)) / slope
            signal = _mixed(signal, np.float32(rng.uniform(0.08, 0.24)), np.clip(inside_px + 0.5, 0, 1))
            signal = _mixed(signal, seam, np.exp(-((inside_px / seam_px) ** 2)))
        return signal


@dataclass(frozen=True)
class Packing:
    """Spheres, or fibres seen from the side, packed closely over a wavy ground."""

    name: str
    radius_px: tuple[float, float]
    fibres: bool = False

    def signal(self, pixel_um: float, rng: np.random.Generator) -> FloatImage:
        """Render one place, shape `RENDERED_SHAPE`: yield 0.16 / cos^0.9 of the tilt, gaps 0.06.

        The radius is drawn in pixels: such specimens come in every size.
        """
        radius = np.exp(rng.uniform(*np.log(self.radius_px)))
        across, along = self._coordinates(radius, rng)
        if self.fibres:
            squared = (2 * (across - np.rint(across))) ** 2
        else:
            squared = np.minimum(_to_lattice(across, along, 0.0), _to_lattice(across, along, 0.5))
        cosine = np.sqrt(np.maximum(1 - squared, np.float32(0.03)))
        share = np.clip((1 - np.sqrt(squared)) * radius + 0.5, 0, 1)
        return _mixed(np.full(RENDERED_SHAPE, _GAP, np.float32), _FLAT * cosine ** np.float32(-0.9), share)

    def _coordinates(self, radius: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
        """Place in the packing in diameters, turned and bent."""
        y, x = (np.arange(n, dtype=np.float32) for n in RENDERED_SHAPE)
        y, x = y[:, None], x[None, :]
        angle, bend = rng.uniform(0, np.pi), rng.uniform(*((0.2, 2) if self.fibres else (0.05, 0.5)))
        u, v = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        bends = (np.float32(bend) * fractal_surface(RENDERED_SHAPE, 4, rng) for _ in range(2))
        across, along = (
            (each / np.float32(2 * radius) + wave).astype(np.float32)
            for each, wave in zip((u, v), bends, strict=True)
        )
        return across, along


ALL_SPECIMENS: Registry[TinBalls | Grid | Relief | Phases | Packing] = Registry(
    "specimen",
    [
        *SPECIMENS,
        Relief("relief", beta=(2.2, 3.6)),
        Phases("phases_coarse", areas=(2, 5)),
        Packing("spheres", radius_px=(4.0, 40.0)),
        Phases("phases_fine", areas=(6, 14)),
        Packing("fibres", radius_px=(6.0, 60.0), fibres=True),
        Relief("relief_rough", beta=(1.6, 2.2)),
    ],
)


def _slope(surface: FloatImage) -> FloatImage:
    down, across = np.gradient(surface)
    slope: FloatImage = np.hypot(down, across)
    return slope


def _mixed(ground: FloatImage, above: FloatImage | np.float32, share: FloatImage) -> FloatImage:
    return np.asarray(ground + share * (above - ground), np.float32)


def _to_lattice(across: FloatImage, along: FloatImage, shift: float) -> FloatImage:
    """Squared distance, in radii, to the nearest point of one of the two halves of a hexagonal lattice."""
    row = np.float32(np.sqrt(3))
    x, y = across - np.float32(shift), along / row - np.float32(shift)
    squared: FloatImage = 4 * ((x - np.rint(x)) ** 2 + (row * (y - np.rint(y))) ** 2)
    return squared
