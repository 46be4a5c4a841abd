"""Commands that work on a search: start it, stop it, go on with it, run its failed trials again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semtune.cli_completion import complete_space, complete_start
from semtune.cli_ending import conclude, observed
from semtune.cli_forecast import foretold
from semtune.cli_options import (
    HERE,
    AddressOption,
    BudgetOption,
    CompileOption,
    ConcurrentOption,
    CostOption,
    FailuresOption,
    GpuHoursOption,
    GpusOption,
    HeartbeatOption,
    JsonOption,
    LongerOption,
    NameArgument,
    NodesOption,
    OnEndOption,
    SeedsOption,
    SplitOption,
    StorageOption,
    TrialsOption,
    UriOption,
    WaitOption,
    WorkspaceOption,
    examples,
    parse_gpus,
    parse_heartbeat,
    parse_hook,
    parse_seconds,
    parse_storage,
    parse_wait,
    show,
)
from semtune.errors import ConfigError
from semtune.workspace import workspace_at

if TYPE_CHECKING:
    from semtune import workflow
    from semtune.changes import Changes
    from semtune.search.driver import Resources

app = typer.Typer()


@app.command(
    epilog=examples(
        "semtune search table1 --data frames --name tin --dry-run",
        "semtune search table1 --data frames --name tin --trials 24 --time-budget 2h",
    )
)
def search(
    space: Annotated[
        str, typer.Argument(help="YAML file, or table1, quick or full.", autocompletion=complete_space)
    ],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    name: Annotated[str, typer.Option(help="Name of the search.")],
    trials: TrialsOption = None,
    seeds: SeedsOption = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every architecture.")] = None,
    crop: Annotated[int | None, typer.Option(min=64, max=480, help="Side of the crops, pixels.")] = None,
    concurrent: ConcurrentOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of split, sampler and trials.")] = None,
    time_budget: BudgetOption = None,
    gpu_hours: GpuHoursOption = None,
    cost_per_gpu_hour: CostOption = None,
    max_failures: FailuresOption = None,
    heartbeat: HeartbeatOption = "10m",
    gpus_per_trial: GpusOption = "auto",
    address: AddressOption = None,
    storage: StorageOption = None,
    max_nodes: NodesOption = None,
    wait: WaitOption = "30m",
    on_end: OnEndOption = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: bfloat16 where the device has it.")
    ] = "auto",
    compilation: CompileOption = "auto",
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Start from the weights of: champion, or NAME/trial-0003.",
            autocompletion=complete_start,
        ),
    ] = None,
    split: SplitOption = "field",
    leave_out_faulty: Annotated[
        bool, typer.Option(help="Search without the frames that have faults.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Check and explain; start nothing.")] = False,
    probe: Annotated[bool, typer.Option(help="In a dry run, time a batch of each architecture.")] = True,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Search for the best network: Ray Tune schedules, Optuna proposes, ASHA stops, MLflow keeps."""
    from semtune import workflow
    from semtune.planning import SearchRequest

    request = SearchRequest(
        space,
        data,
        name,
        hyperparameters={"epochs": epochs, "crop": crop},
        settings={
            "trials": trials,
            "seed": seed,
            "max_failures": max_failures,
            "seeds": seeds,
            "gpu_hours": gpu_hours,
            "cost_per_gpu_hour": cost_per_gpu_hour,
        },
        precision=precision,
        compilation=compilation,
        leave_out_faulty=leave_out_faulty,
        start=start,
        split=split,
        storage=parse_storage(storage),
    )
    resources = _resources(concurrent, gpus_per_trial, address, heartbeat, max_nodes, wait)
    conditions = workflow.Conditions(resources, parse_seconds(time_budget), tracking_uri)
    place, hook = workspace_at(workspace), parse_hook(on_end)
    if dry_run:
        facts = workflow.explain(place, request, tracking_uri, resources if probe else None)
        show(facts, as_json, foretold(facts))
        return
    outcome = observed(
        place, name, as_json, hook, lambda observe: workflow.search(place, request, conditions, observe)
    )
    conclude(outcome, name, as_json)


