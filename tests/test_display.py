"""What a running search says, line by line and as a live table."""

import time

import pytest

from semtune.display import SearchDisplay
from semtune.events import NodeLost, NothingRuns, TrialAtWork
from semtune.journal import EpochDone, TrialEnded, TrialStarted
from semtune.results import EpochResult
from semtune.workspace import SearchFolder


@pytest.fixture
def said(tmp_path, capsys, monkeypatch):
    """Takes events; returns what was printed of them, where there is no terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def tell(*events):
        with SearchDisplay(tmp_path) as display:
            for event in events:
                display(event)
        return capsys.readouterr().out

    return tell


def test_a_lost_node_is_told_with_the_trials_that_go_on_elsewhere(said):
    assert said(NodeLost(node="n", host="10.0.0.7", trials=())) == "node 10.0.0.7 is gone\n"
    lost = said(NodeLost(node="n", host="10.0.0.7", trials=("trial-0003",)))
    assert lost == "node 10.0.0.7 is gone; preempted, to go on elsewhere: trial-0003\n"


def test_waiting_is_told_with_the_time_that_is_left(said):
    assert said(NothingRuns(seconds=60.0, limit=1800.0, nodes=0)) == (
        "no node to train on since 1m00s; the search ends in 29m00s (--wait) and can be resumed\n"
    )
    told = said(NothingRuns(seconds=1.0, limit=1800.0, nodes=2))
    assert told.startswith("none of 2 nodes has room for a trial since 1s")


def test_where_a_trial_is_at_work_is_no_line(said):
    assert said(TrialAtWork(trial="trial-0000", node="n", host="h", cpus=1, gpus=0)) == ""


def tell(display, numbers):
    for number in numbers:
        name, settings = f"trial-{number:04d}", {"architecture": "pacf"}
        display(TrialStarted(trial=name, stratum="", hyperparameters=settings, seed=1))
        for epoch in (1, 2):
            display(EpochDone(trial=name, result=EpochResult(epoch, 1.0, 2.0 / epoch, 10, 1.0)))
        display(TrialEnded(trial=name, reason="epochs"))


def test_the_last_picture_has_all_trials_however_long_a_drawing_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    spent = iter(range(1000))  # a drawing takes a second, so that the next is due in a minute
    monkeypatch.setattr(time, "thread_time", lambda: next(spent))
    with SearchDisplay(SearchFolder(tmp_path)) as display:
        tell(display, range(7))
        assert "7/0 trials ended" not in capsys.readouterr().out
        tell(display, range(7, 9))
    last = capsys.readouterr().out
    assert "9/0 trials ended  18 epochs" in last
    assert "1.000" in last  # the best validation RMSE
