"""Captures work on a GPU as a graph that one call replays; what cannot be captured runs eagerly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Run = Callable[[], None]
Capture = Callable[[Run, Run], Run]
"""Takes work that reads and writes fixed tensors, and what undoes it; returns what does the work again."""

_WARM_UPS = 3


class GraphCapture:
    """Captures as CUDA graphs that share one pool of memory, for they never run side by side."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, run: Run, undo: Run) -> Run:
        """Warm up on a stream of its own, as a capture needs, and capture."""
        current = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UPS):
                    run()
                    undo()  # each time: a short plan has no steps to spare
            current.wait_stream(stream)
            with torch.cuda.graph(graph, pool=self._pool):
                run()
        finally:
            torch.cuda.set_stream(current)  # torch leaves another one behind if a capture fails
        self._pool = self._pool or graph.pool()
        return graph.replay


def capture_on(device: torch.device) -> Capture | None:
    """Return how work is captured on a device; None where it runs eagerly."""
    return GraphCapture() if device.type == "cuda" else None


def run_once(run: Run, undo: Run) -> Run:
    """Show that work can be done, and return it: the stand-in for a capture where it runs eagerly."""
    run()
    return run


def captured(run: Run, changed: Sequence[Tensor], capture: Capture) -> tuple[Run | None, str]:
    """Capture work, or say why that cannot be.

    Args:
        run: The work.
        changed: All tensors that it changes; they keep their values, come what may.
        capture: How to capture.

    Returns:
        What does the work again and an empty text; or None and the reason, one line.

    Raises:
        torch.OutOfMemoryError: If the device has too little memory: to go on eagerly would not help.
    """
    before = [tensor.clone() for tensor in changed]

    @torch.no_grad()
    def undo() -> None:
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)

    try:
        return capture(run, undo), ""
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        return None, first_line(error)
    finally:
        undo()


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
