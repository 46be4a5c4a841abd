"""The Ray cluster of a search: joined by its address, or started on this machine and ended with the search.

Apart from the driver, whose imports take as long as a worker's: the two happen side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from semtune.errors import SearchError


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to the cluster, or start one on this machine that ends with the search.

    Args:
        address: Of a running cluster; None to start one.

    Raises:
        SearchError: If the cluster cannot be reached or started.
    """
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(
                address="local",  # without it Ray joins whatever cluster runs on this machine
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                # Frames are shared through the page cache; Ray's object store carries only tasks and reports.
                object_store_memory=100 * 2**20,
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SearchError(f"Ray cannot be reached or started: {error}; see `ray status`") from error
    try:
        _hide_token()
        yield
    finally:
        ray.shutdown()


def _hide_token() -> None:
    """Take the cluster's token away from other users of this machine; Ray writes it as the umask allows."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists():
        token.chmod(0o600)
