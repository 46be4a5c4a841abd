"""How fast the autofocus functions are: as multiples of OpenCV's passes, of its bare calls, and of NumPy.

Everything is timed in one run, on one thread, on one 640 x 480 frame of 8 bits, so that only ratios count.
"""

import json
import statistics
from time import perf_counter

import cv2
import numpy as np

from semtune.autofocus import AUTOFOCUS_FUNCTIONS

ROUNDS = 40
LAPLACIAN = np.array([[-1, -4, -1], [-4, 20, -4], [-1, -4, -1]])
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
CEILING = {
    "squared_variance": 3,
    "absolute_gradient": 2.5,
    "squared_gradient": 2.5,
    "vollath_f4": 6,
    "absolute_variance": 6,
    "entropy": 1.2,
}
"""Most times that OpenCV's pass (the sum; for entropy the histogram) may be taken."""
SPEEDUP = {"entropy": 10, "absolute_variance": 10}
"""Fewest times faster than text-book NumPy; 20 for all others."""


def entropy(g):
    share = np.histogram(g, bins=256, range=(0, 256))[0] / g.size
    share = share[share > 0]
    return -np.sum(share * np.log2(share))


def filtered(g, kernel):
    height, width = g.shape
    taps = [(r, c) for r in range(3) for c in range(3)]
    return sum(kernel[r, c] * g[r : r + height - 2, c : c + width - 2] for r, c in taps)


TEXTBOOK = {
    "absolute_variance": lambda g: np.mean(np.abs(g - np.mean(g))),
    "squared_variance": lambda g: np.mean((g - np.mean(g)) ** 2),
    "absolute_gradient": lambda g: np.mean(np.abs(g[:, 1:] - g[:, :-1])),
    "squared_gradient": lambda g: np.mean((g[:, 1:] - g[:, :-1]) ** 2),
    "vollath_f4": lambda g: np.mean(g[:-2] * (g[1:-1] - g[2:])),
    "entropy": entropy,
    "normalised_variance": lambda g: np.mean((g - np.mean(g)) ** 2) / np.mean(g),
    "brenner": lambda g: np.mean((g[:, 2:] - g[:, :-2]) ** 2),
    "tenengrad": lambda g: np.mean(filtered(g, SOBEL) ** 2 + filtered(g, SOBEL.T) ** 2),
    "laplacian_energy": lambda g: np.mean(filtered(g, LAPLACIAN) ** 2),
    "vollath_f5": lambda g: np.mean(g[:-1] * g[1:]) - np.mean(g) ** 2,
}


def specimen_frame():
    """A textured frame, shape (480, 640): blurred noise under noise of 19 grey levels, as in real frames."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (480, 640)), (0, 0), 6)
    grey = 118 + 40 * texture / texture.std() + rng.normal(0, 19, texture.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def microseconds(calls):
    """Median duration of each call; their rounds are interleaved, so that a slow moment hits all alike."""
    durations = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()  # warms the cache after the call before it
            start = perf_counter()
            call()
            durations[name].append(1e6 * (perf_counter() - start))
    return {name: statistics.median(seconds) for name, seconds in durations.items()}


def run():
    """Figures by function: microseconds, multiple of OpenCV's pass, speed-up on NumPy, difference from it."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return figures(specimen_frame())
    finally:
        cv2.setNumThreads(threads)


def figures(frame):
    # The conversion to float64 belongs to the text-book form: frames come as uint8. It is up to ten times
    # faster where the allocator happens to keep the pages of the temporary arrays.
    textbook = microseconds({name: lambda f=f: f(frame.astype(np.float64)) for name, f in TEXTBOOK.items()})
    focusing = {f.name: lambda f=f: f.focus_value(frame) for f in AUTOFOCUS_FUNCTIONS}
    ours = microseconds(focusing | passes(frame) | bare_calls(frame))
    return {name: row(name, ours, textbook[name], frame) for name in AUTOFOCUS_FUNCTIONS.names}


def passes(frame):
    return {
        "cv2.sumElems": lambda: cv2.sumElems(frame),
        "cv2.calcHist": lambda: cv2.calcHist([frame], [0], None, [256], [0, 256]),
    }


def bare_calls(frame):
    """The OpenCV calls from which each of Table 1 follows by arithmetic, with nothing checked."""

    def squared(*arrays):
        return cv2.norm(*arrays, cv2.NORM_L2SQR)

    left, right, first, second, third = frame[:, :-1], frame[:, 1:], frame[:-2], frame[1:-1], frame[2:]
    calls = {
        "absolute_variance": lambda: cv2.calcHist([frame], [0], None, [256], [0, 256]),
        "squared_variance": lambda: (cv2.sumElems(frame), squared(frame)),
        "absolute_gradient": lambda: cv2.norm(right, left, cv2.NORM_L1),
        "squared_gradient": lambda: squared(right, left),
        "vollath_f4": lambda: (
            squared(first, second), squared(first, third), squared(frame[1]), squared(frame[-1])
        ),
        "entropy": lambda: cv2.calcHist([frame], [0], None, [256], [0, 256]),
    }  # fmt: skip
    return {f"bare {name}": call for name, call in calls.items()}


def row(name, ours, textbook, frame):
    reference = "cv2.calcHist" if name == "entropy" else "cv2.sumElems"
    expected = float(TEXTBOOK[name](frame.astype(np.float64)))
    multiple, speedup = ours[name] / ours[reference], textbook / ours[name]
    bare = ours.get(f"bare {name}")
    return {
        "microseconds": ours[name],
        "reference": reference,
        "multiple": multiple,
        "ceiling": CEILING.get(name),
        "multiple_of_bare_calls": ours[name] / bare if bare else None,
        "speedup": speedup,
        "speedup_floor": SPEEDUP.get(name, 20),
        "relative_difference": abs(AUTOFOCUS_FUNCTIONS[name].focus_value(frame) / expected - 1),
        "reached": multiple <= CEILING.get(name, float("inf")) and speedup >= SPEEDUP.get(name, 20),
    }


def line(name, row):
    multiple = f"{row['multiple']:.2f} ({row['ceiling'] or '-'})"
    bare = f"{row['multiple_of_bare_calls']:.2f}" if row["multiple_of_bare_calls"] else "-"
    speedup = f"{row['speedup']:.0f} ({row['speedup_floor']})"
    verdict = "" if row["reached"] else "  MISSED"
    difference = row["relative_difference"]
    start = f"{name:20} {row['microseconds']:7.1f} {multiple:>15} {bare:>6}"
    return f"{start} {speedup:>13} {difference:11.0e}{verdict}"


def main():
    table = run()
    columns = f"{'autofocus function':20} {'us':>7} {'multiple (<=)':>15} {'x bare':>6}"
    print(f"{columns} {'x NumPy (>=)':>13} {'error':>11}")
    print("\n".join(line(name, row) for name, row in table.items()))
    print(json.dumps(table))


if __name__ == "__main__":
    main()
