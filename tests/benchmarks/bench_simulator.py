"""How long a simulated frame takes, by phase: milliseconds on one thread, medians of one run."""

import statistics
from collections.abc import Callable
from time import perf_counter

import numpy as np

from semtune.simulator import SPECIALISTS, simulate_field
from semtune.simulator.microscope import VirtualMicroscope, draw_knobs, pixel_um
from semtune.simulator.optics import blurred, spectrum
from semtune.simulator.specimen import SPECIMENS

ROUNDS = 20
SETTINGS = 12
CEILING_MS = 56.0
"""2136 frames in 60 s on two cores."""


def run() -> dict[str, float]:
    """Milliseconds: `frame` is all of it, a field's specimen shared by its 12 frames; then the phases."""
    microscope = VirtualMicroscope(0, seed=0)
    knobs = draw_knobs(microscope, 0)
    exposure = microscope.take_frame(knobs)
    spot, transform = microscope.spot(knobs), spectrum(render("tin_balls_1"))
    fields = iter(range(0, 2 * ROUNDS, 2))
    return {
        "frame": milliseconds(lambda: simulate_field(next(fields), SETTINGS, seed=0), ROUNDS // 2) / SETTINGS,
        "specimen_tin_balls": milliseconds(lambda: render("tin_balls_1"), 5),
        "specimen_grid": milliseconds(lambda: render("grid_200"), 5),
        "expose": milliseconds(lambda: microscope.take_frame(knobs), ROUNDS),
        "expose_blur": milliseconds(lambda: blurred(transform, spot), ROUNDS),
        "score": milliseconds(lambda: SPECIALISTS["overall"].score(exposure), ROUNDS),
    }


def render(specimen: str) -> np.ndarray:
    """One place of a specimen at 1000x."""
    return SPECIMENS[specimen].signal(pixel_um(1000), np.random.default_rng(0))


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Median duration of a call."""
    durations = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        durations.append(perf_counter() - start)
    return 1e3 * statistics.median(durations)


if __name__ == "__main__":
    for phase, duration in run().items():
        print(f"{phase:20s} {duration:8.2f} ms" + (f"  (ceiling {CEILING_MS})" if phase == "frame" else ""))
