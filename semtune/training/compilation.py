"""When torch.compile pays: the rule, and the figures that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from semtune.config import Compilation
from semtune.networks import ARCHITECTURES


@dataclass(frozen=True)
class CompileFigures:
    """What was measured of a family of networks."""

    saved: float
    """Share of the training time that a compiled and captured step saves over a captured one."""
    seconds: float
    """That the first compiled step takes."""


FIGURES = {"pacf": CompileFigures(1 - 6258 / 9224, 12.0), "resnet": CompileFigures(1 - 3065 / 3861, 43.0)}
"""By family: one H100, PyTorch 2.11, batch 32, crop 224, bfloat16 (PACF and ResNet50). The VGGs, nearly
all convolution, were not measured: they are not compiled unless asked for."""
_MARGIN = 2.0
"""The gain is an estimate from one card; it must be twice the cost."""


def compiles(compilation: Compilation, architecture: str, device: str, seconds_left: float) -> bool:
    """Decide whether to compile now.

    Args:
        compilation: What the user asked for.
        architecture: Registry name.
        device: `cuda` or `cpu`. On a CPU `auto` never compiles: PACF took 55 s to compile there, and its
            step then 53 ms in place of 41.
        seconds_left: What the rest of the trial takes uncompiled; 0 while that is unknown.
    """
    if compilation != "auto":
        return compilation == "on"
    figures = FIGURES.get(ARCHITECTURES[architecture].family)
    if device != "cuda" or figures is None:
        return False
    return figures.saved * seconds_left > _MARGIN * figures.seconds
