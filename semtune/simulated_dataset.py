"""Writes a dataset of simulated frames: simulator and dataset folder brought together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

from semtune.dataset import Sample
from semtune.dataset.conditions import write_conditions
from semtune.dataset.description import DatasetDescription, write_description
from semtune.dataset.manifest import write_manifest
from semtune.errors import DatasetError
from semtune.images import write_png
from semtune.simulator import (
    CONTROL_PARAMETERS,
    NO_DISTURBANCES,
    RATER_NOISE,
    SIMULATOR_VERSION,
    Disturbances,
    Setup,
    Variation,
    simulate_field,
)
from semtune.simulator.profile import find_specialist

_FRAMES = "frames"


def write_simulated_dataset(
    folder: Path,
    fields: int,
    settings: int,
    seed: int,
    specialist: str,
    processes: int,
    on_field: Callable[[int], None] = lambda done: None,
    disturbances: Disturbances = NO_DISTURBANCES,
    variation: Variation | None = None,
) -> int:
    """Simulate a dataset into a new folder; the same arguments give the same bytes.

    Args:
        folder: Must be missing or empty; it appears only when it is complete.
        fields: Number of fields, 1 or more.
        settings: Frames a field, 1 or more.
        seed: Of everything that is drawn.
        specialist: Who scores: a shipped profile by name, or a YAML file with one.
        processes: Processes to spread the fields over.
        on_field: Called with the number of fields done so far.
        disturbances: Faults in every frame; a variation draws its own.
        variation: Ranges from which fields and frames draw what is fixed without it.

    Returns:
        Number of frames.

    Raises:
        UnknownNameError: If there is no such specialist.
        ConfigError: If the specialist's file is not one.
        DatasetError: If the folder holds anything, or cannot be written.
    """
    setup = Setup(find_specialist(specialist), disturbances, variation)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder}: not an empty folder; nothing is overwritten, name a new one")
    beside = folder.parent / f".{folder.name}.{uuid4().hex[:8]}.part"
    try:
        (beside / _FRAMES).mkdir(parents=True)
        samples: list[Sample] = []
        known: list[tuple[str, int, float]] = []
        write_one = partial(_write_field, beside, settings=settings, seed=seed, setup=setup)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            for done, written in enumerate(pool.map(write_one, range(fields)), start=1):
                samples += [sample for sample, _ in written]
                known += [row for _, row in written]
                on_field(done)
        write_manifest(beside, samples, CONTROL_PARAMETERS)
        write_conditions(beside, ("magnification", "defocus_um"), known)
        write_description(beside, _description(seed, setup))
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error}); choose another place") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return len(samples)


def _description(seed: int, setup: Setup) -> DatasetDescription:
    disturbances = {name: value for name, value in asdict(setup.disturbances).items() if value}
    return DatasetDescription(
        control_parameters=CONTROL_PARAMETERS,
        origin="simulated",
        seed=seed,
        version=SIMULATOR_VERSION,
        rater_noise=RATER_NOISE,
        profile=setup.specialist.name,
        weights=asdict(setup.specialist.weights),
        spoilers=setup.specialist.spoilers,
        disturbances=disturbances or None,
        varied=asdict(setup.variation) if setup.variation else None,
    )


def _write_field(
    folder: Path, field_index: int, *, settings: int, seed: int, setup: Setup
) -> list[tuple[Sample, tuple[str, int, float]]]:
    """Simulate and write one field, in a process of its own; returns samples, and what is known besides."""
    written = []
    for setting, shot in enumerate(simulate_field(field_index, settings, seed, setup)):
        image = f"{_FRAMES}/{shot.field}_{setting:02d}.png"
        write_png(folder / image, shot.frame)
        sample = Sample(image, shot.score, shot.specimen, shot.field, shot.controls)
        written.append((sample, (image, shot.magnification, round(shot.defocus_um, 3))))
    return written
