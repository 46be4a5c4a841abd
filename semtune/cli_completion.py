"""What the shell completes: names of searches, trials, search spaces and scorers. Nothing heavy is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from semtune.workspace import SearchFolder, Workspace, workspace_at


def complete_search(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the searches of the workspace."""
    return _starting(incomplete, (folder.name for folder in _searches(ctx)))


def complete_trial(ctx: typer.Context, incomplete: str) -> list[str]:
    """Trials, as NAME/trial-0003; the names of the searches until one is complete."""
    name, slash, _ = incomplete.partition("/")
    if not slash:
        return [f"{search}/" for search in complete_search(ctx, incomplete)]
    return _starting(incomplete, (f"{name}/{trial}" for trial in _trials(ctx, name)))


def complete_searched(ctx: typer.Context, incomplete: str) -> list[str]:
    """Searches and, behind a slash, their trials."""
    return complete_trial(ctx, incomplete) if "/" in incomplete else complete_search(ctx, incomplete)


def complete_start(ctx: typer.Context, incomplete: str) -> list[str]:
    """Whose weights a search can start from."""
    return [*_starting(incomplete, ["champion"]), *complete_trial(ctx, incomplete)]


def complete_space(incomplete: str) -> list[str]:
    """Shipped search spaces, and YAML files of the folder."""
    from semtune.spaces import shipped_spaces

    files = (str(path) for path in sorted(Path().glob("*.yaml")))
    return _starting(incomplete, [*shipped_spaces(), *files])


def complete_scorer(ctx: typer.Context, incomplete: str) -> list[str]:
    """Scorers of `semtune focus`: the champion, architectures, autofocus functions of Table 1, trials."""
    from semtune.networks import ARCHITECTURES
    from semtune.published import TABLE1

    trials = _trials(ctx, str(ctx.params.get("name") or ""))
    return _starting(incomplete, dict.fromkeys(["champion", *ARCHITECTURES.names, *TABLE1, *trials]))


def _searches(ctx: typer.Context) -> list[SearchFolder]:
    return _workspace(ctx).all()


def _trials(ctx: typer.Context, search: str) -> Iterator[str]:
    folders = (folder for folder in _searches(ctx) if folder.name == search)
    return (path.name for folder in folders for path in sorted(folder.trials.glob("*")))


def _workspace(ctx: typer.Context) -> Workspace:
    """The workspace that the line so far names; options before the command stand in the context above."""
    source = ctx.get_parameter_source("workspace")
    own = ctx.params.get("workspace") if source and source.name == "COMMANDLINE" else None
    above = ctx.parent.params.get("workspace") if ctx.parent else None
    given = own or above or os.environ.get("SEMTUNE_WORKSPACE") or "semtune-workspace"
    return workspace_at(str(given))


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
