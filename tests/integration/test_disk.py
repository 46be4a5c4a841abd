"""A disk that is really full, and one that is really read-only, under the workspace of a running search."""

import os
import subprocess
from contextlib import contextmanager, suppress
from uuid import uuid4

import pytest
from conftest import write_small_dataset
from invariants import check_all, whole_lines
from place import AGENTS, Place, until

from semtune.journal import read_events

pytestmark = [
    pytest.mark.slow,
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 4
crop: 64
tiles: 1
epochs: 40
grace_epochs: 40
frames_per_epoch: 16
trials: 3
"""


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"only root may mount: {done.stderr.strip()}")


@contextmanager
def unmounted(folder):
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path, uuid4().hex)
    write_small_dataset(tmp_path / "frames")
    (tmp_path / "space.yaml").write_text(SPACE)
    return place


def epochs_told(place, name):
    journal = place.workspace.search(name).journal
    return sum(event.event == "epoch_done" for event, _ in read_events(journal))


def fill(folder):
    """Write until the disk takes no more."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 2**16)
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x")
    return ballast


def test_a_full_disk_stops_the_search_in_one_line_and_it_goes_on_when_there_is_room(place):
    place.workspace.path.mkdir()
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", place.workspace.path)
    with unmounted(place.workspace.path):
        with place.started("search", "space.yaml", "--data", "frames", "--name", "full") as process:
            until(lambda: epochs_told(place, "full") >= 10 or process.poll() is not None)
            assert process.poll() is None
            ballast = fill(place.workspace.path)
            assert process.wait(90) == 1
            until(lambda: not place.processes(but=AGENTS), 30)
        log = (place.folder / "log").read_text()
        assert "Traceback" not in log
        told = [line for line in log.splitlines() if "semtune resume full" in line]
        assert len(told) == 1, log[-2000:]
        assert "the disk is full; make room" in told[0]
        before = whole_lines(place.workspace.search("full").journal)
        assert "the disk is full" in place.run("resume", "full", code=1)
        assert place.state("full") == "interrupted"
        ballast.unlink()
        assert "finished" in place.run("resume", "full")
        check_all(place, "full", before)
        assert {trial.reason for trial in place.record("full").trials.values()} == {"epochs"}


def test_a_read_only_workspace_is_told_and_can_still_be_read(place):
    path = place.workspace.path
    place.run("search", "space.yaml", "--data", "frames", "--name", "kept", "--epochs", 2, "--trials", 1)
    mount("--bind", path, path)
    with unmounted(path):
        mount("-o", "remount,ro,bind", path)
        assert place.state("kept") == "finished"
        assert "pacf" in place.run("report", "kept")
        for arguments in (
            ("search", "space.yaml", "--data", "frames", "--name", "new"),
            ("resume", "kept", "--trials", 2),
            ("retry", "kept", "--failed"),
        ):
            said = place.run(*arguments, code=1)
            assert "the disk is read-only; make it writable" in said
            assert len(said.strip().splitlines()) == 1
    assert os.access(path, os.W_OK)
    assert place.run("resume", "kept", "--trials", 2)
    check_all(place, "kept")
