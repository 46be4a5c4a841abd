"""A place that all machines of a search reach: a shared folder, or a bucket of S3 or Google Cloud Storage.

Keys are relative names with `/` between their parts. Credentials come from the environment of each machine or
from the cloud, never from an address: the address is kept in plans and shown to everybody.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from semtune.errors import ConfigError, StorageError, words_of
from semtune.files import written_whole

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")
_SCHEMES = ("s3", "gs")
_CHUNK = 8 * 2**20  # bytes that are copied at a time
PATIENCE = 120.0
"""Seconds that a machine may be cut off before its trial gives up."""
_GOOGLE_PATIENCE = "retry_limit_seconds=20"  # Google's library asks again for a quarter of an hour otherwise
_REMEDY = "check --storage, the network and the credentials of this machine"


def check_storage(given: str) -> str:
    """Check an address that a user gave, without asking it.

    Args:
        given: `s3://bucket/prefix`, `gs://bucket/prefix`, or a folder that all machines see under one path.

    Returns:
        The address: a folder's absolute path, or the URI without a slash at its end.

    Raises:
        ConfigError: If it is neither, or holds credentials.
    """
    if "://" not in given:
        return str(Path(given).expanduser().absolute())
    parts = urlsplit(given)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigError(
            f"--storage takes a shared folder, s3://bucket/prefix or gs://bucket/prefix; got {given!r}"
        )
    if parts.username not in (None, "anonymous") or parts.password:
        raise ConfigError(
            "--storage takes no credentials, because it is kept and shown; put them into the environment of "
            "each machine (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS)"
        )
    return given.rstrip("/")


@dataclass
class Storage:
    """Files under one address.

    Args:
        address: As `check_storage` returns it.
    """

    address: str
    _open: tuple[FileSystem, str] | None = field(default=None, repr=False)

    def put(self, file: Path, key: str) -> None:
        """Write a file under a key: readers see the old content or the whole new one.

        Raises:
            StorageError: If the storage does not take it.
        """
        self._told(key, lambda system, path: self._put(system, file, path))

    def get(self, key: str, file: Path) -> None:
        """Fetch what is under a key into a file, whole or not at all.

        Raises:
            StorageError: If it cannot be read, or is not there.
        """

        def fetch(system: FileSystem, path: str) -> None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with (
                written_whole(file) as beside,
                system.open_input_stream(path) as source,
                beside.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, _CHUNK)

        self._told(key, fetch)

    def list(self, prefix: str) -> list[str]:
        """Names directly below a prefix, sorted; empty where there is nothing.

        Raises:
            StorageError: If the storage does not answer.
        """
        from pyarrow.fs import FileSelector

        def names(system: FileSystem, path: str) -> list[str]:
            found = system.get_file_info(FileSelector(path, allow_not_found=True))
            return sorted(each.base_name for each in found if not each.base_name.startswith("."))

        return self._told(prefix, names)

    def files(self, prefix: str) -> Sequence[str]:
        """Keys of all files below a prefix, relative to it, in one question; empty where there is nothing.

        Raises:
            StorageError: If the storage does not answer.
        """
        from pyarrow.fs import FileSelector

        def keys(system: FileSystem, path: str) -> Sequence[str]:
            found = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
            shown = (each for each in found if each.is_file and not each.base_name.startswith("."))
            return sorted(each.path.removeprefix(f"{path}/") for each in shown)

        return self._told(prefix, keys)

    def delete(self, key: str) -> None:
        """Remove what is under a key, if there is anything.

        Raises:
            StorageError: If the storage does not answer.
        """

        def remove(system: FileSystem, path: str) -> None:
            if not system.get_file_info(path).is_file:
                return
            try:
                system.delete_file(path)
            except OSError:  # Arrow then makes a mark for the folder, which some servers refuse
                if system.get_file_info(path).is_file:
                    raise

        self._told(key, remove)

    def _put(self, system: FileSystem, file: Path, path: str) -> None:
        if "://" in self.address:  # an object appears when it is whole; Arrow's own copying hides failures
            with file.open("rb") as source, system.open_output_stream(path) as target:
                shutil.copyfileobj(source, target, _CHUNK)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with written_whole(Path(path)) as beside:
            shutil.copyfile(file, beside)

    def _told(self, key: str, work: Callable[[FileSystem, str], T]) -> T:
        """Do something under a key, and tell its failure in our words."""
        try:
            self._open = self._open or _connect(self.address)
            system, root = self._open
            return work(system, f"{root}/{key}")
        except (OSError, ValueError) as error:
            raise StorageError(f"{self.address}/{key}: {words_of(error, 200)}; {_REMEDY}") from error


def patiently(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """Do something with a storage, again and again while it fails: networks are cut, and come back.

    Args:
        work: What to do.
        patience: Seconds after which a failure counts.

    Raises:
        StorageError: The last failure.
    """
    end, pause = time.monotonic() + patience, 1.0
    while True:
        try:
            return work()
        except StorageError:
            if time.monotonic() + pause > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


@contextmanager
def probing(storage: Storage) -> Iterator[str]:
    """Keep a file in `probes/` while the block lasts; yields its name.

    Raises:
        StorageError: If it cannot be written or taken away again.
    """
    nonce = uuid4().hex
    storage.put(Path(__file__), f"probes/{nonce}")  # any file will do
    try:
        yield nonce
    finally:
        storage.delete(f"probes/{nonce}")


def probe(address: str, nonce: str) -> str:
    """Read what another machine wrote to a storage, and write an answer there.

    Args:
        address: Of the storage.
        nonce: Name of the file in `probes/` that the other machine wrote.

    Returns:
        What hinders; empty where nothing does.
    """
    storage = Storage(address)
    try:
        if nonce not in storage.list("probes"):
            return f"{address} there is not the one that the search writes to"
        with probing(storage):
            pass
    except StorageError as error:
        return str(error).rpartition("; ")[0]
    return ""


def _connect(address: str) -> tuple[FileSystem, str]:
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" not in address:
        return LocalFileSystem(), address
    # Servers that are not Amazon's refuse the newer kind of checksum; read when the first bucket is opened.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    if address.startswith("gs://") and "retry_limit_seconds" not in address:
        address += f"{'&' if '?' in address else '?'}{_GOOGLE_PATIENCE}"
    system, root = FileSystem.from_uri(address)
    return system, root.rstrip("/")
