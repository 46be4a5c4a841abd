"""The samples of a search as one file that workers read: names, scores, control parameters, split."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semtune.dataset import Dataset, Split
from semtune.dataset.frames import open_frames
from semtune.errors import SearchError
from semtune.files import written_whole
from semtune.results import Predictions, Scores

_LARGEST = 2**28
"""Bytes of all arrays, as the file's own table of contents says."""


@dataclass(frozen=True)
class SampleTable:
    """What trials and baselines of one search share, frames apart."""

    digest: str
    """Digest of the dataset; the frame cache bears its name."""
    origin: str
    """`simulated` or `measured`."""
    cache_folder: str
    """Folder of the decoded frames."""
    frames: NDArray[np.str_]
    """Image paths relative to the dataset's folder, shape (samples,)."""
    fields: NDArray[np.str_]
    scores: Scores
    """Reference scores, shape (samples,)."""
    control_parameters: NDArray[np.str_]
    controls: NDArray[np.float64]
    """Shape (samples, controls); NaN where missing."""
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    score_range: tuple[float, float]
    acquired: NDArray[np.float64]
    """Seconds since 1970, shape (samples,); NaN where unknown."""
    checksums: NDArray[np.int64]
    """CRC-32 of each frame's grey levels, shape (samples,); -1 in searches before it was kept."""

    def predictions(self, rows: NDArray[np.int64], predicted: Scores) -> Predictions:
        """Join predicted scores of some samples with their reference scores and fields."""
        return Predictions(
            tuple(self.frames[rows].tolist()), tuple(self.fields[rows].tolist()), self.scores[rows], predicted
        )


def tabulate(dataset: Dataset, split: Split, cache_folder: Path) -> SampleTable:
    """Arrange a dataset, its split and the checksums of its decoded frames as arrays."""
    samples = dataset.samples
    names = dataset.description.control_parameters
    return SampleTable(
        digest=dataset.digest,
        origin=dataset.description.origin,
        cache_folder=str(cache_folder),
        frames=np.array([sample.image for sample in samples]),
        fields=np.array([sample.field for sample in samples]),
        scores=np.array([sample.reference_score for sample in samples]),
        control_parameters=np.array(names, dtype=np.str_),
        controls=np.array([sample.controls for sample in samples], dtype=np.float64).reshape(
            len(samples), len(names)
        ),
        train=np.array(split.train, dtype=np.int64),
        validation=np.array(split.validation, dtype=np.int64),
        test=np.array(split.test, dtype=np.int64),
        score_range=dataset.description.score_range,
        acquired=np.array([sample.acquired for sample in samples]),
        checksums=np.array(open_frames(cache_folder, dataset.digest).checksums(), dtype=np.int64),
    )


def write_samples(table: SampleTable, path: Path) -> None:
    """Write a table; the arrays need no pickle to be read."""
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(table).items()}
    with written_whole(path) as beside:
        np.savez(beside, **arrays)


def read_samples(path: Path) -> SampleTable:
    """Read a table that `write_samples` wrote.

    Raises:
        SearchError: If the file is missing or damaged.
    """
    try:
        return _read(path)
    # numpy and zipfile fail on damaged bytes in every way there is
    except Exception as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise SearchError(f"{path}: the samples are damaged ({what}); start the search anew") from None


def _read(path: Path) -> SampleTable:
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as parts:
            if sum(part.file_size for part in parts.infolist()) > _LARGEST:
                raise ValueError(f"more than {_LARGEST} bytes")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    for name in ("digest", "origin", "cache_folder"):
        values[name] = str(values[name])
    low, high = values["score_range"].tolist()
    # Searches before these were kept:
    values.setdefault("acquired", np.full(len(values["scores"]), np.nan))
    values.setdefault("checksums", np.full(len(values["scores"]), -1))
    table = SampleTable(**{**values, "score_range": (low, high)})
    count = len(table.scores)
    names = (count, len(table.control_parameters))
    columns = {len(table.frames), len(table.fields), len(table.acquired), len(table.checksums)}
    if table.controls.shape != names or columns != {count}:
        raise ValueError("columns of unequal length")
    for rows in (table.train, table.validation, table.test):
        if rows.dtype.kind != "i" or rows.ndim != 1 or not ((rows >= 0) & (rows < count)).all():
            raise ValueError("a split that names no samples")
    return table
