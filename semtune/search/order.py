"""What the director asks of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semtune.config import Hyperparameters

Role = Literal["search", "reseed", "final", "measure"]


@dataclass(frozen=True)
class Order:
    """Have a worker do this."""

    trial: str
    role: Role
    hyperparameters: Hyperparameters
    seed: int
    alone: bool = False
    """Whether it must have no company, for it ran out of memory in company."""
