"""Frames scored as they are saved: a folder is looked at again and again.

Looking, and not the system's messages of changes: those do not come from network shares, where microscopes
save, and say nothing of whether a file is whole (decision 0052).
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from semtune.errors import SemtuneError
from semtune.images.listing import IMAGE_SUFFIXES
from semtune.scoring import AUTO, ScoredFrame, Scorer

PATIENCE = 10.0
"""Seconds for which a file that cannot be read must have stayed the same before it is called damaged."""


class Stamp(NamedTuple):
    """What changes when a file is written to."""

    bytes: int
    modified: int
    """Nanoseconds, by the clock of the file system."""


class Unreadable(NamedTuple):
    """A file that stays what no frame is."""

    frame: str
    reason: str


class Watch:
    """Knows which frames of a folder are new and whole; each is told once, and again if it is saved anew.

    Args:
        folder: Looked through with all folders in it.
        existing: Whether the frames that are there already are told too.
    """

    def __init__(self, folder: Path, existing: bool = False) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[Stamp, float]] = {}
        """Every file with its stamp and since when it has had it."""
        self._first = self._look()
        self._done = {} if existing else dict(self._first)

    def leave_out(self, known: Collection[str]) -> None:
        """Tell nothing of these frames unless they are saved anew; they are named by their paths."""
        self._done |= {path: stamp for path, stamp in self._first.items() if str(path) in known}

    def settled(self, now: float) -> list[tuple[Path, float]]:
        """Frames that have not changed since the last look, and for how many seconds; oldest first.

        Args:
            now: Seconds of a clock that only goes forward.
        """
        there = self._look()
        self._seen = {
            path: self._seen[path] if path in self._seen and self._seen[path][0] == stamp else (stamp, now)
            for path, stamp in there.items()
        }
        waiting = [
            (path, now - since)
            for path, (stamp, since) in self._seen.items()
            if since < now and stamp.bytes and self._done.get(path) != stamp
        ]
        return sorted(waiting, key=lambda each: (self._seen[each[0]][0].modified, each[0]))

    def is_still(self, path: Path) -> bool:
        """Whether a frame is what it was at the last look."""
        try:
            return _stamp(path) == self._seen[path][0]
        except OSError:
            return False

    def done(self, path: Path) -> None:
        """Tell no more of a frame unless it changes."""
        self._done[path] = self._seen[path][0]

    def _look(self) -> dict[Path, Stamp]:
        found = {}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                if path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                    with suppress(OSError):  # gone, or not let in yet
                        found[path] = _stamp(path)
        return found


def _stamp(path: Path) -> Stamp:
    facts = path.stat()
    return Stamp(facts.st_size, facts.st_mtime_ns)


def scored_as_saved(
    scorer: Scorer, frames: Watch, given: Mapping[str, float], engine: str = AUTO, seconds: float = 1.0
) -> Iterator[ScoredFrame | Unreadable]:
    """Score frames as they become whole, for ever.

    A file that cannot be read is waited for while it may still be written to, and told once if it stays so.

    Args:
        scorer: The champion.
        frames: What to look at.
        given: Known control parameters, for all of them.
        engine: Its name, or `auto`: then the first frame decides, as it is worth it.
        seconds: Between two looks.

    Raises:
        ConfigError: If the engine cannot be used here.
    """
    lasting = scorer.lasting(engine)
    while True:
        for path, quiet in frames.settled(time.monotonic()):
            try:
                read = scorer.read_file(path, given)
                scored = (lasting or scorer).score_read(read)
            except SemtuneError as error:
                if quiet >= PATIENCE:
                    frames.done(path)
                    yield Unreadable(str(path), str(error))
                continue
            if not frames.is_still(path):  # written to while it was read
                continue
            frames.done(path)
            yield scored
            lasting = lasting or scorer.on_fastest(read.frame)
        time.sleep(seconds)
