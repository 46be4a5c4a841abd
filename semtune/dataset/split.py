"""Which frames train, validate and test: whole fields, drawn from every specimen, unless asked otherwise.

The frames of one field are near-copies of each other; a split that cuts a field measures memory, not skill.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import numpy as np

from semtune.config import SplitKind
from semtune.dataset import Dataset, Split
from semtune.errors import DatasetError

FEWEST_FIELDS = 3
"""One to train, one to validate, one to test."""


def by_field(
    dataset: Dataset, seed: int, test_fraction: float = 0.3, validation_fraction: float = 0.2
) -> Split:
    """Split a dataset without cutting a field, the same way for the same contents and seed.

    Every specimen gives about the same fraction of its frames to each part. Specimens with two fields are
    pooled for this; a field that is alone on its specimen trains, as a test on it would say nothing about
    how other places on that specimen are scored (unless all fields are alone).

    Args:
        dataset: At least 3 fields.
        seed: Draws the fields; any integer >= 0.
        test_fraction: Frames for the test, as a fraction of all, 0..1; met to within half a field.
        validation_fraction: Frames for validation, as a fraction of those not tested, 0..1; likewise.

    Raises:
        DatasetError: If the dataset has fewer than 3 fields.
    """
    frames = _frames_by_field(dataset)
    if len(frames) < FEWEST_FIELDS:
        raise DatasetError(
            f"{dataset.folder}: {len(frames)} fields cannot train, validate and test; "
            f"record at least {FEWEST_FIELDS}"
        )
    order, eligible = _draw_order(_fields_by_specimen(dataset), {f: len(i) for f, i in frames.items()}, seed)
    counts = [len(frames[field]) for field in order]
    test, validation = _cut(counts, eligible, test_fraction, validation_fraction)

    def indices(fields: Sequence[str]) -> tuple[int, ...]:
        return tuple(sorted(index for field in fields for index in frames[field]))

    return Split(indices(order[validation:]), indices(order[test:validation]), indices(order[:test]))


def at_random(
    dataset: Dataset, seed: int, test_fraction: float = 0.3, validation_fraction: float = 0.2
) -> Split:
    """Split a dataset frame by frame, as is often done: it leaks, and is here to show by how much.

    Args:
        dataset: At least 3 frames.
        seed: Draws the frames; any integer >= 0.
        test_fraction: Frames for the test, as a fraction of all, 0..1.
        validation_fraction: Frames for validation, as a fraction of those not tested, 0..1.

    Raises:
        DatasetError: If the dataset has fewer than 3 frames.
    """
    frames = len(dataset.samples)
    if frames < FEWEST_FIELDS:
        raise DatasetError(f"{dataset.folder}: {frames} frames cannot train, validate and test; record more")
    order = np.random.default_rng(seed).permutation(frames).tolist()
    test = max(1, round(test_fraction * frames))
    validated = test + max(1, round(validation_fraction * (frames - test)))
    parts = (order[validated:], order[test:validated], order[:test])
    return Split(*(tuple(sorted(part)) for part in parts))


SPLITS: Mapping[SplitKind, Callable[[Dataset, int], Split]] = {"field": by_field, "random": at_random}


def split_fields(dataset: Dataset, split: Split) -> dict[str, list[str]]:
    """The fields of each part in alphabetical order, under the keys train, validation and test."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {part: sorted({dataset.samples[i].field for i in indices}) for part, indices in parts.items()}


def lone_fields(fields_by_specimen: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The (specimen, field) pairs that can only train: alone, while other specimens have several fields."""
    alone = [(specimen, fields[0]) for specimen, fields in fields_by_specimen.items() if len(fields) == 1]
    return alone if len(alone) < len(fields_by_specimen) else []


def _frames_by_field(dataset: Dataset) -> dict[str, list[int]]:
    frames: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(dataset.samples):
        frames[sample.field].append(index)
    return frames


def _fields_by_specimen(dataset: Dataset) -> dict[str, list[str]]:
    """Fields in alphabetical order, specimens too: a draw must not depend on the order of rows."""
    specimens: dict[str, list[str]] = defaultdict(list)
    for specimen, field in sorted({(sample.specimen, sample.field) for sample in dataset.samples}):
        specimens[specimen].append(field)
    return specimens


def _draw_order(
    specimens: Mapping[str, list[str]], frames: Mapping[str, int], seed: int
) -> tuple[list[str], int]:
    """All fields, any first part holding a like fraction of each specimen; how many may be tested."""
    random = np.random.default_rng(seed)
    lone = [field for _, field in lone_fields(specimens)]
    large = [fields for fields in specimens.values() if len(fields) >= FEWEST_FIELDS]
    pooled = [
        f for fields in specimens.values() if len(fields) < FEWEST_FIELDS for f in fields if f not in lone
    ]
    places: list[tuple[float, float, str]] = []
    for stratum in [*large, pooled]:
        shuffled = [stratum[i] for i in random.permutation(len(stratum))]
        places += zip(
            _middles([frames[f] for f in shuffled]), random.random(len(stratum)), shuffled, strict=True
        )
    return [*(field for _, _, field in sorted(places)), *lone], len(places)


def _middles(counts: Sequence[int]) -> list[float]:
    """Where the middle of each field lies when a stratum's frames are laid end to end on 0..1."""
    ends = list(accumulate(counts))
    return [(end - count / 2) / ends[-1] for end, count in zip(ends, counts, strict=True)]


def _cut(
    counts: Sequence[int], eligible: int, test_fraction: float, validation_fraction: float
) -> tuple[int, int]:
    """How many fields of the order are tested, and how many are tested or validated; no part is empty."""
    last = min(eligible, len(counts) - 1)
    ends = list(accumulate(counts))
    both = test_fraction + (1 - test_fraction) * validation_fraction
    # Where lone fields leave too little to draw from, test and validation shrink alike.
    shrink = min(1.0, ends[last - 1] / (both * ends[-1]))
    test = _nearest(ends, shrink * test_fraction * ends[-1], 1, last - 1)
    tested = ends[test - 1]
    validated = shrink * validation_fraction * (ends[-1] - tested)
    return test, _nearest(ends, tested + validated, test + 1, last)


def _nearest(ends: Sequence[int], target: float, low: int, high: int) -> int:
    """How many fields, low..high, hold the number of frames nearest to the target."""
    return min(range(low, high + 1), key=lambda fields: abs(ends[fields - 1] - target))
