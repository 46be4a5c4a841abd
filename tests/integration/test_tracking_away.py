"""The MLflow server away during a search: the search does not care, and MLflow gets everything once."""

import json
import time
from itertools import pairwise
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


def test_a_server_away_for_thirty_seconds_and_then_for_good(place):
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
        check_all(place, "away", store=open_store(place.workspace, uri))
    # The whole of a search without a server: it ends as if there had been one.
    short = ("--epochs", 3, "--trials", 2, "--tracking-uri", uri)
    said = place.run("search", "space.yaml", "--data", "frames", "--name", "alone", *short)
    assert "finished" in said
    place.run("sync", "alone", "--tracking-uri", uri, code=1)
    with server(place.folder / "server", port):
        assert json.loads(place.run("sync", "alone", "--tracking-uri", uri, "--json"))
        check_all(place, "alone", store=open_store(place.workspace, uri))
        place.workspace.search("alone").tracked.unlink()
        place.run("sync", "alone", "--tracking-uri", uri)
        check_all(place, "alone", store=open_store(place.workspace, uri))
