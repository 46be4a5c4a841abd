"""The autofocus functions of many 8-bit frames at once, on the device that holds them.

Every sum over a frame is an integer and exact. The focus values follow in float64, by forms in which no
large numbers cancel, so that they agree with those of single frames to 1e-9 and far better.
"""

from __future__ import annotations

import math
from importlib.util import find_spec

import torch
from torch import Tensor

from semtune.autofocus import AUTOFOCUS_FUNCTIONS

CHUNK_PIXELS = 2**22
"""Pixels that the plain form turns to int32 at once."""


def focus_values_on_device(frames: Tensor) -> Tensor:
    """Focus values of every autofocus function: by Triton kernels on a GPU, else by plain tensor operations.

    Args:
        frames: Grey levels, uint8, shape (n, height, width), both sides >= 3, on any device; a view need
            not be contiguous.

    Returns:
        Focus values, float64, shape (n, functions), on the device of the frames; columns in the order of
        `AUTOFOCUS_FUNCTIONS`, units and direction as its functions say.

    Raises:
        ValueError: If the frames are of another dtype or shape.
    """
    if frames.dtype != torch.uint8 or frames.ndim != 3 or min(frames.shape[1:]) < 3:
        raise ValueError(
            "frames must be uint8 of shape (n, height, width), both sides >= 3, "
            f"but got {frames.dtype} of {tuple(frames.shape)}; stack frames of one size"
        )
    if not len(frames):
        return torch.empty((0, len(AUTOFOCUS_FUNCTIONS)), dtype=torch.float64, device=frames.device)
    if frames.is_cuda and find_spec("triton"):
        from semtune.autofocus.kernels import focus_values

        with torch.cuda.device(frames.device):  # triton starts kernels on the current one
            return focus_values(frames.contiguous())
    chunk = max(1, CHUNK_PIXELS // frames[0].numel())
    _, height, width = frames.shape
    return torch.cat(
        [conclude(*plain_sums(frames[i : i + chunk]), height, width) for i in range(0, len(frames), chunk)]
    )


def plain_sums(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Histogram and sums of each frame by plain tensor operations.

    Args:
        frames: Grey levels, uint8, shape (n, height, width), both sides >= 3, n >= 1.

    Returns:
        Counts of the grey levels, int64, shape (n, 256); and int64 sums, shape (n, 7), over the pixels
        where the terms lie inside the frame: abs(g(r, c+1) - g(r, c)); its square; (g(r, c+2) - g(r, c))^2;
        g(r, c) g(r+1, c); g(r, c) [g(r+1, c) - g(r+2, c)]; squared Sobel gradient; squared Laplacian.
    """
    g = frames.int()
    first = 256 * torch.arange(len(g), device=g.device, dtype=torch.int32)
    counts = torch.bincount((g + first[:, None, None]).flatten(), minlength=256 * len(g))
    step, wide, middle = g[..., 1:] - g[..., :-1], g[..., 2:] - g[..., :-2], g[..., 1:-1]
    bell = g[..., :-2] + 2 * middle + g[..., 2:]
    along, across = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:], bell[:, 2:] - bell[:, :-2]
    hill = bell + 2 * middle
    laplacian = 36 * middle[:, 1:-1] - (hill[:, :-2] + 4 * hill[:, 1:-1] + hill[:, 2:])
    terms = (
        step.abs(),
        step**2,
        wide**2,
        g[:, :-1] * g[:, 1:],
        g[:, :-2] * (g[:, 1:-1] - g[:, 2:]),
        along**2 + across**2,
        laplacian**2,
    )
    return counts.view(-1, 256), torch.stack([term.sum((1, 2), dtype=torch.int64) for term in terms], 1)


def conclude(counts: Tensor, sums: Tensor, height: int, width: int) -> Tensor:
    """Focus values from the sums of frames of one size; see `plain_sums` and `focus_values_on_device`."""
    pixels, inner = height * width, (height - 2) * (width - 2)
    levels = torch.arange(256, device=counts.device)
    total = (counts * levels).sum(1)
    mean, shares = total.double() / pixels, counts.double() / pixels
    deviations = levels - mean[:, None]
    variance = (shares * deviations**2).sum(1)
    values = {
        "absolute_variance": (shares * deviations.abs()).sum(1),
        "squared_variance": variance,
        "absolute_gradient": sums[:, 0].double() / (height * (width - 1)),
        "squared_gradient": sums[:, 1].double() / (height * (width - 1)),
        "vollath_f4": sums[:, 4].double() / ((height - 2) * width),
        "entropy": 0.0 - torch.xlogy(shares, shares).sum(1) / math.log(2),
        "normalised_variance": torch.where(total > 0, variance / mean, 0.0),
        "brenner": sums[:, 2].double() / (height * (width - 2)),
        "tenengrad": sums[:, 5].double() / inner,
        "laplacian_energy": sums[:, 6].double() / inner,
        "vollath_f5": _vollath_f5(total, sums[:, 3], height, width),
    }
    return torch.stack([values[name] for name in AUTOFOCUS_FUNCTIONS.names], 1)


def _vollath_f5(total: Tensor, lag: Tensor, height: int, width: int) -> Tensor:
    """F5 = mean(g g') - mu^2 about the integer m below mu, where what cancels are integers.

    With n pixels, p pairs and the rest r = sum(g) - m n, it is
    [n (sum(g g') - m^2 p) - 2 m p r] / (n p) - (r / n)^2.
    """
    pixels, pairs = height * width, (height - 1) * width
    middle = total // pixels
    beyond = total - middle * pixels
    centred = pixels * (lag - middle**2 * pairs) - 2 * middle * pairs * beyond
    return centred.double() / (pixels * pairs) - (beyond.double() / pixels) ** 2
