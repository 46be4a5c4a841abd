"""The files that trials leave, as the driver sees them: in its own folder, or fetched from a storage.

In the storage lie `frames/` by digest, and `searches/<id>/` with samples, start weights and a folder a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from semtune.dataset.shipping import send_frames
from semtune.errors import StorageError
from semtune.storage import Storage, patiently
from semtune.training.samples import read_samples
from semtune.workspace import PREDICTIONS, WEIGHTS


@dataclass(frozen=True)
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

    def send(self, *files: Path) -> None:
        """Put into the storage what all workers need.

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
        """Remove the weights and checkpoints of trials, and folders that are empty then: no worker adds one.

        What a storage does not let go of stays there.
        """
        for trial in trials:
            for file in (self.folder / trial).glob("*.safetensors*"):
                file.unlink(missing_ok=True)
            with suppress(OSError):  # it holds predictions, or was never made
                (self.folder / trial).rmdir()
        if self.storage is None:
            return
        with suppress(StorageError):
            for prefix in map(self._prefix, trials):
                for name in self.storage.list(prefix):
                    if name.endswith(".safetensors"):
                        self.storage.delete(f"{prefix}/{name}")

    def _fetch(self, storage: Storage, trial: str, name: str) -> None:
        patiently(lambda: storage.get(f"{self._prefix(trial)}/{name}", self.folder / trial / name))

    def _prefix(self, trial: str) -> str:
        return f"searches/{self.search}/trials/{trial}"
