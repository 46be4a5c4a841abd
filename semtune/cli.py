"""The command line: names, options and help; the work is in `semtune.workflow`."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from semtune.environment import quiet_environment
from semtune.errors import SemtuneError
from semtune.cli_options import (
    AddressOption,
    BudgetOption,
    ConcurrentOption,
    GpusOption,
    JsonOption,
    TrialsOption,
    UriOption,
    WorkspaceOption,
    cell,
    cores,
    explanation,
    parse_controls,
    parse_seconds,
)
from semtune.workspace import Workspace

if TYPE_CHECKING:
    from semtune.journal import Event
    from semtune.session import Outcome

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find the network that scores the quality of SEM frames as a specialist does, and prove it.",
)

HERE = Path("semtune-workspace")


@app.callback()
def main(
    workspace: Annotated[Path | None, typer.Option(help="Folder that holds everything.")] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Find the network that scores the quality of SEM frames as a specialist does, and prove it."""
    if version:
        from semtune import __version__

        typer.echo(f"semtune {__version__}")
        raise typer.Exit
    if workspace is not None:
        os.environ["SEMTUNE_WORKSPACE"] = str(workspace)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="New folder for the dataset.")],
    fields: Annotated[int, typer.Option(min=1, help="Places on the specimens.")] = 178,
    settings: Annotated[int, typer.Option(min=1, help="Frames of each place.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    profile: Annotated[str, typer.Option(help="Model of the specialist: overall or focus.")] = "overall",
    as_json: JsonOption = False,
) -> None:
    """Write a dataset of simulated frames, control parameters and scores."""
    from rich.progress import Progress

    from semtune.simulated_dataset import write_simulated_dataset

    with Progress(transient=True, disable=as_json or not sys.stderr.isatty()) as progress:
        task = progress.add_task("simulating", total=fields)
        frames = write_simulated_dataset(
            folder,
            fields,
            settings,
            seed,
            profile,
            cores(),
            lambda done: progress.update(task, completed=done),
        )
    facts = {"folder": str(folder), "frames": frames, "fields": fields, "seed": seed}
    _report(facts, as_json, f"{frames} simulated frames of {fields} fields -> {folder}")


@app.command("import")
def import_(
    frames: Annotated[Path, typer.Argument(help="Folder of image files.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the dataset.")],
    scores: Annotated[Path, typer.Option(help="CSV: image, score; specimen, field, control parameters.")],
    score_range: Annotated[tuple[float, float], typer.Option(help="Lowest and highest score.")] = (0.0, 10.0),
    as_json: JsonOption = False,
) -> None:
    """Build a dataset from a laboratory's frames and scores."""
    from semtune.dataset.importing import import_frames

    summary = import_frames(frames, folder, scores, score_range)
    text = [f"{summary.frames} frames of {summary.fields} fields -> {folder}"]
    text.append(f"data bars cropped: {summary.data_bars_cropped}")
    _report(asdict(summary), as_json, "\n".join([*text, *summary.notes]))


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="A dataset.")], as_json: JsonOption = False) -> None:
    """Name every fault of a dataset, with file and line; exits 1 if there is one."""
    from semtune.dataset.checks import check as check_dataset

    result = check_dataset(folder)
    lines = [f"{fault.severity}: {fault}" for fault in result.faults]
    lines.append(f"{result.frames} frames, {result.fields} fields, digest {result.digest or 'unknown'}")
    _report(asdict(result), as_json, "\n".join(lines))
    if not result.is_clean:
        raise typer.Exit(1)


