"""Checkpoints and weights on disk: safetensors, written beside and renamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from semtune.errors import SearchError, words_of
from semtune.files import written_whole
from semtune.training.step import TrainingStep

Facts = dict[str, Any]
"""Plain JSON values that travel with tensors."""


def write_checkpoint(
    step: TrainingStep, epochs_done: int, path: Path, last_epoch: dict[str, Any] | None = None
) -> None:
    """Write all that a trial needs to go on: weights, buffers, optimiser state, epochs done."""
    write_tensors(step.state(), {"epochs_done": epochs_done, "last_epoch": last_epoch}, path)


def read_checkpoint(step: TrainingStep, path: Path) -> int:
    """Restore a trial in place.

    Returns:
        Epochs that the trial has behind it; 0, with the step untouched, if there is no checkpoint.

    Raises:
        SearchError: If the checkpoint is damaged or belongs to another architecture.
    """
    if not path.exists():
        return 0
    kept = step.state()
    with _opened(path) as file:
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no dict
        if found != {name: list(tensor.shape) for name, tensor in kept.items()}:
            raise SearchError(f"{path}: the checkpoint belongs to another network; delete it to train anew")
        with torch.no_grad():
            for name, tensor in kept.items():
                tensor.copy_(file.get_tensor(name))
        facts = _facts(file.metadata(), path)
    return int(str(facts["epochs_done"]))


def write_weights(network: torch.nn.Module, facts: Facts, path: Path) -> None:
    """Write a scorer's weights with the facts that are needed to rebuild and to use it."""
    write_tensors(network.state_dict(), facts, path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], Facts]:
    """Read weights and facts.

    Raises:
        SearchError: If the file is missing or not a whole safetensors file.
    """
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        return tensors, _facts(file.metadata(), path)


def read_facts(path: Path) -> Facts:
    """Read the facts of a weights file without its tensors."""
    with _opened(path) as file:
        return _facts(file.metadata(), path)


def write_tensors(tensors: dict[str, Tensor], facts: Facts, path: Path) -> None:
    """Write tensors with facts, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as beside:
        save_file(contiguous, beside, {"facts": json.dumps(facts)})


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise SearchError(
            f"{path}: not a readable safetensors file ({words_of(error)}); delete it, or copy it anew"
        ) from None


def _facts(metadata: dict[str, str] | None, path: Path) -> Facts:
    try:
        facts = json.loads((metadata or {}).get("facts", "{}"))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise SearchError(f"{path}: its facts are damaged; delete it to train anew")
    return facts
