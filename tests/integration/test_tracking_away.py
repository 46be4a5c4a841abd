"""The MLflow server away during a search: the search does not care, and MLflow gets everything once."""

import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from conftest import write_small_dataset
from invariants import check_all
from mlflow_server import free_port, server, stopped
from place import AGENTS, Place, until

from semtune.journal import read_events
from semtune.tracking.store import open_store

pytestmark = [
    pytest.mark.slow,
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 4
crop: 64
tiles: 1
epochs: 300
grace_epochs: 300
frames_per_epoch: 16
trials: 2
"""


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path, uuid4().hex)
    write_small_dataset(tmp_path / "frames")
    (tmp_path / "space.yaml").write_text(SPACE)
    return place


def epoch_times(place, name):
    events = read_events(place.workspace.search(name).journal)
    return [event.at for event, _ in events if event.event == "epoch_done"]


def test_a_server_that_is_silent_for_thirty_seconds_gets_everything(place):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    arguments = ("search", "space.yaml", "--data", "frames", "--name", "away", "--tracking-uri", uri)
    with server(place.folder / "server", port), place.started(*arguments) as process:
        until(lambda: len(epoch_times(place, "away")) >= 20 or process.poll() is not None)
        with stopped(port):
            start = time.time()
            time.sleep(30)
            told = [at for at in epoch_times(place, "away") if at > start]
        assert process.wait(200) == 0
        assert len(told) > 20  # it trained on meanwhile, without a pause worth the name
        assert max(later - earlier for earlier, later in pairwise(told)) < 10
        until(lambda: not place.processes(but=AGENTS), 30)
        place.run("sync", "away", "--tracking-uri", uri)  # had it ended before the server was back
        check_all(place, "away", store=open_store(place.workspace, uri))


def test_a_whole_search_without_a_server_is_sent_later_and_its_password_is_written_nowhere(
    place, monkeypatch
):
    port, password = free_port(), f"hunter{uuid4().hex}"
    uri = f"http://ann:{password}@127.0.0.1:{port}"
    short = ("--data", "frames", "--name", "alone", "--epochs", 3, "--trials", 2, "--tracking-uri", uri)
    with TemporaryDirectory() as ray_logs:  # a short path: Ray puts sockets there
        monkeypatch.setenv("RAY_TMPDIR", ray_logs)
        with place.started("search", "space.yaml", *short) as process:
            assert process.wait(240) == 0
        log = (place.folder / "log").read_text()
        assert "search alone finished" in log  # as if there had been a server
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        said = [log, place.run("sync", "alone", code=1), place.run("report", "alone")]
        with server(place.folder / "server", port):
            said += [place.run("sync", "alone")]
            store = open_store(place.workspace, uri)
            check_all(place, "alone", store=store)
            place.workspace.search("alone").tracked.unlink()
            said += [place.run("sync", "alone"), place.run("list", "--json")]
            check_all(place, "alone", store=store)
        files = [path for folder in (place.folder, Path(ray_logs)) for path in folder.rglob("*")]
        # Among them MLflow's database with all tags, its log, and the logs of Ray's processes.
        assert {"journal.jsonl", "m.db", "log", "raylet.out"} <= {path.name for path in files}
        assert not [text for text in said if password in text]
        assert not [path for path in files if path.is_file() and password.encode() in path.read_bytes()]
