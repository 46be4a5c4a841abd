"""Optimisers whose learning rate and weight decay are tensors, so that a captured step can be reused."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def build_optimizer(name: str, network: nn.Module, learning_rate: Tensor) -> torch.optim.Optimizer:
    """Build a fused optimiser with its state; weight decay is `decay`'s.

    Args:
        name: `adam`, `adamw` or `sgd`.
        network: On its device.
        learning_rate: Shape (), on the same device.
    """
    parameters = list(network.parameters())
    optimizer = _choose(name, parameters, learning_rate)
    _allocate_state(optimizer)
    return optimizer


@torch.no_grad()
def decay(name: str, network: nn.Module, learning_rate: Tensor, weight_decay: Tensor) -> None:
    """Decay the weights (AdamW) or add the decay to the gradients, as torch's optimisers do."""
    if name == "adamw":
        torch._foreach_mul_(list(network.parameters()), 1 - learning_rate * weight_decay)
        return
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad.addcmul_(parameter, weight_decay)


def _choose(name: str, parameters: list[nn.Parameter], learning_rate: Tensor) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(parameters, learning_rate, momentum=0.9, fused=True)
    capturable = learning_rate.device.type == "cuda"
    if name == "adamw":
        return torch.optim.AdamW(
            parameters, learning_rate, weight_decay=0.0, fused=True, capturable=capturable
        )
    return torch.optim.Adam(parameters, learning_rate, fused=True, capturable=capturable)


def _allocate_state(optimizer: torch.optim.Optimizer) -> None:
    """Create the optimiser's state as zeros: it is then reset, restored and captured in place.

    Zeros are where torch's optimisers start too, SGD's momentum included.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if isinstance(optimizer, torch.optim.SGD):
                optimizer.state[parameter] = {"momentum_buffer": torch.zeros_like(parameter)}
            else:
                optimizer.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
