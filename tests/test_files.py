"""Files appear whole or not at all, and a disk that takes no more is told in plain words."""

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semtune.errors import SearchError
from semtune.files import disk_trouble, sweep, written_whole


def test_a_file_has_its_old_content_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("old")
    with written_whole(path) as beside:
        beside.write_text("ne")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path
        assert beside.suffix == ".json"
        beside.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError, match="can't encode"), written_whole(path) as beside:
        beside.write_text("half \ud800", "utf-8")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "weights"
    with written_whole(path) as one, written_whole(path) as two:
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"  # the outer block ended last


def test_a_writer_killed_half_way_leaves_no_file_of_that_name(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from semtune.files import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as beside:\n"
        "    beside.write_text('half'); print('written', flush=True); time.sleep(60)\n"
    )
    path = tmp_path / "inner" / "plan.json"
    path.parent.mkdir()
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not path.exists()
    assert len(list(path.parent.iterdir())) == 1
    sweep(tmp_path)
    assert list(path.parent.iterdir()) == []


def test_a_full_device_is_told_with_the_remedy():
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_bytes(b"x")
    assert disk_trouble(caught.value) == "the disk is full; make room"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "full; make room"),
        (errno.EROFS, "read-only; make it"),
        (errno.EDQUOT, "quota is used up"),
    ],
)
def test_the_trouble_is_found_below_other_errors(number, said):
    try:
        try:
            raise OSError(number, "said by the system", "a/file")
        except OSError as error:
            raise SearchError("wrapped") from error
    except SearchError as error:
        told = disk_trouble(error)
    assert told.startswith("a/file: the disk")
    assert said in told


def test_libraries_that_only_quote_the_number_are_understood():
    error = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert disk_trouble(error) == "the disk is full; make room"


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOENT, "no such file"), MemoryError()])
def test_other_errors_are_no_trouble_of_the_disk(error):
    assert disk_trouble(error) is None


def test_tensors_on_a_file_that_may_not_grow_leave_nothing_behind(tmp_path):
    import torch

    from semtune.training.checkpoint import write_tensors

    path = tmp_path / "checkpoint.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(Exception, match="os error 27"):
            write_tensors({"weights": torch.zeros(100_000)}, {}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []
