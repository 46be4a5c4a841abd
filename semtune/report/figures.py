"""The figures of a report: matplotlib figures without a window, as SVG or PNG.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; shapes and labels say
the same once more. A figure of simulated scores says so in its title, so that it stays said when copied.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from semtune.report.table import CEILING, ComparisonTable, key
from semtune.report.text import points
from semtune.results import Result, Scores

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_CLASSICAL_COLOUR, _GREY = "#5A5A5A", "#8C8C8C"
_MANY = 3000
"""More points or lines than this become pixels within the SVG, which would grow unwieldy."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "semtune",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#444444",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Plot:
    """A figure with what a reader is told about it."""

    name: str
    """For file names and identifiers."""
    caption: str
    figure: Figure


def plots(table: ComparisonTable) -> list[Plot]:
    """Draw every figure for which the table has data."""
    with mpl.rc_context(_STYLE):
        drawn = (_predicted_against_reference(table), _rmse_against_time(table), _learning_curves(table))
    return [plot for plot in drawn if plot is not None]


def as_svg(plot: Plot) -> str:
    """The figure as an SVG element to stand within a page; equal figures give equal text.

    Identifiers get the plot's name, because those of several figures of a page would collide.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context(_STYLE):
        plot.figure.savefig(file, format="svg", metadata=nothing, bbox_inches="tight")
    whole = file.getvalue()
    element = whole[whole.index("<svg") :]
    for reference in ('id="', "url(#", 'href="#'):
        element = element.replace(reference, f"{reference}{plot.name}-")
    return element.rstrip("\n")


def as_png(plot: Plot, dots_per_inch: int = 150) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    with mpl.rc_context(_STYLE):
        plot.figure.savefig(file, format="png", dpi=dots_per_inch, bbox_inches="tight")
    return file.getvalue()


def _predicted_against_reference(table: ComparisonTable) -> Plot | None:
    """Scatter of the best network and of the best classical row, on equal axes."""
    candidates = (table.best_network, table.best_classical)
    rows = [row for row in candidates if row is not None and key(row) in table.predictions]
    if not rows:
        return None
    figure = Figure(figsize=(3.5 * len(rows), 3.6), layout="constrained")
    for axes, row in zip(np.ravel(figure.subplots(1, len(rows), sharey=True)), rows, strict=True):
        _scatter(axes, table, row)
    figure.supxlabel("reference score", fontsize=9)
    figure.supylabel("predicted score", fontsize=9)
    _say_simulated(figure, table)
    shown = " and ".join(row.name for row in rows)
    return Plot(
        "scatter", _caption(table, f"Predicted against reference score of test frames: {shown}."), figure
    )


def _scatter(axes: Axes, table: ComparisonTable, row: Result) -> None:
    predictions = table.predictions[key(row)]
    colour = _COLOURS[0] if row.kind == "network" else _CLASSICAL_COLOUR
    many = len(predictions.frames) > _MANY
    low, high = table.dataset.score_range
    axes.plot((low, high), (low, high), color=_GREY, linewidth=0.8, zorder=0)
    axes.plot(
        predictions.reference_score, predictions.predicted_score, "o", color=colour, markersize=3.2,
        markeredgewidth=0, alpha=0.45, rasterized=many,
    )  # fmt: skip
    margin = 0.03 * (high - low)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    axes.set_title(f"{row.name}, RMSE {points(row.test_rmse)}")


def _rmse_against_time(table: ComparisonTable) -> Plot | None:
    """RMSE with its interval over milliseconds per image; lower and further left is better."""
    rows = [row for row in table.rows if math.isfinite(row.test_rmse + row.milliseconds_per_image)]
    if not rows:
        return None
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        _timed_point(axes, row)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="milliseconds per image (batch 1)", ylabel="test RMSE, score points")
    axes.set_ylim(bottom=0)
    _label_beside(axes, rows)
    for name, style in (("constant", "--"), (CEILING, ":")):
        _level(axes, table, name, style)
    _say_simulated(figure, table)
    text = (
        "Test RMSE with its 95 % interval against the time per image; circles: networks, squares: classical."
    )
    return Plot("time", _caption(table, text), figure)


def _timed_point(axes: Axes, row: Result) -> None:
    network = row.kind == "network"
    colour = _COLOURS[0] if network else _CLASSICAL_COLOUR
    x = row.milliseconds_per_image
    if math.isfinite(row.test_rmse_low + row.test_rmse_high):
        axes.plot((x, x), (row.test_rmse_low, row.test_rmse_high), color=colour, linewidth=1, alpha=0.6)
    axes.plot(x, row.test_rmse, "o" if network else "s", color=colour, markersize=5.5)


def _label_beside(axes: Axes, rows: Sequence[Result]) -> None:
    """Names in a column on the right, in the order of the RMSE, so that none covers another."""
    bottom, top = axes.get_ylim()
    rows = sorted(rows, key=lambda row: row.test_rmse)
    heights = _spread([row.test_rmse for row in rows], 0.052 * (top - bottom))
    for row, height in zip(rows, heights, strict=True):
        axes.annotate(
            row.name, (row.milliseconds_per_image, row.test_rmse), (1.03, (height - bottom) / (top - bottom)),
            textcoords="axes fraction", va="center", fontsize=8, color="#222222", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#C8C8C8", "linewidth": 0.6, "shrinkB": 4, "shrinkA": 1},
            zorder=0,
        )  # fmt: skip


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Rising values, moved as little upwards and downwards as keeps neighbours `gap` apart."""
    steps = gap * np.arange(len(values))
    shifted = np.asarray(values) - steps
    # The middle of the two one-sided answers keeps a crowd of labels centred on its points.
    upwards, downwards = np.maximum.accumulate(shifted), np.minimum.accumulate(shifted[::-1])[::-1]
    return list((upwards + downwards) / 2 + steps)


