"""MLflow's page on the workspace's store."""

from __future__ import annotations

import subprocess
import sys

from semtune.errors import TrackingError
from semtune.tracking.store import open_store
from semtune.workspace import Workspace


def serve_ui(workspace: Workspace, host: str, port: int) -> int:
    """Serve MLflow's page until it is stopped; returns its exit code.

    Args:
        workspace: Whose embedded store to show.
        host: Address to listen on; the loopback address keeps others out.
        port: TCP port.

    Raises:
        TrackingError: If the server cannot be started.
    """
    store = open_store(workspace)
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri,
        "--artifacts-destination", str(store.artifacts), "--default-artifact-root", str(store.artifacts),
        "--host", host, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    try:
        with subprocess.Popen(command) as server:
            try:
                return server.wait()
            except KeyboardInterrupt:
                server.terminate()
                return 0
    except OSError as error:
        raise TrackingError(f"MLflow's server cannot be started ({error})") from error
