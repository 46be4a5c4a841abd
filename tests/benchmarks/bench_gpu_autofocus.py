"""How fast the autofocus functions are on a GPU: microseconds a frame, 256 frames of 640 x 480 at once."""

import json
import statistics
from typing import Any

import numpy as np
import torch

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.autofocus.batch import conclude, focus_values_on_device, plain_sums

FRAMES, HEIGHT, WIDTH = 256, 480, 640
WANTED = 1.0
"""Microseconds a frame, all functions together."""
ROUNDS = 30


def run() -> dict[str, Any]:
    """Figures of all functions together; without a GPU only a note that there is none."""
    if not torch.cuda.is_available():
        return {"note": "no GPU: not measured", "wanted": WANTED}
    frames = noise().cuda()
    values = focus_values_on_device(frames)
    ours = microseconds(lambda: focus_values_on_device(frames))
    part = frames[:16]
    return {
        "microseconds_per_frame": ours / FRAMES,
        "wanted": WANTED,
        "reached": ours / FRAMES <= WANTED,
        "plain_microseconds_per_frame": microseconds(lambda: conclude(*plain_sums(part), HEIGHT, WIDTH)) / 16,
        "one_read_microseconds_per_frame": microseconds(lambda: frames.view(torch.int32).amax()) / FRAMES,
        "greatest_relative_difference": difference(frames[:4].cpu(), values[:4].cpu()),
        "device": torch.cuda.get_device_name(),
    }


def noise() -> torch.Tensor:
    """Frames of noise about a middle grey, shape (256, 480, 640); what a frame shows hardly matters."""
    random = np.random.default_rng(0)
    levels = random.normal(118, 40, (FRAMES, HEIGHT, WIDTH)).astype(np.float32)
    return torch.from_numpy(levels.clip(0, 255).astype(np.uint8))


def microseconds(call: Any) -> float:
    """Median wall time of a call and of all that it started on the device."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    spent = []
    for _ in range(3 + ROUNDS):
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        end.synchronize()
        spent.append(1e3 * start.elapsed_time(end))
    return statistics.median(spent[3:])


def difference(frames: torch.Tensor, values: torch.Tensor) -> float:
    """Greatest relative difference from the one-frame functions."""
    single = [[function.focus_value(frame) for function in AUTOFOCUS_FUNCTIONS] for frame in frames.numpy()]
    expected = torch.tensor(single, dtype=torch.float64)
    return ((values - expected).abs() / expected.abs().clamp(min=1e-12)).max().item()


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
