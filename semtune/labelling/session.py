"""What the page asks for: the next frame of a rater, a picture of it, a score to be kept or taken back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import imagecodecs
import numpy as np

from semtune.dataset.ratings import is_rater
from semtune.errors import ConfigError, DatasetError, MetadataError
from semtune.files import is_inside
from semtune.images import crop_data_bar, read_frame, to_uint8
from semtune.images.listing import image_files
from semtune.labelling.book import RatingBook
from semtune.labelling.order import Showing, showings
from semtune.metadata import read_control_parameters


class Next(NamedTuple):
    """A frame that waits for a score."""

    frame: int
    """Its place in `Labelling.images`."""
    earlier: int
    """How often the rater has scored it: what a score must name, so that none counts twice."""


@dataclass(frozen=True)
class State:
    """What one rater has done and is to do."""

    rater: str
    done: int
    """Scores given."""
    total: int
    """Scores to be given, repeats included."""
    next: Next | None
    """None where all is done."""
    unreadable: tuple[str, ...]
    """Files that are left out, each with the reason."""
    taken_back: float | None = None
    """The score that was just taken back, of the frame that is next."""


@dataclass
class Labelling:
    """The frames of a folder and the book of their ratings; all methods may be called from any thread."""

    folder: Path
    images: tuple[str, ...]
    book: RatingBook
    score_range: tuple[float, float]
    share: float
    """Of the frames that are shown a second time."""
    unreadable: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def state(self, rater: str) -> State:
        """What a rater has done and is to do.

        Raises:
            ConfigError: If nobody can be called so.
        """
        with self._lock:
            return self._state(rater)

    def rate(self, rater: str, frame: int, earlier: int, score: float) -> State:
        """Keep a score; the state tells what comes next.

        Raises:
            ConfigError: If the score is outside the range, or is not of the frame that waits for one.
        """
        low, high = self.score_range
        if not (math.isfinite(score) and low <= score <= high):
            raise ConfigError(f"the score must be from {low:g} to {high:g}")
        with self._lock:
            if self._state(rater).next != Next(frame, earlier):
                raise ConfigError("this frame has been scored elsewhere meanwhile; load the page again")
            self.book.add(self.images[frame], rater, score)
            return self._state(rater)

    def take_back(self, rater: str) -> State:
        """Take back a rater's last score.

        Raises:
            ConfigError: If there is none.
        """
        with self._lock:
            taken = self.book.take_back(rater)
            if taken is None:
                raise ConfigError("there is nothing to undo")
            return self._state(rater, taken.score)

    def picture(self, frame: int) -> bytes:
        """A frame as PNG, 8 bits, without data bar: the grey levels that networks see.

        Raises:
            DatasetError: If it cannot be read.
        """
        return _picture(self.folder / self.images[frame])

    def _state(self, rater: str, taken_back: float | None = None) -> State:
        if not is_rater(rater):
            raise ConfigError("a rater's name has 1 to 40 letters, digits, blanks, points and hyphens")
        mine = [each.image for each in self.book.ratings if each.rater == rater]
        waiting = self._waiting(rater, mine)
        first, second = next(waiting, None), next(waiting, None)  # the second is decoded early thereby
        if second and first and mine and first.image == mine[-1]:
            first = second  # not the same frame twice running
        numbers = {image: number for number, image in enumerate(self.images)}
        counts = Counter(mine)
        done = sum(counts[image] for image in self.images)
        all_of_them = showings(self.images, rater, self.share)
        total = sum(showing.image not in self.unreadable for showing in all_of_them)
        return State(
            rater,
            done,
            max(total, done),
            Next(numbers[first.image], counts[first.image]) if first else None,
            tuple(f"{image}: {why}" for image, why in self.unreadable.items()),
            taken_back,
        )

    def _waiting(self, rater: str, mine: Sequence[str]) -> Iterator[Showing]:
        """What the rater has not scored yet and can be shown, in the rater's order."""
        counts = Counter(mine)
        for showing in showings(self.images, rater, self.share):
            if counts[showing.image] <= showing.earlier and self._can_be_shown(showing.image):
                yield showing

    def _can_be_shown(self, image: str) -> bool:
        if image not in self.unreadable:
            try:
                _picture(self.folder / image)
                return True
            except DatasetError as fault:
                self.unreadable[image] = str(fault).removeprefix(f"{self.folder / image}: ")
        return False


def list_images(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The images of a folder by their paths inside it, and those that no table could name or that lead out.

    Raises:
        DatasetError: If there are none.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; give the folder of the image files")
    usable: list[str] = []
    others: list[str] = []
    for path in image_files([folder]):
        image = path.relative_to(folder).as_posix()
        plain = image.isprintable() and image == image.strip() and "\\" not in image
        (usable if plain and is_inside(path, folder) else others).append(image)
    if not usable:
        raise DatasetError(f"{folder}: {others[0]!r} has no usable name, or links out of the folder; copy it")
    return tuple(usable), tuple(others)


@lru_cache(maxsize=4)
def _picture(path: Path) -> bytes:
    try:
        rows = read_control_parameters(path).data_bar_rows
    except MetadataError:  # `semtune import` tells
        rows = None
    frame = to_uint8(crop_data_bar(read_frame(path), rows))
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(frame), level=1))
