"""Scores of whole frames: the mean over evenly spread tiles, clipped to the score range."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.engines.native import ScoreCrops
from semtune.images import tiles
from semtune.networks.head import ScoreNetwork
from semtune.training.augmentation import FramePixels, as_grey_levels

_MOST_CROPS = 64
_HOST_PIXELS = 2**20
"""Pixels at once on a processor: beyond, a layer's values leave its caches and are paged in anew each time
(PACF, 224x224: 64 crops at once take twice as long for each as 16)."""


def crops_at_once(crop: int, device: torch.device) -> int:
    """How many crops of one side are scored together."""
    return _MOST_CROPS if device.type == "cuda" else max(1, min(_MOST_CROPS, _HOST_PIXELS // crop**2))


def predict(
    network: ScoreNetwork,
    frames: FramePixels,
    rows: NDArray[np.int64],
    controls: Tensor,
    *,
    crop: int,
    tiles_per_frame: int,
    score_range: tuple[float, float],
    bfloat16: bool = False,
    score_crops: ScoreCrops | None = None,
) -> NDArray[np.float64]:
    """Score whole frames.

    Args:
        network: A trained scorer; it is left in evaluation mode.
        frames: All frames.
        rows: Which frames to score, shape (n,).
        controls: Control parameters of these frames, shape (n, controls), on the network's device; or several
            such sets, shape (sets, n, controls), for which the frames are looked at only once.
        crop: Side of a tile, pixels.
        tiles_per_frame: Most tiles to average.
        score_range: Lowest and highest score; predictions are clipped to it.
        bfloat16: Whether to compute in bfloat16.
        score_crops: Computes the network's scores instead of it, in whatever precision it was prepared for.

    Returns:
        Predicted scores, shape (n,) or (sets, n); higher is better; NaN where an answer is not finite.
    """
    geometry, owner = tile_geometry(frames, rows, crop, tiles_per_frame)
    device = controls.device
    together = crops_at_once(crop, device)
    sets = controls if controls.dim() == 3 else controls.unsqueeze(0)
    network.eval()
    parts = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(geometry), together):
            part = geometry[start : start + together].to(frames.pixels.device)
            crops = frames.cut(part[:, 0], part[:, 1], part[:, 2], part[:, 3], crop)
            members = owner[start : start + together].to(device)
            crops = crops.to(device)
            if score_crops is not None:
                parts.append(torch.stack([score_crops(crops, each[members]) for each in sets]))
                continue
            features = network.features(as_grey_levels(crops))
            parts.append(torch.stack([network.join(features, each[members]) for each in sets]))
    tile_scores = torch.cat(parts, 1).double().cpu().numpy()
    scores = frame_scores(tile_scores, owner.numpy(), len(rows), score_range)
    return scores if controls.dim() == 3 else scores[0]


def frame_scores(
    tile_scores: NDArray[np.float64],
    owner: NDArray[np.int64],
    frames: int,
    score_range: tuple[float, float],
) -> NDArray[np.float64]:
    """Average the scores of tiles by frame, clipped to the score range; NaN where one is not finite.

    Args:
        tile_scores: Shape (..., tiles).
        owner: The frame of each tile, 0 to frames - 1, shape (tiles,).
        frames: Number of frames.
        score_range: Lowest and highest score.

    Returns:
        Shape (..., frames).
    """
    sums = np.apply_along_axis(lambda each: np.bincount(owner, each, frames), -1, tile_scores)
    mean = sums / np.bincount(owner, minlength=frames)
    # An infinite answer is none: clipped, it would hide that the network diverged.
    return np.clip(np.where(np.isfinite(mean), mean, np.nan), *score_range)


def cut_tiles(frames: FramePixels, row: int, crop: int, tiles_per_frame: int) -> Tensor:
    """Cut the tiles of one frame as `predict` does, uint8, shape (tiles, 1, crop, crop)."""
    geometry, _ = tile_geometry(frames, np.array([row]), crop, tiles_per_frame)
    row_of, top, left, symmetry = geometry.to(frames.pixels.device).T
    return frames.cut(row_of, top, left, symmetry, crop)


def tile_geometry(
    frames: FramePixels, rows: NDArray[np.int64], crop: int, count: int
) -> tuple[Tensor, Tensor]:
    """List all tiles: (frame, top, left, 0), shape (tiles, 4), and the place of each frame in `rows`.

    The last column is the plain symmetry.
    """
    heights, widths = frames.heights.cpu().numpy()[rows], frames.widths.cpu().numpy()[rows]
    listed = [
        (row, top, left, 0, position)
        for position, (row, height, width) in enumerate(zip(rows, heights, widths, strict=True))
        for top, left in tiles(int(height), int(width), crop, count)
    ]
    table = torch.tensor(listed, dtype=torch.int64).reshape(-1, 5)
    return table[:, :4], table[:, 4]
