"""Record the learning curves of a whole grid, for `bench_replay.py` to replay searches against.

    python tests/benchmarks/record_curves.py FOLDER [--share 1/2] [--only pacf] [--table curves.csv]

Six architectures, eight learning rates, three seeds, each trained to its last epoch in this process, without
Ray. A finished curve is a few lines in the folder's curves.csv, so that a call takes up where the last one
ended, or where a table ended that was copied there. `--share 1/2` and `--share 2/2` divide the work between
two processes, `--only` names architectures to begin with. With `--table`, the curves are written, sorted and
headed, as the file that the repository keeps.
"""

import argparse
import csv
import math
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.config import Hyperparameters
from semtune.dataset.frames import decode_frames
from semtune.dataset.manifest import read_dataset
from semtune.dataset.split import by_field
from semtune.environment import quiet_environment
from semtune.errors import DivergedError
from semtune.simulated_dataset import write_simulated_dataset
from semtune.timing import describe_processor
from semtune.training.data import TrainingData, place
from semtune.training.fit import fit, prepare_step
from semtune.training.samples import tabulate
from semtune.training.step import TrainingStep

DATASET = {"fields": 60, "settings": 12, "seed": 1, "specialist": "overall"}
FRAMES_PER_EPOCH = {"pacf": 384, "resnet50": 32, "resnet101": 16, "vgg11": 16, "vgg13": 16, "vgg19": 16}
"""Training frames of an epoch by architecture: what a core affords."""
LEARNING_RATES = tuple(float(f"{rate:.2e}") for rate in np.logspace(-5, -2, 8))
SEEDS = (0, 1, 2)
EPOCHS, CROP, BATCH = 9, 64, 16
VALIDATION_FRAMES = 36
COLUMNS = (
    "architecture",
    "learning_rate",
    "seed",
    "epoch",
    "validation_rmse",
    "training_rmse",
    "frames",
    "seconds",
)
Row = tuple[str, float, int, int, float, float, int, float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--share", default="1/1")
    options.add_argument("--only", nargs="*", default=list(FRAMES_PER_EPOCH))
    options.add_argument("--table", type=Path)
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    part, parts = (int(word) for word in given.share.split("/"))
    record(given.folder, given.only, part - 1, parts)
    if given.table:
        write_table(given.folder / "curves.csv", given.table)


def record(folder: Path, architectures: list[str], part: int, parts: int) -> None:
    """Train what is missing of this process's share, seed by seed, so that all architectures progress."""
    torch.set_num_threads(1)
    done = {row[:3] for row in read_rows(folder / "curves.csv")}
    data = dataset(folder)
    for seed, architecture in product(SEEDS, architectures):
        step, fresh = None, None
        for rate in LEARNING_RATES[part::parts]:
            if (architecture, rate, seed) in done:
                continue
            settings = hyperparameters(architecture, rate)
            if step is None:
                step = prepare_step(settings, data, seed, "auto", None)
                fresh = {name: tensor.clone() for name, tensor in step.network.state_dict().items()}
            curve = [*train(settings, data, step, fresh, seed)]
            append(folder / "curves.csv", curve)
            print(f"{architecture} {rate:g} {seed}: {curve[-1][4]:.3f}", flush=True)


def dataset(folder: Path) -> TrainingData:
    """The simulated frames; validation frames are few but of every validation field."""
    frames, cache = folder / "frames", folder / f"cache-{os.getpid()}"
    if not frames.exists():
        write_simulated_dataset(frames, **DATASET, processes=1)
    read = read_dataset(frames)
    table = tabulate(read, by_field(read, 0), cache)
    spread = np.linspace(0, len(table.validation) - 1, VALIDATION_FRAMES).round().astype(int)
    parts: tuple[NDArray[np.int64], ...] = (table.train, table.validation[spread], table.test)
    store = decode_frames(read, cache)
    return place(store, table.controls, table.scores, parts, table.score_range, torch.device("cpu"))


def hyperparameters(architecture: str, learning_rate: float) -> Hyperparameters:
    return Hyperparameters(
        architecture=architecture,
        learning_rate=learning_rate,
        schedule="cosine",
        batch_size=BATCH,
        crop=CROP,
        tiles=1,
        epochs=EPOCHS,
        frames_per_epoch=FRAMES_PER_EPOCH[architecture],
    )


def train(
    settings: Hyperparameters, data: TrainingData, step: TrainingStep, fresh: dict[str, Tensor], seed: int
) -> Iterator[Row]:
    """Yield a curve's rows; a diverged one ends with a row whose RMSE is NaN.

    Seconds are of this process's one core, so that no neighbours are in them.
    """
    step.network.load_state_dict(fresh)  # building a VGG takes longer than an epoch of it
    step.optimizer.reset()
    head = (settings.architecture, settings.learning_rate, seed)
    epochs = fit(settings, data, step, seed)
    for epoch in range(1, settings.epochs + 1):
        start = time.process_time()
        try:
            result = next(epochs)
        except DivergedError:
            yield (*head, epoch, math.nan, math.nan, 0, time.process_time() - start)
            return
        seconds = time.process_time() - start
        yield (*head, epoch, result.validation_rmse, result.training_rmse, result.frames, seconds)


def append(file: Path, curve: list[Row]) -> None:
    """Write a whole curve at once, so that a kill leaves no part of one."""
    lines = "".join(",".join(shortened(value) for value in row) + "\n" for row in curve)
    with file.open("a") as opened:
        opened.write(lines)


def shortened(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_rows(file: Path) -> list[Row]:
    """Rows of a file of curves; comments and the line of columns are left out."""
    if not file.exists():
        return []
    lines = [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]
    rows = [row for row in csv.reader(lines) if row[0] != COLUMNS[0]]
    return [
        (name, float(rate), int(seed), int(epoch), float(valid), float(train), int(frames), float(seconds))
        for name, rate, seed, epoch, valid, train, frames, seconds in rows
    ]


def write_table(recorded: Path, table: Path) -> None:
    """Sort the curves and say above them what they are."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    dataset = ", ".join(f"{name} {value}" for name, value in DATASET.items())
    head = [
        "Learning curves of a grid, recorded by record_curves.py; frames and scores are SIMULATED.",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {describe_processor(1)}, torch {torch.__version__}",
        f"dataset: {dataset}; {VALIDATION_FRAMES} validation frames",
        f"crop {CROP}, batch {BATCH}, 1 tile, Adam, cosine decay, precision auto, {EPOCHS} epochs",
        "validation_rmse and training_rmse: score points, nan where the curve diverged; seconds: of one core",
    ]
    order = list(FRAMES_PER_EPOCH)
    rows = sorted(read_rows(recorded), key=lambda row: (order.index(row[0]), *row[1:4]))
    text = "".join(f"# {line}\n" for line in head) + ",".join(COLUMNS) + "\n"
    table.write_text(text, "utf-8")
    append(table, rows)


if __name__ == "__main__":
    quiet_environment()
    main()
