"""Frames that look alike on two sides of a split."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from semtune.config import SplitKind
from semtune.dataset import Dataset, Split
from semtune.dataset.copies import near_copies
from semtune.dataset.frames import FrameStore
from semtune.dataset.inspection import worker_count
from semtune.errors import DatasetError
from semtune.images.likeness import likeness


def copies_across(dataset: Dataset, store: FrameStore, split: Split, kind: SplitKind) -> Iterator[str]:
    """Name the pairs of fields with frames that look alike on two sides of a split that cuts no field.

    Raises:
        DatasetError: If two fields hold the same frame, on whatever side.
    """
    if kind == "random":
        return
    samples = dataset.samples
    with ThreadPoolExecutor(worker_count()) as pool:
        hashes = np.array(list(pool.map(lambda row: likeness(store.frame(row)), range(len(store)))))
    part = {row: place for place, rows in enumerate(vars(split).values()) for row in rows}
    for pair in near_copies(hashes, [sample.field for sample in samples]):
        one, other = samples[pair.first], samples[pair.second]
        if not pair.bits and np.array_equal(store.frame(pair.first), store.frame(pair.second)):
            raise DatasetError(
                f"{dataset.folder}: {one.image} of field {one.field!r} and {other.image} of field "
                f"{other.field!r} are the same frame; keep one of the two, or give both fields one name"
            )
        if part[pair.first] != part[pair.second]:
            yield f"{one.image} of field {one.field} and {other.image} of field {other.field}"
