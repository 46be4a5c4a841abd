"""A declared test trainable: trials that train nothing, and report as a warm worker does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune

from semtune.config import TrialTask
from semtune.search.trainable import TASK


def rmse_of(seed: int, epoch: int) -> float:
    """A learning curve that depends on the trial alone."""
    return 1.0 + (seed * 2654435761 % 1000) / 1000 + 1.0 / epoch


class Nothing(tune.Trainable):
    """Trains nothing, and reports as a warm worker does."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.task, self.epoch = TrialTask.model_validate(new_config[TASK]), 0
        self.folder = Path(self.task.trial_folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        return True

    def step(self) -> dict[str, Any]:
        task = self.task
        if task.role == "measure":
            return {"timed": {"figures": {"milliseconds_per_image": 1.0}, "device": "none"}, "done": True}
        self.epoch += 1
        rmse = rmse_of(task.seed, self.epoch)
        errors = {"training_rmse": rmse, "validation_rmse": rmse}
        report: dict[str, Any] = {"epoch": {"epoch": self.epoch, **errors, "frames": 1, "seconds": 0.1}}
        if self.epoch == 1:
            report["placed"] = {"threads": 1, "device": "none", "precision": "float32"}
        if self.epoch < task.hyperparameters.epochs:
            return {**report, "done": False}
        (self.folder / "weights.safetensors").touch()
        tested = {"tested": {"test_rmse": rmse}} if task.role == "final" else {}
        return {**report, **tested, "reason": "epochs", "done": True}
