"""The champion in use: one function a command that scores, watches, exports or serves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semtune import __version__
from semtune.candidacy import find_weights, load_champion
from semtune.dataset.frames import open_frames
from semtune.errors import DatasetError, SearchError
from semtune.export import Exported, Precision
from semtune.export import export as write_export
from semtune.export.evidence import Model
from semtune.images.listing import image_files
from semtune.planning import ensure_frames, read_plan
from semtune.score_rows import open_rows
from semtune.scoring import ScoredFrame, Scorer, score_files
from semtune.tracking.store import open_store
from semtune.training.checkpoint import read_facts
from semtune.training.samples import read_samples
from semtune.watching import Unreadable, Watch, scored_as_saved
from semtune.workspace import Workspace

if TYPE_CHECKING:
    from semtune.serving.server import ServerSettings

_LOG = logging.getLogger("semtune")


def score(
    workspace: Workspace,
    paths: Sequence[Path],
    controls: Mapping[str, float],
    tracking_uri: str | None,
    engine: str = "auto",
    out: Path | None = None,
) -> tuple[int, list[ScoredFrame]]:
    """Score images with the champion, and add them to a CSV file; returns its version and the scores."""
    files = image_files(paths)
    version, scorer = champion(workspace, tracking_uri)
    rows = open_rows(out, version, scorer.control_parameters) if out else None
    scored = score_files(scorer, files, controls, engine)
    if rows:
        rows.add(scored)
    return version, scored


def watch(
    workspace: Workspace,
    folder: Path,
    controls: Mapping[str, float],
    tracking_uri: str | None,
    engine: str = "auto",
    existing: bool = False,
    out: Path | None = None,
) -> Iterator[tuple[int, ScoredFrame | Unreadable]]:
    """Score the frames of a folder as they are saved, for ever; yields the champion's version with each."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; check the path")
    frames = Watch(folder, existing)  # before the seconds that loading takes
    version, scorer = champion(workspace, tracking_uri)
    rows = open_rows(out, version, scorer.control_parameters) if out else None
    frames.leave_out(rows.known if rows else ())
    for each in scored_as_saved(scorer, frames, controls, engine):
        if rows and isinstance(each, ScoredFrame):
            rows.add([each])
        yield version, each


def serve(
    workspace: Workspace, settings: ServerSettings, tracking_uri: str | None, opened: Callable[[str], None]
) -> None:
    """Answer HTTP with the champion's scores until the process is interrupted."""
    from semtune.serving.server import serve as answer  # what `semtune[serve]` brings comes in here

    version, scorer = champion(workspace, tracking_uri)
    answer(scorer, version, settings, __version__, opened)


def champion(workspace: Workspace, tracking_uri: str | None) -> tuple[int, Scorer]:
    """Load the champion; returns its version and its scorer, and warns if it learnt from simulated scores."""
    version, scorer = load_champion(workspace, open_store(workspace, tracking_uri))
    if scorer.dataset_origin == "simulated":
        _LOG.warning(
            "champion version %d learnt from simulated scores: a starting point, no specialist", version
        )
    return version, scorer


def export(
    workspace: Workspace, asked: str, out: Path, precision: Precision, tracking_uri: str | None
) -> Exported:
    """Export a scorer for a computer without semtune, checked on the test frames of its search."""
    found = find_weights(workspace, asked, lambda: open_store(workspace, tracking_uri))
    folder = workspace.existing(found.search)
    plan = read_plan(folder.plan)
    ensure_frames(plan, workspace.frames)
    samples = read_samples(folder.samples)
    if read_facts(found.path).get("dataset_digest") != samples.digest:
        raise SearchError(
            f"{found.source} was trained in another search {found.search!r} than this workspace's; "
            "export it where it was searched"
        )
    source = f"{found.source} ({found.search}/{found.trial})" if found.version else found.source
    frames = open_frames(workspace.frames, samples.digest)
    model = Model(Scorer.from_weights(found.path).on_host(), source, samples, frames)
    return write_export(model, out, precision, __version__)
