"""Commands that bring a scorer to where frames are recorded."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from semtune.cli_options import HERE, JsonOption, UriOption, WorkspaceOption, show, workspace_at

app = typer.Typer()


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="Folder to write; a name that ends in .zip: one file.")],
    model: Annotated[str, typer.Option(help="champion, or a trial as NAME/trial-0003.")] = "champion",
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="float32 with ONNX Runtime, bfloat16 with OpenVINO."),
    ] = "float32",
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Write a scorer for a computer without semtune: ONNX model, one-file program, README, checks."""
    from semtune import workflow

    done = workflow.export(workspace_at(workspace), model, out, precision, tracking_uri)
    parity, loss = done.parity, done.loss
    lines = [
        f"{len(done.files)} files for {done.engine} in {done.precision} -> {done.out}",
        f"largest difference from torch in float32 on {parity.crops} crops: "
        f"{parity.largest_difference:.1e} points ({parity.allowed:g} allowed)",
    ]
    if loss:
        lines.append(
            f"test RMSE on {loss.frames} frames: {loss.rmse:.4f}; torch in float32: {loss.rmse_float32:.4f}"
        )
    facts = {**asdict(done), "out": str(done.out)}
    show(facts, as_json, "\n".join(lines))
