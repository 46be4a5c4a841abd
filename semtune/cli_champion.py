"""Commands of the champion and of its tracking."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from semtune.cli_options import (
    HERE,
    JsonOption,
    NameArgument,
    UriOption,
    WorkspaceOption,
    examples,
    say,
    show,
    tell,
)
from semtune.workspace import workspace_at

app = typer.Typer()


@app.command(epilog=examples("semtune promote tin"))
def promote(
    name: NameArgument,
    force: Annotated[
        str | None, typer.Option(help="Promote against the rule, for this reason, which is recorded.")
    ] = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Make the best network the champion if it is shown to beat baselines and champion; else exits 1."""
    from semtune import workflow

    result = workflow.promote(workspace_at(workspace), name, tracking_uri, force)
    uses = result.uses
    facts = {
        "promoted": result.decision.promote,
        "reason": result.decision.reason,
        "trial": result.trial,
        "architecture": result.architecture,
        "version": result.version,
        "simulated": result.simulated,
        "test_uses": asdict(uses) if uses else None,
    }
    verdict = f"champion is now version {result.version}: " if result.version else "not promoted: "
    lines = [verdict + result.decision.reason]
    if uses:
        everywhere = f"{uses.everywhere} of all searches on this dataset in this workspace ({uses.searches})"
        lines.append(f"test frames were met by {uses.here} networks of this search, {everywhere}")
    if result.simulated:
        lines.append("all this holds for simulated frames and scores")
    show(facts, as_json, "\n".join(lines))
    if not result.decision.promote:
        raise typer.Exit(1)


@app.command(epilog=examples("semtune rollback"))
def rollback(
    tracking_uri: UriOption = None, as_json: JsonOption = False, workspace: WorkspaceOption = HERE
) -> None:
    """Give the alias `champion` back to the version that had it before."""
    from semtune import workflow

    before, now = workflow.rollback(workspace_at(workspace), tracking_uri)
    tell({"from": before, "to": now}, as_json, f"champion is version {now} again, no longer version {before}")


@app.command(epilog=examples("semtune ui --port 5000"))
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Open MLflow's page on the workspace, on the loopback address; Ctrl-C ends it."""
    from semtune.tracking.ui import become_ui

    become_ui(workspace_at(workspace), host, port, say)


@app.command(epilog=examples("semtune sync tin"))
def sync(
    name: NameArgument,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Send MLflow what it missed of a search, for instance while its server was away."""
    from semtune import workflow

    sent = workflow.sync(workspace_at(workspace), name, tracking_uri)
    show(asdict(sent), as_json, "\n".join([f"{sent.events} events sent", *sent.refusals]))
