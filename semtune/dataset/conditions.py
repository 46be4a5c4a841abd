"""What is known of the frames of a dataset beyond what networks may see: for reports alone.

`conditions.csv` has a column `image`, as the manifest, and any others; `semtune simulate` writes what only a
simulation knows. It enters neither the digest nor any training.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from semtune.dataset.description import MANIFEST_COLUMNS
from semtune.dataset.faults import read_text
from semtune.dataset.rows import MANIFEST_FILE

CONDITIONS_FILE = "conditions.csv"
_LIMIT = 64 * 1024 * 1024
_KEY, _SPECIMEN = MANIFEST_COLUMNS[0], MANIFEST_COLUMNS[2]


def write_conditions(folder: Path, names: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """Write a row a frame.

    Args:
        folder: Of the dataset.
        names: Of the conditions.
        rows: The image as in the manifest, then a value a condition.
    """
    with (folder / CONDITIONS_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((_KEY, *names))
        writer.writerows(rows)


def read_conditions(folder: Path) -> dict[str, dict[str, float | str]]:
    """Conditions by name, then by image: the specimen, and what `conditions.csv` has, if it is readable."""
    found: dict[str, dict[str, float | str]] = {}
    for name, wanted in ((MANIFEST_FILE, {_SPECIMEN}), (CONDITIONS_FILE, None)):
        text = read_text(folder, name, _LIMIT)
        if isinstance(text, str):
            with suppress(csv.Error):
                for row in csv.DictReader(io.StringIO(text, newline="")):
                    _take_in(found, row, wanted)
    return found


def _take_in(
    found: dict[str, dict[str, float | str]], row: Mapping[str | None, str | None], wanted: set[str] | None
) -> None:
    image = row.get(_KEY)
    for name, text in row.items():
        if image and name and text and name != _KEY and (wanted is None or name in wanted):
            found.setdefault(name, {})[image] = _number(text)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
