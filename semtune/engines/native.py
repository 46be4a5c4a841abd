"""Engines that need torch alone: the network as trained, with batch norm folded away, and compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from semtune.networks.head import ScoreNetwork

ScoreCrops: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Grey levels as uint8, shape (batch, 1, size, size), and control parameters, shape (batch, controls), NaN
where missing -> scores in score points, shape (batch,)."""


class CropScorer(nn.Module):
    """A network that takes crops as they lie in memory: uint8, any batch."""

    def __init__(self, network: ScoreNetwork) -> None:
        super().__init__()
        self.network = network
        self.eval()  # else the exporter, which restores the mode that it finds, would wake batch norm

    def forward(self, crops: Tensor, controls: Tensor) -> Tensor:
        """Score crops (batch, 1, size, size) with control parameters (batch, controls), shape (batch,)."""
        frames = crops.float().div(255).contiguous(memory_format=torch.channels_last)
        scores: Tensor = self.network(frames, controls)
        return scores


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, values: Tensor) -> Tensor:
        return values.to(self.dtype)


def as_trained(network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> ScoreCrops:
    """The network as training leaves it; bfloat16 by autocast, as in training."""
    scorer, device = CropScorer(network), crops.device.type

    def score(crops: Tensor, controls: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            scores: Tensor = scorer(crops, controls)
            return scores

    return score


def folded(network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> ScoreCrops:
    """Batch norm folded into the convolutions before it; in bfloat16 the trunk's weights are stored so."""
    scorer = folded_scorer(network, bfloat16)

    def score(crops: Tensor, controls: Tensor) -> Tensor:
        with torch.inference_mode():
            scores: Tensor = scorer(crops, controls)
            return scores

    return score


def compiled(network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> ScoreCrops:
    """The folded network through torch.compile, which builds C++ or Triton kernels at the first call."""
    scorer = torch.compile(folded_scorer(network, bfloat16))

    def score(crops: Tensor, controls: Tensor) -> Tensor:
        with torch.no_grad():
            scores: Tensor = scorer(crops, controls)
            return scores

    return score


def folded_scorer(network: ScoreNetwork, bfloat16: bool) -> CropScorer:
    """A copy of the network without batch norm, its trunk's weights in bfloat16 or float32."""
    network = copy.deepcopy(network).eval()
    trunk = fuse(network.trunk, inplace=True).to(memory_format=torch.channels_last)
    network.trunk = trunk
    if bfloat16:
        network.trunk = nn.Sequential(_Cast(torch.bfloat16), trunk.bfloat16(), _Cast(torch.float32))
    return CropScorer(network)
