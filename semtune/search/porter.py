"""Carries the files of tasks between a worker and the storage, where machines share no folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from semtune.config import TrialTask
from semtune.dataset.shipping import FrameCache, alone
from semtune.environment import node_cache
from semtune.errors import StorageError
from semtune.search.worker import WarmWorker
from semtune.storage import PATIENCE, Storage, patiently
from semtune.training.samples import read_samples, write_samples

_SHARE = 0.02
"""Of the time that a worker may be sending checkpoints, as of the training time that may go into them."""


class Porter:
    """A warm worker whose tasks may name files of another machine: brings them here, and what is made there.

    Args:
        worker: Works on files of this machine alone.
    """

    def __init__(self, worker: WarmWorker) -> None:
        self._worker = worker
        self._task: TrialTask | None = None  # not yet taken up
        self._luggage: _Luggage | None = None
        self._node: _Node | None = None  # without a storage none is wanted

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
            with suppress(StorageError):  # what the storage does not take at once is trained again
                self._luggage.send(whole=True, patience=0.0)
            self._luggage.leave()
            self._luggage = None

    def _take_up(self, task: TrialTask) -> None:
        if task.storage:
            self._node = self._node or _Node()
            self._luggage = _Luggage(task, self._node.scratch / task.search)
            task = self._luggage.unpack(self._node.frames)
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
        self._next = 0.0  # the clock's time before which no checkpoint is sent

    def unpack(self, frames: FrameCache) -> TrialTask:
        """Bring here what the task needs; returns it with the names of files on this machine."""
        samples, start = self._here / Path(self._task.samples_file).name, None
        if not samples.exists():
            beside = self._here / f"sent-{samples.name}"
            self._fetch(samples.name, beside)
            table = read_samples(beside)
            frames.hold(table.digest, self._storage)  # while this process lives: it serves one search
            write_samples(replace(table, cache_folder=str(frames.folder)), samples)
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

    def send(self, whole: bool, patience: float = PATIENCE) -> None:
        """Send what has changed.

        Args:
            whole: Wait until all is there; otherwise training goes on meanwhile, and a failure does not
                matter, because the next checkpoint holds more.
            patience: Seconds after which a failure counts, if `whole`.

        Raises:
            StorageError: If `whole`, and the storage does not take it for long.
        """
        if whole:
            if self._sending:
                self._sending.exception()  # its turn is over then
            patiently(self._push, patience)
        elif time.monotonic() >= self._next and (self._sending is None or self._sending.done()):
            self._sending = self._thread.submit(self._push)

    def leave(self) -> None:
        """Remove what lies here of the trial."""
        self._thread.shutdown()
        shutil.rmtree(self._trial, ignore_errors=True)

    def _fetch(self, key: str, file: Path) -> None:
        patiently(lambda: self._storage.get(f"{self._there}/{key}", file))

    def _push(self) -> None:
        start = time.monotonic()
        for name, changed in self._changes().items():
            if self._sent.get(name) != changed:
                self._storage.put(self._trial / name, f"{self._there}/trials/{self._task.trial}/{name}")
                self._sent[name] = changed
        self._next = time.monotonic() + (time.monotonic() - start) / _SHARE

    def _changes(self) -> dict[str, int]:
        files = sorted(self._trial.glob("[!.]*"))
        return {file.name: file.stat().st_mtime_ns for file in files}


class _Node:
    """What this process has on its machine: frames that it shares with others, and a folder of its own."""

    def __init__(self) -> None:
        cache, most = node_cache()
        self.frames = FrameCache(cache / "frames", most)
        work = cache / "work"
        work.mkdir(parents=True, exist_ok=True)
        _sweep(work)
        self.scratch = work / uuid4().hex
        beside = self.scratch.with_suffix(".new")
        # A handle: the system closes it with the process, however that ends. A process id would not do:
        # containers share folders and count processes each for itself.
        fcntl.flock(os.open(beside, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
        beside.rename(self.scratch.with_suffix(".lock"))
        self.scratch.mkdir()


def _sweep(work: Path) -> None:
    """Remove what workers left that were killed."""
    for lock in work.glob("*.lock"):
        with alone(lock) as nobody_else:
            if nobody_else:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
