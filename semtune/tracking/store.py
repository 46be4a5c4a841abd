"""The MLflow store: embedded in the workspace, or a server; and how its failures are told."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from semtune.environment import quiet_environment
from semtune.errors import TrackingError
from semtune.mounts import network_file_system
from semtune.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_CREDENTIALS = re.compile(r"(?<=[^/]//)(?!/)[^\n]*@|(?<=password=)[^&\s]+|(?<=pwd=)[^&\s]+", re.IGNORECASE)


@dataclass(frozen=True)
class Store:
    """Where runs and models are kept."""

    client: MlflowClient
    uri: str
    """May hold a password: never print it, print `shown(uri)`."""
    artifacts: str | None
    """URI of the folder for artifacts; None where a server decides."""


def open_store(workspace: Workspace, tracking_uri: str | None = None) -> Store:
    """Open the store of a workspace, or the one at `tracking_uri`; tables of an embedded one are made here.

    A server is not asked for anything yet: it may be away and come back.

    Raises:
        TrackingError: If the embedded database cannot be opened or the URI names no kind of store.
    """
    check_uri(workspace, tracking_uri)
    _prepare_environment()
    from mlflow import MlflowClient

    uri = tracking_uri or _sqlite_uri(workspace.database)
    with told(uri, "check that the folder can be written, or correct --tracking-uri"):
        if not tracking_uri:
            _prepare_tables(workspace.database)
        client = MlflowClient(uri, registry_uri=uri)
    embedded = uri.partition(":")[0].partition("+")[0] in _DATABASES
    return Store(client, uri, workspace.artifacts.absolute().as_uri() if embedded else None)


def ask_store(workspace: Workspace, tracking_uri: str | None = None) -> None:
    """Ask the store for something, whatever it has.

    Raises:
        TrackingError: If it does not answer within seconds.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    store = open_store(workspace, tracking_uri)
    with told(store.uri, "start the server, or correct --tracking-uri"):
        store.client.search_experiments(max_results=1)


def check_uri(workspace: Workspace, tracking_uri: str | None) -> None:
    """Refuse what cannot be a store, without asking it and without the second that MLflow's import takes.

    Raises:
        TrackingError: If the URI has no scheme, as in `localhost:5000`, or an SQLite database would lie on a
            network file system, whose locks do not keep it safe.
    """
    if tracking_uri and "://" not in tracking_uri and tracking_uri != "databricks":
        hint = "write http://HOST:PORT of a server, or a database such as sqlite:////folder/mlflow.db"
        raise TrackingError(f"--tracking-uri {shown(tracking_uri)} names no MLflow store; {hint}")
    uri = tracking_uri or _sqlite_uri(workspace.database)
    database = Path(urlsplit(uri).path.removeprefix("/"))
    if uri.startswith("sqlite") and (kind := network_file_system(database)):
        raise TrackingError(
            f"{database} would be an SQLite database on a network file system ({kind}), which damages it by "
            "and by; start `mlflow server` and give --tracking-uri http://HOST:PORT"
        )


def shown(text: str) -> str:
    """A tracking URI, or a message that quotes one, without user name and password."""
    return _CREDENTIALS.sub("", text)


@contextmanager
def told(uri: str, remedy: str) -> Iterator[None]:
    """Turn the failures of MLflow and of what lies below it into one line without credentials.

    Raises:
        TrackingError: In their place.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        message = f"the MLflow store {shown(uri)} cannot be used ({reason(error)}); {remedy}"
        # `from None`: the traceback of the cause would show the password.
        raise TrackingError(message) from None


def reason(error: Exception) -> str:
    """First line of an error, without credentials."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return shown(first)[:300]


def _prepare_environment() -> None:
    quiet_environment()
    # Whoever waits for the store does so by its own rule; MLflow's retries would hold a batch for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # A database that refuses is told in our words; MLflow would add a traceback of its own each time.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _sqlite_uri(database: Path) -> str:
    return f"sqlite:///{database.absolute().as_posix()}"


def _prepare_tables(database: Path) -> None:
    """Make the database beside and link it into place.

    Two processes that let MLflow make the tables of one file spoil each other's work, and a process
    killed meanwhile leaves half of them.
    """
    if database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    beside = database.with_name(f"{database.name}.{os.getpid()}.part")
    SqlAlchemyStore(_sqlite_uri(beside), database.parent.as_uri()).engine.dispose()
    with suppress(FileExistsError):
        os.link(beside, database)
    beside.unlink()
