"""Commands of the champion in use: on this computer and on the microscope's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from semtune.cli_options import (
    HERE,
    JsonOption,
    UriOption,
    WorkspaceOption,
    examples,
    need_extra,
    parse_controls,
    parse_seconds,
    show,
)
from semtune.errors import ConfigError
from semtune.workspace import workspace_at

if TYPE_CHECKING:
    from semtune.scoring import ScoredFrame
    from semtune.watching import Unreadable

app = typer.Typer()
EngineOption = Annotated[str, typer.Option(help="What computes: auto, or an engine by name.")]


@app.command(
    epilog=examples(
        "semtune score new/ --controls brightness=50,contrast=45",
        "semtune score --watch new/ --out scores.csv",
    )
)
def score(
    frames: Annotated[list[Path] | None, typer.Argument(help="Image files and folders.")] = None,
    watch: Annotated[
        Path | None, typer.Option(help="Folder whose frames are scored as they are saved; Ctrl-C ends it.")
    ] = None,
    existing: Annotated[
        bool, typer.Option("--existing", help="With --watch: the frames that are there already, too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="CSV file to which the scores are added.")] = None,
    controls: Annotated[str, typer.Option(help="E.g. brightness=50,contrast=45,focus=0.3.")] = "",
    engine: EngineOption = "auto",
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Score images with the champion; control parameters not given are read from the vendor's metadata."""
    if bool(frames) == bool(watch) or (existing and not watch):
        raise typer.BadParameter("give image files and folders, or --watch FOLDER [--existing]")
    from semtune import deployment

    given, place = parse_controls(controls), workspace_at(workspace)
    if watch:
        _tell_each(deployment.watch(place, watch, given, tracking_uri, engine, existing, out), watch, as_json)
        return
    version, scored = deployment.score(place, frames or [], given, tracking_uri, engine, out)
    facts = [_facts(version, each) for each in scored]
    show(facts, as_json, "\n".join(_line(each) for each in scored))


@app.command(epilog=examples("semtune export scorer.zip"))
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
    from semtune import deployment

    done = deployment.export(workspace_at(workspace), model, out, precision, tracking_uri)
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


@app.command(epilog=examples("semtune serve --port 8000"))
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback want a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0: a free one.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that requests must send.")
    ] = None,
    max_megabytes: Annotated[int, typer.Option(min=1, max=1024, help="Of a request.")] = 32,
    timeout: Annotated[str, typer.Option(help="For a request to arrive, and to be answered.")] = "30s",
    engine: EngineOption = "auto",
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Answer HTTP requests with the champion's scores, on the loopback address; Ctrl-C ends it."""
    need_extra("serve", "fastapi", "uvicorn", "swagger_ui_bundle")
    from semtune import deployment
    from semtune.serving.server import ServerSettings

    settings = ServerSettings(
        host,
        port,
        read_token(token_file),
        max_megabytes * 2**20,
        parse_seconds(timeout, "--timeout") or 30.0,
        engine,
    )

    def opened(address: str) -> None:
        text = f"scores on {address}/score, their description on {address}/docs; Ctrl-C ends it"
        show({"address": address}, as_json, text)
        sys.stdout.flush()

    deployment.serve(workspace_at(workspace), settings, tracking_uri, opened)


def read_token(file: Path | None) -> str | None:
    """The token of a file, or of SEMTUNE_TOKEN; None where neither is given."""
    if file is None:
        return os.environ.get("SEMTUNE_TOKEN") or None
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--token-file {file}: cannot be read ({error})") from None


def _tell_each(scored: Iterable[tuple[int, ScoredFrame | Unreadable]], folder: Path, as_json: bool) -> None:
    """Print each frame as it comes, until Ctrl-C."""
    told = 0
    typer.echo(f"watching {folder}; Ctrl-C ends it", err=True)
    with suppress(KeyboardInterrupt):
        for version, each in scored:
            typer.echo(json.dumps(_facts(version, each)) if as_json else _line(each))
            told += 1
    typer.echo(f"{told} frames", err=True)


def _facts(version: int, told: ScoredFrame | Unreadable) -> dict[str, Any]:
    """A frame for machines: its score, or `refused` and why."""
    from semtune.watching import Unreadable

    if isinstance(told, Unreadable):
        return {"frame": told.frame, "refused": told.reason, "model_version": version}
    return {
        "frame": told.frame, "score": told.score, "model_version": version, "controls": told.controls,
        "missing": list(told.missing), "engine": told.engine,
    }  # fmt: skip


def _line(told: ScoredFrame | Unreadable) -> str:
    from semtune.watching import Unreadable

    if isinstance(told, Unreadable):
        return f"     -  {told.frame}  ({told.reason.removeprefix(f'{told.frame}: ')})"
    missing = f"  (missing: {', '.join(told.missing)})" if told.missing else ""
    return f"{told.score:6.2f}  {told.frame}{missing}"
