"""Scores as rows of a CSV file, to which each call adds."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from semtune.errors import SearchError
from semtune.scoring import ScoredFrame


@dataclass(frozen=True)
class ScoreRows:
    """A CSV file of scores; made by `open_rows`."""

    path: Path
    version: int
    """Of the champion."""
    names: tuple[str, ...]
    """Control parameters, a column each."""
    known: frozenset[str]
    """Frames that had a row when the file was opened."""

    def add(self, scored: Iterable[ScoredFrame]) -> None:
        """Add a row a frame.

        Raises:
            SearchError: If the file cannot be written.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        rows = [
            [each.frame, each.score, self.version, now, *(each.controls.get(name, "") for name in self.names)]
            for each in scored
        ]
        _append(self.path, rows)


def open_rows(path: Path, version: int, names: tuple[str, ...]) -> ScoreRows:
    """Open a file of scores, or begin one.

    Args:
        path: The file.
        version: Of the champion that scores from now on.
        names: Its control parameters.

    Raises:
        SearchError: If the file has other columns, or cannot be read or written.
    """
    header = ["frame", "score", "model_version", "scored_at", *names]
    try:
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))
    except FileNotFoundError:
        rows = []
    except (OSError, ValueError, csv.Error) as error:
        raise SearchError(f"{path}: cannot be read as CSV ({error}); name another file") from None
    if not rows:
        _append(path, [header])
    elif rows[0] != header:
        raise SearchError(f"{path}: its columns are not {', '.join(header)}; name another file")
    return ScoreRows(path, version, names, frozenset(row[0] for row in rows[1:] if row))


def _append(path: Path, rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
    except OSError as error:
        raise SearchError(f"{path}: cannot be written ({error.strerror}); name another file") from error
