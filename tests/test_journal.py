"""The journal: what is written comes back, whatever died while it was written."""

import json
import math
import resource
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semtune.errors import StorageError
from semtune.journal import (
    FAILURES,
    BaselineFitted,
    EpochDone,
    Journal,
    RepeatAsked,
    SearchClosed,
    SearchOpened,
    SearchRecord,
    TrialDied,
    TrialEnded,
    TrialStarted,
    TrialTested,
    TrialTimed,
    as_json,
    read_events,
    read_record,
)
from semtune.results import EpochResult

HYPERPARAMETERS = {"architecture": "pacf", "learning_rate": 1.5e-4, "epochs": 3, "dropout": None}


def started(trial="trial-0000", stratum="pacf"):
    return TrialStarted(trial=trial, stratum=stratum, hyperparameters=HYPERPARAMETERS, seed=7)


def epoch(number, validation_rmse=1.0, trial="trial-0000"):
    return EpochDone(trial=trial, result=EpochResult(number, 2.0, validation_rmse, 12, 0.5))


ONE_OF_EACH = [
    SearchOpened(pid=1, host="here"),
    RepeatAsked(trial="trial-0000", epochs=9),
    TrialDied(trial="trial-0000", message="killed"),
    started(),
    epoch(1),
    TrialEnded(trial="trial-0000", reason="error", message='a "traceback"\nof two lines: µm, ✓'),
    TrialTested(trial="trial-0000", validation_rmse=1.0, figures={"test_rmse": 1.0, "test_r2": math.nan}),
    TrialTimed(trial="trial-0000", figures={"milliseconds_per_image": 1.5}, device="one CPU"),
    BaselineFitted(
        name="entropy",
        kind="autofocus",
        figures={"test_rmse": math.inf},
        facts={"map": "affine"},
        device="CPU",
    ),
    SearchClosed(state="finished"),
]


def written(path, events):
    journal = Journal(path)
    for event in events:
        journal.append(event)
    journal.close()
    return path


def read(path):
    return [event for event, _ in read_events(path)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


# Writing and reading


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.event)
def test_every_event_comes_back_as_it_was(path, event):
    (back,) = read(written(path, [event]))
    assert type(back) is type(event)
    assert repr(back) == repr(event)  # NaN equals NaN here


def test_a_line_an_event(path):
    assert len(written(path, ONE_OF_EACH).read_bytes().splitlines()) == len(ONE_OF_EACH)


def test_an_event_can_be_shown_as_json():
    shown = json.loads(as_json(started()))
    assert shown["event"] == "trial_started"
    assert shown["hyperparameters"] == HYPERPARAMETERS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_epoch_that_diverged_comes_back(path, value):
    (back,) = read(written(path, [epoch(1, value)]))
    assert repr(back.result.validation_rmse) == repr(value)


def test_a_journal_is_continued_and_never_rewritten(path):
    first = written(path, ONE_OF_EACH[:3]).read_bytes()
    written(path, ONE_OF_EACH[3:])
    assert path.read_bytes().startswith(first)
    assert [event.event for event in read(path)] == [event.event for event in ONE_OF_EACH]


def test_an_event_is_seen_by_others_as_soon_as_it_is_appended(path):
    journal = Journal(path)
    for count, event in enumerate(ONE_OF_EACH, start=1):
        journal.append(event)
        assert len(read(path)) == count
    journal.close()


def test_all_but_epochs_are_flushed_to_the_disk_as_they_are_appended(path, monkeypatch):
    flushed, journal = [], Journal(path)
    monkeypatch.setattr("os.fsync", flushed.append)
    for event in ONE_OF_EACH:
        flushed.clear()
        journal.append(event)
        assert len(flushed) == (event.event != "epoch_done"), event.event
    journal.close()


def test_reading_goes_on_from_a_position(path):
    written(path, ONE_OF_EACH)
    positions = [position for _, position in read_events(path)]
    for index, position in enumerate(positions):
        rest = [event for event, _ in read_events(path, position)]
        assert repr(rest) == repr(ONE_OF_EACH[index + 1 :])
    assert positions[-1] == path.stat().st_size


def test_a_missing_journal_has_no_events(path):
    assert read(path) == []
    assert read_record(path) == SearchRecord()


# Damage


@settings(max_examples=40)
@given(lost=st.integers(1, 2000))
def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, lost):
    path = written(tmp_path_factory.mktemp("cut") / "journal.jsonl", ONE_OF_EACH)
    whole = path.read_bytes()
    kept = whole[: max(0, len(whole) - lost)]
    path.write_bytes(kept)
    assert len(read(path)) == kept.count(b"\n")
    read_record(path)
    written(path, [epoch(9)])
    back = read(path)
    assert len(back) == kept.count(b"\n") + 1
    assert back[-1].result.epoch == 9


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "of_a_later_version", "at": 1.0}',
        b"not json",
        b"\xff\xfe",
        b"",
        b"[]",
        b'{"event": "epoch_done"}',
    ],
)
def test_a_line_that_cannot_be_read_is_left_out(path, line):
    events = ONE_OF_EACH[:2]
    written(path, events)
    path.write_bytes(path.read_bytes() + line + b"\n")
    written(path, ONE_OF_EACH[2:])
    assert repr(read(path)) == repr(ONE_OF_EACH)


