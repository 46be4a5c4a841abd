"""A trial that is killed in the middle and goes on has the curve of one that was not, to 1e-6."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_search import write_small_table

from semtune.config import Hyperparameters, TrialTask
from semtune.training.samples import write_samples
from semtune.workspace import CHECKPOINT, WEIGHTS

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
from semtune.config import TrialTask
from semtune.search.worker import WarmWorker
worker = WarmWorker()
worker.start(TrialTask.model_validate_json(sys.argv[1]))
report = {"done": False}
while not report["done"]:
    report = worker.advance()
    print(json.dumps(report), flush=True)
"""


@pytest.fixture(scope="module")
def samples_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("going_on")
    write_samples(write_small_table(folder), folder / "samples.npz")
    return folder / "samples.npz"


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "pacf", "optimizer": "sgd", "weight_decay": 0.01, "learning_rate": 0.001},
        {"architecture": "pacf", "optimizer": "adamw", "weight_decay": 0.01, "learning_rate": 0.001},
    ],
    ids=lambda settings: settings["optimizer"],
)
def test_a_killed_trial_goes_on_as_if_it_had_not_been(samples_file, tmp_path, settings):
    """Dropout, momentum or Adam's moments, warm-up and cosine decay, and frames drawn anew each epoch."""
    hyperparameters = Hyperparameters(
        **settings, schedule="cosine", warmup_epochs=2, dropout=0.3, control_dropout=0.5, batch_size=2,
        crop=96, tiles=1, epochs=30, frames_per_epoch=12,
    )  # fmt: skip

    def task(name):
        return TrialTask(
            trial=name, role="search", hyperparameters=hyperparameters, seed=3, threads=1,
            trial_folder=str(tmp_path / name), samples_file=str(samples_file), precision="float32",
        )  # fmt: skip

    whole = curve(task("whole"))
    first = curve(task("parts"), kill_after=5)
    second = curve(task("parts"), kill_after=20)
    last = curve(task("parts"))
    assert min(second) > 1  # it went on from a checkpoint
    assert min(last) <= max(second) < 30
    parts = first | second | last
    assert list(whole) == sorted(parts) == list(range(1, 31))
    for epoch, errors in whole.items():
        assert parts[epoch] == pytest.approx(errors, rel=1e-6, abs=1e-6), epoch
    assert (tmp_path / "parts" / WEIGHTS).exists()


def curve(task, kill_after=None):
    """Errors by epoch of a trial in a process of its own, which is killed after an epoch if asked."""
    found, checkpoint = {}, Path(task.trial_folder) / CHECKPOINT
    command = [sys.executable, "-c", SCRIPT, task.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            epoch = json.loads(line).get("epoch")
            if epoch:
                found[epoch["epoch"]] = (epoch["training_rmse"], epoch["validation_rmse"])
                if kill_after and epoch["epoch"] > kill_after and checkpoint.exists():
                    os.kill(process.pid, signal.SIGKILL)
    return found
