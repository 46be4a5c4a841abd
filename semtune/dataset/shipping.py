"""Decoded frames on their way between machines: by digest, through a storage, into a cache of each node."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from semtune.dataset.frames import files_of, holds_frames
from semtune.errors import StorageError
from semtune.storage import Storage, patiently

_FOLDER, _SUM = "frames", "sha256"


def send_frames(cache_folder: Path, digest: str, storage: Storage) -> None:
    """Put the decoded frames of a dataset into a storage, unless they are there.

    Raises:
        StorageError: If the storage does not take them.
    """
    pixels, index = files_of(cache_folder, digest)
    if index.name in storage.list(_FOLDER):
        return
    facts = {**json.loads(index.read_text("utf-8")), _SUM: _sum(pixels)}
    storage.put(pixels, f"{_FOLDER}/{pixels.name}")
    with TemporaryDirectory() as scratch:  # the index comes last: what has no index is not there
        described = Path(scratch, index.name)
        described.write_text(json.dumps(facts), "utf-8")
        storage.put(described, f"{_FOLDER}/{index.name}")


class FrameCache:
    """The frames that one node keeps, shared by its processes.

    Args:
        folder: On a disk of the node.
        most: Bytes of all frames together; the least recently used go first, never those in use.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self._most = folder, most
        self._held = ""
        self._lock: int | None = None  # a handle: the system closes it with the process, however that ends

    def hold(self, digest: str, storage: Storage) -> None:
        """See to it that the frames of a dataset are here, and stay until others are asked for.

        Raises:
            StorageError: If they cannot be fetched, are not those that were sent, or do not fit.
        """
        if digest == self._held:
            return
        self.release()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock = os.open(_lock_of(self.folder, digest), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not holds_frames(self.folder, digest):
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process of the node fetches, the others wait
            if not holds_frames(self.folder, digest):
                self._fetch(digest, storage)
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock)
        self._held = digest

    def release(self) -> None:
        """Let the frames go when room is needed."""
        self._held = ""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _fetch(self, digest: str, storage: Storage) -> None:
        pixels, index = files_of(self.folder, digest)
        scratch = (
            self.folder / f".{digest}.part"
        )  # this process has the lock: what lies there is a dead one's
        shutil.rmtree(scratch, ignore_errors=True)
        described, fetched = scratch / index.name, scratch / pixels.name
        try:
            patiently(lambda: storage.get(f"{_FOLDER}/{index.name}", described))
            facts = json.loads(described.read_text("utf-8"))
            self._make_room(sum(h * w for h, w in zip(facts["heights"], facts["widths"], strict=True)))
            patiently(lambda: storage.get(f"{_FOLDER}/{pixels.name}", fetched))
            if _sum(fetched) != facts[_SUM]:
                raise StorageError(
                    f"{storage.address}/{_FOLDER}/{pixels.name}: not the frames that were sent; remove "
                    f"{index.name} there, then `semtune resume` sends them again"
                )
            fetched.replace(pixels)
            described.replace(index)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _make_room(self, size: int) -> None:
        """Remove frames that nobody uses until so many bytes more are allowed."""
        kept = {index.stem: files_of(self.folder, index.stem)[0] for index in self.folder.glob("*.json")}
        sizes = {digest: pixels.stat().st_size for digest, pixels in kept.items() if pixels.exists()}
        used = sum(sizes.values())
        for digest in sorted(sizes, key=lambda each: _lock_of(self.folder, each).stat().st_mtime):
            if used + size <= self._most:
                return
            with alone(_lock_of(self.folder, digest)) as nobody_else:
                if nobody_else:
                    for file in reversed(files_of(self.folder, digest)):
                        file.unlink(missing_ok=True)
                    used -= sizes[digest]
        if used + size > self._most:
            raise StorageError(
                f"{self.folder}: frames of {size:,} bytes do not fit beside {used:,} in use below the limit "
                f"of {self._most:,}; raise SEMTUNE_CACHE_LIMIT on this node"
            )


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether no process holds a lock; nobody takes it meanwhile."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lock_of(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.lock"


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
