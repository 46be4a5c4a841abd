"""A hash of what a frame shows, which survives another format, brightness, contrast, noise and defocus."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semtune.images import Frame

BITS = 255
_SIDE, _KEPT = 64, 16


def likeness(frame: Frame) -> NDArray[np.bool_]:
    """Perceptual hash of a frame, shape (255,): which of its lowest frequencies are above their median.

    Hashes of one place differ in few bits, those of two places in about half. A blank frame has no bit set.

    References:
        Zauner (2010), "Implementation and benchmarking of perceptual image hash functions", section 3.2.
    """
    small: NDArray[Any] = frame
    while min(small.shape) >= 2 * _SIDE:  # in halves: OpenCV has a way for them that is 15 times as fast
        small = cv2.resize(small, (small.shape[1] // 2, small.shape[0] // 2), interpolation=cv2.INTER_AREA)
    small = cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    spectrum = cv2.dct(small)[:_KEPT, :_KEPT].ravel()[1:]  # without the mean
    if not np.ptp(small):
        return np.zeros(BITS, np.bool_)
    return np.asarray(spectrum > np.median(spectrum))
