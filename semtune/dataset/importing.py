"""A laboratory's folder of frames and its table of scores become a dataset's folder."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from semtune.dataset import Sample
from semtune.dataset.carried import carry_ratings
from semtune.dataset.description import ACQUIRED, MANIFEST_COLUMNS, DatasetDescription, write_description
from semtune.dataset.faults import Fault
from semtune.dataset.inspection import inspect, inspect_pixels
from semtune.dataset.manifest import write_manifest
from semtune.dataset.ratings import counted, write_ratings
from semtune.dataset.recorded import SCALED, is_faint, mixed_scales, recorded_in_words, write_recorded
from semtune.dataset.rows import parse_time
from semtune.dataset.scores import ScoreTable, number, read_scores, with_fields
from semtune.dataset.sources import FRAMES_FOLDER, find_image, target_names
from semtune.errors import DatasetError, MetadataError
from semtune.images import crop_data_bar, read_frame, write_png
from semtune.metadata import ControlParameters, read_control_parameters
from semtune.registry import nearest_name

FROM_METADATA = ("brightness", "contrast", "focus")
"""The control parameters that are read from the vendor's metadata where the table has no such column."""


@dataclass(frozen=True)
class ImportSummary:
    """What was imported, and what the importer had to assume."""

    folder: Path
    frames: int
    fields: int
    data_bars_cropped: int
    notes: tuple[str, ...]
    """One sentence each: defaults that were taken, control parameters that are missing."""


