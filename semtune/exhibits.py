"""What a report shows of a search, gathered from its folder and from its dataset; and its files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from semtune.dataset.conditions import read_conditions
from semtune.dataset.frames import holds_frames, open_frames
from semtune.errors import SearchError
from semtune.files import write_asked
from semtune.journal import SearchRecord
from semtune.planning import SearchPlan
from semtune.predictions import read_predictions
from semtune.report import TABLE_WRITERS, ComparisonTable, DatasetFacts
from semtune.report.material import Condition, ForeignFigure, Material
from semtune.results import Predictions
from semtune.training.samples import SampleTable
from semtune.workspace import PREDICTIONS, SearchFolder

_LOG = logging.getLogger("semtune")


def facts_of(plan: SearchPlan, samples: SampleTable) -> DatasetFacts:
    """What a report says of the data of a search."""
    return DatasetFacts(
        digest=plan.dataset_digest,
        origin=plan.dataset_origin,
        frames=plan.frames,
        fields=plan.fields,
        split=plan.split,
        seed=plan.split_seed,
        score_range=plan.score_range,
        name=plan.dataset_name,
        rater_noise=plan.rater_noise,
        frames_by_part={part: len(getattr(samples, part)) for part in plan.split},
        split_kind=plan.split_kind,
        near_copies=plan.near_copies,
    )


def material_of(folder: SearchFolder, plan: SearchPlan, samples: SampleTable) -> Material:
    """Gather what the figures of a search show; what is gone is left out."""
    rows = {str(samples.frames[row]): int(row) for row in samples.test}
    cache = Path(samples.cache_folder)
    frame = None
    if holds_frames(cache, samples.digest):
        store = open_frames(cache, samples.digest)
        frame = lambda name: store.frame(rows[name])  # noqa: E731 - nothing else holds the frames
    return Material(plan.space(), _conditions(plan, samples, rows), frame, _foreign(folder))


def predictions_of(folder: SearchFolder, record: SearchRecord) -> dict[str, Predictions]:
    """Predictions of the test frames that are at hand, by trial or baseline."""
    files = {name: folder.baselines / f"{name}.csv" for name in record.baselines}
    files |= {
        name: folder.trials / name / PREDICTIONS for name, trial in record.trials.items() if trial.tested
    }
    return {name: read_predictions(file) for name, file in files.items() if file.exists()}


def write_report(
    table: ComparisonTable, files: Sequence[Path], figures: Path | None, kept: Path
) -> list[Path]:
    """Write a comparison table to files, the suffix of each picks its format, and its figures to a folder.

    Args:
        table: Of a search.
        files: To write.
        figures: Folder for the figures, if they are asked for.
        kept: Folder of the search where a page and figures are left too, for MLflow.

    Returns:
        The files that were asked for.
    """
    texts = {path: report_as(table, path.suffix.lower()) for path in files}
    for path, text in texts.items():
        write_asked(path, text.encode())
    drawn: list[Path] = []
    if figures is not None:
        from semtune.report.figures import write_figures  # matplotlib takes a second, which others are spared

        drawn = write_figures(table, figures)
    try:
        _keep(texts, drawn, kept)
    except SearchError as error:  # a workspace that can only be read
        _LOG.warning("MLflow will not show the report: %s", error)
    return [*texts, *drawn]


def _keep(texts: Mapping[Path, str], drawn: Sequence[Path], kept: Path) -> None:
    for figure in drawn:
        if figure.suffix == ".png":  # what MLflow's page shows
            write_asked(kept / "figures" / figure.name, figure.read_bytes())
    for path, text in texts.items():
        if path.suffix.lower() == ".html":
            write_asked(kept / "report.html", text.encode())


def report_as(table: ComparisonTable, suffix: str) -> str:
    """Turn a comparison table into text of a format."""
    return TABLE_WRITERS[suffix].write(table)


def _conditions(plan: SearchPlan, samples: SampleTable, rows: Mapping[str, int]) -> dict[str, Condition]:
    """Of the test frames: what the dataset's folder says, if it is still there, and control parameters."""
    found: dict[str, Condition] = {
        name: {image: value for image, value in each.items() if image in rows}
        for name, each in read_conditions(Path(plan.dataset_folder)).items()
    }
    for column, name in enumerate(samples.control_parameters.tolist()):
        values = {image: float(samples.controls[row, column]) for image, row in rows.items()}
        found[name] = {image: value for image, value in values.items() if np.isfinite(value)}
    return found


def _foreign(folder: SearchFolder) -> tuple[ForeignFigure, ...]:
    figure, caption = folder.focus_figure, folder.focus_figure.with_suffix(".txt")
    if not (figure.exists() and caption.exists()):
        return ()
    return (ForeignFigure("focus", caption.read_text("utf-8"), "image/svg+xml", figure.read_bytes()),)
