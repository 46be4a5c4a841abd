"""The rows of `manifest.csv`, each with its sample or with what is wrong with it.

The one place that knows the rules of a row; `read_dataset` and `check` both stand on it.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from semtune.dataset import Sample
from semtune.dataset.description import ACQUIRED, DESCRIPTION_FILE, MANIFEST_COLUMNS, DatasetDescription
from semtune.dataset.faults import Fault, read_text
from semtune.registry import nearest_name

MANIFEST_FILE = "manifest.csv"

_LIMIT = 64 * 1024 * 1024
_MOST_COLUMNS = 10_000


@dataclass(frozen=True)
class Row:
    """One row of the manifest and what is known of it so far."""

    line: int
    """Where the row starts, counted from 1."""
    sample: Sample | None
    """None where a cell cannot be understood."""
    path: Path | None
    """The image file with all symbolic links followed; None where it is missing or outside the folder."""
    faults: tuple[Fault, ...] = ()
    content: str | None = None
    """SHA-256 of the image file, once it was hashed."""

    @property
    def is_sound(self) -> bool:
        """Whether the row can be used: it has a sample and no fault that is an error."""
        return self.sample is not None and all(fault.severity != "error" for fault in self.faults)


@dataclass(frozen=True)
class Rows:
    """All rows of a manifest, and what is wrong with the manifest as a whole."""

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]


def read_rows(folder: Path, description: DatasetDescription) -> Rows:
    """Parse `manifest.csv`; faults of the header or of the file leave no row out that can be parsed."""
    text = read_text(folder, MANIFEST_FILE, _LIMIT)
    if isinstance(text, Fault):
        return Rows((), (text,))
    lines = table_lines(text)
    _, header = next(lines, (1, []))
    if isinstance(header, Fault):
        return Rows((), (header,))
    columns = [name.strip() for name in header]
    faults = _header_faults(columns, description)
    rows: list[Row] = []
    if not set(MANIFEST_COLUMNS) <= set(columns) or len(columns) > _MOST_COLUMNS:
        return Rows((), tuple(faults))
    for line, cells in lines:
        if isinstance(cells, Fault):
            faults.append(cells)
        elif cells:
            rows.append(_parse_row(folder, description, line, columns, cells))
    if not rows:
        faults.append(Fault(MANIFEST_FILE, None, "there is no row below the header; add one row a frame"))
    return Rows(tuple(rows), tuple(faults))


def row_fault(line: int, fault: str) -> Fault:
    """An error in a row of the manifest."""
    return Fault(MANIFEST_FILE, line, fault)


def table_lines(text: str) -> Iterator[tuple[int, list[str] | Fault]]:
    """Each row's first line number and cells; a row that breaks the CSV rules is a fault and the last."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        fault = f"the row cannot be parsed ({error}); mend its quotes, nothing below was read"
        yield line, row_fault(line, fault)


def _header_faults(columns: Sequence[str], description: DatasetDescription) -> list[Fault]:
    if len(columns) == 1 and ";" in columns[0]:
        return [row_fault(1, "the cells are separated by semicolons; save the table with commas")]
    if len(columns) > _MOST_COLUMNS:
        return [row_fault(1, f"the header has more than {_MOST_COLUMNS} columns; is this a manifest?")]
    wanted = (*MANIFEST_COLUMNS, *description.control_parameters)
    return [
        *(_unknown_column(name, wanted) for name in columns if name not in (*wanted, ACQUIRED)),
        *(_missing_column(name) for name in wanted if name not in columns),
        *(_double_column(name) for name, count in Counter(columns).items() if count > 1),
    ]


def _unknown_column(name: str, wanted: Sequence[str]) -> Fault:
    remedy = f"rename it, or list it in control_parameters of {DESCRIPTION_FILE}"
    return row_fault(1, f"unknown column {_shown(name)}; {nearest_name(name, wanted)}; {remedy}")


def _missing_column(name: str) -> Fault:
    remedy = "" if name in MANIFEST_COLUMNS else f", or correct control_parameters in {DESCRIPTION_FILE}"
    return row_fault(1, f"there is no column {name!r}; add it{remedy}")


def _double_column(name: str) -> Fault:
    return row_fault(1, f"the column {_shown(name)} is there twice; keep one")


