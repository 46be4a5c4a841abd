"""A real tiny search, trained by its own worker, comes out again; a record that was changed does not."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import write_small_dataset
from small_workspace import append

from semtune import cli_reproduce
from semtune.config import Hyperparameters, TrialTask
from semtune.errors import SearchError
from semtune.journal import EpochDone, TrialEnded, TrialPlaced, TrialStarted
from semtune.planning import SearchRequest, check_request, plan_search, read_plan, write_plan
from semtune.reproduction import EXACT, LOOSE, reproduce
from semtune.results import EpochResult
from semtune.search.worker import WarmWorker
from semtune.tracking.progress import Progress, write_progress
from semtune.training.samples import read_samples, write_samples
from semtune.workspace import Workspace

SPACE = "architecture: pacf\ncrop: 64\nepochs: 3\ntrials: 3\nbatch_size: 4\n"


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def train(folder, trial, stop_after=None, **changed):
    """Train a trial as a search would, with its journal; maybe stop it and take it up again."""
    settings = Hyperparameters(
        architecture="pacf", learning_rate=3e-3, batch_size=4, crop=64, epochs=3, dropout=0.2
    ).model_copy(update=changed)
    task = TrialTask(
        trial=trial, role="search", hyperparameters=settings, seed=7, trial_folder=str(folder.trials / trial),
        samples_file=str(folder.samples), threads=1, precision="auto",
    )  # fmt: skip
    append(folder, TrialStarted(trial=trial, stratum="", hyperparameters=settings.model_dump(), seed=7))
    worker, told = WarmWorker(), 0
    worker.start(task)
    report = {"done": False}
    while not report["done"]:
        report = worker.advance()
        if "placed" in report:
            append(folder, TrialPlaced(trial=trial, **report["placed"]))
        if "epoch" in report and report["epoch"]["epoch"] > told:
            told = report["epoch"]["epoch"]
            append(folder, EpochDone(trial=trial, result=EpochResult(**report["epoch"])))
        if stop_after == told:
            worker.stop()
            worker, stop_after = WarmWorker(), None
            worker.start(task)
    append(folder, TrialEnded(trial=trial, reason=report["reason"]))


@pytest.fixture
def place(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    (tmp_path / "space.yaml").write_text(SPACE)
    data = write_small_dataset(tmp_path / "dataset")
    folder = workspace.search("tin")
    folder.path.mkdir(parents=True)
    request = SearchRequest(str(tmp_path / "space.yaml"), data, "tin")
    plan, table = plan_search(check_request(request), workspace.frames)
    write_samples(table, folder.samples)
    write_plan(plan, folder.plan)
    return workspace, folder


def test_a_trial_comes_out_again_to_the_last_digits(place):
    workspace, folder = place
    train(folder, "trial-0000")
    heard = []
    found = reproduce(
        workspace, "tin/trial-0000", lambda then, now: heard.append((then, now.validation_rmse))
    )
    assert (found.agrees, found.exact, found.differences) == (True, True, ())
    assert found.largest_difference < EXACT
    assert list(zip(found.recorded, found.retrained, strict=True)) == heard
    assert len(heard) == 3
    assert not (folder.trials / "trial-0000.1").exists()


def test_a_trial_that_was_interrupted_agrees_too(place):
    workspace, folder = place
    train(folder, "trial-0000", stop_after=1)
    assert reproduce(workspace, "tin/trial-0000").reason == "all 3 epochs agree"


def test_a_trial_that_the_scheduler_stopped_is_trained_as_far_as_it_came(place):
    workspace, folder = place
    train(folder, "trial-0000")
    lines = folder.journal.read_text().splitlines(keepends=True)
    folder.journal.write_text("".join(lines[:3]))
    assert reproduce(workspace, "tin/trial-0000").reason == "all 1 epochs agree"


def test_a_divergence_that_does_not_come_again_is_told(place):
    workspace, folder = place
    train(folder, "trial-0000")
    lines = folder.journal.read_text().splitlines(keepends=True)
    folder.journal.write_text("".join(lines[:3]))
    append(folder, TrialEnded(trial="trial-0000", reason="diverged"))
    found = reproduce(workspace, "tin/trial-0000")
    assert (found.agrees, found.reason) == (False, "it diverged after epoch 1, and does not now")


def test_a_record_that_was_changed_is_told(place):
    workspace, folder = place
    train(folder, "trial-0000")
    lines = folder.journal.read_text().splitlines()
    changed = json.loads(lines[3])
    changed["result"]["validation_rmse"] += 1e-4
    folder.journal.write_text("\n".join([*lines[:3], json.dumps(changed), *lines[4:]]) + "\n")
    found = reproduce(workspace, "tin/trial-0000")
    assert not found.agrees
    assert found.reason.startswith("epoch 2 was ")
    assert found.largest_difference == pytest.approx(1e-4, rel=1e-3)


def test_other_hyperparameters_are_told(place):
    workspace, folder = place
    train(folder, "trial-0000")
    folder.journal.write_text(
        folder.journal.read_text().replace('"learning_rate":0.003', '"learning_rate":0.001')
    )
    assert not reproduce(workspace, "tin/trial-0000").agrees


def test_other_versions_and_places_are_named_and_loosen_the_tolerance(place):
    workspace, folder = place
    train(folder, "trial-0000")
    plan = read_plan(folder.plan)
    write_plan(
        plan.model_copy(update={"versions": {**plan.versions, "torch": "1.0", "ray": "2.0"}}), folder.plan
    )
    folder.journal.write_text(folder.journal.read_text().replace('1 thread"', '64 threads"'))
    found = reproduce(workspace, "tin/trial-0000")
    assert (found.agrees, found.exact, found.tolerance) == (True, False, LOOSE)
    told = "\n".join(found.differences)
    assert "torch: 1.0 then" in told
    assert "ray: 2.0 then" in told
    assert "64 threads, now on" in told


def test_another_ray_loosens_nothing(place):
    workspace, folder = place
    train(folder, "trial-0000", epochs=1)
    plan = read_plan(folder.plan)
    write_plan(plan.model_copy(update={"versions": {**plan.versions, "ray": "2.0"}}), folder.plan)
    found = reproduce(workspace, "tin/trial-0000")
    assert found.exact
    assert len(found.differences) == 1


def test_another_split_is_refused(place):
    workspace, folder = place
    train(folder, "trial-0000", epochs=1)
    table = read_samples(folder.samples)
    write_samples(replace(table, train=table.test, test=table.train), folder.samples)
    with pytest.raises(SearchError, match="dataset or split are not those of search"):
        reproduce(workspace, "tin/trial-0000")


def test_a_run_of_mlflow_names_its_trial(place):
    workspace, folder = place
    train(folder, "trial-0000", epochs=1)
    write_progress(Progress(runs={"": "0a", "trial-0000": "1b"}), folder.tracked)
    assert reproduce(workspace, "1b").trial == "tin/trial-0000"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("tin/trial-0007", "no trial named 'trial-0007' in 'tin'"),
        ("none/trial-0000", "no search named 'none'"),
        ("0a", "no search of .* has an MLflow run '0a'"),
        ("tin/trial-0001", "trained no epoch"),
    ],
)
def test_what_cannot_be_retrained_is_refused(place, run, message):
    workspace, folder = place
    settings = {"architecture": "pacf", "epochs": 1}
    for name in ("trial-0000", "trial-0001"):
        append(folder, TrialStarted(trial=name, stratum="", hyperparameters=settings, seed=0))
    with pytest.raises(SearchError, match=message):
        reproduce(workspace, run)


def test_the_command_exits_with_1_where_the_numbers_differ(place, capsys):
    workspace, folder = place
    train(folder, "trial-0000", epochs=1)
    cli_reproduce.reproduce("tin/trial-0000", as_json=True, workspace=workspace.path)
    assert json.loads(capsys.readouterr().out)["agrees"] is True
    folder.journal.write_text(folder.journal.read_text().replace('"seed":7', '"seed":8'))
    with pytest.raises(cli_reproduce.typer.Exit):
        cli_reproduce.reproduce("tin/trial-0000", as_json=False, workspace=workspace.path)
    assert "does not agree: epoch 1 was" in capsys.readouterr().out