def import_frames(
    frames_folder: Path,
    dataset_folder: Path,
    scores_csv: Path,
    score_range: tuple[float, float] = (0.0, 10.0),
    control_parameters: Sequence[str] | None = None,
    field_pattern: str | None = None,
) -> ImportSummary:
    """Build a dataset's folder: frames as grey PNG without data bars, `manifest.csv` and `dataset.yaml`.

    The table has one row a frame and the columns `image` (its path inside `frames_folder`) and `score`.
    Without `specimen` every frame is of the specimen "unknown"; without `field` every frame is a field of its
    own, which is right only if no two frames show the same place. Further columns are control parameters.
    Brightness, contrast and focus (the working distance in mm) come from the table, or from the vendor's
    metadata if the table has no such column; what is missing is left empty. Rows without a score are left
    out. Single ratings in `ratings.csv` beside the table are taken along, and their noise is described.

    Args:
        frames_folder: The laboratory's image files, in subfolders or not.
        dataset_folder: Must not exist, or be empty; it appears whole or not at all.
        scores_csv: Comma-separated, UTF-8.
        score_range: Lowest and highest score that can be given.
        control_parameters: Their names, in order; other columns are then left out. By default brightness,
            contrast, focus and every further column.
        field_pattern: Regular expression that finds the field in an image's path; see `with_fields`.

    Raises:
        DatasetError: Names every fault of the table and of the frames, one a line; nothing is written.
    """
    _check_target(dataset_folder)
    if not frames_folder.is_dir():
        raise DatasetError(f"{frames_folder}: there is no such folder; give the folder of the image files")
    table = with_fields(read_scores(scores_csv), field_pattern)
    description = _description(scores_csv, table.columns, score_range, control_parameters)
    draft = dataset_folder.absolute().with_name(f".{dataset_folder.name}.importing-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        summary = _import(frames_folder, draft, table, description)
        if dataset_folder.exists():
            dataset_folder.rmdir()
        draft.rename(dataset_folder)
    except OSError as fault:
        raise DatasetError(
            f"{dataset_folder}: cannot be written ({fault.strerror}); check space and permissions"
        ) from fault
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ImportSummary(dataset_folder, *summary)


class _Imported(NamedTuple):
    line: int
    sample: Sample
    metadata: ControlParameters
    cropped: bool
    faint: bool


def _check_target(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"{folder}: is there and not an empty folder; choose another or remove it")
    except OSError as fault:
        raise DatasetError(f"{folder}: cannot be used ({fault.strerror}); choose another folder") from fault


def _description(
    file: Path, columns: Sequence[str], score_range: tuple[float, float], names: Sequence[str] | None
) -> DatasetDescription:
    further = [name for name in columns if name not in (*MANIFEST_COLUMNS, ACQUIRED, *FROM_METADATA)]
    chosen = (*FROM_METADATA, *further) if names is None else tuple(names)
    unknown = [name for name in chosen if name not in (*columns, *FROM_METADATA)]
    if unknown:
        raise DatasetError(
            f"{file}:1: there is no column {unknown[0]!r}; {nearest_name(unknown[0], columns)}"
        )
    try:
        return DatasetDescription(score_range=score_range, control_parameters=chosen, origin="measured")
    except ValidationError as fault:
        reason = fault.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise DatasetError(f"{file}:1: {reason}; correct the header or the option") from None


# The frames


def _import(
    frames: Path, draft: Path, table: ScoreTable, description: DatasetDescription
) -> tuple[int, int, int, tuple[str, ...]]:
    imported: list[_Imported] = []
    faults = [*table.faults]
    rows = [(line, row) for line, row in table.rows if row["score"]]
    if not rows and not faults:
        raise DatasetError(f"{table.file}: no row has a score; score the frames first (`semtune label`)")
    names = target_names([row["image"] for _, row in rows])
    for (line, row), name in zip(rows, names, strict=True):
        try:
            imported.append(_import_row(frames, draft / name, line, row, description.control_parameters))
        except (DatasetError, MetadataError) as fault:
            faults.append(table.fault(line, str(fault)))
    samples = [item.sample for item in imported]
    metadata = [item.metadata for item in imported]
    recorded = [name for name in description.control_parameters if name not in table.columns]
    image_of = {line: row["image"] for line, row in rows}
    carried = carry_ratings(table.file.parent, {image_of[item.line]: item.sample for item in imported})
    write_manifest(draft, samples, description.control_parameters)
    write_recorded(draft, [sample.image for sample in samples], metadata, recorded)
    write_description(draft, description.model_copy(update={"rater_noise": carried.noise}))
    write_ratings(draft, carried.ratings)
    faults += [*_unit_faults(table, imported, description), *_faults_of_dataset(table, draft, imported)]
    if faults:
        raise DatasetError("\n".join(str(fault) for fault in sorted(faults, key=lambda one: one.line or 0)))
    fields = len({sample.field for sample in samples})
    faint = counted(sum(item.faint for item in imported), "frame")
    notes = [*_notes(table, samples, description), *recorded_in_words(metadata, recorded), *carried.notes]
    if any(item.faint for item in imported):
        notes.append(f"{faint} of 16 bits would turn nearly black in 8; stretch the grey levels first.")
    return len(samples), fields, sum(item.cropped for item in imported), tuple(notes)


def _import_row(
    frames: Path, target: Path, line: int, row: dict[str, str], names: Sequence[str]
) -> _Imported:
    source, place = find_image(frames, row["image"])
    score = number("score", row["score"])
    given = {name: number(name, row[name]) if row[name] else math.nan for name in names if name in row}
    metadata = _metadata(source, needed=bool(set(names) - set(given)))
    controls = _recorded(metadata) | given
    acquired, wrong = parse_time(row.get(ACQUIRED, ""))
    if wrong:
        raise DatasetError(wrong[0])
    frame = read_frame(source)
    cropped = crop_data_bar(frame, metadata.data_bar_rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_png(target, cropped)
    sample = Sample(
        f"{FRAMES_FOLDER}/{target.name}",
        score,
        row.get("specimen", "unknown"),
        row.get("field", str(place)),
        tuple(controls[name] for name in names),
        acquired,
    )
    return _Imported(line, sample, metadata, cropped.shape != frame.shape, is_faint(cropped))


def _recorded(metadata: ControlParameters) -> dict[str, float]:
    values = (metadata.brightness, metadata.contrast, metadata.working_distance_mm)
    return {
        name: math.nan if value is None else value for name, value in zip(FROM_METADATA, values, strict=True)
    }


def _metadata(path: Path, needed: bool) -> ControlParameters:
    """The vendor's metadata; that it cannot be read matters only if the table leaves something to it."""
    try:
        return read_control_parameters(path)
    except MetadataError:
        if needed:
            raise
        return ControlParameters()


# The whole


def _unit_faults(
    table: ScoreTable, imported: Sequence[_Imported], description: DatasetDescription
) -> Iterator[Fault]:
    for name in SCALED:
        mixed = mixed_scales([item.metadata for item in imported], name)
        if mixed and name in description.control_parameters and name not in table.columns:
            said = f"{name} is recorded in {' and in '.join(mixed)}"
            yield table.fault(1, f"{said}; add a column {name!r} in one unit, cells may be empty")


def _faults_of_dataset(table: ScoreTable, draft: Path, imported: Sequence[_Imported]) -> Iterator[Fault]:
    """What the dataset's own checks say, told of the lines of the table instead of the manifest's."""
    if not imported:
        return
    line_of = defaultdict(int, {row: item.line for row, item in enumerate(imported, start=2)})
    for fault in inspect_pixels(inspect(draft)).faults:
        if fault.severity == "error":
            told = re.sub(r"\bline (\d+)", lambda match: f"line {line_of[int(match[1])]}", fault.fault)
            yield table.fault(line_of[fault.line] if fault.line else None, told)


def _notes(table: ScoreTable, samples: Sequence[Sample], description: DatasetDescription) -> Iterator[str]:
    columns = table.columns
    if unscored := len(table.rows) - len(samples):
        yield f"Left out, having no score: {counted(unscored, 'row')}."
    if "specimen" not in columns:
        yield "There is no column specimen: all frames count as one specimen, 'unknown'."
    if "field" not in columns:
        yield (
            "There is no column field: every frame counts as a field of its own; "
            "if several show one place, add it or give --field, or the split leaks."
        )
    further = [name for name in description.control_parameters if name not in FROM_METADATA]
    if further:
        yield f"Taken as control parameters: {', '.join(further)}; networks will see them."
    for index, name in enumerate(description.control_parameters):
        missing = sum(math.isnan(sample.controls[index]) for sample in samples)
        if missing:
            yield f"{name} is missing for {missing} of {len(samples)} frames."
    used = (*MANIFEST_COLUMNS, ACQUIRED, *description.control_parameters)
    left_out = [name for name in columns if name not in used]
    if left_out:
        yield f"Left out: {', '.join(left_out)}."
