"""The command line: names, options and help; the work is in `semtune.workflow`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from semtune import (
    cli_champion,
    cli_data,
    cli_doctor,
    cli_focus,
    cli_label,
    cli_reproduce,
    cli_results,
    cli_search,
    cli_serving,
)
from semtune.cli_options import be_quiet, complain, examples, say_version
from semtune.environment import quiet_environment
from semtune.errors import SemtuneError


class Program(TyperGroup):
    """The commands, each with the option that all have."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - typer keeps these types to itself
        """Find a command."""
        command = super().get_command(ctx, cmd_name)
        quiet = next(option for option in self.params if option.name == "quiet")
        if command and quiet not in command.params:
            command.params.append(quiet)
        return command


app = typer.Typer(
    cls=Program,
    epilog=examples(
        "semtune simulate frames --fields 30 --settings 6",
        "semtune search quick --data frames --name first --dry-run",
        "semtune search quick --data frames --name first",
        "semtune report first",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 120},
    rich_markup_mode=None,  # rich takes 0.1 s to load, a third of what a help may take: decision 0016
    help="Find the network that scores the quality of SEM frames as a specialist does, and prove it.",
)


@app.callback()
def main(
    workspace: Annotated[Path | None, typer.Option(help="Folder that holds everything.")] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Say nothing but results, warnings and errors.",
            callback=be_quiet,
            expose_value=False,
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=say_version, is_eager=True),
    ] = False,
) -> None:
    """Find the network that scores the quality of SEM frames as a specialist does, and prove it."""
    if workspace is not None:
        os.environ["SEMTUNE_WORKSPACE"] = str(workspace)


app.add_typer(cli_search.app)
app.add_typer(cli_results.app)
app.add_typer(cli_data.app)
app.add_typer(cli_label.app)
app.add_typer(cli_focus.app)
app.add_typer(cli_doctor.app)
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
        complain(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        from semtune.files import disk_trouble

        trouble = disk_trouble(error)
        if trouble is None:
            raise
        complain(f"{trouble}, then run the command again")
        raise SystemExit(1) from None
