"""The live table of a search: bars of its trials, and the time that is left."""

import io

import pytest
from rich.console import Console
from small_workspace import append, epoch, plan_small_search, started

from semtune.display import SearchDisplay, sparkline
from semtune.journal import SearchOpened, SearchRecord, TrialEnded
from semtune.search.space import parse_space
from semtune.time_left import time_left
from semtune.workspace import Workspace

SPACE = "architecture: pacf\nepochs: 2\ntrials: 4\nseeds: {seeds}\n"


def record_of(*events):
    record = SearchRecord()
    for event in events:
        record.add(event)
    return record


def space(seeds=1):
    return parse_space(SPACE.format(seeds=seeds), "s", "s")


def test_bars_are_high_where_values_are_and_end_with_the_last():
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([2.0, 2.0]) == "▁▁"
    falling = sparkline([100.0 - n for n in range(100)])
    assert len(falling) <= 16
    assert falling[-1] == "▁"


def test_time_left_is_not_known_before_a_trial_has_ended():
    assert time_left(record_of(), space()) is None
    assert time_left(record_of(started(0), epoch(0, 1, 1.0)), space()) is None


def test_time_left_counts_what_has_not_started_what_runs_and_fresh_seeds():
    """An epoch takes 0.5 s; one trial ended after 1 of 2 epochs, one runs, two have not started."""
    events = [
        started(0),
        epoch(0, 1, 1.0),
        TrialEnded(trial="trial-0000", reason="asha"),
        started(1),
    ]
    assert time_left(record_of(*events), space()) == pytest.approx(0.5 * (2 * 0.5 * 2 + 1))
    assert time_left(record_of(*events), space(seeds=3)) == pytest.approx(0.5 * (2 * 0.5 * 2 + 1 + 3 * 2))


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