def _parse_row(
    folder: Path, description: DatasetDescription, line: int, columns: Sequence[str], cells: Sequence[str]
) -> Row:
    if len(cells) != len(columns):
        count = f"{len(cells)} cells where the header has {len(columns)}"
        return Row(line, None, None, (row_fault(line, f"{count}; add or remove commas, or quote the text"),))
    cell = dict(zip(columns, cells, strict=True))
    specimen, field = cell["specimen"].strip(), cell["field"].strip()
    path, image_faults = _find_image(folder, cell["image"])
    score, score_faults = _parse_score(cell["score"], description.score_range)
    controls, control_faults = _parse_controls(cell, description.control_parameters)
    acquired, time_faults = parse_time(cell.get(ACQUIRED, "").strip())
    faults = [
        *image_faults,
        *score_faults,
        *_name_faults("specimen", specimen),
        *_name_faults("field", field),
        *control_faults,
        *time_faults,
    ]
    known = score is not None and not control_faults
    sample = Sample(cell["image"], score or 0.0, specimen, field, controls, acquired) if known else None
    return Row(line, sample, path, tuple(row_fault(line, fault) for fault in faults))


def _parse_controls(cell: Mapping[str, str], names: Sequence[str]) -> tuple[tuple[float, ...], list[str]]:
    """The control parameters, NaN where the cell is empty, and which cells hold something else."""
    texts = {name: cell.get(name, "").strip() for name in names}
    parsed = {name: parse_number(text) if text else math.nan for name, text in texts.items()}
    faults = [not_a_number(name, texts[name]) for name, value in parsed.items() if value is None]
    return tuple(math.nan if value is None else value for value in parsed.values()), faults


def parse_number(text: str) -> float | None:
    """A finite number, or None; Python's own `1_000` is no number in a table."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value + 0.0 if math.isfinite(value) and "_" not in text else None  # + 0.0: there is one zero


def parse_time(text: str) -> tuple[float, list[str]]:
    """Seconds since 1970 (NaN where the cell is empty), and what is wrong; a time without a zone is UTC."""
    seconds = parse_number(text) if text else math.nan
    if seconds is not None:
        return seconds, []
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong = f"{ACQUIRED} is {_shown(text)}, not a time; write seconds, or e.g. 2020-05-17T14:03:22"
        return math.nan, [wrong]
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), []


def _parse_score(text: str, score_range: tuple[float, float]) -> tuple[float | None, list[str]]:
    low, high = score_range
    score = parse_number(text)
    if score is None:
        return None, [not_a_number("score", text)]
    if not low <= score <= high:
        where = f"outside {low:g}..{high:g}"
        return score, [f"the score {score:g} is {where}; correct it, or score_range in {DESCRIPTION_FILE}"]
    return score, []


def not_a_number(name: str, text: str) -> str:
    """The fault of a cell that should hold a number."""
    return f"{name} is {_shown(text)}, not a finite number; write digits with a decimal point"


def _name_faults(column: str, text: str) -> list[str]:
    if not text:
        return [f"the {column} is empty; name the {column} that the frame shows"]
    if _has_control_characters(text):
        return [f"the {column} {_shown(text)} holds a control character; take it out"]
    return []


def _find_image(folder: Path, image: str) -> tuple[Path | None, list[str]]:
    """The image's file, symbolic links followed, or why there is none that may be used."""
    wrong = _wrong_with_path(image)
    try:
        path = None if wrong else (folder / image).resolve()
        if path and not path.is_relative_to(folder.resolve()):
            wrong = "links to a place outside the dataset's folder; copy the file into it"
        elif path and not path.is_file():
            state = "is not a regular file" if path.exists() else "is missing"
            wrong = f"{state}; put the file there, or delete the row"
    except (OSError, RuntimeError):
        wrong = "has a name too long or links to itself; rename the file"
    return (None, [f"the image {_shown(image)} {wrong}"]) if wrong else (path, [])


def _wrong_with_path(image: str) -> str | None:
    if not image:
        return "names no file; write the file's path inside the dataset's folder"
    if _has_control_characters(image) or "\\" in image:
        return "holds a control character or a backslash; rename the file"
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts:
        return "leaves the dataset's folder; write a path inside it"
    return None


def _has_control_characters(text: str) -> bool:
    """Whether a name could move the cursor of a terminal or break the line of a log."""
    return any(unicodedata.category(character) == "Cc" for character in text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
