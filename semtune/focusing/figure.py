"""The figure of a focus report: focus curves of every scorer above, the closed loops below.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; markers say the same again.
"""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semtune.focusing.policies import POLICIES
from semtune.focusing.summary import FocusReport
from semtune.results import Scores

_NETWORK, _CLASSICAL, _GREY = "#0072B2", "#5A5A5A", "#8C8C8C"
_POLICY_STYLES = (("#D55E00", "v"), ("#E69F00", "s"), ("#CC79A7", "^"), ("#56B4E9", "D"), ("#009E73", "o"))
_COLUMNS = 4
_REACH_DOF = 12.0
"""Depths of field to either side that are shown."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "semtune",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
CAPTION = (
    "Simulated. Above: focus curves, each scaled to its own range (median and middle half of the fields). "
    "Below: share of runs within one depth of field (DOF), with 95 % intervals, by policy."
)
_UNDATED = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def draw(report: FocusReport, suffix: str) -> bytes:
    """The figure as a file: png, svg or pdf; equal reports give equal bytes."""
    scorers = report.experiment.scorers
    lines = -(-len(scorers) // _COLUMNS)
    below = 0.55 + 0.19 * len(scorers)
    file = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 1.45 * lines + below + 0.7), layout="constrained")
        upper, lower = figure.subfigures(
            2, 1, height_ratios=(1.45 * lines + 0.3, below + 0.4), squeeze=False
        )[:, 0]
        panels = np.ravel(upper.subplots(lines, _COLUMNS, sharex=True, sharey=True))
        for axes, scorer in zip(panels, scorers, strict=False):
            _draw_curve(axes, report, scorer.name, _NETWORK if scorer.kind == "network" else _CLASSICAL)
        for axes in panels[len(scorers) :]:
            axes.set_visible(False)
        upper.supxlabel("defocus, depths of field", fontsize=8.5)
        upper.supylabel("value, scaled", fontsize=8.5)
        _draw_shares(lower.subplots(), report)
        figure.suptitle(CAPTION, fontsize=7.5, color="#9A3B00", x=0.01, ha="left", wrap=True)
        figure.savefig(file, format=suffix, dpi=160, metadata=_UNDATED[suffix])
    return file.getvalue()


def scaled_curves(report: FocusReport, scorer: str, defocus_dof: Scores) -> Scores:
    """A scorer's mean curve over each field at given defocus, scaled to 0..1, shape (fields, positions).

    NaN where a field's sweep does not reach.
    """
    curves = []
    for outcome in report.experiment.outcomes:
        mean = outcome.sweep.curves[scorer].mean(axis=0)
        scaled = (mean - mean.min()) / (np.ptp(mean) or 1.0)
        positions = outcome.sweep.defocus_um / outcome.depth_of_field_um
        curves.append(np.interp(defocus_dof, positions, scaled, left=np.nan, right=np.nan))
    return np.array(curves)


def _draw_curve(axes: Axes, report: FocusReport, scorer: str, colour: str) -> None:
    defocus = np.linspace(-_REACH_DOF, _REACH_DOF, 193)
    curves = scaled_curves(report, scorer, defocus)
    seen = ~np.all(np.isnan(curves), axis=0)
    low, middle, high = np.nanquantile(curves[:, seen], (0.25, 0.5, 0.75), axis=0)
    axes.axvspan(-1, 1, color="#E8E8E8", zorder=0, linewidth=0)
    axes.fill_between(defocus[seen], low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(defocus[seen], middle, color=colour, linewidth=1.4)
    axes.set(
        xlim=(-_REACH_DOF, _REACH_DOF), ylim=(-0.03, 1.05), xticks=(-10, -5, 0, 5, 10), yticks=(0, 0.5, 1)
    )
    axes.set_title(scorer)


def _draw_shares(axes: Axes, report: FocusReport) -> None:
    names = [scorer.name for scorer in report.experiment.scorers]
    policies = report.experiment.policies
    for place, policy in enumerate(policies):
        rows = [row for row in report.loops if row.policy == policy]
        share, low, high = (
            100 * np.array([getattr(row, of) for row in rows])
            for of in ("within", "within_low", "within_high")
        )
        colour, marker = _POLICY_STYLES[place % len(_POLICY_STYLES)]
        height = np.arange(len(names)) + 0.13 * (place - (len(policies) - 1) / 2)
        axes.hlines(height, low, high, color=colour, linewidth=0.9, alpha=0.8)
        axes.plot(share, height, marker, color=colour, markersize=3.8, label=POLICIES[policy].label)
    axes.axvline(95, color=_GREY, linestyle=":", linewidth=0.9, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlim=(0, 101), xlabel="runs within one depth of field, per cent")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
