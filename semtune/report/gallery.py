"""The paper's Figure 2 anew: distorted frames with the scores of the specialist and of two scorers."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semtune.images import Frame
from semtune.report.drawing import CLASSICAL, INK, NETWORK, Missing, Plot, caption, say_doubts
from semtune.report.table import ComparisonTable, key
from semtune.results import Predictions, Result, best

_NAME = "gallery", "Frames with the scores of specialist, autofocus function and network"
_COLUMNS, _ROWS = 5, 2
_COLOURS = (INK, CLASSICAL, NETWORK)
_VARIANT = re.compile(r"[\d_]+$")
"""What tells specimens of one kind apart."""
_SHARE = 0.5  # of height and width that is shown: pixels stay pixels, so noise and blur stay visible


def scored_frames(table: ComparisonTable) -> Plot | Missing:
    """Frames of the fields with the widest range of scores, from the worst to the best."""
    functions = [row for row in table.rows if row.kind == "autofocus" and key(row) in table.predictions]
    network, frame = table.best_network, table.material.frame
    if network is None or key(network) not in table.predictions or not functions:
        return Missing(*_NAME, "no network or no autofocus function has met the test frames")
    if frame is None:
        return Missing(*_NAME, "the decoded frames are not at hand")
    scorers = best(functions, "test_rmse"), network
    chosen = _choose(table, table.predictions[key(network)])
    figure = Figure(figsize=(8.2, 1.72 * len(chosen) + 0.5), layout="constrained")
    grid = figure.subplots(len(chosen), _COLUMNS, squeeze=False)
    for axes_row, (label, rows) in zip(grid, chosen, strict=True):
        axes_row[0].set_title(label, fontsize=8.5)
        for axes, row in zip(axes_row, [*rows, *[None] * (_COLUMNS - len(rows))], strict=True):
            axes.axis("off")
            if row is not None:
                _show(axes, table, scorers, row, frame)
    names = ("specialist", *(each.name for each in scorers))
    for place, (letter, name, colour) in enumerate(zip("SAN", names, _COLOURS, strict=True)):
        figure.text(0.35 + 0.22 * place, 0.985, f"{letter} {name}", color=colour, fontsize=9, va="top")
    say_doubts(figure, table)
    text = (
        "The paper's Figure 2 on this search's own test frames: a field a row, from the lowest to the "
        f"highest score of the specialist (S), with those of {scorers[0].name} (A), the autofocus function "
        f"of the lowest test RMSE, and of {network.name} (N). The middle of each frame is shown, half its "
        "height and half its width, pixel by pixel."
    )
    alt = f"{len(chosen)} rows of frames. {_told(table, scorers, chosen)}"
    return Plot(*_NAME, caption(table, text), alt, figure)


def _choose(table: ComparisonTable, predictions: Predictions) -> list[tuple[str, list[int]]]:
    """The fields with the widest ranges of reference scores, of different kinds of specimen if there are.

    Returns:
        Label of each field, and the rows of its frames from the lowest to the highest score.
    """
    specimens = table.material.conditions.get("specimen", {})
    reference, fields = predictions.reference_score, np.array(predictions.fields)
    names = dict(zip(predictions.fields, predictions.frames, strict=True))
    specimen = {field: str(specimens.get(frame, "")) for field, frame in names.items()}
    ranked = sorted(sorted(names), key=lambda field: -float(np.ptp(reference[fields == field])))
    first = {_VARIANT.sub("", specimen[field]): field for field in reversed(ranked)}
    chosen = [field for field in ranked if field in first.values()][:_ROWS]
    chosen += [field for field in ranked if field not in chosen][: _ROWS - len(chosen)]
    return [
        (f"{field} {specimen[field].replace('_', ' ')}".strip(), _evenly(reference, fields == field))
        for field in chosen
    ]


def _evenly(reference: np.ndarray, of_field: np.ndarray) -> list[int]:
    """Rows of a field, evenly from the lowest to the highest score."""
    rows = np.flatnonzero(of_field)
    ordered = rows[np.argsort(reference[rows], kind="stable")]
    places = np.linspace(0, len(ordered) - 1, min(_COLUMNS, len(ordered))).round().astype(int)
    return list(ordered[places].tolist())


def _show(
    axes: Axes,
    table: ComparisonTable,
    scorers: tuple[Result, Result],
    row: int,
    frame: Callable[[str], Frame],
) -> None:
    function, network = (table.predictions[key(each)] for each in scorers)
    axes.imshow(_middle(frame(network.frames[row])), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    scores = network.reference_score[row], function.predicted_score[row], network.predicted_score[row]
    for place, letter, score, colour in zip((0.17, 0.5, 0.83), "SAN", scores, _COLOURS, strict=True):
        axes.text(
            place, -0.05, f"{letter} {score:.1f}", transform=axes.transAxes, ha="center", va="top",
            fontsize=9, color=colour, weight="bold" if letter == "S" else "normal",
        )  # fmt: skip


def _middle(frame: Frame) -> Frame:
    height, width = frame.shape
    rows, columns = int(height * _SHARE), int(width * _SHARE)
    top, left = (height - rows) // 2, (width - columns) // 2
    return frame[top : top + rows, left : left + columns]


def _told(table: ComparisonTable, scorers: tuple[Result, Result], chosen: list[tuple[str, list[int]]]) -> str:
    """The scores, frame by frame, for those who do not see them."""
    function, network = (table.predictions[key(each)] for each in scorers)
    return " ".join(
        f"{label}: "
        + ", ".join(
            f"specialist {network.reference_score[row]:.1f}, {scorers[0].name} "
            f"{function.predicted_score[row]:.1f}, {scorers[1].name} {network.predicted_score[row]:.1f}"
            for row in rows
        )
        + "."
        for label, rows in chosen
    )
