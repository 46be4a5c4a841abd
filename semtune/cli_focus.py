"""The command that focuses the virtual microscope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semtune.cli_completion import complete_scorer
from semtune.cli_options import (
    HERE,
    JsonOption,
    NameArgument,
    UriOption,
    WorkspaceOption,
    counted,
    examples,
    say,
)
from semtune.environment import cores
from semtune.workspace import workspace_at

app = typer.Typer()


@app.command(epilog=examples("semtune focus tin --out focus.md --out focus.png"))
def focus(
    name: NameArgument,
    fields: Annotated[int, typer.Option(min=2, help="Fields of the virtual microscope.")] = 50,
    runs: Annotated[int, typer.Option(min=2, help="Closed-loop runs, all fields together.")] = 200,
    budget: Annotated[int, typer.Option(min=5, help="Acquisitions a run may take.")] = 12,
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            help="Function, architecture, trial, champion or weights; repeatable.",
            autocompletion=complete_scorer,
        ),
    ] = None,
    policy: Annotated[list[str] | None, typer.Option(help="Focusing policy; repeatable.")] = None,
    positions: Annotated[int, typer.Option(min=5, help="Of a sweep.")] = 41,
    repeats: Annotated[int, typer.Option(min=2, help="Sweeps of a field, with other noise.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same table.")] = 0,
    out: Annotated[
        list[Path] | None, typer.Option(help="File to write: .md .csv .tex .json, figure .png .svg .pdf.")
    ] = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Focus a virtual microscope by networks and by autofocus functions: the second table."""
    from semtune import workflow
    from semtune.focusing.bench import BenchSettings
    from semtune.focusing.writers import check_suffixes, write_files, write_json

    check_suffixes(out or [])
    settings = BenchSettings(fields, runs, budget, positions, repeats, seed)
    with counted("focusing", fields) as on_field:
        report = workflow.focus(
            workspace_at(workspace),
            name,
            settings,
            scorer or (),
            policy or (),
            tracking_uri,
            cores(),
            on_field,
        )
    write_files(report, out or [])
    if as_json:
        typer.echo(write_json(report), nl=False)
        return
    from semtune.display import print_tables
    from semtune.focusing.words import headline, notes, tables, title

    print_tables(title(report), tables(report), [headline(report), *notes(report)])
    for path in out or []:
        say(f"-> {path}")
