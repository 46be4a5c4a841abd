"""Commands that look at searches: list them, and report what they found."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from semtune.cli_completion import complete_searched
from semtune.cli_options import (
    HERE,
    BesideOption,
    JsonOption,
    NameArgument,
    WorkspaceOption,
    cell,
    examples,
    say,
    show,
)
from semtune.workspace import workspace_at

app = typer.Typer()
ComparedArgument = Annotated[
    str,
    typer.Argument(help="A search, or a trial as NAME/trial-0003.", autocompletion=complete_searched),
]


@app.command("list", epilog=examples("semtune list"))
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


@app.command(epilog=examples("semtune report tin --out table1.md --out table1.html"))
def report(
    name: NameArgument,
    out: Annotated[list[Path] | None, typer.Option(help="File to write: .md .csv .tex .json .html.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for each figure as SVG, PDF and PNG.")] = None,
    beside: BesideOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Compare the networks of a search with every baseline: Table 1."""
    from semtune import exhibits, workflow

    place = workspace_at(workspace)
    table = workflow.report(place, name, beside)
    written = exhibits.write_report(table, out or [], figures, place.search(name).report)
    if as_json:
        typer.echo(exhibits.report_as(table, ".json"), nl=False)
        return
    from semtune.display import print_comparison

    print_comparison(table)
    for path in written:
        say(f"-> {path}")


@app.command(epilog=examples("semtune explain tin"))
def explain(name: NameArgument, as_json: JsonOption = False, workspace: WorkspaceOption = HERE) -> None:
    """Tell why trials stopped, which hyperparameters mattered, and whether more trials would help."""
    from semtune import explanation

    found = explanation.explain_search(workspace_at(workspace).existing(name))
    if as_json:
        show(explanation.facts(found), as_json, "")
        return
    from semtune.display import print_tables

    print_tables(f"The search {name}, explained", explanation.tables(found), explanation.notes(found))


@app.command(epilog=examples("semtune compare tin gold", "semtune compare tin/trial-0001 tin/trial-0004"))
def compare(
    one: ComparedArgument,
    other: ComparedArgument,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Put two searches or two trials side by side: settings that differ, figures, paired differences."""
    from semtune import workflow

    found = workflow.compare(workspace_at(workspace), one, other)
    if as_json:
        show(found.facts, as_json, "")
        return
    from semtune.display import print_tables

    print_tables(f"{one} and {other}", found.tables(), found.notes())


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
