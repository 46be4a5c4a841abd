"""What Ray Tune sees of a warm worker. Apart from the driver, whose imports its processes are spared."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from semtune.config import TrialTask

TASK = "task"
"""Key of Tune's configuration of a trial that holds the task, a `TrialTask` as a dict."""
NODE = "node"
"""Key of a report that says on which node of the cluster it was made."""


class RayTrial(tune.Trainable):  # type: ignore[misc]
    """What Ray Tune sees of a warm worker. Its first report of a trial says where it is, and nothing else."""

    def setup(self, config: dict[str, Any]) -> None:
        """Make the worker; it stays for all trials of this process."""
        from semtune.search.worker import WarmWorker  # torch comes in here, on the worker only

        self._worker, self._new = WarmWorker(), True
        self._worker.start(TrialTask.model_validate(config[TASK]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial in the same process."""
        self._worker.start(TrialTask.model_validate(new_config[TASK]))
        self._new = True
        return True

    def step(self) -> dict[str, Any]:
        """Do the next piece of the trial."""
        if self._new:
            self._new = False
            return {NODE: ray.get_runtime_context().get_node_id(), "done": False}
        return self._worker.advance()

    def cleanup(self) -> None:
        """Save what is unsaved."""
        self._worker.stop()
