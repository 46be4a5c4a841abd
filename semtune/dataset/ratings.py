"""Single ratings: who gave which frame which score, and when; `ratings.csv` beside a table of scores.

Lines are only ever added, in the order of time. A line without a score takes back what the same rater said
last of the same frame.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from semtune.dataset.faults import Fault, read_text
from semtune.dataset.rows import not_a_number, parse_number

RATINGS_FILE = "ratings.csv"
COLUMNS = ("image", "rater", "score", "rated")
DIGITS = 4
"""Of a reference score behind the point: means of ratings have more."""

_LIMIT = 64 * 1024 * 1024
_NAME = re.compile(r"\w[\w .'-]{0,39}")


@dataclass(frozen=True)
class Rating:
    """One score that one rater gave to one frame."""

    image: str
    """As in the table of scores, or in the manifest."""
    rater: str
    score: float
    rated: str
    """When: ISO 8601, UTC."""


class ReadRatings(NamedTuple):
    """The ratings that stand, in the order of time, and what is wrong with the file."""

    ratings: tuple[Rating, ...]
    faults: tuple[Fault, ...]


def read_ratings(folder: Path) -> ReadRatings:
    """Read the ratings in a folder; none where there is no such file. What was taken back is left out."""
    if not (folder / RATINGS_FILE).exists():
        return ReadRatings((), ())
    text = read_text(folder, RATINGS_FILE, _LIMIT)
    if isinstance(text, Fault):
        return ReadRatings((), (text,))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    standing: list[Rating] = []
    faults: list[Fault] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if header != list(COLUMNS):
            return ReadRatings((), (_fault(1, f"the header is not {','.join(COLUMNS)}; restore it"),))
        for cells in reader:
            if wrong := _take_in(standing, cells):
                faults.append(_fault(reader.line_num, wrong))
    except csv.Error as error:
        faults.append(_fault(reader.line_num, f"cannot be parsed ({error}); mend its quotes"))
    return ReadRatings(tuple(standing), tuple(faults))


def write_ratings(folder: Path, ratings: Sequence[Rating]) -> None:
    """Write ratings that stand into a folder; no file where there are none."""
    if not ratings:
        return
    with (folder / RATINGS_FILE).open("w", encoding="utf-8", newline="") as file:
        file.write(as_line(COLUMNS))
        file.writelines(as_line((each.image, each.rater, repr(each.score), each.rated)) for each in ratings)


def as_line(cells: Sequence[str]) -> str:
    """A line of the file, its end included."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def counted(count: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def is_rater(name: str) -> bool:
    """Whether a rater may be called so: 1 to 40 letters, digits, blanks, points, hyphens, apostrophes."""
    return _NAME.fullmatch(name) is not None and name == name.strip()


def by_rater(ratings: Iterable[Rating]) -> dict[str, dict[str, list[float]]]:
    """Scores by rater, then by image, in the order of time."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in ratings:
        found[each.rater][each.image].append(each.score)
    return {rater: dict(images) for rater, images in found.items()}


def reference_scores(ratings: Iterable[Rating]) -> dict[str, float]:
    """The mean over raters of the mean over each rater's ratings of a frame, by image."""
    means: dict[str, list[float]] = defaultdict(list)
    for images in by_rater(ratings).values():
        for image, scores in images.items():
            means[image].append(fmean(scores))
    return {image: round(fmean(each), DIGITS) for image, each in means.items()}


def disagreeing(ratings: Iterable[Rating], scores: Mapping[str, float]) -> list[str]:
    """The images whose score is not the mean of their ratings, ratings of unknown images left aside."""
    expected = reference_scores(ratings)
    return [
        image
        for image, score in scores.items()
        if image not in expected or abs(expected[image] - score) > 2 * 10**-DIGITS
    ]


def _take_in(standing: list[Rating], cells: Sequence[str]) -> str | None:
    """Add a line's rating to those that stand, or take one back; returns what is wrong with the line."""
    if not cells:
        return None
    if len(cells) != len(COLUMNS):
        return f"{len(cells)} cells, not {len(COLUMNS)}; correct or delete the line"
    image, rater, score, rated = (cell.strip() for cell in cells)
    if not is_rater(rater) or not image or not image.isprintable():
        return "names no image or no rater; correct or delete the line"
    if score:
        number = parse_number(score)
        if number is None:
            return not_a_number("score", score)
        standing.append(Rating(image, rater, number, rated))
        return None
    for place in reversed(range(len(standing))):
        if (standing[place].image, standing[place].rater) == (image, rater):
            del standing[place]
            return None
    return "takes back a rating that is not there; delete the line"


def _fault(line: int, what: str) -> Fault:
    return Fault(RATINGS_FILE, line, what, "warning")
