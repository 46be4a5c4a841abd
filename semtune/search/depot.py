"""The files that trials leave, as the driver sees them: in its own folder, or fetched from a storage.

In the storage lie `frames/` by digest, and `searches/<id>/` with samples, start weights and a folder a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from semtune.dataset.shipping import send_frames
from semtune.errors import StorageError
from semtune.storage import Storage, patiently
from semtune.training.samples import read_samples
from semtune.workspace import PREDICTIONS, WEIGHTS


@dataclass
class TrialFiles:
    """The files of a search's trials.

    Args:
        folder: Of the trials' folders on this machine.
        storage: Where workers leave them; None where they write into `folder`.
        search: Id of the search: a name is used anew, an id never is.
    """

    folder: Path
    storage: Storage | None = None
    search: str = ""
    _aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    _dropping: Future[None] | None = None
    _dropped: set[str] = field(default_factory=set)  # again and again: workers save when a trial has ended

    def send(self, *files: Path) -> None:
        """Put into the storage what all workers need, and what lies here alone of trials.

        Args:
            files: Of the search; the first is its samples, whose decoded frames are sent too.

        Raises:
            StorageError: If the storage does not take it.
        """
        if self.storage is None:
            return
        table = read_samples(files[0])
        send_frames(Path(table.cache_folder), table.digest, self.storage)
        for file in filter(Path.exists, files):
            self.storage.put(file, f"searches/{self.search}/{file.name}")
        there = self.storage.files(f"searches/{self.search}/trials")
        for file in self.folder.glob("*/*.safetensors"):  # of sessions that had no storage, or another
            if f"{file.parent.name}/{file.name}" not in there:
                self.storage.put(file, f"{self._prefix(file.parent.name)}/{file.name}")

    def fetch(self, trial: str) -> None:
        """Bring a tested trial's weights and predictions here.

        Raises:
            StorageError: If they cannot be read.
        """
        if self.storage is None:
            return
        for name in (WEIGHTS, PREDICTIONS):
            self._fetch(self.storage, trial, name)

    def drop(self, trials: Sequence[str]) -> None:
        """Remove weights and checkpoints of trials, and folders that are empty then; in a storage, aside."""
        self._dropped |= set(trials)
        for trial in trials:
            for file in (self.folder / trial).glob("*.safetensors*"):
                file.unlink(missing_ok=True)
            with suppress(OSError):  # it holds predictions, or was never made
                (self.folder / trial).rmdir()
        if self.storage and (self._dropping is None or self._dropping.done()):
            self._dropping = self._aside.submit(self._drop, self.storage, frozenset(self._dropped))

    def want(self, trial: str) -> None:
        """Take note that a trial is at work, perhaps anew: what it leaves is no longer to be removed."""
        self._dropped.discard(trial)

    def settle(self) -> None:
        """Remove once more, and wait for it; what a storage does not let go of stays there."""
        if self.storage:
            self._aside.submit(self._drop, self.storage, frozenset(self._dropped)).result()

    def _drop(self, storage: Storage, trials: frozenset[str]) -> None:
        with suppress(StorageError):
            for key in storage.files(f"searches/{self.search}/trials"):
                trial, _, name = key.partition("/")
                if trial in trials and name.endswith(".safetensors"):
                    storage.delete(f"{self._prefix(trial)}/{name}")

    def _fetch(self, storage: Storage, trial: str, name: str) -> None:
        patiently(lambda: storage.get(f"{self._prefix(trial)}/{name}", self.folder / trial / name))

    def _prefix(self, trial: str) -> str:
        return f"searches/{self.search}/trials/{trial}"
