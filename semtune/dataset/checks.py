"""Name every fault of a dataset before hours are spent on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semtune.dataset.faults import Fault
from semtune.dataset.inspection import Inspection, inspect, inspect_pixels
from semtune.dataset.manifest import digest_of
from semtune.dataset.raters import RatersReport, judge_raters
from semtune.dataset.ratings import RATINGS_FILE, Rating, disagreeing, read_ratings
from semtune.dataset.recorded import scale_faults, scales
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
    raters: RatersReport | None
    """How its raters agree; None where no single ratings are known."""
    scales: Mapping[str, Mapping[str, int]]
    """On which scales brightness and contrast were recorded, with numbers of frames."""

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
    ratings, rating_faults = read_ratings(folder)
    faults = sorted(
        [
            *inspection.faults,
            *_too_few_fields(inspection, len(fields)),
            *_lone_field_warnings(fields),
            *scale_faults(folder),
            *rating_faults,
            *_rating_faults(inspection, ratings),
        ],
        key=lambda fault: (fault.file, fault.line or 0),
    )
    return Report(
        digest_of(inspection),
        len(inspection.rows),
        len(fields),
        tuple(faults),
        judge_raters(ratings),
        scales(folder),
    )


def _rating_faults(inspection: Inspection, ratings: Sequence[Rating]) -> Iterator[Fault]:
    samples = [row.sample for row in inspection.rows if row.sample]
    scores = {sample.image: sample.reference_score for sample in samples}
    other = disagreeing(ratings, scores) if ratings else []
    if other:
        said = f"{len(other)} scores are not the means of their ratings, such as that of {other[0]}"
        yield Fault(RATINGS_FILE, None, f"{said}; import anew, or remove {RATINGS_FILE}", "warning")


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
