"""One field of the virtual microscope as a test bench: a sweep of its focus, and runs that must find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from semtune.focusing.criteria import Criteria, criteria
from semtune.focusing.policies import POLICIES, Acquisitions
from semtune.focusing.scorers import FocusScorer, FrameScorer, loaded
from semtune.results import Scores
from semtune.simulator import Knobs, VirtualMicroscope
from semtune.simulator.microscope import GreyFrame, defocus_unit_um

WINDOW_UNITS = 6.0
"""Half of the range of focus that is searched, in units of the defocus that gives a disc 8 pixels wide."""
START_UNITS = 5.0
"""Largest defocus from which a run starts; with the window about it, no disc leaves the rendered margin."""
STEPS_PER_DEPTH = 8
"""Steps of the focus knob in a depth of field."""
DWELL_US = (0.2, 0.8)
"""Shortest and longest dwell: the noise of the usual 0.4 us times or over the root of 2."""
_EXPOSURES_PER_RUN = 2**20
_STREAM = 0x0F0C05
"""Sets these fields apart from those of any simulated dataset, whatever its seed."""


@dataclass(frozen=True)
class BenchSettings:
    """What fixes an experiment, beside its scorers."""

    fields: int = 50
    runs: int = 200
    """All fields together."""
    budget: int = 12
    """Acquisitions a run."""
    positions: int = 41
    """Of a sweep."""
    repeats: int = 3
    """Sweeps of each field, with other noise."""
    seed: int = 0

    @property
    def microscope_seed(self) -> int:
        """Seed of the virtual microscope."""
        return int(np.random.SeedSequence((self.seed, _STREAM)).generate_state(1, np.uint64)[0])

    def runs_of(self, field_index: int) -> range:
        """Numbers of the runs on a field."""
        return range(field_index, self.runs, self.fields)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Focus curves of all scorers over one field."""

    defocus_um: Scores
    """Shape (positions,); 0 is true focus."""
    curves: dict[str, Scores]
    """By scorer, shape (repeats, positions)."""
    criteria: dict[str, Criteria]
    """By scorer."""


@dataclass(frozen=True)
class Run:
    """Where one scorer and one policy left the focus."""

    scorer: str
    policy: str
    run: int
    """Equal numbers are equal starts, frame by frame."""
    field: int
    start_um: float
    """Defocus at the start."""
    defocus_um: float
    """Defocus in the end."""
    depth_of_field_um: float
    frames: int
    """Acquisitions used."""

    @property
    def depths_off(self) -> float:
        """Distance from true focus in the end, depths of field; lower is better."""
        return abs(self.defocus_um) / self.depth_of_field_um


@dataclass(frozen=True, eq=False)
class FieldOutcome:
    """All that was measured on one field."""

    field: int
    specimen: str
    magnification: int
    depth_of_field_um: float
    sweep: Sweep
    runs: tuple[Run, ...]


def measure_field(
    field_index: int, settings: BenchSettings, scorers: Sequence[FocusScorer], policies: Sequence[str]
) -> FieldOutcome:
    """Sweep a field and focus on it from every start, with every scorer; fit for a process of its own."""
    microscope = VirtualMicroscope(field_index, settings.microscope_seed)
    magnification = microscope.conditions.magnification
    return FieldOutcome(
        field_index,
        microscope.conditions.specimen,
        magnification,
        microscope.depth_of_field_um(magnification),
        _sweep(microscope, settings, scorers),
        tuple(
            run
            for number in settings.runs_of(field_index)
            for run in _runs(microscope, number, settings, scorers, policies)
        ),
    )


