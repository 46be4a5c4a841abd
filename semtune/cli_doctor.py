"""The command that looks at machines before a search does."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from semtune.cli_options import (
    HERE,
    JsonOption,
    StorageOption,
    UriOption,
    WorkspaceOption,
    examples,
    parse_storage,
)
from semtune.workspace import workspace_at

app = typer.Typer()


@app.command(epilog=examples("semtune doctor", "semtune doctor --address auto --storage s3://bucket/semtune"))
def doctor(
    address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster, e.g. auto; without it, this machine alone.")
    ] = None,
    storage: StorageOption = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Look at every machine, the storage and MLflow before a search does; exits 1 if there is a fault."""
    from semtune.doctor import check_up, tables_of

    found = check_up(workspace_at(workspace), address, tracking_uri, parse_storage(storage))
    if as_json:
        facts = {
            "sound": found.sound,
            "nodes": {name: node.model_dump() for name, node in found.nodes.items()},
            "tracking": found.tracking,
            "findings": [asdict(each) for each in found.findings],
        }
        typer.echo(json.dumps(facts))
    else:
        from semtune.display import print_tables

        print_tables(found.title, tables_of(found), [f"MLflow: {found.tracking}"])
        for each in found.findings:
            typer.secho(f"{each.severity}: {each}", fg="red" if each.severity == "fault" else "yellow")
        typer.echo(found.verdict)
    if not found.sound:
        raise typer.Exit(1)
