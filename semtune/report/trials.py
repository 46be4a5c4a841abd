"""Figures of the search itself: learning curves, importance and parallel coordinates of hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from semtune.report.drawing import COLOURS, GREY, INK, MANY, NETWORK, Missing, Plot, caption, say_doubts
from semtune.report.table import ComparisonTable
from semtune.results import Scores
from semtune.search.importance import CHANCE, Importance, importance, ranked, reached, searched
from semtune.search.line import Parameter, Value

_LEARNING = "learning", "Learning curves"
_IMPORTANCE = "importance", "Importance of hyperparameters"
_PARALLEL = "parallel", "Hyperparameters of all trials"


def learning_curves(table: ComparisonTable) -> Plot | Missing:
    """Validation RMSE of every trial over its epochs, coloured by architecture; shown trials are thick."""
    curves = [(trial, np.array([epoch.validation_rmse for epoch in trial.epochs])) for trial in table.trials]
    finite = np.concatenate([np.empty(0), *(curve[np.isfinite(curve)] for _, curve in curves)])
    if not finite.size:
        return Missing(*_LEARNING, "no trial has trained an epoch yet")
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    shown = {row.trial for row in table.networks}
    many = len(curves) > MANY / 10
    colours = {row.name: COLOURS[place % len(COLOURS)] for place, row in enumerate(table.networks)}
    for architecture, colour in colours.items():
        own = [(trial, curve) for trial, curve in curves if trial.architecture == architecture]
        thin = [_vertices(curve) for trial, curve in own if trial.name not in shown]
        thick = [_vertices(curve) for trial, curve in own if trial.name in shown]
        axes.add_collection(LineCollection(thin, colors=colour, linewidths=0.8, alpha=0.5, rasterized=many))
        axes.add_collection(LineCollection(thick, colors=colour, linewidths=2.2))
    longest = max(len(curve) for _, curve in curves)
    axes.set_xlim(0.85, max(2, longest))
    # A diverging trial must not press all others flat.
    axes.set_ylim(0, min(float(finite.max()), 1.5 * float(np.quantile(finite, 0.95))) * 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="validation RMSE, score points")
    handles = [Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8)
    say_doubts(figure, table)
    text = (
        f"Validation RMSE of all {len(curves)} trials over their epochs; the thick lines are the trials of "
        "the table. A line that ends early was stopped by the scheduler, the budget or a failure."
    )
    lowest = min(float(np.nanmin(curve)) for _, curve in curves if np.isfinite(curve).any())
    alt = f"{len(curves)} falling curves over up to {longest} epochs; the lowest reaches {lowest:.3f}."
    return Plot(*_LEARNING, caption(table, text, "validation"), alt, figure)


def importance_of_hyperparameters(table: ComparisonTable) -> Plot | Missing:
    """Share of the differences among trials that each hyperparameter explains, beside a random number's."""
    if table.material.space is None:
        return Missing(*_IMPORTANCE, "the search space is not at hand")
    found = importance(table.material.space, table.trials)
    if isinstance(found, str):
        return Missing(*_IMPORTANCE, found)
    names = sorted(found.shares, key=lambda name: found.shares[name])
    figure = Figure(figsize=(7.2, 0.34 * len(names) + 1.1), layout="constrained")
    axes = figure.subplots()
    shares = np.array([found.shares[name] for name in names])
    spread = np.array([found.spread[name] for name in names])
    colours = [GREY if name == CHANCE else NETWORK for name in names]
    axes.barh(
        names, shares, xerr=spread, color=colours, height=0.62, error_kw={"linewidth": 1, "ecolor": INK}
    )
    axes.axvline(found.shares[CHANCE], color=GREY, linewidth=0.9, linestyle="--", zorder=0)
    axes.set(xlabel="share of the differences in validation RMSE", xlim=(0, None))
    say_doubts(figure, table)
    alt = (
        "Bars, from the most important: " + ", ".join(f"{n} {found.shares[n]:.2f}" for n in names[::-1]) + "."
    )
    return Plot(*_IMPORTANCE, caption(table, _explained(found), "validation"), alt, figure)


def _explained(found: Importance) -> str:
    left = f" Only some trials have {', '.join(found.partial)}: not judged." if found.partial else ""
    return (
        "Importance of hyperparameters by the mean decrease in impurity of a random forest (optuna's), "
        f"{found.trials} trials, each with the RMSE of its last epoch under the scheduler; whiskers: the "
        f"spread over forests. {CHANCE!r} is a random number that no trial knew: what does not stand out of "
        f"it is not shown to matter.{left}"
    )


