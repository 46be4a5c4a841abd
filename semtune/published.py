"""Table 1 of the paper as printed: facts, on other data and another machine than ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class PublishedRow:
    """One row of Table 1 (GTX 1080M, PyTorch 1.0, the paper's own frames and scores)."""

    name: str
    """Our registry name of it."""
    kind: Literal["autofocus", "network"]
    rmse: float
    """Score points; lower is better."""
    seconds: float
    """Per image; of autofocus functions with file reading."""


TABLE1: Mapping[str, PublishedRow] = MappingProxyType(
    {
        row.name: row
        for row in (
            PublishedRow("absolute_variance", "autofocus", 1.5374, 0.0713),
            PublishedRow("squared_variance", "autofocus", 2.2610, 0.0758),
            PublishedRow("absolute_gradient", "autofocus", 2.1937, 0.0270),
            PublishedRow("squared_gradient", "autofocus", 2.9930, 0.0351),
            PublishedRow("vollath_f4", "autofocus", 2.5133, 0.0522),
            PublishedRow("entropy", "autofocus", 2.3036, 0.0820),
            PublishedRow("pacf", "network", 1.2256, 0.0050),
            PublishedRow("vgg11", "network", 1.4400, 0.0061),
            PublishedRow("vgg13", "network", 1.2035, 0.0076),
            PublishedRow("vgg19", "network", 1.3250, 0.0100),
            PublishedRow("resnet50", "network", 0.8329, 0.0110),
            PublishedRow("resnet101", "network", 0.8049, 0.0174),
        )
    }
)
"""By name, in the order of the paper."""
