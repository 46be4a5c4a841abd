"""MLflow's page on the workspace's store."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from semtune.tracking.champion import REGISTERED_MODEL
from semtune.tracking.layout import SEARCH_ID
from semtune.tracking.store import Store, open_store
from semtune.tracking.view import models_address, table_address
from semtune.workspace import Workspace


def become_ui(workspace: Workspace, host: str, port: int, say: Callable[[str], None]) -> NoReturn:
    """Turn this process into MLflow's server, so that whoever ends the process ends the server.

    Args:
        workspace: Whose embedded store to show.
        host: Address to listen on; the loopback address keeps others out.
        port: TCP port.
        say: Tells a line: where the page is, and where on it each search and the champions are.

    Raises:
        TrackingError: If the store cannot be opened.
    """
    store = open_store(workspace)
    for line in places(store, f"http://{host}:{port}"):
        say(line)
    arguments = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri,
        "--artifacts-destination", str(store.artifacts), "--default-artifact-root", str(store.artifacts),
        "--host", host, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    # MLflow's own list lets in whatever begins like a private address, such as 10.example.org.
    os.environ.setdefault("MLFLOW_SERVER_ALLOWED_HOSTS", ",".join(allowed_hosts(host)))
    sys.stdout.flush()
    os.execv(sys.executable, arguments)


def places(store: Store, server: str) -> list[str]:
    """Lines that say where a server shows the store, each of its searches, and the champions if any."""
    searches = store.client.search_experiments(filter_string=f"tags.`{SEARCH_ID}` LIKE '%'")
    lines = [f"MLflow on {server}"]
    lines += [f"search {each.name}: {table_address(server, each.experiment_id)}" for each in searches]
    if store.client.search_registered_models(f"name = '{REGISTERED_MODEL}'"):
        lines.append(f"champions: {models_address(server, REGISTERED_MODEL)}")
    return lines


def allowed_hosts(host: str) -> list[str]:
    """What a browser may call the server, at any port; else a page whose name leads here could read it all.

    Args:
        host: Address that the server listens on; on all of them it also answers to the machine's name.
    """
    names = ["127.0.0.1", "localhost", "[::1]"]
    if host in ("0.0.0.0", "::"):
        names += [socket.gethostname(), socket.getfqdn()]
    elif host not in names:
        names.append(f"[{host}]" if ":" in host else host)
    return [place for name in names for place in (name, f"{name.replace('[', '[[]')}:*")]
