"""What only the figures show of a search, beside its comparison table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from semtune.images import Frame
from semtune.search.space import SearchSpace

Condition: TypeAlias = Mapping[str, float | str]
"""A value by the name of the frame; frames of which it is not known are missing."""


@dataclass(frozen=True)
class ForeignFigure:
    """A figure that another command left in the search's folder."""

    name: str
    caption: str
    media_type: str
    """`image/svg+xml` or `image/png`."""
    content: bytes


@dataclass(frozen=True)
class Material:
    """Everything may be missing; a figure without its material is left out, and the reason is told."""

    space: SearchSpace | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """Of the test frames: control parameters, specimen, and what a simulation knows besides."""
    frame: Callable[[str], Frame] | None = None
    """Grey levels of a test frame by its name."""
    foreign: tuple[ForeignFigure, ...] = ()
