"""Trials that misbehave in every way at once: each ends for its own reason, and the search goes on."""

import pytest

from semtune.environment import quiet_environment
from semtune.journal import read_events, read_record

quiet_environment()  # before ray is imported

pytestmark = pytest.mark.slow

SCRIPTS = {1: "die 3", 2: "raise 2", 3: "stall 0", 4: "hang 4", 5: "die_once 5"}
REASONS = ["epochs", "lost", "error", "stalled", "hung", "epochs", "epochs", "epochs"]


def write_scripts(folder, scripts):
    (folder / "trials").mkdir()
    for number, script in scripts.items():
        (folder / "trials" / f"trial-{number:04d}.script").write_text(script)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A search of eight trials, five of which misbehave."""
    from scripted import search

    from semtune.search.cluster import connected
    from semtune.search.driver import Resources

    folder = tmp_path_factory.mktemp("misbehaving")
    write_scripts(folder, SCRIPTS)
    resources = Resources(concurrent=2, heartbeat=6.0)
    with connected(None):
        search(folder, resources=resources, trials=8, max_failures=4)
    return folder


@pytest.fixture(scope="module")
def record(folder):
    return read_record(folder / "journal.jsonl")


def test_each_trial_ends_for_its_own_reason(record):
    assert [trial.reason for trial in record.trials.values()] == REASONS


def test_each_failure_says_what_happened(record):
    messages = {trial.reason: trial.ended.message for trial in record.trials.values() if trial.failed}
    assert "the sum does not come out" in messages["error"]
    assert "in misbehave" in messages["error"]
    assert "the process of the trial died" in messages["lost"]
    assert "no epoch for 6 s" in messages["hung"]
    assert "the same to the last bit in 10 epochs" in messages["stalled"]


def test_a_trial_that_always_dies_at_the_same_epoch_is_tried_three_times(folder, record):
    deaths = [
        event.trial for event, _ in read_events(folder / "journal.jsonl") if event.event == "trial_died"
    ]
    assert deaths.count("trial-0001") == 3
    assert deaths.count("trial-0005") == 1
    assert len(record.trials["trial-0001"].epochs) == 2
    assert len(record.trials["trial-0005"].epochs) == 12


def test_a_search_with_failures_within_its_budget_has_its_finals(record):
    assert [trial.name for trial in record.trials.values() if trial.tested and trial.timed] == ["trial-0007"]


def test_rays_memory_monitor_ends_a_trial_but_not_the_search(tmp_path, monkeypatch):
    """The monitor is told that little more than what is in use now is too much, and a trial takes it."""
    from scripted import search

    from semtune.search.cluster import connected
    from semtune.search.driver import Resources

    monkeypatch.setenv("RAY_memory_usage_threshold", f"{memory_in_use() + 0.1:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    write_scripts(tmp_path, {1: "hog 2"})
    with connected(None):
        director = search(tmp_path, resources=Resources(concurrent=1), trials=3, max_failures=1)
    assert director.failure is None
    assert [trial.reason for trial in director.record.trials.values()] == [
        "epochs",
        "out_of_memory",
        "epochs",
    ]
    assert "low on memory" in director.record.trials["trial-0001"].ended.message


def memory_in_use():
    """Share of the memory that is in use, as Ray counts it."""
    from ray._private.utils import get_system_memory, get_used_memory

    return get_used_memory() / get_system_memory()
