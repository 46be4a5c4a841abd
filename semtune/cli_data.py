"""Commands that make and check datasets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from semtune.cli_options import JsonOption, counted, examples, parse_numbers, show, tell
from semtune.environment import cores
from semtune.errors import ConfigError

app = typer.Typer()


@app.command(epilog=examples("semtune simulate frames --fields 178 --settings 12 --seed 0"))
def simulate(
    folder: Annotated[Path, typer.Argument(help="New folder for the dataset.")],
    fields: Annotated[int, typer.Option(min=1, help="Places on the specimens.")] = 178,
    settings: Annotated[int, typer.Option(min=1, help="Frames of each place.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    profile: Annotated[str, typer.Option(help="Specialist: overall, focus or a YAML file.")] = "overall",
    varied: Annotated[bool, typer.Option("--varied", help="Unlike microscopes and specimens.")] = False,
    disturb: Annotated[str, typer.Option(help="Faults, e.g. drift_px=0.3,charging=0.1.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a dataset of simulated frames, control parameters and scores."""
    from semtune.simulated_dataset import write_simulated_dataset
    from semtune.simulator import Disturbances, Variation

    if varied and disturb:
        raise ConfigError("--varied draws disturbances for each frame; leave out --disturb")
    faults = Disturbances.from_values(parse_numbers(disturb, "--disturb", "drift_px=0.3"))
    with counted("simulating", fields) as on_field:
        frames = write_simulated_dataset(
            folder,
            fields,
            settings,
            seed,
            profile,
            cores(),
            on_field,
            faults,
            Variation() if varied else None,
        )
    facts = {"folder": str(folder), "frames": frames, "fields": fields, "seed": seed}
    tell(facts, as_json, f"{frames} simulated frames of {fields} fields -> {folder}")


@app.command("import", epilog=examples("semtune import raw frames --scores scores.csv --score-range 0 10"))
def import_(
    frames: Annotated[Path, typer.Argument(help="Folder of image files.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the dataset.")],
    scores: Annotated[Path, typer.Option(help="CSV: image, score; specimen, field, control parameters.")],
    score_range: Annotated[tuple[float, float], typer.Option(help="Lowest and highest score.")] = (0.0, 10.0),
    field: Annotated[
        str | None, typer.Option(help="Regular expression that finds the field in an image's path.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a dataset from a laboratory's frames and scores."""
    from semtune.dataset.importing import import_frames

    summary = import_frames(frames, folder, scores, score_range, field_pattern=field)
    done = f"{summary.frames} frames of {summary.fields} fields -> {folder}"
    tell(asdict(summary), as_json, f"{done}\ndata bars cropped: {summary.data_bars_cropped}")
    if not as_json and summary.notes:  # what a user must know is said even if little is wanted
        typer.echo("\n".join(summary.notes))


@app.command(epilog=examples("semtune check frames"))
def check(folder: Annotated[Path, typer.Argument(help="A dataset.")], as_json: JsonOption = False) -> None:
    """Name every fault of a dataset, with file and line; exits 1 if there is one."""
    from semtune.dataset.checks import check as check_dataset
    from semtune.dataset.raters import raters_in_words
    from semtune.dataset.recorded import scales_in_words

    result = check_dataset(folder)
    lines = [f"{fault.severity}: {fault}" for fault in result.faults]
    lines += [*scales_in_words(result.scales), *(raters_in_words(result.raters) if result.raters else ())]
    lines.append(f"{result.frames} frames, {result.fields} fields, digest {result.digest or 'unknown'}")
    show(asdict(result), as_json, "\n".join(lines))
    if not result.is_clean:
        raise typer.Exit(1)
