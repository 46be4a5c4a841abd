"""Does a scorer trained on simulated frames hold on real ones? Ranks a focus series, degrades real frames.

    python tests/benchmarks/real_frames.py SCORER.safetensors|DATASET [--epochs N] [--keep FILE]

A dataset trains a PACF first (AdamW 2e-3, cosine, crop 128, twelve tiles, one thread). Control parameters are
taken as missing.
"""

import argparse
from collections import defaultdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from semtune.config import Hyperparameters
from semtune.dataset.frames import decode_frames
from semtune.dataset.manifest import read_dataset
from semtune.dataset.split import by_field
from semtune.images import crop_data_bar, read_frame, to_uint8
from semtune.metadata import read_control_parameters
from semtune.results import rmse
from semtune.robustness import descend, monotone_share
from semtune.scoring import Scorer
from semtune.training.checkpoint import write_weights
from semtune.training.data import place
from semtune.training.fit import fit, prepare_step, score_with_and_without_controls
from semtune.training.samples import tabulate

REAL = Path(__file__).parents[3] / "shared" / "sem_frames"
SERIES = ("pert5000", "base", "pert-5000")
"""One field at -8.3, -13.3 and -18.3 um from its best focus: the score must fall."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("scorer", type=Path)
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="file for the trained scorer")
    options.add_argument("--frames", type=Path, default=REAL, help="by default those beside the checkout")
    given = options.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        weights = given.scorer
        if weights.is_dir():
            weights = given.keep or Path(folder) / "scorer.safetensors"
            train(given.scorer, Path(folder) / "cache", weights, given.epochs, given.seed)
        measure(Scorer.from_weights(weights), given.frames)


def train(folder: Path, cache: Path, weights: Path, epochs: int, seed: int) -> None:
    """Train a PACF on a dataset and keep it as `semtune promote` would."""
    dataset = read_dataset(folder)
    table = tabulate(dataset, by_field(dataset, seed=0), cache)
    parts, device = (table.train, table.validation, table.test), torch.device("cpu")
    store = decode_frames(dataset, cache)
    data = place(store, table.controls, table.scores, parts, table.score_range, device)
    settings = Hyperparameters(
        architecture="pacf", learning_rate=2e-3, optimizer="adamw", weight_decay=0.01, schedule="cosine",
        warmup_epochs=1, control_dropout=0.3, epochs=epochs, crop=128, tiles=12,
    )  # fmt: skip
    step = prepare_step(settings, data, seed, "auto", None)
    for epoch in fit(settings, data, step, seed):
        print(f"epoch {epoch.epoch}: RMSE {epoch.training_rmse:.3f}, validation {epoch.validation_rmse:.3f}")
    known, bare = score_with_and_without_controls(step, data, data.test, settings)
    reference = table.scores[data.test]
    print(f"test RMSE {rmse(known, reference):.3f}, without controls {rmse(bare, reference):.3f}")
    facts = {
        "hyperparameters": settings.model_dump(),
        "control_parameters": table.control_parameters.tolist(),
        "score_range": list(table.score_range),
        "dataset_origin": table.origin,
        "precision": "bfloat16" if step.key.bfloat16 else "float32",
    }
    write_weights(step.network, facts, weights)


def measure(scorer: Scorer, folder: Path) -> None:
    """Print the scores of every real frame down every ladder, and what share of the steps falls."""

    def score(frames):
        return scorer.score_all(frames, [{}] * len(frames))

    frames = {
        path.stem: frame_of(path) for path in sorted(folder.iterdir()) if path.suffix in (".tif", ".png")
    }
    series = score([frames[f"zeiss_merlin_defocus_-13324nm_{name}"] for name in SERIES])
    order = "in order" if series[0] > series[1] > series[2] else "NOT in order"
    print(f"series {', '.join(f'{value:.2f}' for value in series)}: {order}")
    by_ladder = defaultdict(list)
    for descent in descend(score, frames, scorer.score_range[0]):
        by_ladder[descent.ladder].append(descent)
        scores = " ".join(f"{value:5.2f}" for value in descent.scores)
        print(f"{descent.frame:42s} {descent.ladder:14s} {scores}  {descent.right_steps} fall")
    for ladder, descents in by_ladder.items():
        print(f"{ladder:14s} {monotone_share(descents):.1%}")
    print(f"{'all':14s} {monotone_share(chain(*by_ladder.values())):.1%}")


def frame_of(path: Path):
    return to_uint8(crop_data_bar(read_frame(path), read_control_parameters(path).data_bar_rows))


if __name__ == "__main__":
    main()
