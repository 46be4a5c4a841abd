"""Who focuses: autofocus functions, networks of a search, the champion, or any scorer's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.errors import ConfigError, SearchError
from semtune.focusing.scorers import FocusScorer, autofocus_scorers
from semtune.promotion import CHAMPION
from semtune.registry import nearest_name
from semtune.report.table import ComparisonTable
from semtune.results import Result
from semtune.tracking.champion import champion, download_weights
from semtune.tracking.store import open_store
from semtune.workspace import WEIGHTS, SearchFolder, Workspace


def contestants(
    workspace: Workspace,
    folder: SearchFolder,
    table: ComparisonTable,
    asked: Sequence[str] = (),
    tracking_uri: str | None = None,
) -> tuple[FocusScorer, ...]:
    """Find the scorers that are to focus.

    Args:
        workspace: Where promoted weights are kept.
        folder: Of the search.
        table: Its comparison table.
        asked: Names of autofocus functions, architectures or trials of the search, `champion`, or files of
            weights; by default every autofocus function, the search's best trial of each architecture, and
            the champion, if there is one.
        tracking_uri: Of the store that knows the champion.

    Raises:
        ConfigError: If nothing goes by a name.
        SearchError: If a trial has no weights, or no network can be found at all.
    """
    if asked:
        names = dict.fromkeys(asked)
        return tuple(_named(name, workspace, folder, table, tracking_uri) for name in names)
    tested = [row for row in table.networks if row.trial and _weights(folder, row.trial).exists()]
    networks = [_of_row(row, folder) for row in tested]
    promoted = _champion(workspace, tracking_uri)
    if promoted and not any(promoted.origin.startswith(f"{network.origin},") for network in networks):
        networks.append(promoted)
    if not networks:
        raise SearchError(
            f"search {folder.name!r} has no trained network yet; `semtune resume {folder.name}` finishes it, "
            "--scorer names other scorers"
        )
    return (*autofocus_scorers(), *networks)


def _named(
    name: str, workspace: Workspace, folder: SearchFolder, table: ComparisonTable, tracking_uri: str | None
) -> FocusScorer:
    rows = {row.name: row for row in table.networks if row.trial}
    trials = {trial.name: trial for trial in table.trials}
    if name in AUTOFOCUS_FUNCTIONS:
        return autofocus_scorers((name,))[0]
    if name in rows:
        return _of_row(rows[name], folder)
    if name in trials:
        return _of_trial(name, trials[name].architecture, name, folder)
    if name == CHAMPION:
        found = _champion(workspace, tracking_uri)
        if found is None:
            raise ConfigError("--scorer champion: there is none yet; `semtune promote NAME` makes one")
        return found
    if Path(name).is_file():
        return FocusScorer(
            Path(name).stem, "network", Path(name).resolve(), "weights named on the command line"
        )
    known = (*AUTOFOCUS_FUNCTIONS.names, *rows, *trials, CHAMPION)
    raise ConfigError(f"--scorer {name}: no scorer and no file of that name; {nearest_name(name, known)}")


def _of_row(row: Result, folder: SearchFolder) -> FocusScorer:
    return _of_trial(row.name, row.name, str(row.trial), folder)


def _of_trial(name: str, architecture: str, trial: str, folder: SearchFolder) -> FocusScorer:
    weights = _weights(folder, trial)
    if not weights.exists():
        raise SearchError(
            f"{trial} of search {folder.name!r} has no weights: only finalists keep them; "
            "name another --scorer"
        )
    return FocusScorer(name, "network", weights, f"{architecture}, {trial} of the search {folder.name}")


def _champion(workspace: Workspace, tracking_uri: str | None) -> FocusScorer | None:
    if not (tracking_uri or workspace.database.exists()):
        return None
    store = open_store(workspace, tracking_uri)
    now = champion(store)
    if now is None:
        return None
    architecture, trial, search = (
        now.tags.get(f"semtune.{fact}", "") for fact in ("architecture", "trial", "search")
    )
    origin = f"{architecture}, {trial} of the search {search}, version {now.version}"
    return FocusScorer(CHAMPION, "network", download_weights(store, now.version, workspace.champions), origin)


def _weights(folder: SearchFolder, trial: str) -> Path:
    return folder.trials / trial / WEIGHTS
