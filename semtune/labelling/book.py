"""The book of ratings on disk: a line is added and flushed before anybody hears of it.

`ratings.csv` holds every rating, `scores.csv` what `semtune import` takes: a row a frame, its score the mean
over raters of their means, an empty cell where there is none yet. Columns that somebody added to `scores.csv`
(field, specimen, control parameters) stay.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from semtune.dataset.faults import NAMED_FAULTS
from semtune.dataset.ratings import (
    COLUMNS,
    RATINGS_FILE,
    Rating,
    as_line,
    read_ratings,
    reference_scores,
)
from semtune.dataset.scores import read_scores
from semtune.errors import DatasetError
from semtune.files import is_inside, sync_folder, written_whole
from semtune.journal import cut_torn_line

SCORES_FILE = "scores.csv"
_LOCK = ".ratings.lock"


@dataclass
class RatingBook:
    """The ratings of a folder, and the rows of its table of scores; opened by `open_book`."""

    folder: Path
    images: tuple[str, ...]
    ratings: list[Rating]
    """Those that stand, in the order of time."""

    def add(self, image: str, rater: str, score: float) -> None:
        """Add a rating; it is on the disk when this returns."""
        rating = Rating(image, rater, score, _now())
        self._append((image, rater, f"{score:.10g}", rating.rated))
        self.ratings.append(rating)
        self._follow()

    def take_back(self, rater: str) -> Rating | None:
        """Take back a rater's last rating and return it; None if there is none."""
        places = [place for place, each in enumerate(self.ratings) if each.rater == rater]
        if not places:
            return None
        taken = self.ratings[places[-1]]
        self._append((taken.image, rater, "", _now()))
        del self.ratings[places[-1]]
        self._follow()
        return taken

    def write_scores(self) -> None:
        """Write `scores.csv` anew, whole, from the ratings."""
        further, known = _further(self.folder / SCORES_FILE)
        scores = reference_scores(self.ratings)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("image", "score", *further))
        for image in self.images:
            score = f"{scores[image]:.10g}" if image in scores else ""
            writer.writerow((image, score, *known.get(image, ("",) * len(further))))
        with written_whole(self.folder / SCORES_FILE) as beside:
            beside.write_text(text.getvalue(), "utf-8", newline="")

    def _follow(self) -> None:
        with suppress(DatasetError):  # somebody edits the table meanwhile; the next start tells what is wrong
            self.write_scores()

    def _append(self, cells: Sequence[str]) -> None:
        line = as_line(cells).encode()
        with (self.folder / RATINGS_FILE).open("ab", buffering=0) as file:
            end = os.fstat(file.fileno()).st_size
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(end)
                raise


@contextmanager
def open_book(folder: Path, images: Sequence[str], score_range: tuple[float, float]) -> Iterator[RatingBook]:
    """Take up the ratings of a folder where they were left, or begin; no other process may meanwhile.

    Args:
        folder: For the two tables.
        images: All that can be rated, as the tables are to name them.
        score_range: Lowest and highest score.

    Raises:
        DatasetError: If another process has the book, a table is damaged, a score lies outside the range,
            or `scores.csv` holds scores that were not given here.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK, timeout=0):
            yield _opened(folder, tuple(images), score_range)
    except Timeout:
        raise DatasetError(f"{folder}: is being labelled by another process; open its page") from None
    except OSError as fault:
        remedy = "correct that, or name another folder by --out"
        raise DatasetError(f"{folder}: cannot be written ({fault.strerror}); {remedy}") from fault


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _opened(folder: Path, images: tuple[str, ...], score_range: tuple[float, float]) -> RatingBook:
    path = folder / RATINGS_FILE
    if not path.exists():
        _refuse_foreign_scores(folder / SCORES_FILE)
        with written_whole(path) as beside:
            beside.write_text(as_line(COLUMNS), "utf-8", newline="")
    elif not is_inside(path, folder):
        raise DatasetError(f"{path}: links to a place outside its folder; copy the file into it")
    else:
        cut_torn_line(path)  # what a death left of it was never confirmed to its rater
    read = read_ratings(folder)
    if read.faults:
        raise DatasetError("\n".join(f"{folder}/{fault}" for fault in read.faults[:NAMED_FAULTS]))
    low, high = score_range
    outside = [each for each in read.ratings if not low <= each.score <= high]
    if outside:
        raise DatasetError(
            f"{path}: {outside[0].image} was given {outside[0].score:g}, outside {low:g}..{high:g}; "
            "name the range of before by --score-range"
        )
    book = RatingBook(folder, images, list(read.ratings))
    book.write_scores()
    sync_folder(folder)
    return book


def _refuse_foreign_scores(path: Path) -> None:
    if path.exists() and any(row["score"] for _, row in read_scores(path).rows):
        raise DatasetError(
            f"{path}: holds scores that were not given on the page, which would overwrite them; "
            "move it, or name another folder by --out"
        )


def _further(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The columns beyond image and score, and their cells by image."""
    if not path.exists():
        return (), {}
    table = read_scores(path)
    if table.faults:
        raise DatasetError("\n".join(map(str, table.faults[:NAMED_FAULTS])))
    names = tuple(name for name in table.columns if name not in ("image", "score"))
    return names, {row["image"]: tuple(row[name] for name in names) for _, row in table.rows}
