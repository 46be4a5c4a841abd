"""The command that trains a trial again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from semtune.cli_completion import complete_trial
from semtune.cli_options import HERE, JsonOption, WorkspaceOption, examples, say, show
from semtune.workspace import workspace_at

if TYPE_CHECKING:
    from semtune.results import EpochResult

app = typer.Typer()


@app.command(epilog=examples("semtune reproduce tin/trial-0003"))
def reproduce(
    run: Annotated[
        str,
        typer.Argument(
            help="A trial, as NAME/trial-0003, or the id of its MLflow run.", autocompletion=complete_trial
        ),
    ],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Train a trial again from its record; exits 1 if the validation RMSE does not come out again."""
    from semtune import workflow

    def observe(then: float, now: EpochResult) -> None:
        if not as_json:
            say(f"epoch {now.epoch}: {then:.7f} then, {now.validation_rmse:.7f} now")

    found = workflow.reproduce(workspace_at(workspace), run, observe)
    allowed = f"{found.tolerance:g} points" if found.exact else f"{found.tolerance:.0%} of the RMSE"
    verdict = (
        f"{found.trial} {'agrees' if found.agrees else 'does not agree'}: {found.reason}; largest difference "
        f"{found.largest_difference:.1e} points, {allowed} allowed"
    )
    show(asdict(found), as_json, "\n".join([*found.differences, verdict]))
    if not found.agrees:
        raise typer.Exit(1)
