"""The main job end to end by the installed program, in processes of its own, in a folder of its own."""

import csv
import hashlib
import json
import os
import shutil
import signal
from uuid import uuid4

import numpy as np
import pytest
from place import AGENTS, Place, until
from small_workspace import BASELINES, FINALIST, write_small_search

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.images import read_frame
from semtune.journal import read_events
from semtune.tracking.store import open_store

pytestmark = [
    pytest.mark.slow,
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

TWO = """
architecture: {choice: [pacf, resnet50]}
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 8
crop: 64
tiles: 1
epochs: {value: 2, when: {architecture: [pacf]}, otherwise: 1}
frames_per_epoch: 16
stratify: architecture
trials: 4
"""
LONG = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 4
crop: 64
tiles: 1
epochs: 18
grace_epochs: 6
frames_per_epoch: 16
trials: 3
"""
TEST_METRICS = {
    "validation_rmse", "test_rmse", "test_r2", "test_plcc", "test_srcc",
    "milliseconds_per_image", "milliseconds_per_image_batch32",
}  # fmt: skip


def bytes_of(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A simulated dataset of 8 fields x 4 frames and two search spaces in an otherwise empty folder."""
    place = Place(tmp_path_factory.mktemp("job"), uuid4().hex)
    place.run("simulate", "frames", "--fields", 8, "--settings", 4, "--seed", 1)
    (place.folder / "two.yaml").write_text(TWO)
    (place.folder / "long.yaml").write_text(LONG)
    return place


@pytest.fixture(scope="module")
def searched(place):
    """The place after a search over two architectures."""
    place.run("search", "two.yaml", "--data", "frames", "--name", "two")
    return place


def test_the_same_seed_simulates_the_same_bytes(place):
    facts = place.json("simulate", "again", "--fields", 8, "--settings", 4, "--seed", 1)
    assert facts["frames"] == 32
    assert bytes_of(place.folder / "again") == bytes_of(place.folder / "frames")
    first, second = (place.json("check", folder) for folder in ("frames", "again"))
    assert first == second
    assert (first["frames"], first["fields"]) == (32, 8)


def test_the_search_is_listed_as_finished(searched):
    [each] = [each for each in searched.json("list") if each["name"] == "two"]
    record = searched.record("two")
    assert (each["state"], each["trials"]) == ("finished", 4)
    assert each["finished"] == sum(trial.reason == "epochs" for trial in record.trials.values())
    assert each["frames_trained"] == 16 * each["epochs"]
    assert each["best_validation_rmse"] == min(t.validation_rmse for t in record.trials.values())


def test_every_run_is_in_mlflow_with_the_names_of_the_contract(searched):
    parent, children = searched.runs("two")
    assert set(children) == {*searched.record("two").trials, *BASELINES}
    for name, run in children.items():
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["semtune.kind"] == BASELINES.get(name, "network")
        assert tags["semtune.search"] == "two"
        assert run.info.status == "FINISHED"
    assert parent.info.status == "FINISHED"
    finals = [name for name, trial in searched.record("two").trials.items() if trial.tested]
    assert len(finals) == 2
    for name in (*finals, *AUTOFOCUS_FUNCTIONS.names, "joint"):
        assert set(children[name].data.metrics) >= TEST_METRICS - {"test_plcc", "test_srcc"}, name
    for name, trial in searched.record("two").trials.items():
        assert children[name].data.tags["semtune.stop_reason"] == trial.reason
        assert float(children[name].data.params["learning_rate"]) > 0
    [used] = parent.inputs.dataset_inputs
    assert used.dataset.digest == searched.json("check", "frames")["digest"][:32]


def test_finals_have_their_files_in_mlflow_and_the_search_its_report(searched):
    searched.run("report", "two", "--out", "two.html")
    searched.run("sync", "two")
    client = open_store(searched.workspace).client
    parent, children = searched.runs("two")
    assert "report.html" in {each.path for each in client.list_artifacts(parent.info.run_id)}
    for name, trial in searched.record("two").trials.items():
        files = {file.path for file in client.list_artifacts(children[name].info.run_id)}
        assert files >= ({"weights.safetensors", "predictions.csv"} if trial.tested else set())


def test_the_curves_have_a_point_an_epoch(searched):
    client = open_store(searched.workspace).client
    _, children = searched.runs("two")
    for name, trial in searched.record("two").trials.items():
        points = client.get_metric_history(children[name].info.run_id, "training_rmse")
        assert [point.step for point in points] == [epoch.epoch for epoch in trial.epochs]


def test_the_report_comes_in_every_format_with_its_runs(searched):
    files = [f"table.{suffix}" for suffix in ("md", "csv", "tex", "json", "html")]
    searched.run("report", "two", *(option for file in files for option in ("--out", file)))
    texts = [(searched.folder / file).read_text("utf-8") for file in files]
    assert all("resnet50" in text and "rater_noise" in text.replace("\\", "") for text in texts)
    table = json.loads(texts[3])
    assert table["dataset"]["origin"] == "simulated"
    rows = {row["name"]: row for row in table["rows"]}
    assert set(rows) == {*BASELINES, "pacf", "resnet50", "rater_noise"}
    _, children = searched.runs("two")
    for name, row in rows.items():
        if row["kind"] != "ceiling":
            assert row["run_id"] == children[row["trial"] or name].info.run_id
            assert row["test_rmse_low"] <= row["test_rmse"] <= row["test_rmse_high"]
    assert rows["pacf"]["milliseconds_per_image"] > 0


def test_a_second_search_of_the_name_is_refused_and_changes_nothing(searched):
    before = bytes_of(searched.workspace.path)
    said = searched.run("search", "two.yaml", "--data", "frames", "--name", "two", code=1)
    assert "`semtune resume two` goes on with it" in said
    assert bytes_of(searched.workspace.path) == before


def test_the_best_is_promoted_only_if_it_beats_the_baselines(searched):
    table = json.loads(searched.run("report", "two", "--json"))
    networks = [row for row in table["rows"] if row["kind"] == "network"]
    best = min(networks, key=lambda row: row["validation_rmse"])
    rivals = [row["test_rmse"] for row in table["rows"] if row["kind"] not in ("network", "ceiling")]
    wins = best["test_rmse"] < min(rivals)
    verdict = searched.json("promote", "two", code=0 if wins else 1)
    assert (verdict["promoted"], verdict["trial"]) == (wins, best["trial"])
    assert f"{best['test_rmse']:.4f}" in verdict["reason"]
    assert verdict["version"] == (1 if wins else None)


def test_a_promoted_scorer_scores_and_can_be_rolled_back(searched):
    """Two searches whose tables are written by hand around a network that was really trained."""
    trials = searched.record("two").trials.values()
    [name] = [trial.name for trial in trials if trial.tested and trial.architecture == "pacf"]
    trained = searched.workspace.search("two").trials / name / "weights.safetensors"
    other = Place(searched.folder / "other", searched.mark)
    other.folder.mkdir()
    for name, error in (("good", 0.2), ("better", 0.1)):
        folder = write_small_search(other.workspace, searched.folder / "frames", name, error, 9.9)
        shutil.copy(trained, folder.trials / FINALIST)
    verdicts = [other.json("promote", name) for name in ("good", "better")]
    assert [verdict["version"] for verdict in verdicts] == [1, 2]
    frames = sorted((searched.folder / "frames" / "frames").glob("*.png"))
    scored = other.json("score", searched.folder / "frames", "--controls", "brightness=50,contrast=45")
    assert [each["frame"] for each in scored] == list(map(str, frames))
    for each in scored:
        assert 0 <= each["score"] <= 10
        assert each["model_version"] == 2
        assert each["controls"] == {"brightness": 50.0, "contrast": 45.0}
        assert each["missing"] == ["focus"]
    [shown] = other.json("show", frames[0])
    assert shown["champion"]["score"] == other.json("score", frames[0])[0]["score"]
    assert "champion version 2, which learnt from simulated scores" in shown["champion"]["said"]
    assert other.json("rollback") == {"from": 2, "to": 1}
    assert other.json("score", frames[0])[0]["model_version"] == 1


def test_a_search_that_was_killed_and_then_interrupted_goes_on_to_its_end(place):
    journal = place.workspace.search("long").journal

    def epochs():
        return sum(event.event == "epoch_done" for event, _ in read_events(journal))

    with place.started("search", "long.yaml", "--data", "frames", "--name", "long") as killed:
        until(lambda: epochs() >= 5 or killed.poll() is not None)
        assert place.state("long") == "running"
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        until(lambda: not place.processes(but=AGENTS), 30)
    assert place.state("long") == "interrupted"

    before = epochs()
    with place.started("resume", "long") as interrupted:
        until(lambda: epochs() >= before + 5 or interrupted.poll() is not None)
        os.killpg(interrupted.pid, signal.SIGINT)
        assert interrupted.wait(60) == 1
        until(lambda: not place.processes(), 10)
    assert place.state("long") == "interrupted"
    assert {run.info.status for run in place.runs("long")[1].values()} <= {"KILLED", "FINISHED"}

    assert "finished" in place.run("resume", "long")
    assert place.state("long") == "finished"
    until(lambda: not place.processes(), 10)
    record = place.record("long")
    assert list(record.trials) == [f"trial-{number:04d}" for number in range(3)]
    starts = [event.trial for event, _ in read_events(journal) if event.event == "trial_started"]
    assert starts == list(record.trials)
    for trial in record.trials.values():
        assert trial.reason in ("epochs", "asha")
        assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))
        assert trial.reason == "asha" or len(trial.epochs) == 18
    parent, children = place.runs("long")
    assert set(children) == {*record.trials, *BASELINES}
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}


def test_real_frames_are_imported_checked_and_measured(sem_frames, tmp_path):
    place = Place(tmp_path, uuid4().hex)
    images = sorted(path.name for path in sem_frames.iterdir() if path.suffix in (".tif", ".png"))
    with (tmp_path / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "score", "specimen", "field"))
        writer.writerows(
            (name, score, "mixed", "tissue" if "defocus" in name else name)
            for score, name in enumerate(images, start=2)
        )
    summary = place.json("import", sem_frames, "real", "--scores", "scores.csv")
    assert summary["frames"] == len(images) >= 6
    report = place.json("check", "real")
    assert (report["frames"], report["fields"]) == (len(images), len(images) - 2)
    assert [fault["fault"].partition(":")[0] for fault in report["faults"]] == [
        f"{name} comes on several scales" for name in ("brightness", "contrast")
    ]
    assert report["scales"]["contrast"] == {"percent of thermo": 1, "percent of zeiss": 2}
    with (tmp_path / "real" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = [read_frame(tmp_path / "real" / row["image"]) for row in rows]
    for function in AUTOFOCUS_FUNCTIONS:
        values = [function.focus_value(frame) for frame in frames]
        assert np.isfinite(values).all(), function.name
        assert len(set(values)) == len(values)
