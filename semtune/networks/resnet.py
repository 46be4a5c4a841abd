"""ResNet trunks: torchvision's, with one input channel and without the classifying layer."""

from __future__ import annotations

import torchvision
from torch import nn


def trunk(name: str, dropout: float) -> tuple[nn.Module, int]:
    """Build torchvision's `resnet50` or `resnet101` for grey frames.

    Residual branches start at zero: otherwise the features of an untrained ResNet grow from block to block
    wherever batch norm uses its running averages, and the first epochs' scores are off by hundreds.

    Args:
        name: The torchvision name.
        dropout: Unused: a ResNet has dropout only in the head.

    Returns:
        The trunk and the width of its features (2048).

    References:
        He et al. (2016), "Deep residual learning for image recognition".
    """
    network = getattr(torchvision.models, name)(weights=None, zero_init_residual=True)
    network.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.fc = nn.Identity()
    return network, 2048
