"""The doctor on a real cluster of one node: what it tells, and that it finds what is wrong."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow_server import free_port
from place import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux"),
]
HIDDEN = ("RAY_", "MLFLOW_", "SEMTUNE_")


@contextmanager
def cluster(folder, **environment):
    """A cluster of one node by `ray start`; all of it ends with the process group."""
    port = free_port()
    ray = shutil.which("ray", path=Path(sys.executable).parent)
    command = [
        ray, "start", "--head", "--block", "--port", str(port), "--num-cpus", "1", "--num-gpus", "0",
        "--include-dashboard", "false", "--temp-dir", str(folder / "r"),
    ]  # fmt: skip
    with (folder / "log").open("ab") as log:
        node = subprocess.Popen(
            command, env=surroundings(folder, **environment), stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: "Ray runtime started" in (folder / "log").read_text())
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait(60)


def surroundings(folder, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    return {**kept, "HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0", **more}


def doctor(folder, *options, **more):
    done = subprocess.run(
        [sys.executable, "-m", "semtune", "doctor", *options, "--json"],
        env=surroundings(folder, **more), cwd=folder, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def home(tmp_path_factory):
    """A home with a token; its name is short, because Ray makes sockets below it."""
    folder = tmp_path_factory.mktemp("d")
    (folder / ".ray").mkdir(mode=0o700)
    (folder / ".ray" / "auth_token").write_text(secrets.token_hex(32))
    return folder


def test_a_sound_cluster_is_told_in_full(home):
    with cluster(home, RAY_AUTH_MODE="token") as address:
        code, told = doctor(home, "--address", address, "--storage", str(home / "storage"))
    (facts,) = told["nodes"].values()
    assert (code, told["sound"], told["findings"]) == (0, True, [])
    assert facts["token"] is True
    assert facts["ray_cpus"] == 1
    assert facts["versions"]["ray"]
    assert abs(facts["clock_ahead"]) < 0.1
    assert facts["cache_free"] > 0
    assert list((home / "storage" / "probes").iterdir()) == []  # a probe was there, and taken away


def test_a_node_without_a_token_and_with_another_semtune_is_named_and_a_search_refuses_it(home):
    """The node finds a copy of semtune before ours, in which one file has one line more."""
    other = home / "other"
    shutil.copytree(Path(__file__).parents[2] / "semtune", other / "semtune")
    with (other / "semtune" / "published.py").open("a") as file:
        file.write("# one line more\n")
    with cluster(home, RAY_AUTH_MODE="disabled", PYTHONPATH=str(other)) as address:
        code, told = doctor(home, "--address", address, "--tracking-uri", f"http://127.0.0.1:{free_port()}")
        done = search(home, address)
    assert (code, told["sound"]) == (1, False)
    source, token, tracking = told["findings"]
    assert [each["severity"] for each in told["findings"]] == ["fault", "fault", "warning"]
    assert "other source files" in source["what"]
    assert "Ray asks for no token" in token["what"]
    assert "MLflow store" in tracking["what"]
    assert done.returncode == 1
    assert "other source files" in done.stderr
    assert "Traceback" not in done.stderr


def search(home, address):
    from conftest import write_small_dataset

    write_small_dataset(home / "frames")
    (home / "space.yaml").write_text("architecture: pacf\nepochs: 1\ntrials: 1\ncrop: 64\n")
    return subprocess.run(
        [sys.executable, "-m", "semtune", "search", "space.yaml", "--data", "frames", "--name", "n",
         "--address", address],
        env=surroundings(home), cwd=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
