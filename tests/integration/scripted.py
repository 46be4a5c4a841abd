"""Trials that do what a test wants: a trainable without training, handed to the driver by its seam."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import ray
from ray import cloudpickle, tune

from semtune.config import TrialTask
from semtune.environment import quiet_environment
from semtune.journal import Journal, read_record
from semtune.search.depot import TrialFiles
from semtune.search.director import Director
from semtune.search.driver import Resources, run
from semtune.search.space import parse_space
from semtune.search.trainable import NODE, TASK

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
epochs: 12
grace_epochs: 12
"""


class Scripted(tune.Trainable):
    """Reports epochs without training; how a trial behaves stands in a file named after it, if there is one.

    The file holds `what when`: what happens in which epoch; the trial's folder keeps the epochs done.
    """

    seconds = 0.01

    def setup(self, config):
        self.reset_config(config)

    def reset_config(self, config):
        self.task = TrialTask.model_validate(config[TASK])
        self.folder = Path(self.task.trial_folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.new = True
        return True

    def step(self):
        if self.new:
            self.new = False
            return {NODE: ray.get_runtime_context().get_node_id(), "done": False}
        if self.task.role == "measure":
            return {"timed": {"figures": {"milliseconds_per_image": 1.0}, "device": "none"}, "done": True}
        done = self.folder / "done"
        epoch = min(int(done.read_text()) if done.exists() else 0, self.task.hyperparameters.epochs - 1) + 1
        time.sleep(self.seconds)
        script = self.folder.with_suffix(".script")
        what, when = script.read_text().split() if script.exists() else ("", "0")
        rmse = 1.0 if what == "stall" else 1.0 + 1.0 / (epoch + self.task.seed)
        if int(when) == epoch:
            self.misbehave(what, script)
        done.write_text(str(epoch))
        report = {"epoch": {"epoch": epoch, "training_rmse": rmse, "validation_rmse": rmse, "frames": 1,
                            "seconds": self.seconds}}  # fmt: skip
        if epoch < self.task.hyperparameters.epochs:
            return {**report, "done": False}
        tested = {"tested": {"test_rmse": rmse}} if self.task.role == "final" else {}
        return {**report, **tested, "reason": "epochs", "done": True}

    def misbehave(self, what, script):
        if what == "die_once":
            script.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == "raise":
            raise RuntimeError("the sum does not come out")
        if what == "hog":
            self.hoard = b"x" * (4 * 2**30)
            time.sleep(20)
        if what == "hang":
            time.sleep(1000)


def search(
    folder,
    trainable=Scripted,
    resources=None,
    text=SPACE,
    stop_after=None,
    wishes=list,
    wait=1800.0,
    **settings,
):
    """Run scripted trials on the connected cluster; returns the director."""
    quiet_environment()
    for module in {__name__, trainable.__module__}:  # workers cannot import tests
        cloudpickle.register_pickle_by_value(sys.modules[module])
    journal = Journal(folder / "journal.jsonl")
    space = parse_space(text, "space.yaml", "space").overridden({}, settings)

    def emit(event):
        journal.append(event)
        if stop_after and stop_after(event):
            director.interrupt()

    def task_of(order, allotment):
        return TrialTask(
            trial=order.trial,
            role=order.role,
            hyperparameters=order.hyperparameters,
            seed=order.seed,
            trial_folder=str(folder / "trials" / order.trial),
            samples_file="none",
            threads=1,
        )

    director = Director(space, read_record(folder / "journal.jsonl"), folder / "study.log", emit, wait=wait)
    resources = resources or Resources(concurrent=2)
    try:
        run(director, task_of, resources, TrialFiles(folder / "trials"), trainable=trainable, wishes=wishes)
    finally:
        journal.close()
    return director