def test_an_event_of_a_trial_whose_start_is_lost_is_left_out(path):
    record = read_record(
        written(path, [event for event in ONE_OF_EACH if not isinstance(event, TrialStarted)])
    )
    assert record.trials == {}
    assert record.closed is not None


# Folding


def folded(*events):
    record = SearchRecord()
    for event in events:
        record.add(event)
    return record


def test_a_record_tells_each_trial(path):
    record = read_record(written(path, ONE_OF_EACH))
    trial = record.trials["trial-0000"]
    assert (trial.name, trial.architecture, trial.reason, trial.failed) == (
        "trial-0000",
        "pacf",
        "error",
        True,
    )
    assert trial.validation_rmse == 1.0
    assert trial.tested.figures["test_rmse"] == 1.0
    assert trial.timed.device == "one CPU"
    assert record.baselines["entropy"].kind == "autofocus"
    assert record.closed.state == "finished"


def test_a_trial_without_an_epoch_has_no_error_yet():
    trial = folded(started()).trials["trial-0000"]
    assert trial.validation_rmse is None
    assert trial.reason is None
    assert not trial.failed


def test_repeated_epochs_replace_those_of_before():
    """A trial that died goes on from an older checkpoint."""
    record = folded(started(), epoch(1, 5.0), epoch(2, 4.0), epoch(3, 3.0), epoch(2, 4.5), epoch(3, 2.5))
    trial = record.trials["trial-0000"]
    assert [result.validation_rmse for result in trial.epochs] == [5.0, 4.5, 2.5]
    assert record.epochs_trained == 3
    assert record.frames_trained == 36


def test_the_best_error_is_of_a_trial_that_did_not_fail():
    record = folded(
        started("trial-0000"),
        started("trial-0001"),
        epoch(1, 1.0, "trial-0000"),
        epoch(1, 2.0, "trial-0001"),
        TrialEnded(trial="trial-0000", reason="diverged"),
    )
    assert record.best_trial.validation_rmse == 2.0
    assert SearchRecord().best_trial is None


def test_the_seconds_are_those_that_processes_worked():
    record = folded(
        SearchOpened(pid=1, host="a", at=100.0),
        TrialStarted(trial="t", stratum="", hyperparameters=HYPERPARAMETERS, seed=0, at=130.0),
        SearchOpened(pid=2, host="a", at=1000.0),
        SearchClosed(state="finished", at=1005.0),
    )
    assert record.seconds == 35.0


def test_a_search_that_is_taken_up_again_is_open_again():
    record = folded(
        SearchOpened(pid=1, host="a"), SearchClosed(state="interrupted"), SearchOpened(pid=2, host="a")
    )
    assert record.closed is None


def test_failures_are_reasons():
    assert all(TrialEnded(trial="t", reason=reason).reason == reason for reason in FAILURES)
    assert "interrupted" not in FAILURES


# A disk that takes no more


def test_a_line_that_the_disk_did_not_take_whole_is_removed_again(tmp_path):
    """The system lets the file grow to a limit, so that a write is cut short in the middle of a line."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(SearchOpened(pid=1, host="h"))
    whole = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[1]))
    try:
        with pytest.raises(StorageError, match=r"journal\.jsonl: the journal cannot be written"):
            journal.append(SearchClosed(state="finished"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == whole
    journal.append(SearchClosed(state="finished"))  # there is room again
    journal.close()
    assert [event.event for event, _ in read_events(path)] == ["search_opened", "search_closed"]


# Deaths and repeats


def test_deaths_of_a_trial_are_counted_from_its_last_new_epoch(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    first, second = (EpochDone(trial="trial-0000", result=EpochResult(n, 1.0, 1.0, 10, 0.5)) for n in (1, 2))
    started = TrialStarted(trial="trial-0000", stratum="", hyperparameters={"architecture": "pacf"}, seed=1)
    died = TrialDied(trial="trial-0000", message="killed")
    for event, deaths in ((started, 0), (first, 0), (died, 1), (first, 1), (died, 2), (second, 0), (died, 1)):
        journal.append(event)
        assert read_record(path).trials["trial-0000"].deaths == deaths
    journal.close()


def test_a_repeat_is_pending_until_it_is_started_with_its_epochs(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)

    def started(name, epochs, repeats=None):
        settings = {"architecture": "pacf", "epochs": epochs}
        return TrialStarted(trial=name, stratum="", hyperparameters=settings, seed=1, repeats=repeats)

    journal.append(started("trial-0000", 3))
    journal.append(TrialEnded(trial="trial-0000", reason="lost"))
    assert [trial.name for trial in read_record(path).open_failures] == ["trial-0000"]
    journal.append(RepeatAsked(trial="trial-0000", epochs=3))
    assert read_record(path).open_failures == []
    journal.append(RepeatAsked(trial="trial-0000", epochs=9))
    assert [asked.epochs for asked in read_record(path).pending] == [3, 9]
    journal.append(started("trial-0001", 3, "trial-0000"))
    assert [asked.epochs for asked in read_record(path).pending] == [9]
    journal.close()


def test_a_clock_that_was_set_back_takes_no_time_away():
    record = SearchRecord()
    record.add(SearchOpened(at=1000.0, pid=1, host="h"))
    record.add(SearchClosed(at=400.0, state="interrupted"))
    record.add(SearchOpened(at=500.0, pid=1, host="h"))
    record.add(SearchClosed(at=510.0, state="finished"))
    assert record.seconds == 10.0
