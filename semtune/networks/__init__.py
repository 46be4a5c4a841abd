"""The networks of Table 1: a frame and its control parameters in, a score out.

torch is imported when the first network is built: who only needs names, as the driver of a search does,
is spared the seconds that it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from semtune.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from semtune.networks.head import ScoreNetwork


@dataclass(frozen=True)
class Architecture:
    """A network that can be trained, with the facts that tables and plans need about it."""

    name: str
    family: str
    """Module of this package whose `trunk(name, dropout)` returns the trunk and the width of its features."""
    reference: str
    default_dropout: float

    def build(self, controls: int = 3, dropout: float | None = None) -> ScoreNetwork:
        """Build the untrained network.

        Args:
            controls: Number of control parameters, 0 or more.
            dropout: Probability in [0, 1); by default the architecture's own.

        Raises:
            ValueError: If `controls` is negative.
        """
        from semtune.networks.head import ScoreNetwork

        if controls < 0:
            raise ValueError(f"`controls >= 0` must hold, but got {controls=}")
        probability = self.default_dropout if dropout is None else dropout
        built: tuple[nn.Module, int] = import_module(f"semtune.networks.{self.family}").trunk(
            self.name, probability
        )
        return ScoreNetwork(*built, controls, probability)


_VGG = "Simonyan and Zisserman 2015"
_RESNET = "He et al. 2016"

ARCHITECTURES = Registry(
    "architecture",
    [
        Architecture("pacf", "pacf", "the paper; layer sizes ours", 0.0),
        Architecture("vgg11", "vgg", _VGG, 0.5),
        Architecture("vgg13", "vgg", _VGG, 0.5),
        Architecture("vgg19", "vgg", _VGG, 0.5),
        Architecture("resnet50", "resnet", _RESNET, 0.0),
        Architecture("resnet101", "resnet", _RESNET, 0.0),
    ],
)
