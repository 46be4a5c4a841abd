"""Tracking to a real MLflow server that comes and goes, and the champion as `mlflow` serves it."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow_server import free_port, server

from semtune.journal import EpochDone, SearchClosed, SearchOpened, TrialEnded, TrialStarted, TrialTested
from semtune.results import EpochResult
from semtune.tracking.champion import ChampionFacts, champion, download_weights, register_champion
from semtune.tracking.layout import TrackedSearch
from semtune.tracking.progress import run_ids, unsent
from semtune.tracking.store import open_store
from semtune.tracking.writer import TrackingWriter
from semtune.workspace import SearchFolder, Workspace

pytestmark = [
    pytest.mark.slow,
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    # mlflow.pyfunc on import, of its own classes.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def folder(tmp_path) -> SearchFolder:
    path = tmp_path / "searches" / "demo"
    (path / "trials" / "trial-0000").mkdir(parents=True)
    (path / "trials" / "trial-0000" / "weights.safetensors").write_bytes(b"weights")
    return SearchFolder(path)


SEARCH = TrackedSearch("demo", "an-id", {"trials": 1}, "tin balls", "d" * 64, "data", {}, "cpu", "0.1.0")
FACTS = ChampionFacts("demo", "trial-0000", "pacf", "d" * 64, 0.9, "it beats all", "0.1.0")


def write(folder: SearchFolder, *events) -> None:
    with folder.journal.open("a") as file:
        file.writelines(event.model_dump_json() + "\n" for event in events)


def started() -> TrialStarted:
    return TrialStarted(trial="trial-0000", stratum="", hyperparameters={"architecture": "pacf"}, seed=7)


def epoch(number: int) -> EpochDone:
    return EpochDone(trial="trial-0000", result=EpochResult(number, 2.0, 1.0, frames=10, seconds=0.5))


def until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_server_away_at_first_and_again_later_gets_every_event_once(tmp_path, folder, port):
    store = open_store(Workspace(tmp_path), f"http://127.0.0.1:{port}")
    write(folder, SearchOpened(pid=1, host="h"), started(), epoch(1))
    writer = TrackingWriter(lambda: store, folder, SEARCH)
    writer.notify()
    until(lambda: writer.problem is not None)
    with server(tmp_path / "server", port):
        until(lambda: unsent(folder) == 0)
    write(folder, epoch(2), epoch(3))
    writer.notify()
    until(lambda: writer.problem is not None)
    assert unsent(folder) == 2
    with server(tmp_path / "server", port):
        write(
            folder,
            TrialEnded(trial="trial-0000", reason="epochs"),
            TrialTested(trial="trial-0000", validation_rmse=1.0, figures={"test_rmse": 1.1}),
            SearchClosed(state="finished"),
        )
        assert writer.close(60) == 0
        run = store.client.get_run(run_ids(folder)["trial-0000"])
        points = store.client.get_metric_history(run.info.run_id, "training_rmse")
        assert [point.step for point in points] == [1, 2, 3]
        assert run.info.status == "FINISHED"
        assert len(store.client.search_runs([run.info.experiment_id])) == 2
        files = {file.path for file in store.client.list_artifacts(run.info.run_id)}
        assert files == {"weights.safetensors"}
        version = register_champion(store, run.info.run_id, _weights(folder), FACTS)
        assert champion(store).version == version
        path = download_weights(store, version, tmp_path / "cache")
        assert path.read_bytes() == b"weights"


def _weights(folder: SearchFolder) -> Path:
    return folder.trials / "trial-0000" / "weights.safetensors"


def test_a_server_that_lost_its_database_gets_the_whole_journal_again(tmp_path, folder, port):
    store = open_store(Workspace(tmp_path), f"http://127.0.0.1:{port}")
    write(folder, SearchOpened(pid=1, host="h"), started(), epoch(1))
    writer = TrackingWriter(lambda: store, folder, SEARCH)
    writer.notify()
    with server(tmp_path / "server", port):
        until(lambda: unsent(folder) == 0)
    with server(tmp_path / "another", port):
        write(folder, epoch(2))
        assert writer.close(60) == 0
        points = store.client.get_metric_history(run_ids(folder)["trial-0000"], "training_rmse")
        assert [point.step for point in points] == [1, 2]


def test_a_sender_that_was_killed_is_followed_by_one_that_adds_nothing_twice(tmp_path, folder):
    store = open_store(Workspace(tmp_path))
    write(folder, SearchOpened(pid=1, host="h"), started(), *map(epoch, range(1, 400)))
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from test_tracking_server import *\n"
        "sender = Sender(open_store(Workspace(Path(sys.argv[2]))), SearchFolder(Path(sys.argv[3])), SEARCH)\n"
        "while sender.send(most=5): print('sent', flush=True)\n"
    ).replace("import *", "import *; from semtune.tracking.sender import Sender")
    arguments = [str(Path(__file__).parent), str(tmp_path), str(folder.path)]
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)
    for _ in range(10):
        assert process.stdout.readline() == b"sent\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert 0 < unsent(folder) < 400
    writer = TrackingWriter(lambda: store, folder, SEARCH)
    assert writer.close(60) == 0
    run = store.client.get_run(run_ids(folder)["trial-0000"])
    assert len(store.client.search_runs([run.info.experiment_id])) == 2
    assert len(store.client.get_metric_history(run.info.run_id, "training_rmse")) == 399


def test_mlflow_scores_a_frame_with_the_champion_as_semtune_does(tmp_path, folder, monkeypatch):
    import torch
    from mlflow import pyfunc
    from mlflow.exceptions import MlflowException

    from semtune.networks import ARCHITECTURES
    from semtune.scoring import Scorer
    from semtune.training.checkpoint import write_weights

    weights = _weights(folder)
    facts = {
        "hyperparameters": {"architecture": "pacf", "crop": 64},
        "control_parameters": ["brightness", "focus"],
        "score_range": [0.0, 10.0],
        "dataset_digest": "d" * 64,
        "dataset_origin": "measured",
        "trial": "trial-0000",
    }
    torch.manual_seed(0)
    write_weights(ARCHITECTURES["pacf"].build(2, None), facts, weights)
    store = open_store(Workspace(tmp_path))
    write(folder, SearchOpened(pid=1, host="h"), started())
    assert TrackingWriter(lambda: store, folder, SEARCH).close(60) == 0
    register_champion(store, run_ids(folder)["trial-0000"], weights, FACTS)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    model = pyfunc.load_model("models:/semtune-scorer@champion")
    frame = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    [score] = model.predict({"frame": frame, "controls": np.array([50.0, np.nan])})
    assert score == pytest.approx(Scorer.from_weights(weights).score(frame, {"brightness": 50.0}))
    with pytest.raises(MlflowException, match="shape"):
        model.predict({"frame": frame[0], "controls": np.array([50.0, np.nan])})
    with pytest.raises(ValueError, match=r"must hold 2 values \(brightness, focus\)"):
        model.predict({"frame": frame, "controls": np.array([50.0])})
