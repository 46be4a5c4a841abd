"""Commands that look at searches: list them, and report what they found."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from semtune.cli_options import HERE, BesideOption, JsonOption, WorkspaceOption, cell, workspace_at

app = typer.Typer()


@app.command("list")
def list_(as_json: JsonOption = False, workspace: WorkspaceOption = HERE) -> None:
    """List the searches of the workspace."""
    from semtune import workflow

    searches = workflow.list_searches(workspace_at(workspace))
    if as_json:
        typer.echo(json.dumps(searches))
        return
    from semtune.display import print_table

    shown = (
        "name", "state", "trials", "finished", "failed", "preempted", "epochs", "seconds", "gpu_hours",
        "best_validation_rmse", "split",
    )  # fmt: skip
    headers = [name.replace("_", " ").replace("rmse", "RMSE").replace("gpu", "GPU") for name in shown]
    print_table(headers, [[cell(each[name]) for name in shown] for each in searches], "Searches")
    for line in filter(None, map(_running_line, searches)):
        typer.echo(line)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    out: Annotated[list[Path] | None, typer.Option(help="File to write: .md .csv .tex .json .html.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for each figure as SVG, PDF and PNG.")] = None,
    beside: BesideOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Compare the networks of a search with every baseline: Table 1."""
    from semtune import exhibits, workflow

    table = workflow.report(workspace_at(workspace), name, beside)
    written = exhibits.write_report(table, out or [], figures)
    if as_json:
        typer.echo(exhibits.report_as(table, ".json"), nl=False)
        return
    from semtune.display import print_comparison

    print_comparison(table)
    for path in written:
        typer.echo(f"-> {path}")


def _running_line(search: dict[str, Any]) -> str:
    """Who works on a search, where and since when; empty if nobody does."""
    work = search["running"]
    if work is None:
        return ""
    since = datetime.fromtimestamp(work["since"]).astimezone().isoformat(" ", "minutes")
    cost = "" if search["cost"] is None else f", cost {search['cost']:.2f}"
    hours = f"{search['gpu_hours']:.2f} GPU-hours, {search['cpu_hours']:.2f} core-hours{cost}"
    where = f"{len(work['trials'])} trials at work on {', '.join(work['nodes']) or 'no node'}"
    return f"{search['name']} runs since {since}, process {work['pid']} of {work['host']}: {where}; {hours}"
