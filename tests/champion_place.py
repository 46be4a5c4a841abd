"""A workspace whose champion scores unlike frames unlike, without a search of minutes."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import write_small_dataset
from small_workspace import FINALIST, plan_of, write_small_search

from semtune.networks import ARCHITECTURES
from semtune.networks.head import ScoreNetwork
from semtune.training.checkpoint import write_weights
from semtune.workspace import Workspace


def woken_network(controls: int = 3) -> ScoreNetwork:
    """An untrained PACF in whose scores frames and control parameters matter, around 5 points."""
    torch.manual_seed(0)
    network = ARCHITECTURES["pacf"].build(controls)
    network.score_mean.fill_(5.0)
    torch.nn.init.normal_(network.head[-1].weight, std=0.3)
    with torch.no_grad():
        for _ in range(20):  # the statistics of the layers
            network.train()(torch.rand(8, 1, 64, 64), 50 * torch.rand(8, controls))
    return network.eval()


def write_candidate(workspace: Workspace, data: Path, crop: int = 64, name: str = "tin") -> None:
    """Write a finished search whose untrained finalist `semtune promote` accepts; `data` is made."""
    folder = write_small_search(workspace, write_small_dataset(data), name, 0.5, 9.0)
    facts = {
        "hyperparameters": {"architecture": "pacf", "crop": crop},
        "control_parameters": ["brightness", "contrast", "focus"],
        "score_range": [0.0, 10.0],
        "dataset_digest": plan_of(folder).dataset_digest,
        "dataset_origin": "measured",
        "trial": FINALIST,
    }
    write_weights(woken_network(), facts, folder.trials / FINALIST / "weights.safetensors")
