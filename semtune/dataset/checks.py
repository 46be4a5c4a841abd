"""Name every fault of a dataset before hours are spent on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from semtune.dataset.faults import Fault
from semtune.dataset.inspection import Inspection, inspect, inspect_pixels
from semtune.dataset.manifest import digest_of
from semtune.dataset.rows import MANIFEST_FILE, Row
from semtune.dataset.split import FEWEST_FIELDS, lone_fields

__all__ = ["Fault", "Report", "check"]


@dataclass(frozen=True)
class Report:
    """What a dataset holds, and everything that is wrong with it."""

    digest: str | None
    """SHA-256 of the contents as they stand; None where a file, the header or a row cannot be read."""
    frames: int
    """Rows of the manifest."""
    fields: int
    """Different fields in these rows."""
    faults: tuple[Fault, ...]
    """In the order of the files' lines."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing but warnings was found."""
        return all(fault.severity != "error" for fault in self.faults)


def check(folder: Path) -> Report:
    """Read every text, hash and decode every image of a dataset, and name all faults.

    Faults are reported, never raised; each says in which line what is wrong and what to do. Two frames count
    as the same where their pixels are, whatever the format of their files; blank frames are exempt.
    """
    inspection = inspect_pixels(inspect(folder))
    fields = _first_lines(inspection.rows)
    faults = sorted(
        [*inspection.faults, *_too_few_fields(inspection, len(fields)), *_lone_field_warnings(fields)],
        key=lambda fault: (fault.file, fault.line or 0),
    )
    return Report(digest_of(inspection), len(inspection.rows), len(fields), tuple(faults))


def _first_lines(rows: Iterable[Row]) -> dict[tuple[str, str], int]:
    """Each (specimen, field) and the first line that shows it; a field on two specimens counts once."""
    lines: dict[str, tuple[str, int]] = {}
    for row in rows:
        if row.sample and row.sample.field:
            lines.setdefault(row.sample.field, (row.sample.specimen, row.line))
    return {(specimen, field): line for field, (specimen, line) in lines.items()}


def _too_few_fields(inspection: Inspection, fields: int) -> list[Fault]:
    if not inspection.rows or fields >= FEWEST_FIELDS:
        return []
    count = f"{fields} fields; a split needs {FEWEST_FIELDS}"
    return [Fault(MANIFEST_FILE, None, f"{count}: one each to train, validate and test; record more places")]


def _lone_field_warnings(fields: dict[tuple[str, str], int]) -> list[Fault]:
    specimens: dict[str, list[str]] = defaultdict(list)
    for specimen, field in fields:
        specimens[specimen].append(field)
    return [
        Fault(
            MANIFEST_FILE,
            fields[specimen, field],
            f"field {field!r} is alone on specimen {specimen!r}: it can only train; record more of it",
            "warning",
        )
        for specimen, field in lone_fields(specimens)
    ]
