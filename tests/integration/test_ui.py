"""MLflow's page as `semtune ui` opens it: heard on loopback alone, deaf to who calls it by another name."""

import http.client
import socket
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow_server import free_port
from place import Place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's table of ports"),
]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    place, number = Place(tmp_path_factory.mktemp("ui"), uuid4().hex), free_port()
    with place.started("ui", "--port", number) as process:
        deadline = time.monotonic() + 120
        while answer(number, f"127.0.0.1:{number}") is None:
            assert process.poll() is None, (place.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield number


def answer(port, name, path="/"):
    """The status with which the server answers who calls it by a name; None where it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": name})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def listening(port):
    """Addresses on which somebody listens on the port, as the kernel writes them."""
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_the_page_is_heard_on_loopback_alone(port):
    assert listening(port) == {"0100007F"}
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", port))  # any other address of this machine


@pytest.mark.parametrize("path", ["/", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"])
def test_only_who_calls_it_by_its_name_is_let_in(port, path):
    for name in (f"127.0.0.1:{port}", f"[::1]:{port}", "localhost", "localhost:80"):  # 80: through a tunnel
        assert answer(port, name, path) == 200, name
    for name in (
        "evil.example",
        "10.evil.example",
        f"192.168.evil.example:{port}",
        f"localhost.evil:{port}",
        "",
    ):
        assert answer(port, name, path) in (400, 403), name
