"""The tracking of a running search: a thread that sends the journal and never disturbs the training."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread

from semtune.tracking.layout import TrackedSearch
from semtune.tracking.progress import unsent
from semtune.tracking.sender import Sender
from semtune.tracking.store import Store, reason
from semtune.workspace import SearchFolder

_LOOK = 2.0  # seconds between looks at the journal when nobody notifies
_SHARE = 0.02  # of a processor that tracking may take in the long run
_LONGEST_REST = 30.0  # seconds, between batches and between attempts to reach the store


class TrackingWriter:
    """Sends the journal of a running search to MLflow from a thread of its own.

    Nothing here blocks or raises into the search. While the store is away the events wait in the journal.
    After each batch the thread rests fifty times as long as the batch took of the processor.

    Args:
        opened: Opens the store: called in the thread, at the first event.
        folder: Of the search.
        search: What holds for all runs.
    """

    def __init__(self, opened: Callable[[], Store], folder: SearchFolder, search: TrackedSearch) -> None:
        self.problem: str | None = None
        """Why the last attempt failed, without credentials; None when it succeeded."""
        self.cpu_seconds = 0.0
        """Processor time of the thread so far."""
        self._opened, self._search = opened, search
        self._sender: Sender | None = None
        self._folder = folder
        self._news, self._closing = Event(), Event()
        self._deadline = float("inf")
        self._patience = 1.0  # seconds until the next attempt to reach the store
        self._thread = Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Say that the journal has grown."""
        self._news.set()

    def finish(self, timeout: float = 30.0) -> None:
        """Say that no event will follow: what is left is sent now, for at most `timeout` seconds."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._news.set()

    def close(self, timeout: float = 30.0) -> int:
        """Finish, unless that was done, and wait until all is sent or the time is over.

        Returns:
            The number of events that still wait in the journal; 0 when MLflow has all.
        """
        if not self._closing.is_set():
            self.finish(timeout)
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        return unsent(self._folder)

    def _work(self) -> None:
        try:
            self._news.wait()
            while not self._closing.is_set():
                self._closing.wait(self._send()[1])
                self._news.wait(_LOOK)
                self._news.clear()
            self._drain()
        finally:
            if self._sender:
                self._sender.close()

    def _drain(self) -> None:
        while True:
            sent, rest = self._send()
            if sent == 0 and self.problem is None:
                return
            if self.problem is not None:
                if time.monotonic() + rest > self._deadline:
                    return
                time.sleep(rest)

    def _send(self) -> tuple[int, float]:
        """Send a batch; returns the number of events and the seconds to rest, whatever happened."""
        start = time.thread_time()
        try:
            if self._sender is None:
                self._sender = Sender(self._opened(), self._folder, self._search)
                start = time.thread_time()  # what opening took is paid once and needs no rest
            sent = self._sender.send()
        except Exception as error:
            self.problem = reason(error)
            self._patience = min(2 * self._patience, _LONGEST_REST)
            return 0, self._patience / 2
        finally:
            spent = time.thread_time() - start
            self.cpu_seconds += spent
        self.problem, self._patience = None, 1.0
        return sent, min(spent / _SHARE, _LONGEST_REST)
