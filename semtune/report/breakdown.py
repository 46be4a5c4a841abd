"""The error of scorers under different conditions: specimen, magnification, control parameters, defocus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from semtune.report.drawing import CLASSICAL, GREY, NETWORK, Missing, Plot, caption, say_doubts
from semtune.report.material import Condition
from semtune.report.table import ComparisonTable, key
from semtune.results import Predictions, Result, bootstrap_interval, resampled_rmse, rmse

_NAME = "conditions", "Error by condition"
_KINDS = 6  # different numbers of a condition up to which each is shown on its own
_BINS = 5
_FEWEST = 5  # frames of which an RMSE is shown


def error_by_condition(table: ComparisonTable) -> Plot | Missing:
    """RMSE of the best network and of the best classical row, a panel a condition."""
    candidates = (table.best_network, table.best_classical)
    rows = [row for row in candidates if row is not None and key(row) in table.predictions]
    if not rows:
        return Missing(*_NAME, "no predictions of test frames are at hand")
    frames = table.predictions[key(rows[0])].frames
    conditions = {name: each for name, each in table.material.conditions.items() if len({*each.values()}) > 1}
    panels = {name: parts for name, each in conditions.items() if len(parts := groups(each, frames)) > 1}
    if not panels:
        return Missing(*_NAME, "nothing is known of the test frames that differs among them")
    columns = min(3, len(panels))
    lines = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(2.75 * columns, 2.5 * lines + 0.5), layout="constrained")
    grid = np.ravel(figure.subplots(lines, columns, sharey=True, squeeze=False))
    for axes in grid[len(panels) :]:
        axes.axis("off")
    for axes, (name, parts) in zip(grid, panels.items(), strict=False):
        _panel(axes, table, rows, name, parts)
    grid[0].set_ylim(bottom=0)
    figure.supylabel("test RMSE, score points", fontsize=9)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8.5)
    say_doubts(figure, table)
    text = (
        "RMSE of the test frames by what is known of them, with 95 % cluster-bootstrap intervals over fields "
        "(none where all frames are of one field). Numbers are cut into fifths of the frames, with the "
        "lowest and the highest of each below it. Grey: how many frames."
    )
    alt = f"Panels of RMSE by {', '.join(panels)}. " + " ".join(
        _extremes(table, rows[0], name, parts) for name, parts in panels.items()
    )
    return Plot(*_NAME, caption(table, text), alt, figure)


def absent_conditions(table: ComparisonTable) -> list[Missing]:
    """The usual conditions of which the dataset says nothing."""
    usual = ("magnification", "specimen", "brightness", "defocus_um")
    known = {name for name, each in table.material.conditions.items() if each}
    reason = "the dataset does not say it of its frames"
    return [
        Missing(name, f"Error by {name.removesuffix('_um')}", reason) for name in usual if name not in known
    ]


def groups(condition: Condition, frames: Sequence[str]) -> list[tuple[str, NDArray[np.int64]]]:
    """Parts of the frames under like conditions.

    Args:
        condition: Values by frame.
        frames: Names of the frames.

    Returns:
        Label and rows of each part: one a value where there are few or they are words, else fifths by size.
        Parts of less than five frames are left out.
    """
    known = [(row, condition[name]) for row, name in enumerate(frames) if name in condition]
    values = {value for _, value in known}
    if len(values) <= _KINDS or not all(isinstance(value, int | float) for value in values):
        found = [
            (_label(value), [row for row, own in known if own == value])
            for value in sorted(values, key=lambda value: (str(type(value)), value))
        ]
    else:
        ordered = sorted(known, key=lambda pair: (float(pair[1]), pair[0]))
        found = [
            (f"{_label(part[0][1])}\nto {_label(part[-1][1])}", [row for row, _ in part])
            for part in _fifths(ordered)
        ]
    return [(label, np.array(rows)) for label, rows in found if len(rows) >= _FEWEST]


def _fifths(ordered: Sequence[tuple[int, float | str]]) -> Iterator[Sequence[tuple[int, float | str]]]:
    edges = np.linspace(0, len(ordered), _BINS + 1).round().astype(int).tolist()
    return (ordered[low:high] for low, high in pairwise(edges) if high > low)


def _panel(
    axes: Axes,
    table: ComparisonTable,
    rows: Sequence[Result],
    name: str,
    parts: Sequence[tuple[str, NDArray[np.int64]]],
) -> None:
    for place, row in enumerate(rows):
        figures = [_measured(table.predictions[key(row)], of) for _, of in parts]
        middle, low, high = np.array(figures).T
        x = np.arange(len(parts)) + (0.16 * place - 0.08 * (len(rows) - 1))
        network = row.kind == "network"
        axes.errorbar(
            x, middle, (middle - low, high - middle), fmt="o" if network else "s", markersize=4.5,
            color=NETWORK if network else CLASSICAL, linewidth=1.1, label=row.name,
        )  # fmt: skip
    axes.set_xticks(np.arange(len(parts)), [label for label, _ in parts], fontsize=6.8)
    axes.set_xlim(-0.5, len(parts) - 0.5)
    axes.set_title(name.replace("_um", ", µm").replace("_", " "))
    for place, (_, of) in enumerate(parts):
        axes.annotate(
            f"{len(of)}", (place, 0), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", fontsize=7, color=GREY,
        )  # fmt: skip


def _measured(predictions: Predictions, rows: NDArray[np.int64]) -> tuple[float, float, float]:
    """RMSE of some frames with its interval; without one where they are of a single field."""
    fields = tuple(predictions.fields[row] for row in rows)
    part = Predictions(
        tuple(predictions.frames[row] for row in rows),
        fields,
        predictions.reference_score[rows],
        predictions.predicted_score[rows],
    )
    middle = rmse(part.predicted_score, part.reference_score)
    if len(set(fields)) < 2:
        return middle, middle, middle
    low, high = bootstrap_interval(resampled_rmse(part))
    return middle, min(low, middle), max(high, middle)


def _extremes(
    table: ComparisonTable, row: Result, name: str, parts: Sequence[tuple[str, NDArray[np.int64]]]
) -> str:
    predictions = table.predictions[key(row)]
    measured = {label.replace("\n", " "): _measured(predictions, of)[0] for label, of in parts}
    best, worst = (pick(measured, key=lambda label: measured[label]) for pick in (min, max))
    return f"{row.name} by {name}: from {measured[best]:.2f} ({best}) to {measured[worst]:.2f} ({worst})."


def _label(value: float | str) -> str:
    if isinstance(value, str):
        return value.replace("_", "\n")
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"
