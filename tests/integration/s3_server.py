"""A server that speaks S3 over HTTP and keeps its objects on disk: s3rver, from npm (decision 0041)."""

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow_server import free_port
from place import until

PROGRAM = Path(sys.prefix, "s3rver", "node_modules", ".bin", "s3rver")
BUCKET = "frames"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_REGION": "us-east-1"}


def why_no_s3() -> str:
    """Why there can be no S3 server here; empty if there can."""
    how = f"npm install --prefix {PROGRAM.parents[2]} s3rver@3.7.1"
    return "" if PROGRAM.exists() else f"needs `{how}`"


def command_of_s3(folder: Path, address: str, port: int) -> list[str]:
    """The command that serves the buckets of a folder; it runs until it is ended."""
    return [str(PROGRAM), "-d", str(folder), "-a", address, "-p", str(port), "--configure-bucket", BUCKET]


def environment_of_s3(address: str, port: int) -> dict[str, str]:
    """What a client must find in its environment."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{address}:{port}"}


@contextmanager
def s3_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """Serve a folder on loopback; yields what a client must find in its environment."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    server = subprocess.Popen(
        command_of_s3(folder, "127.0.0.1", port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _answers(port), 20)
        yield environment_of_s3("127.0.0.1", port)
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
