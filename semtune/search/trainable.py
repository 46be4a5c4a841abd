"""What Ray Tune sees of a warm worker. Apart from the driver, whose imports its processes are spared."""

from __future__ import annotations

from typing import Any

from ray import tune

from semtune.config import TrialTask

TASK = "task"
"""Key of Tune's configuration of a trial that holds the task, a `TrialTask` as a dict."""


class RayTrial(tune.Trainable):  # type: ignore[misc]
    """What Ray Tune sees of a warm worker."""

    def setup(self, config: dict[str, Any]) -> None:
        """Make the worker; it stays for all trials of this process."""
        from semtune.search.worker import WarmWorker  # torch comes in here, on the worker only

        self._worker = WarmWorker()
        self._worker.start(TrialTask.model_validate(config[TASK]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial in the same process."""
        self._worker.start(TrialTask.model_validate(new_config[TASK]))
        return True

    def step(self) -> dict[str, Any]:
        """Do the next piece of the trial."""
        return self._worker.advance()

    def cleanup(self) -> None:
        """Save what is unsaved."""
        self._worker.stop()
