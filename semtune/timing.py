"""Milliseconds per image: one ruler for networks and autofocus functions.

Frames lie in memory when the clock starts: file reading is excluded on both sides.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_WARM_SECONDS = 0.2
_MOST_CALLS = 200


@dataclass(frozen=True)
class Timing:
    """Time of one call in milliseconds."""

    median: float
    p95: float
    calls: int


def time_calls(call: Callable[[], object], seconds: float = 1.0, fewest: int = 3) -> Timing:
    """Time a call after a warm-up.

    Args:
        call: What to time; it must do all its work anew and return when the device has done it.
        seconds: About how long to measure; at most 200 calls.
        fewest: Calls to measure at least.
    """
    _repeat(call, min(seconds, _WARM_SECONDS), 1)
    spent = np.array(_repeat(call, seconds, fewest)) * 1e3
    return Timing(float(np.median(spent)), float(np.quantile(spent, 0.95)), len(spent))


def figures_of(single: Timing, batch: Timing, size: int) -> dict[str, float]:
    """Milliseconds an image by their MLflow names.

    Args:
        single: Of a call on one frame.
        batch: Of a call on `size` frames.
        size: Frames of the second call; 32 in all tables.
    """
    return {
        "milliseconds_per_image": single.median,
        "milliseconds_per_image_p95": single.p95,
        f"milliseconds_per_image_batch{size}": batch.median / size,
        f"milliseconds_per_image_batch{size}_p95": batch.p95 / size,
    }


def describe_processor(threads: int) -> str:
    """Name the processor and the threads of a measurement, for tables."""
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _repeat(call: Callable[[], object], seconds: float, fewest: int) -> list[float]:
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while len(spent) < fewest or (time.perf_counter() < end and len(spent) < _MOST_CALLS):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return spent


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
