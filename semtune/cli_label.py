"""Commands on a laboratory's own frames, before any search: `label` and `show`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from semtune.cli_options import HERE, JsonOption, UriOption, WorkspaceOption, examples, need_extra, show
from semtune.errors import ConfigError
from semtune.workspace import workspace_at

app = typer.Typer()


@app.command(epilog=examples("semtune label frames --rater anna"))
def label(
    frames: Annotated[Path, typer.Argument(help="Folder of image files.")],
    rater: Annotated[str, typer.Option(help="Your name; by default the page asks.")] = "",
    score_range: Annotated[tuple[float, float], typer.Option(help="Lowest and highest score.")] = (0.0, 10.0),
    repeats: Annotated[float, typer.Option(min=0, max=0.5, help="Share of frames shown twice.")] = 0.05,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores.csv and ratings.csv; by default FRAMES.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Score frames on a page of this machine: writes scores.csv for `semtune import`; Ctrl-C ends it."""
    need_extra("label", "starlette", "uvicorn")
    from semtune.labelling.book import open_book
    from semtune.labelling.server import serve_page
    from semtune.labelling.session import Labelling, list_images

    low, high = score_range
    if not low < high:
        raise ConfigError(f"--score-range: `low < high` must hold, but got {low:g} {high:g}")
    images, others = list_images(frames)
    folder = out or frames

    def opened(address: str) -> None:
        facts = {"address": address, "frames": len(images), "left_out": list(others), "folder": str(folder)}
        lines = [f"{len(images)} frames; open {address}", "Ctrl-C ends it; every score is saved at once"]
        lines += [f"left out: {each!r} has no usable name, or links out of the folder" for each in others]
        show(facts, as_json, "\n".join(lines))
        if browser:
            typer.launch(address)

    with open_book(folder, images, (low, high)) as book:
        labelling = Labelling(frames, images, book, (low, high), repeats)
        if rater:
            labelling.state(rater)
        serve_page(labelling, port, rater, opened)
        scored = len({each.image for each in book.ratings} & set(images))
    facts = {"scored": scored, "frames": len(images), "scores": str(folder / "scores.csv")}
    wider = () if score_range == (0.0, 10.0) else ("--score-range", f"{low:g}", f"{high:g}")
    words = ("semtune", "import", str(frames), "DATASET", "--scores", str(folder / "scores.csv"), *wider)
    nexts = f"{shlex.join(words)}\nadd --field PATTERN where several frames show one place"
    show(facts, as_json, f"{scored} of {len(images)} frames have a score; next:\n{nexts}")


@app.command("show", epilog=examples("semtune show frame.tif"))
def show_(
    frames: Annotated[list[Path], typer.Argument(help="Image files and folders.")],
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = HERE,
) -> None:
    """Show what is read of frames: metadata with units, data bar, focus values, the champion's score."""
    from semtune.images.listing import image_files
    from semtune.showing import as_facts, facts_of_frames, in_words

    found = list(facts_of_frames(workspace_at(workspace), image_files(frames), tracking_uri))
    show([as_facts(each) for each in found], as_json, "\n\n".join(in_words(each) for each in found))
