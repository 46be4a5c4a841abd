"""A workspace whose champion scores unlike frames unlike, without a search of minutes."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import write_small_dataset
from small_workspace import FINALIST, plan_of, write_small_search

from semtune.networks import ARCHITECTURES
from semtune.training.checkpoint import write_weights
from semtune.workspace import Workspace


def write_candidate(workspace: Workspace, data: Path, crop: int = 64, name: str = "tin") -> None:
    """Write a finished search whose untrained finalist `semtune promote` accepts; `data` is made."""
    folder = write_small_search(workspace, write_small_dataset(data), name, 0.5, 9.0)
    torch.manual_seed(0)
    network = ARCHITECTURES["pacf"].build(3)
    network.score_mean.fill_(5.0)
    torch.nn.init.normal_(network.head[-1].weight, std=0.3)
    facts = {
        "hyperparameters": {"architecture": "pacf", "crop": crop},
        "control_parameters": ["brightness", "contrast", "focus"],
        "score_range": [0.0, 10.0],
        "dataset_digest": plan_of(folder).dataset_digest,
        "dataset_origin": "measured",
        "trial": FINALIST,
    }
    write_weights(network, facts, folder.trials / FINALIST / "weights.safetensors")
