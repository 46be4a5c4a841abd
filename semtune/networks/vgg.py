"""VGG trunks: torchvision's, with one input channel and without the classifying layer."""

from __future__ import annotations

import torchvision
from torch import nn


def trunk(name: str, dropout: float) -> tuple[nn.Module, int]:
    """Build torchvision's `vgg11`, `vgg13` or `vgg19` (no batch norm, as in the paper) for grey frames.

    Args:
        name: The torchvision name.
        dropout: Probability of dropping an activation between the fully connected layers.

    Returns:
        The trunk and the width of its features (4096).

    References:
        Simonyan and Zisserman (2015), "Very deep convolutional networks for large-scale image recognition".
    """
    network = getattr(torchvision.models, name)(weights=None, dropout=dropout)
    network.features[0] = nn.Conv2d(1, 64, 3, padding=1)
    nn.init.kaiming_normal_(network.features[0].weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(network.features[0].bias)
    network.classifier[6] = nn.Identity()
    return network, 4096
