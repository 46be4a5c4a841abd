"""MLflow's page on the workspace's store."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from semtune.tracking.store import open_store
from semtune.workspace import Workspace


def become_ui(workspace: Workspace, host: str, port: int) -> NoReturn:
    """Turn this process into MLflow's server, so that whoever ends the process ends the server.

    Args:
        workspace: Whose embedded store to show.
        host: Address to listen on; the loopback address keeps others out.
        port: TCP port.

    Raises:
        TrackingError: If the store cannot be opened.
    """
    store = open_store(workspace)
    arguments = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri,
        "--artifacts-destination", str(store.artifacts), "--default-artifact-root", str(store.artifacts),
        "--host", host, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    sys.stdout.flush()
    os.execv(sys.executable, arguments)
