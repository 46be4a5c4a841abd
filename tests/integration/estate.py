"""What a search over several hosts needs, on hosts in namespaces: Ray with a token, PostgreSQL, MLflow."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from hosts import HOME, Host, end
from place import until
from s3_server import command_of_s3, environment_of_s3

RAY_PORT, MLFLOW_PORT, S3_PORT = 6379, 5000, 9000
_OBJECT_STORE = 80 * 2**20  # bytes; Ray takes no less than 75 MiB
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def why_no_postgres() -> str:
    """Why there can be no PostgreSQL here; empty if there can."""
    return "" if _POSTGRES else "needs Debian's package postgresql"


def give_token(host: Host, token: str) -> None:
    """Write Ray's token where Ray and semtune look for it."""
    host.run("sh", "-c", f"umask 077; mkdir -p {HOME}/.ray; printf %s {token} > {HOME}/.ray/auth_token")


def start_bucket(host: Host) -> dict[str, str]:
    """Serve S3 from the host's own disk; returns what its clients must find in their environment."""
    host.run("mkdir", "/tmp/buckets")
    host.start(*command_of_s3(Path("/tmp/buckets"), host.address, S3_PORT))
    until(lambda: f"{host.address}:{S3_PORT}" in host.run("ss", "-ltn"))
    return environment_of_s3(host.address, S3_PORT)


def start_head(host: Host, **environment: str) -> str:
    """Start Ray's head, on which no trial trains; returns the cluster's address."""
    address = f"{host.address}:{RAY_PORT}"
    _ray(host, "--head", "--port", RAY_PORT, "--num-cpus", 0, "--include-dashboard", "false", **environment)
    return address


def start_worker(host: Host, address: str, **environment: str) -> None:
    """Let a host with one core for trials join the cluster; its workers have its environment."""
    _ray(host, "--address", address, "--num-cpus", 1, **environment)


def _ray(host: Host, *options: object, **environment: str) -> None:
    given = ("--node-ip-address", host.address, "--object-store-memory", _OBJECT_STORE)
    host.run("ray", "start", *options, *given, RAY_AUTH_MODE="token", **environment)


def cores(head: Host) -> float:
    """Cores for trials of the hosts that the cluster believes alive."""
    script = (
        "import ray; ray.init(address='auto', logging_level='ERROR', log_to_driver=False)\n"
        "print('cores', ray.cluster_resources().get('CPU', 0))"
    )
    said = head.run("python", "-c", script, RAY_AUTH_MODE="token")
    return float(said.split("cores ")[1])


@dataclass
class Tracking:
    """An MLflow server over PostgreSQL on a host; it can be killed and started again."""

    host: Host
    _server: list[subprocess.Popen] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"http://{self.host.address}:{MLFLOW_PORT}"

    def start_database(self) -> None:
        """Make and start a cluster of databases on the host's own disk."""
        programs = _POSTGRES[-1]
        as_postgres = ("runuser", "-u", "postgres", "--", "env", "-C", "/tmp")
        self.host.run(*as_postgres, programs / "initdb", "-D", "/tmp/database", "-A", "trust", "--no-sync")
        quick = "-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp"
        start = ("-D", "/tmp/database", "-l", "/tmp/database.log", "-o", quick, "-w", "start")
        self.host.run(*as_postgres, programs / "pg_ctl", *start)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._server.append(
            self.host.start(
                "python", "-m", "mlflow", "server", "--host", "0.0.0.0", "--port", MLFLOW_PORT,
                "--workers", 1, "--allowed-hosts", f"{self.host.address}:{MLFLOW_PORT}",
                "--backend-store-uri", "postgresql+psycopg2://postgres@127.0.0.1/postgres",
                "--artifacts-destination", "/tmp/artifacts",
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            )
        )  # fmt: skip
        until(self._answers)

    def kill(self) -> None:
        """Kill the server and its workers."""
        end(self._server.pop(), signal.SIGKILL)

    def _answers(self) -> bool:
        assert self._server[-1].poll() is None, self.host.log
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
        except OSError:
            time.sleep(0.3)
            return False
        return True
