"""A password in the tracking URI is told to nobody: to no file, tag, log or terminal."""

from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from conftest import write_small_dataset
from mlflow_server import free_port, server
from place import Place

from semtune.tracking.store import open_store

pytestmark = [
    pytest.mark.slow,
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

SPACE = "architecture: pacf\nbatch_size: 4\ncrop: 64\nepochs: 1\nframes_per_epoch: 16\ntrials: 2\n"


def test_a_password_is_written_nowhere(tmp_path, monkeypatch):
    place, port, password = Place(tmp_path, uuid4().hex), free_port(), f"hunter{uuid4().hex}"
    uri = f"http://ann:{password}@127.0.0.1:{port}"
    write_small_dataset(tmp_path / "frames")
    (tmp_path / "space.yaml").write_text(SPACE)
    with TemporaryDirectory() as ray_logs:  # a short path: Ray puts sockets there
        monkeypatch.setenv("RAY_TMPDIR", ray_logs)
        asked = ("search", "space.yaml", "--data", "frames", "--name", "small", "--tracking-uri", uri)
        with place.started(*asked) as process:  # without a server: what fails is told
            assert process.wait(240) == 0
        said = [place.run("sync", "small", "--tracking-uri", uri, code=1)]
        with server(tmp_path / "server", port):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            said += [place.run("sync", "small"), place.run("report", "small"), place.run("list", "--json")]
            runs = open_store(place.workspace, f"http://127.0.0.1:{port}").client
            [experiment] = runs.search_experiments(filter_string="name = 'small'")
            found = [str(run.to_dictionary()) for run in runs.search_runs([experiment.experiment_id])]
        telling = [*said, *found, str(experiment.tags)]
        files = [path for folder in (tmp_path, Path(ray_logs)) for path in folder.rglob("*")]
        assert len(found) > 2
        assert {"journal.jsonl", "m.db", "raylet.out"} <= {path.name for path in files}
        assert not [text for text in telling if password in text]
        assert [path for path in files if path.is_file() and password.encode() in path.read_bytes()] == []
