"""The command line: names, options and help; the work is in `semtune.workflow`."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semtune import cli_champion, cli_data, cli_focus, cli_reproduce, cli_serving
from semtune.cli_options import (
    HERE,
    AddressOption,
    BesideOption,
    BudgetOption,
    CompileOption,
    ConcurrentOption,
    FailuresOption,
    GpusOption,
    HeartbeatOption,
    JsonOption,
    LongerOption,
    SeedsOption,
    SplitOption,
    TrialsOption,
    UriOption,
    WorkspaceOption,
    cell,
    explanation,
    parse_gpus,
    parse_heartbeat,
    parse_seconds,
    say_version,
    show,
    workspace_at,
)
from semtune.environment import quiet_environment
from semtune.errors import ConfigError, SemtuneError
from semtune.workspace import Workspace

if TYPE_CHECKING:
    from semtune import workflow
    from semtune.changes import Changes
    from semtune.journal import Event
    from semtune.session import Outcome

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 120},
    rich_markup_mode=None,  # rich takes 0.1 s to load, a third of what a help may take: decision 0016
    help="Find the network that scores the quality of SEM frames as a specialist does, and prove it.",
)


@app.callback()
def main(
    workspace: Annotated[Path | None, typer.Option(help="Folder that holds everything.")] = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=say_version, is_eager=True),
    ] = False,
) -> None:
    """Find the network that scores the quality of SEM frames as a specialist does, and prove it."""
    if workspace is not None:
        os.environ["SEMTUNE_WORKSPACE"] = str(workspace)


@app.command()
def search(
    space: Annotated[str, typer.Argument(help="YAML file, or table1, quick or full.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    name: Annotated[str, typer.Option(help="Name of the search.")],
    trials: TrialsOption = None,
    seeds: SeedsOption = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every architecture.")] = None,
    crop: Annotated[int | None, typer.Option(min=64, max=480, help="Side of the crops, pixels.")] = None,
    concurrent: ConcurrentOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of split, sampler and trials.")] = None,
    time_budget: BudgetOption = None,
    max_failures: FailuresOption = None,
    heartbeat: HeartbeatOption = "10m",
    gpus_per_trial: GpusOption = "auto",
    address: AddressOption = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: bfloat16 where the device has it.")
    ] = "auto",
    compilation: CompileOption = "auto",
    start: Annotated[
        str | None, typer.Option("--from", help="Start from the weights of: champion, or NAME/trial-0003.")
    ] = None,
    split: SplitOption = "field",
    leave_out_faulty: Annotated[
        bool, typer.Option(help="Search without the frames that have faults.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Check and explain; start nothing.")] = False,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Search for the best network: Ray Tune schedules, Optuna proposes, ASHA stops, MLflow keeps."""
    from semtune import workflow
    from semtune.planning import SearchRequest
    from semtune.search.driver import Resources

    request = SearchRequest(
        space,
        data,
        name,
        hyperparameters={"epochs": epochs, "crop": crop},
        settings={"trials": trials, "seed": seed, "max_failures": max_failures, "seeds": seeds},
        precision=precision,
        compilation=compilation,
        leave_out_faulty=leave_out_faulty,
        start=start,
        split=split,
    )
    resources = Resources(
        concurrent, parse_gpus(gpus_per_trial), address, heartbeat=parse_heartbeat(heartbeat)
    )
    conditions = workflow.Conditions(resources, parse_seconds(time_budget), tracking_uri)
    place = workspace_at(workspace)
    if dry_run:
        facts = workflow.explain(place, request, tracking_uri)
        show(facts, as_json, explanation(facts))
        return
    outcome = _observed(
        place, name, as_json, lambda observe: workflow.search(place, request, conditions, observe)
    )
    _conclude(outcome, name, as_json)


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    trials: TrialsOption = None,
    seeds: SeedsOption = None,
    epochs: LongerOption = None,
    concurrent: ConcurrentOption = None,
    time_budget: BudgetOption = None,
    max_failures: FailuresOption = None,
    heartbeat: HeartbeatOption = "10m",
    gpus_per_trial: GpusOption = "auto",
    address: AddressOption = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Go on with a search after an interruption or a crash, or extend a finished one by trials or epochs."""
    from semtune import workflow
    from semtune.changes import Changes
    from semtune.search.driver import Resources

    resources = Resources(
        concurrent, parse_gpus(gpus_per_trial), address, heartbeat=parse_heartbeat(heartbeat)
    )
    conditions = workflow.Conditions(resources, parse_seconds(time_budget), tracking_uri)
    _go_on(workspace, name, Changes(trials, epochs, max_failures, seeds), conditions, as_json)


@app.command()
def retry(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    failed: Annotated[bool, typer.Option("--failed", help="Every failed trial.")] = False,
    concurrent: ConcurrentOption = None,
    max_failures: FailuresOption = None,
    heartbeat: HeartbeatOption = "10m",
    gpus_per_trial: GpusOption = "auto",
    address: AddressOption = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Run failed trials again from their start, each under a new name, and go on with the search."""
    from semtune import workflow
    from semtune.changes import Changes
    from semtune.search.driver import Resources

    if not failed:
        raise ConfigError("say which trials are to run again: --failed")
    resources = Resources(
        concurrent, parse_gpus(gpus_per_trial), address, heartbeat=parse_heartbeat(heartbeat)
    )
    conditions = workflow.Conditions(resources, None, tracking_uri, retry_failed=True)
    _go_on(workspace, name, Changes(max_failures=max_failures), conditions, as_json)


