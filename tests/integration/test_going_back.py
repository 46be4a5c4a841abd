"""By the installed program: a search that starts from the champion, goes on later, and comes out again."""

import hashlib
from html import escape
from uuid import uuid4

import pytest
from place import Place

from semtune.planning import read_plan
from semtune.report import TABLE_WRITERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # the fixture is three searches
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]
SPACE = """
architecture: {choice: [pacf, resnet50]}
learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
batch_size: 8
crop: 64
tiles: 1
epochs: {value: 4, when: {architecture: [pacf]}, otherwise: 1}
frames_per_epoch: 16
stratify: architecture
trials: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A champion, and a search that started from it and was extended later."""
    place = Place(tmp_path_factory.mktemp("back"), uuid4().hex)
    place.run("simulate", "frames", "--fields", 8, "--settings", 3, "--seed", 1)
    (place.folder / "space.yaml").write_text(SPACE)
    place.run("search", "space.yaml", "--data", "frames", "--name", "first")
    place.run("promote", "first", "--force", "a test needs a champion")
    place.run("search", "space.yaml", "--data", "frames", "--name", "second", "--from", "champion")
    place.run("resume", "second", "--trials", 3)
    return place


def test_trials_of_the_champions_architecture_start_from_it_and_no_others(place):
    folder = place.workspace.search("second")
    origin = read_plan(folder.plan).started_from
    assert origin.source == "champion version 1"
    assert origin.digest == hashlib.sha256(folder.start.read_bytes()).hexdigest()
    trials = place.record("second").trials
    assert len(trials) == 3
    for trial in trials.values():
        wanted = origin.digest if trial.architecture == origin.architecture else None
        assert [each.started_from for each in trial.placed] == [wanted]


def test_mlflow_and_the_report_name_the_weights(place):
    origin = read_plan(place.workspace.search("second").plan).started_from
    parent, children = place.runs("second")
    assert parent.data.tags["semtune.started_from"] == str(origin)
    for name, trial in place.record("second").trials.items():
        tag = children[name].data.tags.get("semtune.started_from")
        assert tag == (f"sha256:{origin.digest}" if trial.architecture == origin.architecture else None)
    for suffix in TABLE_WRITERS.names:
        if suffix != ".csv":
            place.run("report", "second", "--out", f"table{suffix}")
            assert "champion version 1" in (place.folder / f"table{suffix}").read_text()


def test_networks_of_a_search_focus_and_its_report_shows_how(place):
    few = ("--fields", 2, "--runs", 2, "--budget", 5, "--positions", 7, "--repeats", 2)
    named = ("--scorer", "champion", "--scorer", "pacf", "--scorer", "vollath_f4", "--policy", "full_sweep")
    found = place.json("focus", "first", *few, *named, "--out", "focus.md")
    assert {row["scorer"] for row in found["closed_loop"]} == {"champion", "pacf", "vollath_f4"}
    assert "simulated" in (place.folder / "focus.md").read_text()
    place.run("report", "first", "--out", "page.html")
    caption = place.workspace.search("first").focus_figure.with_suffix(".txt").read_text()
    assert escape(caption) in (place.folder / "page.html").read_text()


@pytest.mark.parametrize("name", ["first", "second"])
def test_trials_come_out_again(place, name):
    for trial in place.record(name).trials:
        found = place.json("reproduce", f"{name}/{trial}")
        assert (found["agrees"], found["exact"]) == (True, True), found


def test_a_run_of_mlflow_comes_out_again_and_a_changed_one_does_not(place):
    _, children = place.runs("first")
    run = children["trial-0000"].info.run_id
    assert place.json("reproduce", run)["trial"] == "first/trial-0000"
    journal = place.workspace.search("first").journal
    whole = journal.read_text()
    seed = place.record("first").trials["trial-0000"].started.seed
    journal.write_text(whole.replace(f'"seed":{seed},', f'"seed":{seed + 50},', 1))
    assert "does not agree: epoch 1 was" in place.run("reproduce", "first/trial-0000", code=1)
    journal.write_text(whole)
