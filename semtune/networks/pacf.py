"""PACF: a small convolutional network for the frame, in parallel with one for the control parameters."""

from __future__ import annotations

from torch import nn

_CHANNELS = (16, 32, 64, 128, 256)


def trunk(name: str, dropout: float) -> tuple[nn.Module, int]:
    """Build PACF's trunk; the paper gives no layer sizes, these are ours.

    Five blocks of convolution (5x5, then 3x3), batch norm, ReLU and 2x2 max pooling, a global average and
    a fully connected layer: 0.5 M parameters with the head, 0.25 GMAC for 224x224 pixels.

    Args:
        name: Unused: there is one PACF.
        dropout: Unused: PACF has dropout only in the head.

    Returns:
        The trunk and the width of its features.
    """
    layers: list[nn.Module] = []
    inputs = 1
    for index, outputs in enumerate(_CHANNELS):
        kernel = 5 if index == 0 else 3
        layers += [
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            # ReLU after pooling gives the same values as before it, for a quarter of the work.
            nn.MaxPool2d(2),
            nn.ReLU(),
        ]
        inputs = outputs
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 128), nn.ReLU()]
    return nn.Sequential(*layers, *pooled), 128
