"""The live table: what it shows, and that it leaves the processor to the search."""

import time

from semtune.display import SearchDisplay
from semtune.journal import EpochDone, TrialEnded, TrialStarted
from semtune.results import EpochResult
from semtune.workspace import SearchFolder


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
