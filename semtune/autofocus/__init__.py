"""The classical autofocus functions: one frame in, one focus value out, sharper being higher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2

from semtune.autofocus.correlation import vollath_f4, vollath_f5
from semtune.autofocus.gradient import (
    absolute_gradient,
    brenner,
    laplacian_energy,
    squared_gradient,
    tenengrad,
)
from semtune.autofocus.statistics import absolute_variance, entropy, normalised_variance, squared_variance
from semtune.autofocus.sums import GreyFrame
from semtune.published import TABLE1
from semtune.registry import Registry


@dataclass(frozen=True)
class AutofocusFunction:
    """A focus measure, with the facts that tests and tables need about it."""

    name: str
    focus_value: Callable[[GreyFrame], float]
    """Frame of shape (height, width) -> focus value, unscaled."""
    reference: str
    gain_power: int | None
    """The k in `focus_value(gain * frame) == gain**k * focus_value(frame)`; None where there is none."""

    @property
    def table1(self) -> bool:
        """Whether this is one of the six of the paper's Table 1."""
        return self.name in TABLE1


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep OpenCV on one thread meanwhile, for timings that compare."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


AUTOFOCUS_FUNCTIONS = Registry(
    "autofocus function",
    [
        AutofocusFunction("absolute_variance", absolute_variance, "Shirvaikar 2004", 1),
        AutofocusFunction("squared_variance", squared_variance, "Groen 1985", 2),
        AutofocusFunction("absolute_gradient", absolute_gradient, "Jarvis 1976", 1),
        AutofocusFunction("squared_gradient", squared_gradient, "Groen 1985", 2),
        AutofocusFunction("vollath_f4", vollath_f4, "Vollath 1987", 2),
        AutofocusFunction("entropy", entropy, "Firestone 1991", None),
        AutofocusFunction("normalised_variance", normalised_variance, "Groen 1985", 1),
        AutofocusFunction("brenner", brenner, "Brenner 1976", 2),
        AutofocusFunction("tenengrad", tenengrad, "Tenenbaum 1970", 2),
        AutofocusFunction("laplacian_energy", laplacian_energy, "Subbarao 1993", 2),
        AutofocusFunction("vollath_f5", vollath_f5, "Vollath 1988", 2),
    ],
)
