"""A small search made in code: dataset, split, decoded frames and samples, as a worker finds them."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import write_small_dataset

from semtune.dataset.frames import decode_frames, open_frames
from semtune.dataset.manifest import read_dataset
from semtune.dataset.split import by_field
from semtune.training.data import TrainingData, place
from semtune.training.samples import SampleTable, tabulate

CPU = torch.device("cpu")


def write_small_table(folder: Path, fields: int = 6) -> SampleTable:
    """Write a small dataset, decode its frames beside it, and tabulate its samples."""
    dataset = read_dataset(write_small_dataset(folder / "dataset", fields))
    decode_frames(dataset, folder / "frames")
    return tabulate(dataset, by_field(dataset, seed=0), folder / "frames")


def placed(table: SampleTable) -> TrainingData:
    """Bring a table's samples to the CPU."""
    parts = (table.train, table.validation, table.test)
    store = open_frames(Path(table.cache_folder), table.digest)
    return place(store, table.controls, table.scores, parts, table.score_range, CPU)
