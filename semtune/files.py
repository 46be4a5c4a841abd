"""How files are written and how a disk that takes no more is told: once, for every writer."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from semtune.errors import SearchError

_TROUBLES = {
    errno.ENOSPC: ("the disk is full", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EROFS: ("the disk is read-only", "make it writable"),
    errno.EIO: ("the disk does not answer as it should", "have it checked"),
}
# How those tell it who pass on the words alone: a process of ours, safetensors, SQLite.
_PHRASES = {
    **{f"[Errno {number}]": number for number in _TROUBLES},
    **{f"(os error {number})": number for number in _TROUBLES},
    "database or disk is full": errno.ENOSPC,
}


def is_inside(path: Path, folder: Path) -> bool:
    """Whether an existing path leads to a place inside a folder once all links are followed."""
    return path.resolve().is_relative_to(folder.resolve())


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it is flushed to the disk and renamed when the block ends.

    Whoever reads `path` sees the old file or the whole new one, whatever dies in between. The name is used
    once, because a process that was left behind may still write.
    """
    # The suffix stays last: numpy appends one that it does not find.
    beside = path.with_name(f".{path.stem}.{uuid4().hex}.part{path.suffix}")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_asked(path: Path, content: bytes) -> None:
    """Write a file that a user asked for by name, with its folder.

    Raises:
        SearchError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise SearchError(f"{path}: cannot be written ({error.strerror}); name another place") from error


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left below a folder; nobody else may be writing there."""
    for part in folder.rglob(".*.part*"):
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk: a rename survives a loss of power only then."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_trouble(error: BaseException) -> str | None:
    """Tell what is wrong with the disk and what to do, if that is why something failed, however wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        number = cause.errno if isinstance(cause, OSError) else None
        number = number or next((each for phrase, each in _PHRASES.items() if phrase in str(cause)), None)
        if number in _TROUBLES:
            what, remedy = _TROUBLES[number]
            place = getattr(cause, "filename", None)
            return f"{f'{place}: ' if place else ''}{what}; {remedy}"
        cause = cause.__cause__ or cause.__context__
    return None
