"""The focus report as Markdown, CSV, LaTeX and JSON, and its figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semtune.files import write_asked
from semtune.focusing.bench import FieldOutcome
from semtune.focusing.summary import CRITERIA, FocusReport, LoopRow
from semtune.focusing.words import headline, notes, tables, title
from semtune.registry import Registry
from semtune.report.markup import cleaned, finite, latex_tabular, latex_text, markdown_table, markdown_text

_LOOP = (
    "within", "within_low", "within_high", "within_half", "defocus_um", "defocus_dof", "defocus_dof_p95",
    "frames", "most_frames", "rival", "lead", "lead_low", "lead_high",
)  # fmt: skip


@dataclass(frozen=True)
class FocusWriter:
    """A format of the focus report."""

    name: str
    """The suffix of its files."""
    write: Callable[[FocusReport], bytes]


def write_markdown(report: FocusReport) -> str:
    """The tables with their notes, as GitHub's Markdown."""
    parts = [f"# {markdown_text(title(report))}", markdown_text(headline(report))]
    for heading, cells in tables(report):
        parts += [f"## {heading}", markdown_table(cells)]
    bullets = "\n".join(f"* {markdown_text(note)}" for note in notes(report))
    return "\n\n".join([*parts, "## Notes", bullets]) + "\n"


def write_latex(report: FocusReport) -> str:
    """The tables with their notes, for a document that loads booktabs and graphicx."""
    lines = [r"% needs \usepackage{booktabs} and \usepackage{graphicx}"]
    for heading, cells in tables(report):
        lines += [
            r"\begin{table}",
            rf"\caption{{{heading}. {latex_text(title(report))}.}}",
            r"\centering",
            *latex_tabular(cells),
            r"\end{table}",
        ]
    lines += [rf"\noindent {latex_text(note)}\par" for note in (headline(report), *notes(report))]
    return "\n".join(lines) + "\n"


def write_csv(report: FocusReport) -> str:
    """A line a scorer and policy, with the scorer's focus curves in each; empty where not measured."""
    curves = {row.scorer.name: row for row in report.curves}
    file = io.StringIO()
    names = ("scorer", "kind", "policy", *_LOOP, "peak_within", *CRITERIA, "origin")
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for row in report.loops:
        curve = curves[row.scorer.name]
        own = {name: finite(value) for name, value in asdict(curve.criteria).items()}
        writer.writerow({**_loop(row), **own, "peak_within": curve.within, "origin": "simulated"})
    return file.getvalue()


def write_json(report: FocusReport) -> str:
    """All figures at full precision, down to the single field; null where not measured."""
    content = {
        "search": report.search,
        "origin": "simulated",
        "settings": asdict(report.settings),
        "scorers": [
            {"name": each.name, "kind": each.kind, "origin": each.origin}
            for each in report.experiment.scorers
        ],
        "closed_loop": [_loop(row) for row in report.loops],
        "focus_curves": [
            {"scorer": row.scorer.name, "peak_within": row.within, **asdict(row.criteria)}
            for row in report.curves
        ],
        "fields": [_field(outcome) for outcome in report.experiment.outcomes],
        "versions": dict(report.versions),
        "hardware": report.hardware,
        "date": report.date,
        "seconds": report.seconds,
    }
    return json.dumps(cleaned(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FOCUS_WRITERS = Registry(
    "format of the focus report",
    [
        FocusWriter(".md", lambda report: write_markdown(report).encode()),
        FocusWriter(".csv", lambda report: write_csv(report).encode()),
        FocusWriter(".tex", lambda report: write_latex(report).encode()),
        FocusWriter(".json", lambda report: write_json(report).encode()),
        FocusWriter(".png", lambda report: _drawn(report, "png")),
        FocusWriter(".svg", lambda report: _drawn(report, "svg")),
        FocusWriter(".pdf", lambda report: _drawn(report, "pdf")),
    ],
)


def check_suffixes(files: Sequence[Path]) -> None:
    """Refuse files whose suffix names no format, before the work is done.

    Raises:
        UnknownNameError: If there is one.
    """
    for path in files:
        _ = FOCUS_WRITERS[path.suffix.lower()]


def write_files(report: FocusReport, files: Sequence[Path]) -> None:
    """Write a report to files; the suffix of each picks its format.

    Raises:
        SearchError: If a file cannot be written.
    """
    for path in files:
        write_asked(path, FOCUS_WRITERS[path.suffix.lower()].write(report))


def keep_figure(report: FocusReport, figure: Path) -> None:
    """Leave the figure, with its caption beside it as .txt, where the report of the search looks for it."""
    write_files(report, [figure])
    write_asked(figure.with_suffix(".txt"), f"{headline(report)} Frames are simulated.".encode())


def _drawn(report: FocusReport, suffix: str) -> bytes:
    from semtune.focusing.figure import draw  # matplotlib takes a second, which other formats are spared

    return draw(report, suffix)


def _loop(row: LoopRow) -> dict[str, Any]:
    facts = {"scorer": row.scorer.name, "kind": row.scorer.kind, "policy": row.policy}
    return {**facts, **{name: finite(getattr(row, name)) for name in _LOOP}}


def _field(outcome: FieldOutcome) -> dict[str, Any]:
    sweep = outcome.sweep
    return {
        "field": outcome.field,
        "specimen": outcome.specimen,
        "magnification": outcome.magnification,
        "depth_of_field_um": outcome.depth_of_field_um,
        "defocus_um": sweep.defocus_um.tolist(),
        "curves": {name: curves.mean(axis=0).tolist() for name, curves in sweep.curves.items()},
        "criteria": {name: asdict(each) for name, each in sweep.criteria.items()},
        "runs": [asdict(run) for run in outcome.runs],
    }
