"""The networks of Table 1: a frame and its control parameters in, a score out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from semtune.networks.head import Scorer
from semtune.networks.pacf import pacf_trunk
from semtune.networks.resnet import resnet_trunk
from semtune.networks.vgg import vgg_trunk
from semtune.registry import Registry

__all__ = ["ARCHITECTURES", "Architecture", "Scorer"]


@dataclass(frozen=True)
class Architecture:
    """A network that can be trained, with the facts that tables and plans need about it."""

    name: str
    trunk: Callable[[float], tuple[nn.Module, int]]
    """From the dropout probability to (trunk, width of its features)."""
    reference: str
    default_dropout: float
    published_rmse: float
    """RMSE in the paper's Table 1, score points, on the paper's own data."""
    published_seconds: float
    """Seconds per image in the paper's Table 1 (GTX 1080M, PyTorch 1.0)."""

    def build(self, controls: int = 3, dropout: float | None = None) -> Scorer:
        """Build the untrained network.

        Args:
            controls: Number of control parameters, 0 or more.
            dropout: Probability in [0, 1); by default the architecture's own.

        Raises:
            ValueError: If `controls` is negative.
        """
        if controls < 0:
            raise ValueError(f"`controls >= 0` must hold, but got {controls=}")
        probability = self.default_dropout if dropout is None else dropout
        trunk, features = self.trunk(probability)
        return Scorer(trunk, features, controls, probability)


_VGG = "Simonyan and Zisserman 2015"
_RESNET = "He et al. 2016"

ARCHITECTURES = Registry(
    "architecture",
    [
        Architecture("pacf", pacf_trunk, "the paper; layer sizes ours", 0.0, 1.2256, 0.0050),
        Architecture("vgg11", partial(vgg_trunk, "vgg11"), _VGG, 0.5, 1.4400, 0.0061),
        Architecture("vgg13", partial(vgg_trunk, "vgg13"), _VGG, 0.5, 1.2035, 0.0076),
        Architecture("vgg19", partial(vgg_trunk, "vgg19"), _VGG, 0.5, 1.3250, 0.0100),
        Architecture("resnet50", partial(resnet_trunk, "resnet50"), _RESNET, 0.0, 0.8329, 0.0110),
        Architecture("resnet101", partial(resnet_trunk, "resnet101"), _RESNET, 0.0, 0.8049, 0.0174),
    ],
)
