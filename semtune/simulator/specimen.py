"""What is imaged: tin balls on carbon and copper grids, as secondary-electron signal over a place.

A signal is the yield in units in which 0.16 lies in the middle of the detector's range; it is rendered once
per field, at the pixel size of the frame and larger than the frame, because blurring by FFT wraps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semtune.registry import Registry
from semtune.simulator.fractal import FloatImage, fractal_surface

FRAME_SHAPE = (480, 640)
"""Height and width of a frame, pixels."""
MARGINS = (80, 64)
"""Rows above and below, columns left and right: at least 64, and such that the FFT is fast."""
RENDERED_SHAPE = (FRAME_SHAPE[0] + 2 * MARGINS[0], FRAME_SHAPE[1] + 2 * MARGINS[1])

_TEXTURE = 0.03
_MINIMUM_COSINE = 0.18
_EDGE_PIXELS = 6.0
_BAR_RMS_SLOPE = 0.7
_CORNER_RADIUS = 0.12  # of a hole's width: etched holes have round corners


@dataclass(frozen=True)
class TinBalls:
    """Tin balls on a carbon support, radii distributed as R^-3."""

    name: str
    coverage: tuple[float, float]
    """Least and largest share of the area that the balls cover."""
    usual_gain: float = 0.9
    """Gain for which a detector is set up on such a specimen: bright balls want less."""
    usual_offset: float = -25.0
    """Grey levels that the detector adds there."""

    def signal(self, pixel_um: float, rng: np.random.Generator) -> FloatImage:
        """Render one place, shape `RENDERED_SHAPE`; periodic; never negative.

        Radii span [60 nm, 8 um], cut to [1.2, 170] pixels. A ball yields 0.22 / cos^0.9 of the surface tilt.

        References:
            Reimer (1998), Scanning Electron Microscopy, chapter 4 (secondary-electron yield and tilt).
        """
        smallest, largest = max(0.06 / pixel_um, 1.2), min(8 / pixel_um, 170.0)
        cosine = _ball_cosines(rng.uniform(*self.coverage), smallest, largest, rng)
        carbon = 0.09 * np.maximum(1 + 0.25 * fractal_surface(RENDERED_SHAPE, 1.6, rng), 0)
        balls = 0.22 * np.maximum(cosine, _MINIMUM_COSINE) ** np.float32(-0.9)
        return _textured(np.where(cosine > 0, balls, carbon), rng)


@dataclass(frozen=True)
class Grid:
    """A copper grid: square holes between bars."""

    name: str
    pitch_um: float
    bar_um: float
    usual_gain: float = 1.1
    usual_offset: float = 5.0

    def signal(self, pixel_um: float, rng: np.random.Generator) -> FloatImage:
        """Render one place near the edge of a bar, shape `RENDERED_SHAPE`, turned by up to 90 degrees.

        Bars yield 0.16 / cos of the slope of their rough surface and glow at their edges; holes yield 0.05.

        References:
            Cizmar et al. (2008), "Simulated SEM images for resolution measurement", Scanning 30 (ARTIMAGEN).
        """
        depth = self._distance_into_bar_um(pixel_um, rng) / np.float32(pixel_um)
        glow = 1 + 0.9 * np.exp(-np.maximum(depth, 0) / np.float32(_EDGE_PIXELS))
        bars = 0.16 * _inverse_cosine(fractal_surface(RENDERED_SHAPE, 2.2, rng)) * glow
        share = np.clip(depth + 0.5, 0, 1)  # of the pixel's area that is bar: edges are not stair-stepped
        return _textured(share * bars + (1 - share) * 0.05, rng)

    def _distance_into_bar_um(self, pixel_um: float, rng: np.random.Generator) -> FloatImage:
        """Distance to the nearest hole: positive on bars, negative in holes."""
        half_hole = (self.pitch_um - self.bar_um) / 2
        radius = 2 * half_hole * _CORNER_RADIUS
        across, along = (
            np.abs(x - self.pitch_um * np.rint(x / self.pitch_um)) - np.float32(half_hole - radius)
            for x in self._stage_coordinates_um(pixel_um, rng)
        )
        outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
        distance: FloatImage = outside + np.minimum(np.maximum(across, along), 0) - np.float32(radius)
        return distance

    def _stage_coordinates_um(
        self, pixel_um: float, rng: np.random.Generator
    ) -> tuple[FloatImage, FloatImage]:
        """Both coordinates of every pixel, from the centre of a hole; bars are slightly wavy."""
        frame_um = FRAME_SHAPE[1] * pixel_um
        y, x = (pixel_um * (np.arange(n, dtype=np.float32) - n / 2) for n in RENDERED_SHAPE)
        y, x = y[:, None], x[None, :]
        angle = rng.uniform(0, np.pi / 2)
        # The frame's centre lies near an edge, so that there is something to focus on at any magnification.
        half_hole = (self.pitch_um - self.bar_um) / 2
        u0, v0 = half_hole + rng.normal(0, 0.15 * frame_um), rng.uniform(-half_hole, half_hole)
        # A surface of f^-4 is self-similar with exponent 1: a small frame sees a small part of the wave.
        wave = np.float32(0.006 * min(self.pitch_um, frame_um))
        u = np.cos(angle) * x - np.sin(angle) * y + u0 + wave * fractal_surface(RENDERED_SHAPE, 4, rng)
        v = np.sin(angle) * x + np.cos(angle) * y + v0 + wave * fractal_surface(RENDERED_SHAPE, 4, rng)
        return u.astype(np.float32), v.astype(np.float32)


SPECIMENS: Registry[TinBalls | Grid] = Registry(
    "specimen",
    [
        TinBalls("tin_balls_1", coverage=(0.45, 0.60)),
        Grid("grid_200", pitch_um=125, bar_um=35),
        TinBalls("tin_balls_2", coverage=(0.50, 0.65)),
        Grid("grid_2000", pitch_um=12.7, bar_um=3.5),
        TinBalls("tin_balls_3", coverage=(0.55, 0.70)),
        Grid("grid_300", pitch_um=83, bar_um=25),
        TinBalls("tin_balls_4", coverage=(0.60, 0.75)),
        Grid("grid_400", pitch_um=62, bar_um=25),
    ],
)


def _textured(signal: NDArray[np.floating], rng: np.random.Generator) -> FloatImage:
    return (signal * (1 + _TEXTURE * fractal_surface(RENDERED_SHAPE, 1, rng))).astype(np.float32)


def _inverse_cosine(surface: FloatImage) -> FloatImage:
    """1/cos of the slope of a surface whose heights are scaled to the slope of a rough bar."""
    down, across = np.gradient(surface)
    squared = down**2 + across**2
    inverse: FloatImage = np.sqrt(
        1 + squared * np.float32(_BAR_RMS_SLOPE**2 / np.mean(squared, dtype=np.float64))
    )
    return inverse


def _ball_cosines(coverage: float, smallest: float, largest: float, rng: np.random.Generator) -> FloatImage:
    """Cosine of the tilt of the balls' surface at every pixel; 0 where there is no ball."""
    cosine = np.zeros(RENDERED_SHAPE, np.float32)
    radii = _ball_radii(coverage, smallest, largest, rng)
    octave = np.floor(np.log2(radii))
    for step in np.unique(octave)[::-1]:
        _add_balls(cosine, radii[octave == step], rng)
    return cosine


