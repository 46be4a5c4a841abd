"""Scored frames in a folder: reading, checking, splitting by field, and decoding them once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from semtune.dataset.description import DatasetDescription


@dataclass(frozen=True)
class Sample:
    """A frame with its control parameters and reference score."""

    image: str
    """Path of the image file, relative to the dataset's folder, with forward slashes."""
    reference_score: float
    specimen: str
    field: str
    """One place on the specimen, with all frames taken of it: the unit that a split must not cut."""
    controls: tuple[float, ...]
    """One value per control parameter of the dataset, in its order and unit; NaN where missing."""
    acquired: float = math.nan
    """When the frame was recorded, seconds since 1970; NaN where unknown. No input: a check for leaks."""


@dataclass(frozen=True)
class Dataset:
    """The samples of a folder, with what holds for all of them."""

    folder: Path
    samples: tuple[Sample, ...]
    """Sorted by their contents (specimen, field, control parameters, score, frame), never by path or row."""
    description: DatasetDescription
    digest: str
    """SHA-256 of the contents (frames, scores, fields, control parameters), not of paths."""


@dataclass(frozen=True)
class Split:
    """Which samples train, validate and test: indices into `Dataset.samples`, no field on two sides."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
