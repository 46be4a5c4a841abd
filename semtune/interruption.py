"""Ctrl-C once, Ctrl-C twice, and a scheduler that says when it will kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_GRACE = 15.0  # seconds after SIGTERM; schedulers kill after 30 and closing takes some seconds


@contextmanager
def interruptible(stop: Callable[[], None], grace: float = _GRACE) -> Iterator[None]:
    """Within the block, the first Ctrl-C or SIGTERM asks for a clean stop, the second Ctrl-C forces one.

    Args:
        stop: Asks for the clean stop; called from the signal handler.
        grace: Seconds after SIGTERM until the stop is forced.

    Raises:
        KeyboardInterrupt: When the stop is forced.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if number == signal.SIGTERM:
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, grace)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
