"""Requests a second and latency of `semtune serve`, beside MLflow's scoring server with the same champion.

A frame of 640 x 480 is sent by so many clients at a time, each over a connection that stays open; clients
and server share the machine. MLflow takes a frame as JSON numbers, which is all that its server can take.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "tests")]
from champion_place import write_candidate  # noqa: E402
from conftest import grain_texture  # noqa: E402

from semtune.images import write_png  # noqa: E402
from semtune.workspace import Workspace  # noqa: E402

ASKED = 20
"""Requests a second on two cores."""
SECONDS, CLIENTS = 8.0, (1, 4)


def run(seconds: float = SECONDS) -> dict[str, Any]:
    """A row a server and number of clients."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = Workspace(folder / "semtune-workspace")
        write_candidate(workspace, folder / "data", crop=224)
        semtune = [sys.executable, "-m", "semtune"]
        subprocess.run([*semtune, "promote", "tin"], cwd=folder, check=True, capture_output=True)
        frame = grain_texture(np.random.default_rng(0), 480, 640)
        frame = np.clip(frame + np.random.default_rng(1).normal(0, 8, frame.shape), 0, 255).astype(np.uint8)
        write_png(folder / "frame.png", frame)
        image = (folder / "frame.png").read_bytes()
        numbers = json.dumps({"inputs": {"frame": frame.tolist(), "controls": [50.0, 45.0, 0.1]}}).encode()
        rows = {}
        with server([*semtune, "serve", "--port"], folder, {}) as port:
            rows |= measured(
                "semtune serve", port, "/score?brightness=50&contrast=45&focus=0.1", image, seconds
            )
        mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
        mlflow += ["--model-uri", "models:/semtune-scorer@champion", "--port"]
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace.database}"}
        with server(mlflow, folder, store) as port:
            rows |= measured("mlflow models serve", port, "/invocations", numbers, seconds)
        return rows


def measured(name: str, port: int, path: str, body: bytes, seconds: float) -> dict[str, Any]:
    """Rows of one server."""
    kind = "application/json" if path == "/invocations" else "application/octet-stream"

    def client(end: float) -> list[float]:
        connection, spent = http.client.HTTPConnection("127.0.0.1", port, timeout=60), []
        while time.perf_counter() < end:
            start = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {content[:200]!r}")
            spent.append(time.perf_counter() - start)
        connection.close()
        return spent

    client(time.perf_counter() + 4)  # engines race, caches fill
    rows = {}
    for clients in CLIENTS:
        start = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            spent = np.concatenate(list(pool.map(client, [start + seconds] * clients))) * 1e3
        rate = len(spent) / (time.perf_counter() - start)
        p50, p95 = np.quantile(spent, [0.5, 0.95]).tolist()
        asked = ASKED if name.startswith("semtune") else None
        rows[f"{name} x{clients}"] = {"a second": rate, "p50 ms": p50, "p95 ms": p95, "asked": asked}
    return rows


@contextmanager
def server(command: list[str], folder: Path, environment: dict[str, str]):
    """Start a server on a free port and wait until it answers; ended with its children."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(port)], cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **environment, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "server.log").read_text()[-2000:])
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
