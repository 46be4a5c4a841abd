"""Whoever tells how sharp a frame is: autofocus functions and networks, by name, for any process to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semtune.autofocus import AUTOFOCUS_FUNCTIONS

FrameScorer: TypeAlias = Callable[[NDArray[np.uint8]], float]
"""A frame, shape (height, width) -> a number; higher is sharper."""


@dataclass(frozen=True)
class FocusScorer:
    """A scorer by name, so that it can travel to another process."""

    name: str
    kind: Literal["autofocus", "network"]
    weights: Path | None = None
    """Of a network."""
    origin: str = ""
    """Where a network comes from, for the notes."""


def autofocus_scorers(names: tuple[str, ...] = AUTOFOCUS_FUNCTIONS.names) -> tuple[FocusScorer, ...]:
    """Autofocus functions as scorers, all of them by default.

    Raises:
        UnknownNameError: If there is no autofocus function of a name.
    """
    return tuple(FocusScorer(AUTOFOCUS_FUNCTIONS[name].name, "autofocus") for name in names)


@lru_cache(maxsize=32)
def loaded(scorer: FocusScorer) -> FrameScorer:
    """Load a scorer, once a process; a network computes on one thread.

    Both kinds see the frame alone. A focus value stands for itself, its sign given by its definition: what
    was fitted to map it to scores would change no order, or turn it round. A network's control parameters
    count as missing: see decision 0032.
    """
    if scorer.weights is None:
        return AUTOFOCUS_FUNCTIONS[scorer.name].focus_value
    from semtune.scoring import Scorer, on_one_thread  # torch takes seconds, which autofocus functions spare

    on_one_thread()
    network = Scorer.from_weights(scorer.weights)
    return partial(network.on("folded").score)
