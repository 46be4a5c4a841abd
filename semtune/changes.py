"""What a later session of a search may do otherwise than the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semtune.errors import ConfigError
from semtune.planning import SearchPlan


@dataclass(frozen=True)
class Changes:
    """What a resumed search is to do otherwise; None leaves as it is."""

    trials: int | None = None
    epochs: int | None = None
    max_failures: int | None = None
    seeds: int | None = None
    gpu_hours: float | None = None
    cost_per_gpu_hour: float | None = None
    storage: str | None = None


def changed(plan: SearchPlan, changes: Changes) -> SearchPlan:
    """Return a plan with the changes; trials that have been started keep their hyperparameters.

    Raises:
        ConfigError: If the epochs would become fewer.
    """
    names = ("trials", "max_failures", "seeds", "gpu_hours", "cost_per_gpu_hour")
    settings = {name: getattr(changes, name) for name in names}
    update: dict[str, Any] = {
        "settings": plan.settings | {name: value for name, value in settings.items() if value is not None}
    }
    if changes.epochs is not None:
        space = plan.space()
        most = max(space.epochs(architecture) for architecture in space.architectures)
        if changes.epochs < most:
            raise ConfigError(f"--epochs {changes.epochs}: the search has {most} already; give more, or none")
        update["hyperparameters"] = plan.hyperparameters | {"epochs": changes.epochs}
    if changes.storage is not None:
        update["storage"] = changes.storage
    plan = plan.model_copy(update=update)
    plan.space()
    return plan
