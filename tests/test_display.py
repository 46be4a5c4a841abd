"""What a running search says, line by line."""

import pytest

from semtune.display import SearchDisplay
from semtune.events import NodeLost, NothingRuns, TrialAtWork


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