def draw_start(microscope: VirtualMicroscope, rng: np.random.Generator) -> tuple[Knobs, float]:
    """Draw how an operator may leave a microscope: knobs at the start, and the defocus there, micrometres.

    Brightness and contrast as in the simulated datasets, Laplace(10) and Laplace(13) about 50; residual
    astigmatism by the law of the fields, 0.15 |N(0, 1)| units in any direction; dwell even in its logarithm
    over `DWELL_US`; defocus even over `START_UNITS` to either side.
    """
    conditions = microscope.conditions
    unit = defocus_unit_um(conditions.magnification)
    defocus_um = float(rng.uniform(-START_UNITS, START_UNITS)) * unit
    astigmatism, direction = 0.15 * unit * abs(rng.standard_normal()), rng.uniform(0, 2 * np.pi)
    brightness, contrast = np.clip(rng.laplace(50, (10, 13)), 0, 100)
    knobs = Knobs(
        brightness=float(brightness),
        contrast=float(contrast),
        focus=conditions.best_focus_um + defocus_um,
        stigmator_x=float(conditions.astigmatism_um[0] - astigmatism * np.cos(direction)),
        stigmator_y=float(conditions.astigmatism_um[1] - astigmatism * np.sin(direction)),
        magnification=conditions.magnification,
        dwell=float(np.exp(rng.uniform(*np.log(DWELL_US)))),
    )
    return knobs, defocus_um


def _sweep(microscope: VirtualMicroscope, settings: BenchSettings, scorers: Sequence[FocusScorer]) -> Sweep:
    """Each frame is taken once, for all scorers; true focus lies anywhere between two positions."""
    rng = _generator(settings, microscope.field_index, settings.runs)
    knobs, _ = draw_start(microscope, rng)
    half = WINDOW_UNITS * defocus_unit_um(knobs.magnification)
    spacing = 2 * half / (settings.positions - 1)
    defocus_um = np.linspace(-half, half, settings.positions) + rng.uniform(-0.5, 0.5) * spacing
    score = [loaded(scorer) for scorer in scorers]
    curves = np.empty((len(scorers), settings.repeats, settings.positions))
    for place, defocus in enumerate(defocus_um):
        there = replace(knobs, focus=microscope.conditions.best_focus_um + defocus)
        for repeat in range(settings.repeats):
            frame = microscope.take_frame(there, place * settings.repeats + repeat).frame
            curves[:, repeat, place] = [each(frame) for each in score]
    depth = microscope.depth_of_field_um(knobs.magnification)
    by_name = {scorer.name: curve for scorer, curve in zip(scorers, curves, strict=True)}
    judged = {name: criteria(defocus_um, each, depth) for name, each in by_name.items()}
    return Sweep(defocus_um, by_name, judged)


def _runs(
    microscope: VirtualMicroscope,
    number: int,
    settings: BenchSettings,
    scorers: Sequence[FocusScorer],
    policies: Sequence[str],
) -> list[Run]:
    """Focus from one start by every policy with every scorer; the frame of a step is taken once, for all."""
    knobs, start_um = draw_start(microscope, _generator(settings, microscope.field_index, number))
    depth = microscope.depth_of_field_um(knobs.magnification)
    step_um = depth / STEPS_PER_DEPTH
    half = round(WINDOW_UNITS * defocus_unit_um(knobs.magnification) / step_um)

    @cache
    def frame(step: int) -> GreyFrame:
        there = replace(knobs, focus=knobs.focus + (step - half) * step_um)
        return microscope.take_frame(there, (number + 1) * _EXPOSURES_PER_RUN + step).frame

    runs = []
    for scorer in scorers:
        objective = cache(partial(_scored, loaded(scorer), frame))
        for policy in policies:
            ask = Acquisitions(objective, 2 * half, settings.budget)
            end_um = start_um + (ask.step(POLICIES[policy].focus(ask)) - half) * step_um
            place = (number, microscope.field_index, start_um, end_um, depth)
            runs.append(Run(scorer.name, policy, *place, frames=len(ask.values)))
    return runs


def _scored(score: FrameScorer, frame: Callable[[int], GreyFrame], step: int) -> float:
    return score(frame(step))


def _generator(settings: BenchSettings, field_index: int, number: int) -> np.random.Generator:
    key = (field_index, number)
    return np.random.default_rng(np.random.SeedSequence(settings.microscope_seed, spawn_key=(*key, _STREAM)))
