"""Options that several commands share, and what their values mean."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from semtune.cli_completion import complete_search
from semtune.errors import ConfigError

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="SEMTUNE_WORKSPACE", help="Folder that holds everything.")
]
NameArgument = Annotated[
    str, typer.Argument(help="A search of this workspace.", autocompletion=complete_search)
]
OnEndOption = Annotated[
    str | None, typer.Option(help="Command to run when it ends; SEMTUNE_* variables tell it how.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
UriOption = Annotated[
    str | None,
    typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow server; by default a database in the workspace."),
]
ConcurrentOption = Annotated[int | None, typer.Option(min=1, help="Trials at the same time.")]
GpusOption = Annotated[str, typer.Option(help="GPUs a trial, such as 0.5; auto: measured.")]
CompileOption = Annotated[
    Literal["auto", "on", "off"], typer.Option("--compile", help="auto: where a trial is long enough.")
]
AddressOption = Annotated[str | None, typer.Option(help="Of a running Ray cluster, e.g. auto.")]
StorageOption = Annotated[
    str | None,
    typer.Option(help="What all nodes reach: a shared folder, s3://bucket/prefix or gs://bucket/prefix."),
]
BudgetOption = Annotated[
    str | None, typer.Option(help="Time for the trials, e.g. 30m; finals come after it.")
]
GpuHoursOption = Annotated[
    float | None, typer.Option(min=0, help="GPU-hours of all trials; finals come after them.")
]
CostOption = Annotated[float | None, typer.Option(min=0, help="What a GPU-hour costs; to be shown.")]
NodesOption = Annotated[int | None, typer.Option(min=1, help="Nodes with trials at the same time.")]
WaitOption = Annotated[
    str, typer.Option(help="Time without a trial at work after which the search ends, to be resumed.")
]
HeartbeatOption = Annotated[
    str, typer.Option(help="Silence after which a trial hangs and its process is killed, e.g. 90s.")
]
FailuresOption = Annotated[
    int | None, typer.Option(min=0, help="Failed trials to bear; by default a quarter of the trials.")
]
LongerOption = Annotated[
    int | None, typer.Option(min=1, help="More epochs, for new trials and once more for the best.")
]
SplitOption = Annotated[
    Literal["field", "random"], typer.Option(help="random cuts fields, which leaks: for comparison only.")
]
BesideOption = Annotated[
    str | None, typer.Option(help="Another search, to show with the gap.", autocompletion=complete_search)
]
SeedsOption = Annotated[
    int | None, typer.Option(min=1, help="Fresh seeds that the best of each architecture is trained with.")
]
TrialsOption = Annotated[int | None, typer.Option(min=1, help="Trials, all architectures together.")]

HERE = Path("semtune-workspace")
QUIET = "SEMTUNE_QUIET"
"""Environment variable that `--quiet` sets: nothing is said but results, warnings and errors."""


def examples(*lines: str) -> str:
    """What stands below the options in a command's help: command lines to copy."""
    head = "Examples:" if len(lines) > 1 else "Example:"
    return "\n".join(["\b", head, *(f"  {line}" for line in lines)])


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how much of a long work is done; yields what takes the number done so far."""
    from rich.console import Console
    from rich.progress import Progress

    hidden = is_quiet() or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def parse_seconds(text: str | None, option: str = "--time-budget") -> float | None:
    """Parse a duration such as 90s, 30m, 1h30m; `option` is what messages call it."""
    if text is None:
        return None
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    if not found or not any(found.groups()):
        raise ConfigError(f"{option}: {text!r} is no duration; write e.g. 30m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60 * minutes + seconds


def parse_heartbeat(text: str) -> float:
    """Parse how long a trial may be silent, seconds."""
    return _parse_patience(text, "--heartbeat", "kill every trial; write e.g. 10m")


def parse_wait(text: str) -> float:
    """Parse how long a search waits for a trial to run, seconds."""
    return _parse_patience(text, "--wait", "end every search; write e.g. 30m")


def _parse_patience(text: str, option: str, none_would: str) -> float:
    seconds = parse_seconds(text, option)
    if not seconds:
        raise ConfigError(f"{option}: {text!r} would {none_would}")
    return seconds


def parse_storage(text: str | None) -> str | None:
    """Parse what all nodes reach."""
    if text is None:
        return None
    from semtune.storage import check_storage

    return check_storage(text)


def parse_hook(text: str | None) -> tuple[str, ...]:
    """Parse the command that runs at the end; empty if there is none."""
    if text is None:
        return ()
    from semtune.hook import parse_command

    return parse_command(text)


def parse_gpus(text: str) -> float | None:
    """Parse GPUs a trial; None for auto."""
    if text.strip() == "auto":
        return None
    try:
        gpus = float(text)
    except ValueError:
        gpus = -1.0
    if not 0 <= gpus < math.inf:
        raise ConfigError(f"--gpus-per-trial: {text!r} is no number; write auto, 1 or 0.5")
    return gpus


def parse_controls(text: str) -> dict[str, float]:
    """Parse control parameters such as brightness=50,contrast=45."""
    return parse_numbers(text, "--controls", "brightness=50,contrast=45")


def parse_numbers(text: str, option: str, example: str) -> dict[str, float]:
    """Parse numbers by name such as brightness=50,contrast=45; `option` is what messages call them."""
    given = {}
    for part in filter(None, text.split(",")):
        name, separator, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not separator or not math.isfinite(number):
            raise ConfigError(f"{option}: {part!r} is not name=number; write e.g. {example}")
        given[name.strip()] = number
    return given


def cell(value: object) -> str:
    """A value in a table."""
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


def show(facts: Any, as_json: bool, text: str) -> None:  # noqa: ANN401 - whatever json takes
    """Print facts as JSON for machines, or as text."""
    typer.echo(json.dumps(facts, default=str) if as_json else text)


def be_quiet(wanted: bool) -> None:
    """Leave out all that is no result, warning or error, if that is wanted."""
    if wanted:
        os.environ[QUIET] = "1"


def is_quiet() -> bool:
    """Whether only results, warnings and errors are wanted."""
    return bool(os.environ.get(QUIET))


def say(text: str) -> None:
    """Print what is no result: what was done, what comes next."""
    if not is_quiet():
        typer.echo(text)


def tell(facts: Any, as_json: bool, text: str) -> None:  # noqa: ANN401 - whatever json takes
    """Print what was done: as JSON for machines, or as text that `--quiet` leaves out."""
    if as_json or not is_quiet():
        show(facts, as_json, text)


def complain(text: str) -> None:
    """Print an error of one line, in red unless NO_COLOR asks for none."""
    typer.secho(f"semtune: {text}", err=True, fg=None if os.environ.get("NO_COLOR") else "red")


def say_version(wanted: bool) -> None:
    """Print the version and exit, whatever else stands on the command line."""
    if wanted:
        from semtune import __version__

        typer.echo(f"semtune {__version__}")
        raise typer.Exit


def need_extra(command: str, *modules: str) -> None:
    """Refuse a command whose packages are missing; they come with the extra of its name."""
    if not all(map(find_spec, modules)):
        raise ConfigError(f"`semtune {command}` needs more packages: pip install 'semtune[{command}]'")
