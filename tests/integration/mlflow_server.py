"""A real MLflow server, which can be stopped and killed."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def server(folder: Path, port: int):
    """An MLflow server with its own database and artifacts; killed with all its workers."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    options = [
        "--backend-store-uri",
        f"sqlite:///{folder}/m.db",
        "--artifacts-destination",
        f"{folder}/files",
    ]
    log = (folder / "log").open("ab")
    process = subprocess.Popen(
        [*command, *options], stdout=log, stderr=log, cwd=folder, start_new_session=True
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def _wait_for(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("the MLflow server did not start; see its log")


@contextmanager
def stopped(port: int):
    """Stop a server's processes meanwhile: connections are taken by the system and never answered."""
    mark = f"--port\0{port}\0".encode()
    found = [pid for pid in _processes() if mark in _command(pid)]
    groups = {_group(pid) for pid in found}
    members = [pid for pid in _processes() if _group(pid) in groups]
    assert found
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in members:
            os.kill(pid, signal.SIGCONT)


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
