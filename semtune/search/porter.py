"""Carries the files of tasks between a worker and the storage, where machines share no folder."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from semtune.config import TrialTask
from semtune.dataset.shipping import FrameCache
from semtune.environment import node_cache
from semtune.errors import StorageError
from semtune.search.worker import WarmWorker
from semtune.storage import Storage, patiently
from semtune.training.samples import read_samples, write_samples


class Porter:
    """A warm worker whose tasks may name files of another machine: brings them here, and what is made there.

    Args:
        worker: Works on files of this machine alone.
    """

    def __init__(self, worker: WarmWorker) -> None:
        self._worker = worker
        self._task: TrialTask | None = None  # not yet taken up
        self._luggage: _Luggage | None = None
        cache, most = node_cache()
        self._scratch = cache / "work" / str(os.getpid())
        self._frames = FrameCache(cache / "frames", most)

    def start(self, task: TrialTask) -> None:
        """Take up a task; what the one before left unsaved is saved first."""
        self.stop()
        self._task = task

    def advance(self) -> dict[str, Any]:
        """Do the next piece of the task; a storage that is away for long becomes a report."""
        try:
            if self._task:
                self._take_up(self._task)
            report = self._worker.advance()
            if self._luggage:
                self._luggage.send(whole=report["done"])
            return report
        except StorageError as error:
            return {"reason": "interrupted", "message": str(error), "done": True}

    def stop(self) -> None:
        """Leave the task; its last epochs are in the checkpoint."""
        self._worker.stop()
        if self._luggage:
            with suppress(StorageError):  # what the storage does not take is trained again
                self._luggage.send(whole=True)
            self._luggage.leave()
            self._luggage = None

    def _take_up(self, task: TrialTask) -> None:
        if task.storage:
            _sweep(self._scratch.parent)
            self._luggage = _Luggage(task, self._scratch / task.search)
            task = self._luggage.unpack(self._frames)
        self._task = None
        self._worker.start(task)


class _Luggage:
    """The files of one task, here and in the storage."""

    def __init__(self, task: TrialTask, folder: Path) -> None:
        self._task, self._here = task, folder
        self._storage, self._there = Storage(task.storage or ""), f"searches/{task.search}"
        self._trial = folder / "trials" / task.trial
        self._sent: dict[str, int] = {}  # name -> time of the last change that was sent
        self._thread = ThreadPoolExecutor(1)
        self._sending: Future[None] | None = None

    def unpack(self, frames: FrameCache) -> TrialTask:
        """Bring here what the task needs; returns it with the names of files on this machine."""
        samples, start = self._here / Path(self._task.samples_file).name, None
        if not samples.exists():
            beside = self._here / f"sent-{samples.name}"
            self._fetch(samples.name, beside)
            write_samples(replace(read_samples(beside), cache_folder=str(frames.folder)), samples)
        patiently(lambda: frames.hold(read_samples(samples).digest, self._storage))
        if self._task.start:
            start = self._here / Path(self._task.start).name
            if not start.exists():
                self._fetch(start.name, start)
        shutil.rmtree(self._trial, ignore_errors=True)  # another machine may have gone on since
        for name in patiently(lambda: self._storage.list(f"{self._there}/trials/{self._task.trial}")):
            self._fetch(f"trials/{self._task.trial}/{name}", self._trial / name)
        self._sent = self._changes()
        return self._task.model_copy(
            update={
                "samples_file": str(samples),
                "trial_folder": str(self._trial),
                "start": str(start) if start else None,
            }
        )

    def send(self, whole: bool) -> None:
        """Send what has changed.

        Args:
            whole: Wait until all is there; otherwise training goes on meanwhile, and a failure does not
                matter, because the next checkpoint holds more.

        Raises:
            StorageError: If `whole`, and the storage does not take it for long.
        """
        if whole:
            if self._sending:
                self._sending.exception()  # its turn is over then
            patiently(self._push)
        elif self._sending is None or self._sending.done():
            self._sending = self._thread.submit(self._push)

    def leave(self) -> None:
        """Remove what lies here of the trial."""
        self._thread.shutdown()
        shutil.rmtree(self._trial, ignore_errors=True)

    def _fetch(self, key: str, file: Path) -> None:
        patiently(lambda: self._storage.get(f"{self._there}/{key}", file))

    def _push(self) -> None:
        for name, changed in self._changes().items():
            if self._sent.get(name) != changed:
                self._storage.put(self._trial / name, f"{self._there}/trials/{self._task.trial}/{name}")
                self._sent[name] = changed

    def _changes(self) -> dict[str, int]:
        files = sorted(self._trial.glob("[!.]*"))
        return {file.name: file.stat().st_mtime_ns for file in files}


def _sweep(work: Path) -> None:
    """Remove what workers of this machine left that were killed."""
    for left in work.glob("*"):
        try:
            os.kill(int(left.name), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, ValueError):
            continue
