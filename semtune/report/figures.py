"""The figures of a report: which there are, which cannot be drawn, and their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from semtune.files import write_asked
from semtune.report.accuracy import predicted_against_reference, rmse_against_time
from semtune.report.breakdown import absent_conditions, error_by_condition
from semtune.report.drawing import FORMATS, Missing, Plot, as_file, styled
from semtune.report.gallery import scored_frames
from semtune.report.table import ComparisonTable
from semtune.report.trials import importance_of_hyperparameters, learning_curves, parallel_coordinates

_FIGURES: tuple[Callable[[ComparisonTable], Plot | Missing], ...] = (
    predicted_against_reference,
    scored_frames,
    rmse_against_time,
    error_by_condition,
    learning_curves,
    importance_of_hyperparameters,
    parallel_coordinates,
)


def plots(table: ComparisonTable) -> tuple[list[Plot], list[Missing]]:
    """Draw every figure for which there is material; say of the others why not."""
    with styled():
        drawn = [draw(table) for draw in _FIGURES]
    missing = [each for each in drawn if isinstance(each, Missing)]
    return [each for each in drawn if isinstance(each, Plot)], [*missing, *absent_conditions(table)]


def write_figures(table: ComparisonTable, folder: Path) -> list[Path]:
    """Write each figure as SVG, PDF and PNG, with its caption as text; returns the files."""
    files = {}
    for plot in plots(table)[0]:
        files[folder / f"{plot.name}.txt"] = f"{plot.title}. {plot.caption}\n".encode()
        files |= {folder / f"{plot.name}.{suffix}": as_file(plot, suffix) for suffix in FORMATS}
    for path, content in files.items():
        write_asked(path, content)
    return list(files)
