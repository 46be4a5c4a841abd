"""Simulated SEM frames of tin balls and copper grids, with a modelled specialist's scores.

No public set holds frames, control parameters and specialists' scores together; this stands in for one. Every
frame follows from the seed, the number of its field and of its setting, and `SIMULATOR_VERSION`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from semtune.simulator.disturbances import NO_DISTURBANCES, Disturbances
from semtune.simulator.microscope import Exposure, GreyFrame, Knobs, VirtualMicroscope, draw_knobs
from semtune.simulator.specialist import RATER_NOISE, SPECIALISTS, Specialist, rated
from semtune.simulator.variation import Variation

__all__ = [
    "CONTROL_PARAMETERS",
    "NO_DISTURBANCES",
    "RATER_NOISE",
    "SIMULATOR_VERSION",
    "SPECIALISTS",
    "STANDARD",
    "Disturbances",
    "Exposure",
    "Knobs",
    "Setup",
    "SimulatedFrame",
    "Specialist",
    "Variation",
    "VirtualMicroscope",
    "field_name",
    "simulate_field",
    "simulate_fields",
]

SIMULATOR_VERSION = "1"
"""Changes whenever the same seed gives other frames or scores."""
CONTROL_PARAMETERS = ("brightness", "contrast", "focus")
"""Names of `SimulatedFrame.controls`, in order: per cent, per cent, micrometres."""


@dataclass(frozen=True)
class Setup:
    """Who scores the frames, and what beyond the standard microscope they are taken with."""

    specialist: Specialist = SPECIALISTS["overall"]
    disturbances: Disturbances = NO_DISTURBANCES
    """In every frame; a variation draws its own."""
    variation: Variation | None = None


STANDARD = Setup()


@dataclass(frozen=True, eq=False)
class SimulatedFrame:
    """A frame as a manifest would list it, and what only a simulation knows."""

    frame: GreyFrame
    """Grey levels, uint8, shape (480, 640)."""
    score: float
    """The modelled specialist's, 0..10 in steps of 0.1, rater noise included; higher is better."""
    specimen: str
    field: str
    controls: tuple[float, ...]
    """One value per name in `CONTROL_PARAMETERS`."""
    magnification: int
    exact_score: float
    """The score before rater noise and rounding."""
    defocus_um: float
    """Focus reading minus the reading at best focus; its sign is the side."""


def simulate_fields(
    fields: int, settings: int, seed: int, setup: Setup = STANDARD
) -> Iterator[SimulatedFrame]:
    """Yield `settings` frames of each of `fields` fields, in order.

    With an even number of fields, or more than 16, no field is alone in its specimen.
    """
    for field_index in range(fields):
        yield from simulate_field(field_index, settings, seed, setup)


def simulate_field(
    field_index: int, settings: int, seed: int, setup: Setup = STANDARD
) -> list[SimulatedFrame]:
    """Simulate all frames of one field; independent of all other fields, so fit for a process of its own.

    Args:
        field_index: Number of the field, from 0.
        settings: Number of frames, each at brightness, contrast and focus of its own. More settings leave
            the first ones as they are.
        seed: Of the whole dataset.
        setup: Specialist, disturbances and variation.
    """
    microscope = VirtualMicroscope(field_index, seed, setup.disturbances, setup.variation)
    rater = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(field_index,)))
    frames = []
    for setting, deviate in enumerate(rater.standard_normal(settings)):
        knobs = draw_knobs(microscope, setting)
        exposure = microscope.take_frame(knobs, setting)
        exact_score = setup.specialist.score(exposure)
        frames.append(
            SimulatedFrame(
                frame=exposure.frame,
                score=rated(exact_score, deviate),
                specimen=microscope.conditions.specimen,
                field=field_name(field_index),
                controls=(knobs.brightness, knobs.contrast, knobs.focus),
                magnification=knobs.magnification,
                exact_score=exact_score,
                defocus_um=knobs.focus - microscope.conditions.best_focus_um,
            )
        )
    return frames


def field_name(field_index: int) -> str:
    """Name of a field in the manifest."""
    return f"field_{field_index:04d}"