@app.command("list")
def list_(as_json: JsonOption = False, workspace: WorkspaceOption = HERE) -> None:
    """List the searches of the workspace."""
    from semtune import workflow

    searches = workflow.list_searches(workspace_at(workspace))
    if as_json:
        typer.echo(json.dumps(searches))
        return
    from semtune.display import print_table

    headers = (
        "name", "state", "trials", "finished", "epochs", "frames trained", "seconds", "best validation RMSE",
        "split",
    )  # fmt: skip
    print_table(headers, [tuple(cell(value) for value in each.values()) for each in searches], "Searches")


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


app.add_typer(cli_data.app)
app.add_typer(cli_focus.app)
app.add_typer(cli_champion.app)
app.add_typer(cli_serving.app)
app.add_typer(cli_reproduce.app)


def run() -> None:
    """The console script: our errors become one line and exit code 1, all others a traceback."""
    quiet_environment()
    logging.basicConfig(format="semtune: %(message)s", level=logging.WARNING)
    try:
        app()
    except SemtuneError as error:
        typer.secho(f"semtune: {error}", err=True, fg="red")
        raise SystemExit(1) from None
    except OSError as error:
        from semtune.files import disk_trouble

        trouble = disk_trouble(error)
        if trouble is None:
            raise
        typer.secho(f"semtune: {trouble}, then run the command again", err=True, fg="red")
        raise SystemExit(1) from None


def _go_on(
    workspace: Path, name: str, changes: Changes, conditions: workflow.Conditions, as_json: bool
) -> None:
    """Take a search up again, and say how it ended."""
    from semtune import workflow

    place = workspace_at(workspace)
    outcome = _observed(
        place, name, as_json, lambda observe: workflow.resume(place, name, changes, conditions, observe)
    )
    _conclude(outcome, name, as_json)


def _observed(
    place: Workspace, name: str, as_json: bool, work: Callable[[Callable[[Event], None]], Outcome]
) -> Outcome:
    """Run a search under the display that fits."""
    from semtune.display import SearchDisplay, print_event_as_json

    if as_json:
        out = sys.stdout
        with redirect_stdout(sys.stderr):  # Ray prints what it finds remarkable, such as a worker's death
            return work(partial(print_event_as_json, out))
    with SearchDisplay(place.search(name)) as display:
        return work(display)


def _conclude(outcome: Outcome, name: str, as_json: bool) -> None:
    """Say how a search ended and what comes next; an interrupted or failed one exits with 1."""
    why = f"{outcome.message}; " if outcome.message else ""
    nexts = {
        "finished": f"`semtune report {name}` compares, `semtune promote {name}` makes the best the champion",
        "interrupted": f"{why}`semtune resume {name}` goes on",
        "failed": f"{why}`semtune retry {name} --failed` runs them again, --max-failures N bears more",
    }
    facts = {"search": name, "state": outcome.state, "message": outcome.message}
    show(facts, as_json, f"search {name} {outcome.state}: {nexts[outcome.state]}")
    if outcome.state != "finished":
        raise typer.Exit(1)
