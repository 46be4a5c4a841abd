"""What a running search says: line by line, and as a live table with bars and the time that is left."""

import io
import time

import pytest
from rich.console import Console
from small_workspace import append, epoch, plan_small_search, started

from semtune.display import SearchDisplay, sparkline
from semtune.events import NodeLost, NothingRuns, TrialAtWork
from semtune.journal import EpochDone, SearchOpened, SearchRecord, TrialEnded, TrialStarted
from semtune.results import EpochResult
from semtune.search.space import parse_space
from semtune.time_left import time_left
from semtune.workspace import SearchFolder, Workspace

SPACE = "architecture: pacf\nepochs: 2\ntrials: 4\nseeds: {seeds}\n"


def trials_of(*events):
    record = SearchRecord()
    for event in events:
        record.add(event)
    return list(record.trials.values())


def space(seeds=1):
    return parse_space(SPACE.format(seeds=seeds), "s", "s")


def test_bars_are_high_where_values_are_and_end_with_the_last():
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([2.0, 2.0]) == "▁▁"
    falling = sparkline([100.0 - n for n in range(100)])
    assert len(falling) <= 16
    assert falling[-1] == "▁"


def test_time_left_is_not_known_before_a_trial_has_ended():
    assert time_left(trials_of(), space()) is None
    assert time_left(trials_of(started(0), epoch(0, 1, 1.0)), space()) is None


def test_time_left_counts_what_has_not_started_what_runs_and_fresh_seeds():
    """An epoch takes 0.5 s; one trial ended after 1 of 2 epochs, one runs, two have not started."""
    events = [
        started(0),
        epoch(0, 1, 1.0),
        TrialEnded(trial="trial-0000", reason="asha"),
        started(1),
    ]
    assert time_left(trials_of(*events), space()) == pytest.approx(0.5 * (2 * 0.5 * 2 + 1))
    assert time_left(trials_of(*events), space(seeds=3)) == pytest.approx(0.5 * (2 * 0.5 * 2 + 1 + 3 * 2))


def test_the_live_table_shows_each_trial_at_work_and_the_time_left(tmp_path, small_dataset, monkeypatch):
    folder, _ = plan_small_search(Workspace(tmp_path / "w"), small_dataset, "s")
    opened = SearchOpened(pid=1, host="h")
    ended = TrialEnded(trial="trial-0000", reason="asha")
    append(folder, opened, started(0), epoch(0, 1, 1.5), ended, started(1), epoch(1, 1, 1.25))
    screen = io.StringIO()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(
        "semtune.display.Console", lambda: Console(file=screen, force_terminal=True, width=120, height=40)
    )
    with SearchDisplay(folder) as display:
        display(opened)
    shown = screen.getvalue()
    assert "trial-0001  pacf" in " ".join(shown.split()).replace("trial-0001 pacf", "trial-0001  pacf")
    assert "1.250" in shown
    assert "▁" in shown
    assert "1/3 trials ended" in shown
    assert "left" in shown
    assert "\x1b[3" not in shown  # no colour, though it is a terminal


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
        name, settings = f"trial-{number:04d}", {"architecture": "pacf", "epochs": 2}
        display(TrialStarted(trial=name, stratum="", hyperparameters=settings, seed=1))
        for number in (1, 2):
            display(EpochDone(trial=name, result=EpochResult(number, 1.0, 2.0 / number, 10, 1.0)))
        display(TrialEnded(trial=name, reason="epochs"))


def test_the_last_picture_has_all_trials_however_long_a_drawing_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    spent = iter(range(1000))  # a drawing takes a second, so that the next is due in a minute
    monkeypatch.setattr(time, "thread_time", lambda: next(spent))
    with SearchDisplay(SearchFolder(tmp_path)) as display:
        tell(display, range(7))
        assert "7/? trials ended" not in capsys.readouterr().out
        tell(display, range(7, 9))
    last = capsys.readouterr().out
    assert "9/? trials ended  18 epochs" in last
    assert "1.000" in last  # the best validation RMSE
