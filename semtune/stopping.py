"""Requests to stop a running search or one of its trials, left in its folder by another process."""

from __future__ import annotations

from pathlib import Path

WHOLE = "*"
"""The request to stop the search itself; others are names of trials."""


def ask_to_stop(path: Path, what: str) -> None:
    """Leave a request, whole: several processes may ask at once.

    Args:
        path: The file of the requests.
        what: `WHOLE`, or the name of a trial.
    """
    with path.open("ab", buffering=0) as file:
        file.write(f"{what}\n".encode())


class StopRequests:
    """Reads requests as they come.

    Args:
        path: The file of the requests; missing while there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def new(self) -> list[str]:
        """Return what was asked since the last look; a line that is being written waits for the next one."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode("utf-8", "replace").split()
