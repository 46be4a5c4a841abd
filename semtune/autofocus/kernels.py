"""Triton kernels of the autofocus functions; imported only where there is a GPU, for triton comes with CUDA.

Sums over a frame are integers: none rounds, and none depends on the order of the threads. Run with
`TRITON_INTERPRET=1`, set before this module is imported, the kernels work on a CPU, for tests.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, BLOCKS = 4096, 4
"""Pixels that a program counts at once, and how often."""
ROWS, COLUMNS = 64, 128
"""Tile of a program. Squared responses to the Laplacian, up to 5100**2, fit into int32 over 82 rows."""
SUMS, FUNCTIONS = 7, 11


def focus_values(frames: Tensor) -> Tensor:
    """Focus values, float64, shape (n, functions), of uint8 frames, contiguous, shape (n, height, width)."""
    n, height, width = frames.shape
    sums = torch.zeros((n, 256 + SUMS), dtype=torch.int64, device=frames.device)
    values = torch.empty((n, FUNCTIONS), dtype=torch.float64, device=frames.device)
    chunks = triton.cdiv(height * width, BLOCK * BLOCKS)
    add_counts[(n, chunks)](frames, sums, height * width, 256 + SUMS, BLOCK=BLOCK, BLOCKS=BLOCKS, num_warps=4)
    tiles = (n, triton.cdiv(height, ROWS), triton.cdiv(width, COLUMNS))
    add_sums[tiles](frames, sums, height, width, 256 + SUMS, ROWS=ROWS, COLUMNS=COLUMNS, num_warps=1)
    conclude[(n,)](sums, values, height, width, 256 + SUMS, FUNCTIONS, num_warps=1)
    return values


@triton.jit  # type: ignore[untyped-decorator]
def add_counts(
    frames: tl.tensor,
    sums: tl.tensor,
    pixels: tl.tensor,
    stride: tl.tensor,
    BLOCK: tl.constexpr,
    BLOCKS: tl.constexpr,
) -> None:
    """Add one chunk of a frame to its histogram, the first 256 sums; the grid is (frames, chunks)."""
    frame = tl.program_id(0).to(tl.int64)
    start = tl.program_id(1) * BLOCK * BLOCKS
    bins = tl.zeros((256,), tl.int32)
    for block in range(BLOCKS):
        pixel = start + block * BLOCK + tl.arange(0, BLOCK)
        inside = pixel < pixels
        level = tl.load(frames + frame * pixels + pixel, mask=inside, other=0).to(tl.int32)
        bins += tl.histogram(level, 256, mask=inside)
    tl.atomic_add(sums + frame * stride + tl.arange(0, 256), bins.to(tl.int64), sem="relaxed")


@triton.jit  # type: ignore[untyped-decorator]
def add_sums(
    frames: tl.tensor,
    sums: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    stride: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Add one tile to the sums of `batch.plain_sums`; the grid is (frames, row tiles, column tiles).

    The window of 3 x 3 pixels slides down: a row is loaded once, when it is the lowest.
    """
    frame = tl.program_id(0).to(tl.int64)
    top = tl.program_id(1) * ROWS
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    pixels = frames + frame * height * width + column
    absolute = tl.zeros((COLUMNS,), tl.int32)
    squared, apart, lag, f4 = absolute, absolute, absolute, absolute
    sobel, laplacian = absolute, absolute
    a0, a1, a_step, a_wide, a_bell = load_row(pixels, top, column, height, width)
    b0, b1, b_step, b_wide, b_bell = load_row(pixels, top + 1, column, height, width)
    for row in tl.range(top, top + ROWS, loop_unroll_factor=2):
        c0, c1, c_step, c_wide, c_bell = load_row(pixels, row + 2, column, height, width)
        absolute += tl.abs(a_step)
        squared += a_step * a_step
        apart += a_wide * a_wide
        lag += a0 * b0
        if row < height - 2:
            f4 += a0 * (b0 - c0)
            along, across = a_wide + 2 * b_wide + c_wide, c_bell - a_bell
            sobel += along * along + across * across
            # (1 4 1) is the bell (1 2 1) and twice the middle.
            response = 36 * b1 - (a_bell + 4 * b_bell + c_bell) - 2 * (a1 + 4 * b1 + c1)
            laplacian += response * response
        a0, a1, a_step, a_wide, a_bell = b0, b1, b_step, b_wide, b_bell
        b0, b1, b_step, b_wide, b_bell = c0, c1, c_step, c_wide, c_bell
    # What reached over the right border is taken out here, once for all rows.
    two, three = column < width - 1, column < width - 2
    own = sums + frame * stride + 256
    tl.atomic_add(own, tl.sum(tl.where(two, absolute, 0).to(tl.int64)), sem="relaxed")
    tl.atomic_add(own + 1, tl.sum(tl.where(two, squared, 0).to(tl.int64)), sem="relaxed")
    tl.atomic_add(own + 2, tl.sum(tl.where(three, apart, 0).to(tl.int64)), sem="relaxed")
    tl.atomic_add(own + 3, tl.sum(lag.to(tl.int64)), sem="relaxed")
    tl.atomic_add(own + 4, tl.sum(f4.to(tl.int64)), sem="relaxed")
    tl.atomic_add(own + 5, tl.sum(tl.where(three, sobel, 0).to(tl.int64)), sem="relaxed")
    tl.atomic_add(own + 6, tl.sum(tl.where(three, laplacian, 0).to(tl.int64)), sem="relaxed")


