"""A search and its trials are stopped from another process, as a user does it."""

from uuid import uuid4

import optuna
import pytest
from conftest import write_small_dataset
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from place import Place, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LONG = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 4
crop: 64
tiles: 1
epochs: 5000
scheduler: none
frames_per_epoch: 16
trials: 6
"""


def test_a_trial_and_then_the_search_are_stopped_by_another_process(tmp_path):
    place = Place(tmp_path, uuid4().hex)
    write_small_dataset(tmp_path / "frames")
    (tmp_path / "long.yaml").write_text(LONG)
    arguments = ("--data", "frames", "--name", "tin", "--cost-per-gpu-hour", "2", "--concurrent", "2")
    with place.started("search", "long.yaml", *arguments) as process:
        journal = place.workspace.search("tin").journal
        until(lambda: journal.exists() and place.record("tin").epochs_trained > 5)
        [listed] = place.json("list")
        assert listed["state"] == "running"
        assert listed["running"]["pid"] == process.pid
        assert len(listed["running"]["nodes"]) == 1
        assert (listed["gpu_hours"], listed["cost"]) == (0.0, 0.0)
        assert "tin runs since" in place.run("list")
        victim, other = listed["running"]["trials"]
        assert place.json("stop", "tin", "--trial", victim) == {
            "search": "tin",
            "trial": victim,
            "asked": True,
        }
        until(lambda: place.record("tin").trials[victim].reason == "stopped")
        assert "has ended already (stopped)" in place.run("stop", "tin", "--trial", victim, code=1)
        assert "no trial 'trial-9'" in place.run("stop", "tin", "--trial", "trial-9", code=1)
        assert place.record("tin").trials[other].reason is None
        assert "`semtune resume tin` goes on" in place.run("stop", "tin")
        assert process.wait(60) == 1
    assert "`semtune stop` asked for it; `semtune resume tin` goes on" in (tmp_path / "log").read_text()
    record = place.record("tin")
    assert record.closed.state == "interrupted"
    assert record.trials[other].reason == "interrupted"
    assert record.usage.cpu_hours(0.0) > 0
    storage = JournalStorage(JournalFileBackend(str(place.workspace.search("tin").study)))
    told = optuna.load_study(study_name="all", storage=storage).trials
    states = {trial.user_attrs["semtune_trial"]: trial.state.name for trial in told}
    assert states[victim] == "PRUNED"
    assert "is not running; it is interrupted" in place.run("stop", "tin", code=1)
    assert not place.workspace.search("tin").stop.exists()
