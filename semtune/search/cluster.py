"""The Ray cluster of a search: joined by its address, or started on this machine and ended with the search.

Apart from the driver, whose imports take as long as a worker's: the two happen side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import AuthenticationError

from semtune.errors import SearchError
from semtune.search.access import guard


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
            ray.init(
                address="local",  # without it Ray joins whatever cluster runs on this machine
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                # Frames are shared through the page cache; Ray's object store carries only tasks and reports.
                object_store_memory=100 * 2**20,
            )
    except (ConnectionError, ValueError, RuntimeError, AuthenticationError) as error:
        raise SearchError(f"Ray cannot be reached or started: {error}; see `ray status`") from error
    try:
        yield
    finally:
        ray.shutdown()