def _level(axes: Axes, table: ComparisonTable, name: str, style: str) -> None:
    for row in table.rows:
        if row.name == name and math.isfinite(row.test_rmse):
            axes.axhline(row.test_rmse, color=_GREY, linestyle=style, linewidth=0.9, zorder=0)
            axes.annotate(
                name, (0.42, row.test_rmse), (0, 2), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=8, color=_GREY,
            )  # fmt: skip


def _learning_curves(table: ComparisonTable) -> Plot | None:
    """Validation RMSE of every trial over its epochs, coloured by architecture; shown trials are thick."""
    curves = [(trial, np.array([epoch.validation_rmse for epoch in trial.epochs])) for trial in table.trials]
    finite = np.concatenate([np.empty(0), *(curve[np.isfinite(curve)] for _, curve in curves)])
    if not finite.size:
        return None
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    shown = {row.trial for row in table.networks}
    many = len(curves) > _MANY / 10
    colours = _by_architecture(table)
    for architecture, colour in colours.items():
        own = [(trial, curve) for trial, curve in curves if trial.architecture == architecture]
        thin = [_vertices(curve) for trial, curve in own if trial.name not in shown]
        thick = [_vertices(curve) for trial, curve in own if trial.name in shown]
        axes.add_collection(LineCollection(thin, colors=colour, linewidths=0.8, alpha=0.5, rasterized=many))
        axes.add_collection(LineCollection(thick, colors=colour, linewidths=2.2))
    longest = max(len(curve) for _, curve in curves)
    axes.set_xlim(1, max(2, longest))
    # A diverging trial must not press all others flat.
    axes.set_ylim(0, min(float(finite.max()), 1.5 * float(np.quantile(finite, 0.95))) * 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="validation RMSE, score points")
    handles = [Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8)
    _say_simulated(figure, table)
    text = "Validation RMSE of every trial over its epochs; the thick lines are the trials of the table."
    return Plot("learning", _caption(table, text), figure)


def _by_architecture(table: ComparisonTable) -> dict[str, str]:
    return {row.name: _COLOURS[place % len(_COLOURS)] for place, row in enumerate(table.networks)}


def _vertices(curve: Scores) -> Scores:
    """Epoch and RMSE of each epoch, shape (epochs, 2); a single epoch becomes a short dash."""
    epochs = np.arange(1.0, len(curve) + 1)
    if len(curve) == 1:
        epochs, curve = np.array([1.0, 1.15]), np.repeat(curve, 2)
    return np.column_stack([epochs, curve])


def _say_simulated(figure: Figure, table: ComparisonTable) -> None:
    if table.simulated:
        figure.suptitle("simulated frames and scores", fontsize=8, color="#9A3B00", x=0.005, ha="left")


def _caption(table: ComparisonTable, text: str) -> str:
    return f"{text} Frames and scores are simulated." if table.simulated else text
