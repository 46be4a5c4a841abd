"""Scores the same frames after every epoch: tiles in batches of one size, captured as a CUDA graph.

Without a capture there is nothing to gain: `predict` is its twin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.networks.head import ScoreNetwork
from semtune.results import Scores
from semtune.training.augmentation import FramePixels, as_grey_levels
from semtune.training.capture import Capture, Run, captured
from semtune.training.feed import feed_of
from semtune.training.predict import crops_at_once, frame_scores, tile_geometry


@dataclass(frozen=True)
class ValidationKey:
    """What a validation is built for, its frames apart."""

    crop: int
    """Side of a tile, pixels."""
    tiles_per_frame: int
    """Most tiles to average."""
    score_range: tuple[float, float]
    """Lowest and highest score; predictions are clipped to it."""
    bfloat16: bool


class Validation:
    """The tiles of some frames, and the buffers from which one captured batch works.

    Args:
        network: The scorer.
        frames: All frames; on the training device or on the host.
        rows: Which frames to score, shape (n,).
        controls: Control parameters of these frames, shape (n, controls), on the training device.
        key: How to score.
        capture: How to capture.
        notes: Takes why it runs eagerly, if it must.
    """

    def __init__(
        self,
        network: ScoreNetwork,
        frames: FramePixels,
        rows: NDArray[np.int64],
        controls: Tensor,
        key: ValidationKey,
        capture: Capture,
        notes: list[str],
    ) -> None:
        device = controls.device
        geometry, self._owner = tile_geometry(frames, rows, key.crop, key.tiles_per_frame)
        self._batch = min(crops_at_once(key.crop, device), len(geometry))
        # The last batch is filled up with the last tile, so that all batches have one size.
        padded = torch.arange(-(-len(geometry) // self._batch) * self._batch).clamp(max=len(geometry) - 1)
        self._tiles = geometry[padded]
        self._geometry = self._tiles.to(device)
        self._tile_controls = controls[self._owner[padded].to(device)]
        self._tile_scores = torch.zeros(len(padded), device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self._feed = feed_of(frames, self._batch, key.crop, device)
        self._network, self._frames, self._rows, self._controls = network, frames, rows, controls
        self._key, self._capture, self._notes = key, capture, notes
        self._replay: Run | None = None
        self._tried = False

    def serves(
        self, frames: FramePixels, rows: NDArray[np.int64], controls: Tensor, key: ValidationKey
    ) -> bool:
        """Whether it scores just these frames so: the next trial can then use what was captured."""
        same = frames is self._frames and key == self._key and np.array_equal(rows, self._rows)
        return same and torch.equal(controls.nan_to_num(), self._controls.nan_to_num())

    def run(self) -> Scores:
        """Score the frames with the network as it is now, shape (n,); NaN where an answer is not finite."""
        self._network.eval()
        self._position.zero_()
        run = self._replay or self._prepare()
        self._feed.start(self._tiles)
        for _ in range(len(self._tiles) // self._batch):
            self._feed.fetch()
            run()
        tile_scores = self._tile_scores[: len(self._owner)].double().cpu().numpy()
        return frame_scores(tile_scores, self._owner.numpy(), len(self._rows), self._key.score_range)

    def _prepare(self) -> Run:
        """Return what scores one batch; captured if that can be."""
        if not self._tried:
            self._feed.start(self._tiles)
            self._feed.fetch()
            self._replay, reason = captured(self._score_batch, [self._position], self._capture)
            if reason:
                self._notes.append(f"validation cannot be captured and runs eagerly: {reason}")
        self._tried = True
        return self._replay or self._score_batch

    @torch.no_grad()
    def _score_batch(self) -> None:
        device = self._tile_scores.device
        window = self._position * self._batch + torch.arange(self._batch, device=device)
        crops = self._feed.crops(self._geometry[window])
        with torch.autocast(device.type, torch.bfloat16, enabled=self._key.bfloat16):
            scores = self._network(as_grey_levels(crops), self._tile_controls[window])
        self._tile_scores.index_copy_(0, window, scores)
        self._position += 1
