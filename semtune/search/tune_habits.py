"""Habits of Ray Tune that a search does without."""

from __future__ import annotations

import logging
from typing import Any

from ray.air._internal import usage
from ray.tune.execution import class_cache


def break_habits(local: bool) -> None:
    """Switch off what Tune does beside its work.

    Args:
        local: Whether the cluster was started by this process on this machine.
    """
    usage.tag_callbacks = _count_no_callbacks
    if local:
        _share_started_workers()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what failed is in our journal


def _count_no_callbacks(callbacks: object) -> bool:
    """Stand in for Tune's telemetry, which imports MLflow to count callbacks, even where telemetry is off."""
    return False


def _share_started_workers() -> None:
    """Let trials run in the worker processes that Ray started in advance.

    Tune asks for processes with some variables in their environment, and Ray starts these anew. On this
    machine all processes inherit the driver's environment, so they can do without the request.
    """
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()


def part_of(result: dict[str, Any], name: str) -> dict[str, Any]:
    """A dictionary within a report, which Tune hands to schedulers flattened; empty if it is not there."""
    flat = {
        key.removeprefix(f"{name}/"): value for key, value in result.items() if key.startswith(f"{name}/")
    }
    return result.get(name) or flat