@triton.jit  # type: ignore[untyped-decorator]
def load_row(
    pixels: tl.tensor, row: tl.tensor, column: tl.tensor, height: tl.tensor, width: tl.tensor
) -> tuple[tl.tensor, ...]:
    """A row's levels g(c) and g(c+1), g(c+1) - g(c), g(c+2) - g(c), and g(c) + 2 g(c+1) + g(c+2).

    Levels beyond the frame are 0.
    """
    here = pixels + row * width
    inside = row < height
    g0 = tl.load(here, mask=inside & (column < width), other=0).to(tl.int32)
    g1 = tl.load(here + 1, mask=inside & (column < width - 1), other=0).to(tl.int32)
    g2 = tl.load(here + 2, mask=inside & (column < width - 2), other=0).to(tl.int32)
    return g0, g1, g1 - g0, g2 - g0, g0 + 2 * g1 + g2


@triton.jit  # type: ignore[untyped-decorator]
def conclude(
    sums: tl.tensor,
    values: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    stride: tl.tensor,
    functions: tl.tensor,
) -> None:
    """The focus values of one frame from its sums, by the formulas of `batch.conclude`."""
    frame = tl.program_id(0).to(tl.int64)
    own, out = sums + frame * stride + 256, values + frame * functions
    pixels, pairs = (height * width).to(tl.int64), ((height - 1) * width).to(tl.int64)
    inner = ((height - 2) * (width - 2)).to(tl.float64)
    level = tl.arange(0, 256)
    count = tl.load(own - 256 + level)
    total = tl.sum(count * level)
    mean = total.to(tl.float64) / pixels.to(tl.float64)
    share = count.to(tl.float64) / pixels.to(tl.float64)
    deviation = level.to(tl.float64) - mean
    variance = tl.sum(share * deviation * deviation)
    tl.store(out, tl.sum(share * tl.abs(deviation)))
    tl.store(out + 1, variance)
    tl.store(out + 2, tl.load(own).to(tl.float64) / (height * (width - 1)).to(tl.float64))
    tl.store(out + 3, tl.load(own + 1).to(tl.float64) / (height * (width - 1)).to(tl.float64))
    tl.store(out + 4, tl.load(own + 4).to(tl.float64) / ((height - 2) * width).to(tl.float64))
    tl.store(out + 5, 0 - tl.sum(share * tl.log2(tl.where(count > 0, share, 1))))
    tl.store(out + 6, tl.where(total > 0, variance / tl.where(total > 0, mean, 1), 0))
    tl.store(out + 7, tl.load(own + 2).to(tl.float64) / (height * (width - 2)).to(tl.float64))
    tl.store(out + 8, tl.load(own + 5).to(tl.float64) / inner)
    tl.store(out + 9, tl.load(own + 6).to(tl.float64) / inner)
    middle = total // pixels
    beyond = total - middle * pixels
    centred = pixels * (tl.load(own + 3) - middle * middle * pairs) - 2 * middle * pairs * beyond
    part = beyond.to(tl.float64) / pixels.to(tl.float64)
    tl.store(out + 10, centred.to(tl.float64) / (pixels * pairs).to(tl.float64) - part * part)
