"""The Ray cluster of a search: joined by its address, or started on this machine and ended with the search.

Apart from the driver, whose imports take as long as a worker's: the two happen side by side.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import AuthenticationError

from semtune.errors import SearchError
from semtune.search.access import guard

_CLOUDS = ("169.254.169.254", "metadata.google.internal")


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to the cluster, or start one on this machine that ends with the search.

    Args:
        address: Of a running cluster; None to start one.

    Raises:
        SearchError: If the cluster cannot be reached or started.
    """
    guard(local=address is None)
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        else:
            _start()
    except (ConnectionError, ValueError, RuntimeError, AuthenticationError) as error:
        raise SearchError(f"Ray cannot be reached or started: {_reason(error)}") from error
    try:
        yield
    finally:
        _shut_down()


def _reason(error: Exception) -> str:
    """Why and what to do, in one line: Ray may quote the traceback of each part of it that failed."""
    said = str(error).strip().rpartition("\n")[2]
    if isinstance(error, AuthenticationError) or "InvalidAuthToken" in f"{said} {error.__cause__}":
        return "the token here is not the cluster's; copy ~/.ray/auth_token (mode 0600) from its head"
    return f"{said}; see `ray status`"


def _shut_down() -> None:
    """Leave the cluster; meanwhile no thread may collect what Tune left.

    Ray ends a process, unsent events and all, that drops a handle of an actor while Ray shuts down.
    """
    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()


def _start() -> None:
    with _no_cloud_asked():
        ray.init(
            address="local",  # without it Ray joins whatever cluster runs on this machine
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            # Frames are shared through the page cache; Ray's object store carries only tasks and reports.
            object_store_memory=100 * 2**20,
        )


@contextmanager
def _no_cloud_asked() -> Iterator[None]:
    """Keep the processes that Ray starts meanwhile from asking clouds whether they run there.

    Ray's head asks though usage statistics are off, and has no switch for it. It asks by `requests`, which
    obeys `<scheme>://<host>_proxy` of the environment, and nobody listens on this proxy. Taken away again
    because Google's own library asks for credentials in the same way.
    """
    names = [f"http://{host}_proxy" for host in _CLOUDS]
    os.environ.update(dict.fromkeys(names, "http://127.0.0.1:9"))
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
