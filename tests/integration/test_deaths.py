"""Deaths for real: processes killed at random moments, then the search taken up again and looked at."""

import os
import random
import signal
import time
from uuid import uuid4

import pytest
from conftest import write_small_dataset
from invariants import check_all, whole_lines
from place import AGENTS, Place, until

from semtune.journal import read_events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

TINY = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 4
crop: 64
tiles: 1
epochs: 18
grace_epochs: 6
frames_per_epoch: 16
trials: 6
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset of 6 fields x 4 frames and a small search space in an otherwise empty folder."""
    place = Place(tmp_path_factory.mktemp("deaths"), uuid4().hex)
    write_small_dataset(place.folder / "frames")
    (place.folder / "tiny.yaml").write_text(TINY)
    return place


def journal_of(place, name):
    return place.workspace.search(name).journal


def epochs_told(place, name):
    return sum(event.event == "epoch_done" for event, _ in read_events(journal_of(place, name)))


def start(place, name, *options):
    return place.started("search", "tiny.yaml", "--data", "frames", "--name", name, *options)


def wait_for_epochs(place, name, number, process):
    until(lambda: epochs_told(place, name) >= number or process.poll() is not None)
    assert process.poll() is None, (place.folder / "log").read_text()[-3000:]


def a_worker(place):
    """A process of a trial; between two calls Ray gives it another title for a moment."""
    found = []
    until(lambda: found.extend(place.workers()) or found, 10)
    return found[0]


def test_twenty_deaths_of_the_driver_at_random_moments(place):
    """Each is a kill -9, up to 5 s after the start of a session or after its first sign in the journal."""
    moments, journal = random.Random(4), journal_of(place, "twenty")
    arguments, before, trials, kills = (
        ("search", "tiny.yaml", "--data", "frames", "--name", "twenty"),
        b"",
        6,
        0,
    )
    while kills < 20:
        with place.started(*arguments) as process:
            deadline = time.monotonic() + moments.uniform(0.5, 5)
            while process.poll() is None and time.monotonic() < deadline:
                if kills % 2 and whole_lines(journal) == before:
                    deadline = max(deadline, time.monotonic() + 0.5)
                time.sleep(0.02)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.wait()
            until(lambda: not place.processes(but=AGENTS), 30)
        assert whole_lines(journal).startswith(before)
        before = whole_lines(journal)
        if place.record("twenty").closed:
            trials += 2  # it came to its end: it goes on with more
        arguments = ("resume", "twenty", "--trials", trials) if journal.parent.exists() else arguments
    assert "finished" in place.run("resume", "twenty", "--trials", trials)
    tally = check_all(place, "twenty", before)
    assert (tally.trials, tally.finished) == (trials, trials)


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(place):
    with start(place, "killed") as process:
        wait_for_epochs(place, "killed", 5, process)
        victim = a_worker(place)
        os.kill(victim, signal.SIGKILL)
        assert process.wait(120) == 0
    deaths = [event for event, _ in read_events(journal_of(place, "killed")) if event.event == "trial_died"]
    assert len(deaths) == 1
    assert "died" in deaths[0].message
    assert {trial.reason for trial in place.record("killed").trials.values()} <= {"epochs", "asha"}
    check_all(place, "killed")


def test_a_trial_that_hangs_is_ended_and_its_process_killed(place):
    with start(place, "hanging", "--heartbeat", "10s", "--max-failures", 1) as process:
        wait_for_epochs(place, "hanging", 5, process)
        victim = a_worker(place)
        os.kill(victim, signal.SIGSTOP)
        assert process.wait(120) == 0
        assert victim not in place.processes()
    reasons = [trial.reason for trial in place.record("hanging").trials.values()]
    assert reasons.count("hung") == 1
    check_all(place, "hanging")
    # The hung trial runs again under a new name, and the old one stays as it was.
    assert "finished" in place.run("retry", "hanging", "--failed")
    record = place.record("hanging")
    [repeat] = [trial for trial in record.trials.values() if trial.started.repeats]
    first = record.trials[repeat.started.repeats]
    assert (first.reason, repeat.reason in ("epochs", "asha")) == ("hung", True)
    assert repeat.started.hyperparameters == first.started.hyperparameters
    check_all(place, "hanging")


def test_a_laptop_that_slept_kills_no_trial(place):
    """All processes are stopped for longer than a trial may be silent."""
    with start(place, "sleepy", "--heartbeat", "8s") as process:
        wait_for_epochs(place, "sleepy", 4, process)
        asleep = place.processes()
        for pid in asleep:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(12)
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
        assert process.wait(120) == 0
    assert {trial.reason for trial in place.record("sleepy").trials.values()} <= {"epochs", "asha"}
    check_all(place, "sleepy")


def test_two_interruptions_stop_at_once_and_can_be_resumed(place):
    """A trial that will never reach its next epoch: the first Ctrl-C waits for it, the second does not."""
    with start(place, "hasty") as process:
        wait_for_epochs(place, "hasty", 4, process)
        os.kill(a_worker(place), signal.SIGSTOP)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(3)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 1
        until(lambda: not place.processes(but=AGENTS), 30)
    assert "`semtune resume hasty` goes on" in (place.folder / "log").read_text()
    check_all(place, "hasty", finished=False)
    before = whole_lines(journal_of(place, "hasty"))
    assert place.record("hasty").closed.state == "interrupted"
    assert "finished" in place.run("resume", "hasty")
    check_all(place, "hasty", before)


def test_a_scheduler_that_kills_after_thirty_seconds_finds_everything_written(place):
    """SIGTERM to every process of the search, one of which will not hear of it."""
    with start(place, "evicted") as process:
        wait_for_epochs(place, "evicted", 4, process)
        os.kill(a_worker(place), signal.SIGSTOP)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 1
        until(lambda: not place.processes(but=AGENTS), 30)
    assert place.record("evicted").closed.state == "interrupted"
    check_all(place, "evicted", finished=False)
    before = whole_lines(journal_of(place, "evicted"))
    assert "finished" in place.run("resume", "evicted")
    check_all(place, "evicted", before)
