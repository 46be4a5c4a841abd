"""Scores of whole frames: the mean over evenly spread tiles, clipped to the score range."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.engines.native import ScoreCrops
from semtune.images import tiles
from semtune.networks.head import ScoreNetwork
from semtune.training.augmentation import FramePixels
from semtune.training.step import as_grey_levels

_CROPS_AT_ONCE = 64


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
    geometry, owner = _tile_geometry(frames, rows, crop, tiles_per_frame)
    device = controls.device
    sets = controls if controls.dim() == 3 else controls.unsqueeze(0)
    network.eval()
    parts = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(geometry), _CROPS_AT_ONCE):
            part = geometry[start : start + _CROPS_AT_ONCE].to(frames.pixels.device)
            crops = frames.cut(part[:, 0], part[:, 1], part[:, 2], torch.zeros_like(part[:, 0]), crop)
            members = owner[start : start + _CROPS_AT_ONCE].to(device)
            crops = crops.to(device)
            if score_crops is not None:
                parts.append(torch.stack([score_crops(crops, each[members]) for each in sets]))
                continue
            features = network.features(as_grey_levels(crops))
            parts.append(torch.stack([network.join(features, each[members]) for each in sets]))
    tile_scores = torch.cat(parts, 1).double().cpu().numpy()
    sums = np.stack([np.bincount(owner, weights=each, minlength=len(rows)) for each in tile_scores])
    mean = sums / np.bincount(owner, minlength=len(rows))
    # An infinite answer is none: clipped, it would hide that the network diverged.
    clipped = np.clip(np.where(np.isfinite(mean), mean, np.nan), *score_range)
    return clipped if controls.dim() == 3 else clipped[0]


def cut_tiles(frames: FramePixels, row: int, crop: int, tiles_per_frame: int) -> Tensor:
    """Cut the tiles of one frame as `predict` does, uint8, shape (tiles, 1, crop, crop)."""
    geometry, _ = _tile_geometry(frames, np.array([row]), crop, tiles_per_frame)
    row_of, top, left = geometry.to(frames.pixels.device).T
    return frames.cut(row_of, top, left, torch.zeros_like(top), crop)


def _tile_geometry(
    frames: FramePixels, rows: NDArray[np.int64], crop: int, count: int
) -> tuple[Tensor, Tensor]:
    """List all tiles: (frame, top, left), shape (tiles, 3), and where in `rows` the frame of each stands."""
    heights, widths = frames.heights.cpu().numpy()[rows], frames.widths.cpu().numpy()[rows]
    listed = [
        (row, top, left, position)
        for position, (row, height, width) in enumerate(zip(rows, heights, widths, strict=True))
        for top, left in tiles(int(height), int(width), crop, count)
    ]
    table = torch.tensor(listed, dtype=torch.int64).reshape(-1, 4)
    return table[:, :3], table[:, 3]
