"""`semtune export`, `score --watch` and `serve` as processes, with a champion promoted by hand."""

import base64
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import venv
from uuid import uuid4

import numpy as np
import pytest
from champion_place import write_candidate
from conftest import grain_texture
from mlflow_server import free_port
from place import Place

from semtune.images import write_png

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("serving"), uuid4().hex)
    write_candidate(place.workspace, place.folder / "data")
    place.run("promote", "tin")
    return place


@pytest.fixture(scope="module")
def frame():
    return grain_texture(np.random.default_rng(3), 96, 128).astype(np.uint8)


@pytest.fixture(scope="module")
def port(place):
    number = free_port()
    with place.started("serve", "--port", number, "--max-megabytes", 1) as process:
        deadline = time.monotonic() + 120
        while (answer := asked(number, "GET", "/health")) is None:
            assert process.poll() is None, (place.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert answer[1]["model_version"] == 1
        yield number


def asked(port, method, path, body=None, headers=None):
    """Status and JSON of an answer; None where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except OSError:
        return None
    finally:
        connection.close()


def image_of(frame, folder):
    write_png(folder / "sent.png", frame)
    return (folder / "sent.png").read_bytes()


def test_the_server_scores_as_the_command_line(place, port, frame, tmp_path):
    status, told = asked(port, "POST", "/score?brightness=50", image_of(frame, tmp_path))
    assert status == 200
    [scored] = place.json("score", tmp_path / "sent.png", "--controls", "brightness=50")
    assert told["score"] == pytest.approx(scored["score"], abs=2e-3)
    assert told["missing"] == scored["missing"]


def test_whatever_is_sent_is_answered_by_4xx_with_a_reason(port, frame, tmp_path):
    """Damaged frames and batches; and the server still scores after them."""
    random.seed(1)
    image = image_of(frame, tmp_path)
    whole = json.dumps({"frames": [{"image": base64.b64encode(image).decode()}]}).encode()
    for number in range(120):
        path, body = (("/score", bytearray(image)), ("/score/batch", bytearray(whole)))[number % 2]
        for _ in range(random.randint(1, 6)):
            body[random.randrange(len(body))] = random.randrange(256)
        status, told = asked(port, "POST", path, bytes(body[: random.randrange(len(body))]))
        assert status == 422, told
        assert told["refused"].isprintable()
    status, told = asked(port, "POST", "/score", b"x" * (2**20 + 1))
    assert (status, "1048576 bytes" in told["refused"]) == (413, True)
    assert asked(port, "POST", "/score", image)[0] == 200


def test_a_request_that_breaks_off_hurts_nobody(port, frame, tmp_path):
    with socket.create_connection(("127.0.0.1", port)) as broken:
        broken.sendall(b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    assert asked(port, "POST", "/score", image_of(frame, tmp_path))[0] == 200


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_cleanly(place, end, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    number = free_port()
    with place.started("serve", "--port", number) as process:
        while asked(number, "GET", "/health") is None:
            assert process.poll() is None
            time.sleep(0.2)
        assert list(tmp_path.glob("semtune-serve-*"))
        process.send_signal(end)
        assert process.wait(30) == 0
    assert not list(tmp_path.glob("semtune-serve-*"))
    assert "Traceback" not in (place.folder / "log").read_text()


def test_frames_are_scored_as_they_are_saved_until_ctrl_c(place, frame, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    table = tmp_path / "scores.csv"
    with place.started("score", "--watch", folder, "--out", table, "--json") as process:
        while not table.exists():  # it begins once the champion is loaded
            assert process.poll() is None
            time.sleep(0.2)
        write_png(folder / "a.png", frame)
        deadline = time.monotonic() + 60
        while "a.png" not in table.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert len(table.read_text().splitlines()) == 2


def test_an_export_runs_where_numpy_and_onnxruntime_alone_are_installed(place, frame, tmp_path):
    """In an interpreter of its own, into which nothing but the requirements was put."""
    told = place.json("export", tmp_path / "scorer")
    assert told["parity"]["largest_difference"] < 1e-3
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    python = tmp_path / "bare" / "bin" / "python"
    into = next((tmp_path / "bare" / "lib").iterdir()) / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(into), "--requirement"]
    installed = subprocess.run(
        [*install, str(tmp_path / "scorer" / "requirements.txt")], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"no package index: {installed.stderr[-200:]}")
    write_png(tmp_path / "frame.png", frame)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments):
        command = [python, tmp_path / "scorer" / "score_frame.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert "as they were exported" in run("--check")
    scored = json.loads(run(tmp_path / "frame.png", "--json"))["score"]
    [ours] = place.json("score", tmp_path / "frame.png", "--engine", "onnxruntime")
    assert scored == ours["score"]
    missing = subprocess.run(
        [python, "-I", "-c", "import semtune"], capture_output=True, check=False, env=environment
    )
    assert missing.returncode != 0
