"""Steps that are kept for later trials: searches alternate between architectures."""

from __future__ import annotations

from semtune.training.step import StepKey, TrainingStep


class KeptSteps:
    """The steps used last, as many as fit.

    Args:
        most: Bytes that they may hold together; a step that is larger alone is not kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._steps: dict[StepKey, TrainingStep] = {}

    def exchange(self, step: TrainingStep | None, key: StepKey) -> TrainingStep | None:
        """Keep a step that is done with and return one of the wanted key, if there is any."""
        if step is not None:
            self._steps.pop(step.key, None)
            self._steps[step.key] = step
        wanted = self._steps.pop(key, None)
        room = self.most
        for each in reversed(list(self._steps.values())):  # the last one used is kept first
            room -= each.nbytes
            if room < 0:
                del self._steps[each.key]
                room += each.nbytes
        return wanted

    def clear(self) -> None:
        """Let go of all."""
        self._steps.clear()
