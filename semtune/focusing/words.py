"""The words of a focus report: columns, headline and notes; shared by all its formats."""

from __future__ import annotations

import math
from collections.abc import Iterator

from semtune.focusing.bench import DWELL_US, START_UNITS, STEPS_PER_DEPTH, WINDOW_UNITS
from semtune.focusing.policies import POLICIES
from semtune.focusing.summary import CurveRow, FocusReport, LoopRow
from semtune.report.text import NOTHING, Columns

DEPTH = "DOF"
"""Depth of field, in the heads of columns."""


def title(report: FocusReport) -> str:
    """Heading of a report."""
    return f"Focusing the virtual microscope: scorers of the search {report.search} (simulated)"


def tables(report: FocusReport) -> tuple[tuple[str, Columns], ...]:
    """Heading and columns of each table, in order."""
    return (
        ("Closed loop: share of runs within one depth of field (simulated)", share_columns(report)),
        ("Closed loop: each scorer under its best policy (simulated)", best_columns(report)),
        ("Focus curves (simulated)", curve_columns(report)),
    )


def curve_columns(report: FocusReport) -> Columns:
    """The focus curves, a row a scorer."""
    headers = (
        "scorer", "kind", f"peak within 1 {DEPTH}", "peak off, um", f"peak off, {DEPTH}", "false maxima",
        f"50 % width, {DEPTH}", f"monotone range, {DEPTH}", "noise", f"reproducibility, {DEPTH}",
    )  # fmt: skip
    return Columns(headers, tuple(_curve_cells(row) for row in report.curves), texts=2)


def share_columns(report: FocusReport) -> Columns:
    """Share of runs within one depth of field, a row a scorer, a column a policy."""
    by_scorer = {
        scorer.name: [row for row in report.loops if row.scorer is scorer]
        for scorer in report.experiment.scorers
    }
    rows = tuple((name, *(_share_with_interval(row) for row in rows)) for name, rows in by_scorer.items())
    labels = tuple(POLICIES[name].label for name in report.experiment.policies)
    return Columns(("scorer", *labels), rows, texts=1)


def best_columns(report: FocusReport) -> Columns:
    """Each scorer under the policy that suits it best."""
    headers = (
        "scorer", "best policy", f"within 1 {DEPTH}", f"within ½ {DEPTH}", "final defocus, um",
        f"final defocus, {DEPTH}", f"95 % below, {DEPTH}", "frames used",
    )  # fmt: skip
    rows = tuple(_best_cells(report.best_loop(scorer.name)) for scorer in report.experiment.scorers)
    return Columns(headers, rows, texts=2)


def headline(report: FocusReport) -> str:
    """The outcome in one sentence."""
    best = {
        kind: max(rows, key=lambda row: (row.within, -row.defocus_dof))
        for kind in ("network", "autofocus")
        if (rows := [row for row in report.loops if row.scorer.kind == kind])
    }
    told = [
        f"{'the best network' if kind == 'network' else 'the best autofocus function'}, {row.scorer.name} by "
        f"{POLICIES[row.policy].label}, ends within one depth of field in {_percent(row.within)} % of "
        f"{report.settings.runs} runs"
        for kind, row in best.items()
    ]
    sentence = "; ".join(told)
    return f"With {report.settings.budget} acquisitions {sentence}."


def notes(report: FocusReport) -> list[str]:
    """What must be known to read the tables, a sentence or a few each."""
    return [
        "Frames are simulated: what is found here holds for the virtual microscope, on fields that no "
        "network was trained on, and says nothing yet of a real one.",
        f"Depth of field ({DEPTH}): max(pixel, probe) / half angle of the beam (Reimer 1998, section 2.4), "
        "the whole range in which the disc of defocus is no wider than a pixel or the probe. Within 1 "
        f"{DEPTH}: at most one to either side of true focus; within ½ {DEPTH}: inside the depth of field.",
        _curves_told(report),
        _loops_told(report),
        "Every scorer sees the frame alone: a focus value stands for itself, higher being sharper; a network "
        "is given no control parameter. Intervals of shares: Clopper-Pearson on the effective number of runs "
        "(Korn and Graubard 1998).",
        *_leads(report),
        *_origins(report),
        _provenance(report),
    ]


