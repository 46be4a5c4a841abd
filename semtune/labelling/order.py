"""In which order a rater sees the frames, and which of them a second time.

Everything follows from the rater's name and the names of the images: nothing has to be remembered, raters
see different orders, and frames that come later find their places among the others.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import NamedTuple

_EARLY, _APART = 0.6, 0.25
"""Repeated are frames of the first three fifths, at the earliest a quarter of all frames later."""


class Showing(NamedTuple):
    """A frame to be scored."""

    image: str
    earlier: int
    """How often the rater has seen it before in this order: 0, or 1 for a repeat."""


@lru_cache(maxsize=16)  # asked for at every score
def showings(images: tuple[str, ...], rater: str, share: float) -> tuple[Showing, ...]:
    """Every image once in random order, and a share of them once more, unannounced, later on.

    Args:
        images: Their names, each once.
        rater: Whose order it is.
        share: Of the images that are repeated, 0..0.5; at least one if it is above 0.
    """
    order = sorted(images, key=lambda image: _draw(rater, image, "order"))
    places = {image: place / len(order) for place, image in enumerate(order)}
    early = sorted(
        (image for image in order if places[image] < _EARLY), key=lambda image: _draw(rater, image, "again")
    )
    shown = [(place, Showing(image, 0)) for image, place in places.items()]
    for image in early[: math.ceil(share * len(order))]:
        room = 1 - _APART - places[image]
        later = places[image] + _APART + room * _draw(rater, image, "when")
        shown.append((later, Showing(image, 1)))
    return tuple(showing for _, showing in sorted(shown))


def _draw(*of: str) -> float:
    """A number in 0..1 that looks random, the same for the same words."""
    digest = hashlib.sha256("\0".join(of).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
