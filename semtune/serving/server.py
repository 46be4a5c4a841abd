"""The server: uvicorn behind the guard, on loopback unless it is told a token."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from semtune.errors import ConfigError
from semtune.loopback import ADDRESS, guarded, listen
from semtune.scoring import AUTO, Scorer
from semtune.serving.application import application
from semtune.serving.desk import Desk

_SHORTEST_TOKEN = 16
_MOST_CONNECTIONS = 32


@dataclass(frozen=True)
class ServerSettings:
    """Where to listen, to whom, and how large and slow a request may be."""

    host: str = ADDRESS
    port: int = 8000
    token: str | None = None
    """Without it, the server listens on loopback alone."""
    most_bytes: int = 2**25
    seconds: float = 30.0
    engine: str = AUTO


def serve(
    scorer: Scorer,
    version: int,
    settings: ServerSettings,
    semtune_version: str,
    opened: Callable[[str], None],
) -> None:
    """Answer until the process is interrupted; requests in work are answered first.

    Args:
        scorer: The champion.
        version: Its version.
        settings: Of the server.
        semtune_version: Shown on the page.
        opened: Told the address once it can be reached.

    Raises:
        ConfigError: If the settings do not go together or the port cannot be opened.
    """
    if settings.token is None and settings.host != ADDRESS:
        raise ConfigError(
            f"--host {settings.host} lets others in: give them a token by --token-file or SEMTUNE_TOKEN"
        )
    if settings.token is not None and len(settings.token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"the token has under {_SHORTEST_TOKEN} characters; `openssl rand -hex 16` makes one"
        )
    with TemporaryDirectory(prefix="semtune-serve-") as folder, listen(settings.port, settings.host) as port:
        app = application(
            Desk(scorer, Path(folder), settings.engine), version, settings.seconds, semtune_version
        )
        config = uvicorn.Config(
            guarded(app, settings.most_bytes, settings.token),
            lifespan="off", ws="none", access_log=False, log_level="warning", server_header=False,
            limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=int(settings.seconds) + 1,
        )  # fmt: skip
        port.listen()
        # uvicorn raises a signal again when it has ended: what this function holds is to be put away first.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        opened(f"http://{settings.host}:{port.getsockname()[1]}")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[port])