@app.command()
def search(
    space: Annotated[str, typer.Argument(help="YAML file, or table1, quick or full.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    name: Annotated[str, typer.Option(help="Name of the search.")],
    trials: TrialsOption = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every architecture.")] = None,
    crop: Annotated[int | None, typer.Option(min=64, max=480, help="Side of the crops, pixels.")] = None,
    concurrent: ConcurrentOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of split, sampler and trials.")] = None,
    time_budget: BudgetOption = None,
    gpus_per_trial: GpusOption = None,
    address: AddressOption = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: bfloat16 where the device has it.")
    ] = "auto",
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
        settings={"trials": trials, "seed": seed},
        precision=precision,
        leave_out_faulty=leave_out_faulty,
    )
    place = _workspace(workspace)
    if dry_run:
        facts = workflow.explain(place, request)
        _report(facts, as_json, explanation(facts))
        return
    conditions = workflow.Conditions(
        Resources(concurrent, gpus_per_trial, address), parse_seconds(time_budget), tracking_uri
    )
    outcome = _observed(
        place, name, as_json, lambda observe: workflow.search(place, request, conditions, observe)
    )
    _conclude(outcome, name, as_json)


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    trials: TrialsOption = None,
    concurrent: ConcurrentOption = None,
    time_budget: BudgetOption = None,
    gpus_per_trial: GpusOption = None,
    address: AddressOption = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Go on with a search after an interruption or a crash, or extend a finished one by more trials."""
    from semtune import workflow
    from semtune.search.driver import Resources

    place = _workspace(workspace)
    conditions = workflow.Conditions(
        Resources(concurrent, gpus_per_trial, address), parse_seconds(time_budget), tracking_uri
    )
    outcome = _observed(
        place,
        name,
        as_json,
        lambda observe: workflow.resume(place, name, {"trials": trials}, conditions, observe),
    )
    _conclude(outcome, name, as_json)


@app.command("list")
def list_(as_json: JsonOption = False, workspace: WorkspaceOption = HERE) -> None:
    """List the searches of the workspace."""
    from semtune import workflow

    searches = workflow.list_searches(_workspace(workspace))
    if as_json:
        typer.echo(json.dumps(searches))
        return
    from semtune.display import print_table

    headers = (
        "name",
        "state",
        "trials",
        "finished",
        "epochs",
        "frames trained",
        "seconds",
        "best validation RMSE",
    )
    print_table(headers, [tuple(cell(value) for value in each.values()) for each in searches], "Searches")


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    out: Annotated[list[Path] | None, typer.Option(help="File to write: .md .csv .tex .json .html.")] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Compare the networks of a search with every baseline: Table 1."""
    from semtune import workflow

    table = workflow.report(_workspace(workspace), name)
    workflow.write_report(table, out or [])
    if as_json:
        typer.echo(workflow.report_as(table, ".json"), nl=False)
        return
    from semtune.display import print_comparison

    print_comparison(table)
    for path in out or []:
        typer.echo(f"-> {path}")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Make the best trial the champion, unless it loses to a baseline or to the champion; then exits 1."""
    from semtune import workflow

    result = workflow.promote(_workspace(workspace), name, tracking_uri)
    facts = {
        "promoted": result.decision.promote,
        "reason": result.decision.reason,
        "trial": result.trial,
        "architecture": result.architecture,
        "version": result.version,
    }
    verdict = f"champion is now version {result.version}: " if result.version else "not promoted: "
    _report(facts, as_json, verdict + result.decision.reason)
    if not result.decision.promote:
        raise typer.Exit(1)


@app.command()
def rollback(
    tracking_uri: UriOption = None, as_json: JsonOption = False, workspace: WorkspaceOption = HERE
) -> None:
    """Give the alias `champion` back to the version that had it before."""
    from semtune import workflow

    before, now = workflow.rollback(_workspace(workspace), tracking_uri)
    _report(
        {"from": before, "to": now}, as_json, f"champion is version {now} again, no longer version {before}"
    )


@app.command()
def score(
    frames: Annotated[list[Path], typer.Argument(help="Image files and folders.")],
    controls: Annotated[str, typer.Option(help="E.g. brightness=50,contrast=45,focus=0.3.")] = "",
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Score images with the champion; control parameters not given are read from the vendor's metadata."""
    from semtune import workflow

    version, scored = workflow.score(_workspace(workspace), frames, parse_controls(controls), tracking_uri)
    facts = [
        {"frame": each.frame, "score": each.score, "model_version": version, "controls": each.controls,
         "missing": list(each.missing)}
        for each in scored
    ]  # fmt: skip
    lines = [
        f"{each.score:6.2f}  {each.frame}"
        + (f"  (missing: {', '.join(each.missing)})" if each.missing else "")
        for each in scored
    ]
    _report(facts, as_json, "\n".join(lines))


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Open MLflow's page on the workspace, on the loopback address; Ctrl-C ends it."""
    from semtune.tracking.ui import serve_ui

    typer.echo(f"MLflow on http://{host}:{port}")
    raise typer.Exit(serve_ui(_workspace(workspace), host, port))


@app.command()
def sync(
    name: Annotated[str, typer.Argument(help="A search of this workspace.")],
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Send MLflow what it missed of a search, for instance while its server was away."""
    from semtune import workflow

    sent = workflow.sync(_workspace(workspace), name, tracking_uri)
    _report(asdict(sent), as_json, "\n".join([f"{sent.events} events sent", *sent.refusals]))


def run() -> None:
    """The console script: our errors become one line and exit code 1, all others a traceback."""
    quiet_environment()
    logging.basicConfig(format="semtune: %(message)s", level=logging.WARNING)
    try:
        app()
    except SemtuneError as error:
        typer.secho(f"semtune: {error}", err=True, fg="red")
        raise SystemExit(1) from None


def _report(facts: Any, as_json: bool, text: str) -> None:  # noqa: ANN401 - whatever json takes
    typer.echo(json.dumps(facts, default=str) if as_json else text)


def _observed(
    place: Workspace, name: str, as_json: bool, work: Callable[[Callable[[Event], None]], Outcome]
) -> Outcome:
    """Run a search under the display that fits."""
    from semtune.display import SearchDisplay, print_event_as_json

    if as_json:
        return work(print_event_as_json)
    with SearchDisplay(place.search(name)) as display:
        return work(display)


def _conclude(outcome: Outcome, name: str, as_json: bool) -> None:
    """Say how a search ended and what comes next; an interrupted or failed one exits with 1."""
    nexts = {
        "finished": f"`semtune report {name}` compares, `semtune promote {name}` makes the best the champion",
        "interrupted": f"`semtune resume {name}` goes on",
        "failed": f"{outcome.message}; `semtune resume {name}` tries again",
    }
    facts = {"search": name, "state": outcome.state, "message": outcome.message}
    _report(facts, as_json, f"search {name} {outcome.state}: {nexts[outcome.state]}")
    if outcome.state != "finished":
        raise typer.Exit(1)


def _workspace(path: Path) -> Workspace:
    return Workspace(path.expanduser().resolve())
