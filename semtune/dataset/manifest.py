"""The samples of a dataset's folder: read, digested and written."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from semtune.dataset import Dataset, Sample
from semtune.dataset.description import ACQUIRED, MANIFEST_COLUMNS, DatasetDescription
from semtune.dataset.faults import Fault, refusal
from semtune.dataset.inspection import Inspection, inspect, inspect_pixels
from semtune.dataset.rows import MANIFEST_FILE, Row


def read_dataset(folder: Path, leave_out_faulty: bool = False) -> Dataset:
    """Read the samples of a folder.

    The samples come sorted by specimen, field, control parameters, score and contents of the image file,
    whatever the order of the rows and the names of the files: equal digests mean equal frames in equal order.

    Args:
        folder: Holds `manifest.csv`, the image files, and `dataset.yaml` unless the defaults fit.
        leave_out_faulty: Leave out the rows with an error instead of refusing the dataset; every image is
            decoded to find them. Without it images are hashed but not decoded.

    Raises:
        DatasetError: If a row, the header or `dataset.yaml` has an error; if no row is left.
    """
    inspection = inspect_pixels(inspect(folder)) if leave_out_faulty else inspect(folder)
    judged = inspection.general_faults if leave_out_faulty else inspection.faults
    errors = [fault for fault in judged if fault.severity == "error"]
    rows = [row for row in inspection.rows if row.is_sound]
    if errors or not rows:
        raise refusal(folder, errors or [Fault(MANIFEST_FILE, None, "every row has an error; correct them")])
    arranged = _arrange(rows, inspection.description)
    return Dataset(folder, arranged.samples, inspection.description, arranged.digest)


def digest_of(inspection: Inspection) -> str | None:
    """The digest of all rows, sound or not; None if something that counts cannot be read."""
    whole = all(row.sample is not None and row.content is not None for row in inspection.rows)
    if inspection.general_faults or not whole:
        return None
    return _arrange(inspection.rows, inspection.description).digest


def write_manifest(folder: Path, samples: Iterable[Sample], control_parameters: Sequence[str]) -> None:
    """Write `manifest.csv` into the folder: one row a sample, in the order given.

    Args:
        folder: The dataset's folder; the image files are the caller's.
        samples: Their numbers are written so that they read back exactly; a NaN control is an empty cell.
        control_parameters: Names of the samples' controls, in their order.
    """
    rows = tuple(samples)
    timed = any(not math.isnan(sample.acquired) for sample in rows)
    with (folder / MANIFEST_FILE).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*MANIFEST_COLUMNS, *control_parameters, *([ACQUIRED] if timed else [])])
        for sample in rows:
            numbers = [_cell(value) for value in (*sample.controls, *([sample.acquired] if timed else []))]
            score = _cell(sample.reference_score)
            writer.writerow([sample.image, score, sample.specimen, sample.field, *numbers])


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


class _Arranged(NamedTuple):
    samples: tuple[Sample, ...]
    digest: str


def _arrange(rows: Iterable[Row], description: DatasetDescription) -> _Arranged:
    """The samples in their canonical order, and the SHA-256 over their contents in that order.

    Neither knows paths, file names or the order of the rows. Rows that agree in everything (a frame that
    stands there twice) are ordered by name; their frames are the same.
    """
    keyed = sorted(
        (_contents(row.sample, row.content), row.sample.image, row.sample) for row in rows if row.sample
    )
    records = [_meaning(description), *(contents for contents, _, _ in keyed)]
    digest = hashlib.sha256("\n".join(records).encode()).hexdigest()
    return _Arranged(tuple(sample for _, _, sample in keyed), digest)


def _meaning(description: DatasetDescription) -> str:
    """What of the description changes the meaning of the numbers; neither name nor seed does."""
    return json.dumps([description.score_range, description.control_parameters, description.origin])


def _contents(sample: Sample, content: str | None) -> str:
    controls = [None if math.isnan(value) else value for value in sample.controls]
    return json.dumps([sample.specimen, sample.field, controls, sample.reference_score, content])
