"""The table of scores that a laboratory brings: `scores.csv`, one row a frame."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semtune.dataset.faults import Fault, read_text
from semtune.errors import ConfigError, DatasetError
from semtune.registry import nearest_name

_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class ScoreTable:
    """The rows of a table of scores, as text."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    """Line number, counted from 1, and the stripped cells by column."""
    faults: tuple[Fault, ...]
    """What is wrong with rows that are left out here."""

    def fault(self, line: int | None, message: str) -> Fault:
        """A fault of this table: what is wrong; what to do."""
        return Fault(str(self.file), line, message)


def read_scores(file: Path) -> ScoreTable:
    """Read a comma-separated UTF-8 table with at least the columns image and score.

    Raises:
        DatasetError: If the file or its header cannot be used, or no row follows.
    """
    text = read_text(file.parent, file.name, _LIMIT)
    if isinstance(text, Fault):
        raise DatasetError(f"{file}: {text.fault}")
    (_, header), *lines = _lines(text)
    columns = tuple(name.strip() for name in header)
    faults = [Fault(str(file), 1, fault) for fault in _header_faults(columns)]
    if faults or not lines:
        missing = Fault(str(file), 1, "there is no row below the header; add one row a frame")
        raise DatasetError("\n".join(map(str, faults or [missing])))
    wrong = [(line, cells) for line, cells in lines if len(cells) != len(columns)]
    return ScoreTable(
        file,
        columns,
        tuple(
            (line, dict(zip(columns, cells, strict=True)))
            for line, cells in lines
            if (line, cells) not in wrong
        ),
        tuple(Fault(str(file), line, _miscounted(cells, columns)) for line, cells in wrong),
    )


def with_fields(table: ScoreTable, pattern: str | None) -> ScoreTable:
    """The table with a column `field`, read off the images' paths; the same table without a pattern.

    Args:
        table: Without that column.
        pattern: A regular expression; what it finds in a path, or its first group if it has one, is the
            field. A frame in whose path it finds nothing is a field of its own.

    Raises:
        DatasetError: If the table has the column.
        ConfigError: If the pattern is no regular expression.
    """
    if pattern is None:
        return table
    if "field" in table.columns:
        raise DatasetError(f"{table.file}:1: there is a column 'field'; remove it, or leave out --field")
    try:
        wanted = re.compile(pattern)
    except re.error as fault:
        raise ConfigError(
            f"--field: {pattern!r} is no regular expression ({fault}); write e.g. '(.*)_[0-9]+'"
        ) from None

    def field(image: str) -> str:
        found = wanted.search(image)
        return (found[min(1, wanted.groups)] if found else None) or image

    rows = tuple((line, {**row, "field": field(row["image"])}) for line, row in table.rows)
    return replace(table, columns=(*table.columns, "field"), rows=rows)


def number(name: str, text: str) -> float:
    """The finite number of a cell.

    Raises:
        DatasetError: If it is none; Python's own `1_000` is no number in a table.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise DatasetError(f"{name} is {text[:60]!r}, not a finite number; write digits with a decimal point")
    return value


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of the header and of each row that is not blank; no cells where unreadable."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if cells or not lines:
                lines.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error:
        lines.append((reader.line_num, []))
    return lines or [(1, [])]


def _miscounted(cells: Sequence[str], columns: Sequence[str]) -> str:
    if not cells:
        return "the row cannot be parsed; mend its quotes, nothing below was read"
    return f"{len(cells)} cells where the header has {len(columns)}; add or remove commas, or quote the text"


def _header_faults(columns: Sequence[str]) -> Iterator[str]:
    for name in ("image", "score"):
        if name not in columns:
            commas = ", and separate the columns by commas" if ";" in "".join(columns) else ""
            yield f"there is no column {name!r}; add it{commas} ({nearest_name(name, columns)})"
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield f"the column {name!r} is there twice; keep one"
