"""Figures of how well scores are met, and of what that costs in time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semtune.report.drawing import (
    CLASSICAL,
    GREY,
    INK,
    MANY,
    NETWORK,
    PALE,
    Missing,
    Plot,
    caption,
    say_doubts,
)
from semtune.report.table import CEILING, ComparisonTable, key
from semtune.report.text import interval, milliseconds, points
from semtune.results import Predictions, Result, Scores

_SCATTER = "scatter", "Predicted against reference score"
_TIME = "time", "RMSE against time"


def predicted_against_reference(table: ComparisonTable) -> Plot | Missing:
    """Scatter of the best network and of the best classical row, with the band of their predictions."""
    candidates = (table.best_network, table.best_classical)
    rows = [row for row in candidates if row is not None and key(row) in table.predictions]
    if not rows:
        return Missing(*_SCATTER, "no predictions of test frames are at hand")
    figure = Figure(figsize=(3.6 * len(rows), 3.8), layout="constrained")
    for axes, row in zip(np.ravel(figure.subplots(1, len(rows), sharey=True)), rows, strict=True):
        _scatter(axes, table, row)
    figure.supxlabel("reference score", fontsize=9)
    figure.supylabel("predicted score", fontsize=9)
    say_doubts(figure, table)
    shown = " and ".join(row.name for row in rows)
    text = (
        f"Predicted against reference score of the test frames: {shown}. Line: mean of the predictions about "
        "a reference score; band: 1.96 standard deviations to each side (about 95 % of the frames); both "
        "smoothed over a twentieth of the score range. Diagonal: perfect answers."
    )
    alt = "Scatter plots. " + " ".join(
        f"{row.name}: RMSE {points(row.test_rmse)} (95 % interval {interval(row)})." for row in rows
    )
    return Plot(*_SCATTER, caption(table, text), alt, figure)


def error_band(predictions: Predictions, at: Scores, width: float) -> tuple[Scores, Scores]:
    """Mean and standard deviation of the predicted scores about given reference scores.

    Args:
        predictions: Of n frames.
        at: Reference scores, shape (m,).
        width: Standard deviation of the Gaussian by which frames count, score points.

    Returns:
        Two arrays of shape (m,), score points.
    """
    distance = (at[:, None] - predictions.reference_score[None]) / width
    weights = np.exp(-0.5 * distance**2) + 1e-12
    weights /= weights.sum(1, keepdims=True)
    mean = weights @ predictions.predicted_score
    variance = weights @ predictions.predicted_score**2 - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def _scatter(axes: Axes, table: ComparisonTable, row: Result) -> None:
    predictions = table.predictions[key(row)]
    colour = NETWORK if row.kind == "network" else CLASSICAL
    low, high = table.dataset.score_range
    reference = predictions.reference_score
    grid = np.linspace(reference.min(), reference.max(), 100)
    mean, deviation = error_band(predictions, grid, (high - low) / 20)
    axes.plot((low, high), (low, high), color=GREY, linewidth=0.8, zorder=0)
    axes.fill_between(
        grid, np.clip(mean - 1.96 * deviation, low, high), np.clip(mean + 1.96 * deviation, low, high),
        color=colour, alpha=0.14, linewidth=0, zorder=0,
    )  # fmt: skip
    axes.plot(
        reference, predictions.predicted_score, "o" if row.kind == "network" else "s", color=colour,
        markersize=3.0, markeredgewidth=0, alpha=0.5, rasterized=len(predictions.frames) > MANY,
    )  # fmt: skip
    axes.plot(grid, mean, color=colour, linewidth=1.6)
    margin = 0.03 * (high - low)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    axes.set_title(f"{row.name}\nRMSE {points(row.test_rmse)} ({interval(row)})")


def rmse_against_time(table: ComparisonTable) -> Plot | Missing:
    """RMSE with its interval over milliseconds per image; lower and further left is better."""
    rows = [row for row in table.rows if math.isfinite(row.test_rmse + row.milliseconds_per_image)]
    if not rows:
        return Missing(*_TIME, "nothing has been timed yet")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        _timed_point(axes, row)
    axes.set_xscale("log")
    axes.margins(x=0.08)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="milliseconds per image (batch 1)", ylabel="test RMSE, score points")
    axes.set_ylim(bottom=0)
    front = pareto_front(rows)
    _step(axes, front)
    _label_beside(axes, rows, front)
    for name, style in (("constant", "--"), (CEILING, ":")):
        _level(axes, table, name, style)
    say_doubts(figure, table)
    text = (
        "Test RMSE with its 95 % interval against the time per image, by one ruler for all (from grey levels "
        "in memory to the score). Circles: networks; squares: classical. The stepped line is the Pareto "
        "front: nothing is both faster and closer than the scorers on it, whose names are bold."
    )
    listed = ", ".join(
        f"{row.name} {milliseconds(row.milliseconds_per_image)} ms, RMSE {points(row.test_rmse)}"
        for row in front
    )
    return Plot(*_TIME, caption(table, text), f"On the Pareto front, from the fastest: {listed}.", figure)


def pareto_front(rows: Sequence[Result]) -> list[Result]:
    """Rows that no other row beats in both time and test RMSE, from the fastest to the closest."""
    front: list[Result] = []
    for row in sorted(rows, key=lambda row: (row.milliseconds_per_image, row.test_rmse)):
        if not front or row.test_rmse < front[-1].test_rmse:
            front.append(row)
    return front


def _step(axes: Axes, front: Sequence[Result]) -> None:
    times = [row.milliseconds_per_image for row in front]
    errors = [row.test_rmse for row in front]
    right = axes.get_xlim()[1]
    axes.step(
        [*times, right], [*errors, errors[-1]], where="post", color=INK, linewidth=1, alpha=0.55, zorder=0
    )
    axes.set_xlim(right=right)


def _timed_point(axes: Axes, row: Result) -> None:
    network = row.kind == "network"
    colour = NETWORK if network else CLASSICAL
    x = row.milliseconds_per_image
    if math.isfinite(row.test_rmse_low + row.test_rmse_high):
        axes.plot((x, x), (row.test_rmse_low, row.test_rmse_high), color=colour, linewidth=1, alpha=0.6)
    axes.plot(x, row.test_rmse, "o" if network else "s", color=colour, markersize=5.5)


def _label_beside(axes: Axes, rows: Sequence[Result], front: Sequence[Result]) -> None:
    """Names in a column on the right, in the order of the RMSE, so that none covers another."""
    bottom, top = axes.get_ylim()
    rows = sorted(rows, key=lambda row: row.test_rmse)
    gap = 0.052 * (top - bottom)
    heights = np.minimum(
        _spread([row.test_rmse for row in rows], gap), top - gap * np.arange(len(rows))[::-1]
    )
    for row, height in zip(rows, heights, strict=True):
        axes.annotate(
            row.name, (row.milliseconds_per_image, row.test_rmse), (1.03, (height - bottom) / (top - bottom)),
            textcoords="axes fraction", va="center", fontsize=8, color=INK, annotation_clip=False,
            weight="bold" if row in front else "normal",
            arrowprops={
                "arrowstyle": "-", "color": PALE, "linewidth": 0.6, "shrinkB": 4, "shrinkA": 1,
                "relpos": (0, 0.5),
            },
            zorder=0,
        )  # fmt: skip


def _spread(values: Sequence[float], gap: float) -> Scores:
    """Rising values, moved as little upwards and downwards as keeps neighbours `gap` apart."""
    steps = gap * np.arange(len(values))
    shifted = np.asarray(values) - steps
    # The middle of the two one-sided answers keeps a crowd of labels centred on its points.
    upwards, downwards = np.maximum.accumulate(shifted), np.minimum.accumulate(shifted[::-1])[::-1]
    return (upwards + downwards) / 2 + steps


def _level(axes: Axes, table: ComparisonTable, name: str, style: str) -> None:
    for row in table.rows:
        if row.name == name and math.isfinite(row.test_rmse):
            axes.axhline(row.test_rmse, color=GREY, linestyle=style, linewidth=0.9, zorder=0)
            axes.annotate(
                name, (0.42, row.test_rmse), (0, 2), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=8, color=GREY,
            )  # fmt: skip