@app.command(epilog=examples("semtune resume tin", "semtune resume tin --trials 48"))
def resume(
    name: NameArgument,
    trials: TrialsOption = None,
    seeds: SeedsOption = None,
    epochs: LongerOption = None,
    concurrent: ConcurrentOption = None,
    time_budget: BudgetOption = None,
    gpu_hours: GpuHoursOption = None,
    cost_per_gpu_hour: CostOption = None,
    max_failures: FailuresOption = None,
    heartbeat: HeartbeatOption = "10m",
    gpus_per_trial: GpusOption = "auto",
    address: AddressOption = None,
    storage: StorageOption = None,
    max_nodes: NodesOption = None,
    wait: WaitOption = "30m",
    on_end: OnEndOption = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Go on with a search after an interruption or a crash, or extend a finished one by trials or epochs."""
    from semtune import workflow
    from semtune.changes import Changes

    resources = _resources(concurrent, gpus_per_trial, address, heartbeat, max_nodes, wait)
    conditions = workflow.Conditions(resources, parse_seconds(time_budget), tracking_uri)
    stored = parse_storage(storage)
    changes = Changes(trials, epochs, max_failures, seeds, gpu_hours, cost_per_gpu_hour, stored)
    _go_on(workspace, name, changes, conditions, parse_hook(on_end), as_json)


@app.command(epilog=examples("semtune retry tin --failed"))
def retry(
    name: NameArgument,
    failed: Annotated[bool, typer.Option("--failed", help="Every failed trial.")] = False,
    concurrent: ConcurrentOption = None,
    max_failures: FailuresOption = None,
    heartbeat: HeartbeatOption = "10m",
    gpus_per_trial: GpusOption = "auto",
    address: AddressOption = None,
    max_nodes: NodesOption = None,
    wait: WaitOption = "30m",
    on_end: OnEndOption = None,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Run failed trials again from their start, each under a new name, and go on with the search."""
    from semtune import workflow
    from semtune.changes import Changes

    if not failed:
        raise ConfigError("say which trials are to run again: --failed")
    resources = _resources(concurrent, gpus_per_trial, address, heartbeat, max_nodes, wait)
    conditions = workflow.Conditions(resources, None, tracking_uri, retry_failed=True)
    _go_on(workspace, name, Changes(max_failures=max_failures), conditions, parse_hook(on_end), as_json)


@app.command(epilog=examples("semtune stop tin", "semtune stop tin --trial trial-0003"))
def stop(
    name: Annotated[str, typer.Argument(help="A running search of this workspace.")],
    trial: Annotated[str | None, typer.Option(help="End this trial alone, e.g. trial-0003.")] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Stop a running search from another terminal, to be resumed, or end one of its trials."""
    from semtune import workflow

    workflow.stop(workspace_at(workspace), name, trial)
    what = f"{trial} ends" if trial else "its trials end"
    then = "" if trial else f"; `semtune resume {name}` goes on"
    show({"search": name, "trial": trial, "asked": True}, as_json, f"{name}: {what} at the next epoch{then}")


def _resources(
    concurrent: int | None,
    gpus_per_trial: str,
    address: str | None,
    heartbeat: str,
    max_nodes: int | None,
    wait: str,
) -> Resources:
    from semtune.search.driver import Resources

    return Resources(
        concurrent,
        parse_gpus(gpus_per_trial),
        address,
        heartbeat=parse_heartbeat(heartbeat),
        max_nodes=max_nodes,
        wait=parse_wait(wait),
    )


def _go_on(
    workspace: Path,
    name: str,
    changes: Changes,
    conditions: workflow.Conditions,
    hook: Sequence[str],
    as_json: bool,
) -> None:
    """Take a search up again, and say how it ended."""
    from semtune import workflow

    place = workspace_at(workspace)
    outcome = observed(
        place, name, as_json, hook, lambda observe: workflow.resume(place, name, changes, conditions, observe)
    )
    conclude(outcome, name, as_json)
