"""The test-bed of several hosts does what tests believe of it, and nothing of it stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hosts import HOME, network, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "hosts can be made")]

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 8000), 1)"
KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from hosts import network
with network(Path({folder!r}), "one") as made:
    made.hosts["one"].run("sh", "-c", "nohup sleep 4321 >/dev/null 2>&1 &")
    os.kill(os.getpid(), 9)
"""


def reaches(host, name):
    said = host.run("python", "-c", CONNECT, name, code=None)
    return not said, said


def test_a_host_is_reached_by_name_until_its_cable_is_pulled_or_it_dies(tmp_path):
    with network(tmp_path, "one", "two") as made:
        one, two = made.hosts.values()
        server = two.start("python", "-m", "http.server", "8000")
        until(lambda: reaches(one, "two")[0])
        subprocess.run([sys.executable, "-c", CONNECT, two.address], check=True)
        two.cut()
        assert "timed out" in reaches(one, "two")[1]
        two.restore()
        assert reaches(one, "two") == (True, "")
        three = made.join("three")
        assert reaches(three, "two") == (True, "")
        assert any("http.server" in line for line in two.processes())
        assert not any("http.server" in line for line in one.processes())
        two.kill()
        assert server.returncode is not None
        assert two.processes() == []
        assert not reaches(one, "two")[0]


def test_hosts_share_one_folder_and_neither_tmp_nor_memory_nor_home(tmp_path):
    (tmp_path / "shared").write_text("here")
    with network(tmp_path, "one", "two") as made:
        one, two = made.hosts.values()
        assert one.run("cat", tmp_path / "shared") == "here"
        for folder in ("/tmp", "/dev/shm", HOME):
            one.run("touch", f"{folder}/mine")
            assert "No such file" in two.run("ls", f"{folder}/mine", code=2)
            assert not Path(f"{folder}/mine").exists()
        assert "No such file" in made.join("stranger", shares=False).run("ls", tmp_path, code=2)
        assert [host.run("hostname").strip() for host in (one, two)] == ["one", "two"]
        assert len(two.run("sh", "-c", "ls -d /proc/[0-9]*").split()) < 6  # it sees its own processes


def test_hosts_of_a_test_that_was_killed_are_gone(tmp_path):
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not running(b"sleep\x004321\x00"))
    until(lambda: not list(Path("/sys/class/net").glob("semtune*")))


def running(command):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found += [folder.name] if (folder / "cmdline").read_bytes() == command else []
        except OSError:
            continue
    return found


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_no_process_of_this_test_is_left(tmp_path):
    with network(tmp_path, "one") as made:
        made.hosts["one"].run("sh", "-c", "nohup sleep 4322 >/dev/null 2>&1 &")
        assert running(b"sleep\x004322\x00")
    assert not running(b"sleep\x004322\x00")
    assert f"semtune{os.getpid()}" not in [link.name for link in Path("/sys/class/net").iterdir()]