def _curves_told(report: FocusReport) -> str:
    settings = report.settings
    return (
        f"Focus curves: {settings.positions} positions over {WINDOW_UNITS:g} units to either side (a unit "
        f"gives a disc 8 pixels wide), {settings.repeats} repeats with other noise, {settings.fields} "
        "fields; medians over the fields. Peak: vertex of the parabola through the highest three values. "
        "False maxima: those that rise by over 1 % of the curve's range. 50 % width: about the peak, above "
        "the middle of the range. Monotone range: between the minima next to the peak, any rise counting. "
        "Noise: standard deviation between repeats over the curve's range. Reproducibility: standard "
        "deviation of the peak (Groen 1985, Firestone 1991, Sun 2004)."
    )


def _loops_told(report: FocusReport) -> str:
    settings = report.settings
    return (
        f"Closed loop: {settings.runs} runs on {settings.fields} fields, at most {settings.budget} "
        f"acquisitions each, from up to {START_UNITS:g} units of defocus in a window of {WINDOW_UNITS:g} "
        "units to either side of the start; brightness, contrast, astigmatism and dwell "
        f"({DWELL_US[0]:g} to {DWELL_US[1]:g} us) are drawn for each run. The knob has {STEPS_PER_DEPTH} "
        "steps a depth of field; all scorers and policies get the same frame at the same step of a run."
    )


def _leads(report: FocusReport) -> Iterator[str]:
    """Each network against the best autofocus function, paired."""
    for row in report.loops:
        if row.rival:
            verdict = (
                "better" if row.lead_low > 0 else "worse" if row.lead_high < 0 else "no difference is shown"
            )
            interval = f"{100 * row.lead_low:+.1f} to {100 * row.lead_high:+.1f}"
            yield (
                f"{row.scorer.name} by {POLICIES[row.policy].label}: {100 * row.lead:+.1f} points (95 % "
                f"paired interval over fields {interval}) against {row.rival}, by these very runs the best "
                f"autofocus function: {verdict}."
            )


def _origins(report: FocusReport) -> Iterator[str]:
    for scorer in report.experiment.scorers:
        if scorer.origin:
            yield f"{scorer.name}: {scorer.origin}."


def _provenance(report: FocusReport) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    took = f", in {report.seconds:.0f} s" if math.isfinite(report.seconds) else ""
    return f"Seed {report.settings.seed}. Computed with {versions} on {report.hardware}, {report.date}{took}."


def _curve_cells(row: CurveRow) -> tuple[str, ...]:
    of = row.criteria
    return (
        row.scorer.name,
        row.scorer.kind,
        f"{_percent(row.within)} %",
        _number(of.accuracy_um),
        _number(of.accuracy_dof),
        f"{of.false_maxima:.1f}",
        _number(of.width_dof),
        _number(of.monotone_dof),
        f"{100 * of.noise:.1f} %" if math.isfinite(of.noise) else NOTHING,
        _number(of.reproducibility_dof),
    )


def _best_cells(row: LoopRow) -> tuple[str, ...]:
    return (
        row.scorer.name,
        POLICIES[row.policy].label,
        _share_with_interval(row),
        f"{_percent(row.within_half)} %",
        _number(row.defocus_um),
        _number(row.defocus_dof),
        _number(row.defocus_dof_p95),
        f"{row.frames:.1f}",
    )


def _share_with_interval(row: LoopRow) -> str:
    return f"{_percent(row.within)} % ({_percent(row.within_low)} to {_percent(row.within_high)})"


def _percent(share: float) -> str:
    """A share in per cent with as many digits as 200 runs bear: 99.5 must not become 100."""
    return f"{100 * share:.1f}".removesuffix(".0")


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else NOTHING