def _ball_radii(
    coverage: float, smallest: float, largest: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Radii in pixels, distributed as R^-3, large first; as many as cover the share by chance."""
    inverse_squares = smallest**-2.0, largest**-2.0
    mean_square = 2 * np.log(largest / smallest) / (inverse_squares[0] - inverse_squares[1])
    area = RENDERED_SHAPE[0] * RENDERED_SHAPE[1]
    count = round(-np.log(1 - coverage) * area / (np.pi * mean_square))
    return np.sort(rng.uniform(*inverse_squares[::-1], count) ** -0.5)[::-1]


def _add_balls(cosine: FloatImage, radii: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Paint balls of similar size at random places, below those that are there; radii large first.

    A ball whose centre is covered is left out.
    """
    centres = rng.uniform(0, RENDERED_SHAPE, (len(radii), 2))
    ball, pixel, value = _ball_pixels(centres, radii)
    owner = np.where(cosine.ravel() > 0, -2, -1)
    uncovered = owner[pixel] == -1
    ball, pixel, value = ball[uncovered], pixel[uncovered], value[uncovered]
    owner[pixel] = ball  # of a repeated index the last value stays: the largest ball
    cells = np.ravel_multi_index(tuple(centres.astype(np.intp).T), RENDERED_SHAPE)
    seen = (owner[cells] == np.arange(len(radii)))[ball]
    cosine.reshape(-1)[pixel[seen]] = value[seen]


def _ball_pixels(
    centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatImage]:
    """Every pixel of every ball, the last ball first: its ball, its flat index (periodic), its cosine."""
    reach = int(radii[0]) + 1
    cells = np.floor(centres[::-1, :, None]).astype(np.intp) + np.arange(-reach, reach + 1)
    squares = ((cells + 0.5 - centres[::-1, :, None]) / radii[::-1, None, None]) ** 2
    cosine_squared = 1 - squares[:, 0, :, None] - squares[:, 1, None, :]
    ball, row, column = np.nonzero(cosine_squared > 0)
    rows, columns = cells[ball, 0, row] % RENDERED_SHAPE[0], cells[ball, 1, column] % RENDERED_SHAPE[1]
    cosine = np.sqrt(cosine_squared[ball, row, column]).astype(np.float32)
    return len(radii) - 1 - ball, rows * RENDERED_SHAPE[1] + columns, cosine
