"""A whole search on a real Ray cluster of this machine: four small trials; the first must diverge."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from small_search import write_small_table

from semtune.config import TrialTask
from semtune.environment import quiet_environment
from semtune.journal import Journal, read_record
from semtune.predictions import read_predictions
from semtune.results import judge
from semtune.search.depot import TrialFiles
from semtune.search.director import Director
from semtune.search.space import parse_space
from semtune.search.worker import CHECKPOINT, PREDICTIONS, WEIGHTS
from semtune.training.samples import write_samples

pytestmark = pytest.mark.slow

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 10.0]}
optimizer: {choice: [adamw, sgd]}
batch_size: 4
crop: 64
epochs: 9
stratify: architecture
grace_epochs: 3
first: {learning_rate: 10.0, optimizer: sgd}
trials: 4
max_failures: 3
"""
STATES = {"epochs": "COMPLETE", "asha": "PRUNED", "diverged": "FAIL"}


def search(folder, after_epochs=None, on_event=lambda event: None):
    """Run or go on with the search of this folder; interrupted after so many epochs of all trials."""
    quiet_environment()  # before ray is imported
    from semtune.search.cluster import connected
    from semtune.search.driver import Resources, run

    journal = Journal(folder / "journal.jsonl")
    heard = []

    def emit(event):
        journal.append(event)
        heard.append(event)
        on_event(event)
        if len([each for each in heard if each.event == "epoch_done"]) == after_epochs:
            director.interrupt()

    def task_of(order, allotment):
        return TrialTask(
            trial=order.trial,
            role=order.role,
            hyperparameters=order.hyperparameters,
            seed=order.seed,
            trial_folder=str(folder / "trials" / order.trial),
            samples_file=str(folder / "samples.npz"),
            threads=allotment.cpus,
            precision="float32",
        )

    space = parse_space(SPACE, "space.yaml", "space")
    director = Director(space, read_record(folder / "journal.jsonl"), folder / "study.log", emit)
    resources = Resources(concurrent=2)
    try:
        with connected(resources.address):
            run(director, task_of, resources, TrialFiles(folder / "trials"), folder / "probes.json")
    finally:
        journal.close()
    return heard


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A search that was interrupted once and then went on to its end."""
    folder = tmp_path_factory.mktemp("search")
    write_samples(write_small_table(folder), folder / "samples.npz")
    search(folder, after_epochs=5)
    record = read_record(folder / "journal.jsonl")
    assert "interrupted" in [trial.reason for trial in record.trials.values()]
    search(folder)
    return folder


@pytest.fixture(scope="module")
def record(folder):
    return read_record(folder / "journal.jsonl")


def ray_workers(*titles):
    """Process ids of the workers of our own cluster with one of these titles."""
    commands, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            pid = int(stat.parent.name)
            parents[pid] = int(stat.read_text().rpartition(")")[2].split()[1])
            commands[pid] = (stat.parent / "cmdline").read_text()
    ours = {pid for pid, parent in parents.items() if parents.get(parent) == os.getpid()}
    return {pid for pid in ours if commands.get(pid, "").startswith(tuple(f"ray::{t}" for t in titles))}


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="with a GPU no workers are started in advance")
def test_trials_run_in_the_processes_that_ray_started_in_advance(tmp_path):
    write_samples(write_small_table(tmp_path), tmp_path / "samples.npz")
    idle, training = set(), set()

    def look(event):
        idle.update(ray_workers("IDLE") if event.event == "trial_started" else ())
        training.update(ray_workers("RayTrial", "ResourceTrainable") if event.event == "epoch_done" else ())

    search(tmp_path, after_epochs=3, on_event=look)
    assert training
    assert training <= idle


def test_a_search_imports_no_mlflow(tmp_path):
    write_samples(write_small_table(tmp_path), tmp_path / "samples.npz")
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; import test_ray_search as it; from pathlib import Path; "
    )
    program += f"it.search(Path({str(tmp_path)!r}), after_epochs=1); assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_every_trial_has_ended_for_a_reason(record):
    reasons = [trial.reason for trial in record.trials.values()]
    assert len(reasons) == 4
    assert set(reasons) <= set(STATES)
    assert reasons[0] == "diverged"
    assert "error became" in record.trials["trial-0000"].ended.message


def test_the_study_agrees_with_the_journal(folder, record):
    storage = JournalStorage(JournalFileBackend(str(folder / "study.log")))
    told = optuna.load_study(study_name="pacf", storage=storage).trials
    assert len(told) == 4
    for frozen, trial in zip(told, record.trials.values(), strict=True):
        assert frozen.state.name == STATES[trial.reason]
        assert frozen.params["learning_rate"] == trial.started.hyperparameters["learning_rate"]
        if trial.searched and not trial.failed:
            epochs = trial.epochs[: trial.searched.epoch]
            expected = {epoch.epoch: pytest.approx(epoch.validation_rmse) for epoch in epochs}
            assert frozen.intermediate_values == expected


def test_epochs_are_whole_and_in_order(record):
    for trial in record.trials.values():
        assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))
        if trial.reason == "epochs" or trial.tested:
            assert len(trial.epochs) == 9


def test_the_best_trial_is_trained_tested_and_timed(folder, record):
    (final,) = [trial for trial in record.trials.values() if trial.tested]
    able = [trial for trial in record.trials.values() if not trial.failed]
    whole = [trial for trial in able if trial.reason == "epochs"] or able
    assert final.searched.validation_rmse == min(trial.searched.validation_rmse for trial in whole)
    assert final.timed.figures["milliseconds_per_image"] > 0
    predictions = read_predictions(folder / "trials" / final.name / PREDICTIONS)
    assert judge(predictions)["test_rmse"] == pytest.approx(final.tested.figures["test_rmse"])


def test_the_large_files_of_all_but_the_finalist_are_gone(folder, record):
    (final,) = [trial.name for trial in record.trials.values() if trial.tested]
    assert {path.parent.name for path in (folder / "trials").glob(f"*/{WEIGHTS}")} == {final}
    assert {path.parent.name for path in (folder / "trials").glob(f"*/{CHECKPOINT}")} <= {final}


def test_a_finished_search_that_is_taken_up_again_does_nothing(folder):
    assert search(folder) == []