def parallel_coordinates(table: ComparisonTable) -> Plot | Missing:
    """One line a trial through its hyperparameters to its validation RMSE."""
    space = table.material.space
    lines = searched(space) if space else []
    trials = sorted(ranked(table.trials), key=reached, reverse=True)
    if not lines or len(trials) < 2:
        return Missing(
            *_PARALLEL, f"{len(lines)} hyperparameters are searched, {len(trials)} trials are ranked"
        )
    figure = Figure(figsize=(1.15 * len(lines) + 1.9, 4.0), layout="constrained")
    axes = figure.subplots()
    errors = np.array([reached(trial) for trial in trials])
    heights = [
        _Axis(line).heights([trial.started.hyperparameters.get(line.name) for trial in trials])
        for line in lines
    ]
    low, high = float(errors.min()), max(float(np.quantile(errors, 0.9)), float(errors.min()) + 1e-9)
    heights.append(np.clip((errors - low) / (high - low), 0, 1))
    colours = mpl.colormaps["cividis"](0.92 * heights[-1])
    paths = np.dstack(np.broadcast_arrays(np.arange(len(heights)), np.column_stack(heights)))
    axes.add_collection(
        LineCollection(
            list(paths), colors=colours, linewidths=1.2, alpha=0.85, rasterized=len(trials) > MANY / 10
        )
    )
    axes.plot(*paths[-1].T, color=COLOURS[1], linewidth=2.4, marker="o", markersize=4)
    for place, line in enumerate(lines):
        _scale(axes, place, _Axis(line).ticks())
    _scale(axes, len(lines), [(0, f"{low:.2f}"), (0.5, f"{(low + high) / 2:.2f}"), (1, f"≥ {high:.2f}")])
    names = [*(line.name.replace("_", "\n") for line in lines), "validation\nRMSE"]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set(xlim=(-0.15, len(lines) + 0.6), ylim=(-0.16, 1.06), yticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    say_doubts(figure, table)
    failed = len(table.trials) - len(trials)
    text = (
        f"Hyperparameters of {len(trials)} trials and the validation RMSE of their last epoch under the "
        "scheduler (dark: low; the tenth with the highest share the top). Orange: the best, "
        f"{trials[-1].name}. A line that dips below an axis has no such hyperparameter."
        + (f" {failed} trials failed or trained no epoch and are left out." if failed else "")
    )
    best = ", ".join(
        f"{line.name} {_shown(trials[-1].started.hyperparameters.get(line.name))}" for line in lines
    )
    alt = f"Parallel coordinates of {len(trials)} trials; the best, with RMSE {low:.3f}, has {best}."
    return Plot(*_PARALLEL, caption(table, text, "validation"), alt, figure)


class _Axis:
    """An upright axis of the parallel coordinates: 0 at its bottom, 1 at its top, -0.1 for none."""

    def __init__(self, line: Parameter) -> None:
        self._line = line
        self._choices = list(line.values) if line.distribution == "choice" else []

    def heights(self, values: Sequence[Value]) -> Scores:
        return np.array([self._height(value) for value in values])

    def ticks(self) -> list[tuple[float, str]]:
        low, high = self._line.values[0], self._line.values[-1]
        middle: list[Value] = []
        if not self._choices:
            a, b = float(str(low)), float(str(high))
            middle = [math.sqrt(a * b) if self._line.distribution == "log_uniform" else (a + b) / 2]
        shown = self._choices or [low, *middle, high]
        return [(self._height(value), _shown(value)) for value in shown]

    def _height(self, value: Value) -> float:
        if value is None or not (self._line.contains(value)):
            return -0.1
        if self._choices:
            return self._choices.index(value) / max(1, len(self._choices) - 1)
        low, high, own = (float(str(each)) for each in (self._line.values[0], self._line.values[1], value))
        if self._line.distribution == "log_uniform":
            low, high, own = math.log(low), math.log(high), math.log(own)
        return (own - low) / (high - low)


def _scale(axes: Axes, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    axes.plot((place, place), (0, 1), color="#444444", linewidth=1, zorder=3)
    box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    for height, label in ticks:
        axes.plot((place, place + 0.04), (height, height), color="#444444", linewidth=1, zorder=3)
        axes.text(place + 0.06, height, label, fontsize=7.5, va="center", color=INK, zorder=4, bbox=box)


def _shown(value: Value) -> str:
    return f"{value:.2g}" if isinstance(value, float) else "none" if value is None else str(value)


def _vertices(curve: Scores) -> Scores:
    """Epoch and RMSE of each epoch, shape (epochs, 2); a single epoch becomes a short dash."""
    epochs = np.arange(1.0, len(curve) + 1)
    if len(curve) == 1:
        epochs, curve = np.array([1.0, 1.15]), np.repeat(curve, 2)
    return np.column_stack([epochs, curve])
