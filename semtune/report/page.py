"""The report as one HTML file that needs nothing else: styles and figures are within it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from semtune.journal import TrialRecord
from semtune.report.drawing import Missing, Plot, as_svg
from semtune.report.figures import plots
from semtune.report.material import ForeignFigure
from semtune.report.notes import notes, warnings
from semtune.report.table import ComparisonTable
from semtune.report.text import NOTHING, Columns, columns, headline, points, supplements, title
from semtune.results import Kind

_STYLE = """
:root { color-scheme: light; }
body { margin: 2.5rem auto; max-width: 66rem; padding: 0 1.25rem; color: #1c1c1c; background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .6rem; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; }
.lead { font-size: 1.05rem; max-width: 48rem; margin: 0 0 1.2rem; }
.origin { border-left: 4px solid #d55e00; background: #fdf4ee; padding: .5rem .9rem; margin: 0 0 1.4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .55rem; text-align: right; white-space: nowrap; vertical-align: baseline; }
th { font-weight: 600; white-space: normal; vertical-align: bottom; border-bottom: 1.5px solid #444; }
th.text, td.text { text-align: left; }
td.long { white-space: normal; min-width: 22rem; }
tbody tr:hover { background: #f5f7f9; }
tr.first td { border-top: 1px solid #bbb; }
tr.best td { font-weight: 650; }
thead + tbody tr:first-child td { border-top: 0; }
tbody:last-child tr:last-child td { border-bottom: 1.5px solid #444; }
th.other, td.other { color: #6a6a6a; }
ul { padding-left: 1.2rem; max-width: 52rem; }
li { margin: .35rem 0; overflow-wrap: anywhere; }
figure { margin: 1.4rem 0 2rem; }
h3 { font-size: .98rem; margin: 0 0 .5rem; }
figure svg, figure img { max-width: 100%; height: auto; }
figcaption, .key { color: #444; font-size: .9rem; max-width: 44rem; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .wide { overflow: visible; } table { font-size: 8px; }
  th, td { padding: .15rem .3rem; } td.long { min-width: 0; } @page { margin: 14mm; } }
"""

_BOLD = (
    '<p class="key">Bold: the network with the lowest validation RMSE, and the classical opponent with the '
    "lowest test RMSE.</p>"
)


def write_html(table: ComparisonTable) -> str:
    """The whole report: outcome, table, notes, figures, and every trial in an appendix."""
    first, *others = notes(table)
    # Figures of simulated scores are taken for real ones unless this stands above everything.
    above = [*([first] if table.simulated else []), *(f"Warning: {each}" for each in warnings(table))]
    origin = "".join(f'<p class="origin">{escape(each)}</p>' for each in above)
    listed = others if table.simulated else [first, *others]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{escape(title(table))}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head>",
            f"<body><main><h1>{escape(title(table))}</h1>",
            f'<p class="lead">{escape(headline(table))}</p>',
            origin,
            _comparison(table),
            *(f"<h2>{escape(heading)}</h2>\n{_html_table(cells)}" for heading, cells in supplements(table)),
            "<h2>Notes</h2>",
            f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in listed)}</ul>",
            _figures(*plots(table), table.material.foreign),
            *_appendix(table),
            "</main></body></html>\n",
        ]
    )


def _comparison(table: ComparisonTable) -> str:
    best = (table.best_network, table.best_classical)
    classes = []
    before: Kind | None = None
    for row in table.rows:
        first = "first" if (row.kind == "network") != (before == "network") else ""
        classes.append(f"{first} {'best' if any(row is each for each in best) else ''}".strip())
        before = row.kind
    return _html_table(columns(table), classes) + _BOLD


def _figures(drawn: Sequence[Plot], missing: Sequence[Missing], foreign: Sequence[ForeignFigure]) -> str:
    shown = [_figure(plot.title, _labelled(as_svg(plot), plot.alt), plot.caption) for plot in drawn]
    shown += [_figure(each.name.capitalize(), _image(each), each.caption) for each in foreign]
    if not shown:
        return ""
    reasons = "".join(f"<li>{escape(each.title)}: {escape(each.reason)}.</li>" for each in missing)
    absent = f"<h3>Figures that are not shown</h3>\n<ul>{reasons}</ul>" if reasons else ""
    return "\n".join(["<h2>Figures</h2>", *shown, absent])


def _figure(title: str, image: str, caption: str) -> str:
    return f"<figure><h3>{escape(title)}</h3>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _labelled(element: str, alt: str) -> str:
    """An SVG element that is read out as one image."""
    return element.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)


def _image(figure: ForeignFigure) -> str:
    # As an image, not as an element: it was made elsewhere, and no script in it may run.
    content = b64encode(figure.content).decode()
    return f'<img alt="{escape(figure.caption)}" src="data:{figure.media_type};base64,{content}">'


def _appendix(table: ComparisonTable) -> list[str]:
    if not table.trials:
        return []
    common = _common(table.trials)
    equal = ", ".join(f"{name} {_shown(value)}" for name, value in common.items())
    lead = f"<p>The same in all trials: {escape(equal)}.</p>" if equal else ""
    rows = tuple(_trial_cells(trial, common) for trial in table.trials)
    cells = Columns(("trial", "architecture", "hyperparameters", "end", "epochs", "validation RMSE"), rows, 4)
    return [f"<h2>Trials</h2>{lead}", _html_table(cells)]


def _trial_cells(trial: TrialRecord, common: dict[str, object]) -> tuple[str, ...]:
    own = ", ".join(
        f"{name} {_shown(value)}"
        for name, value in trial.started.hyperparameters.items()
        if name not in common and name != "architecture"
    )
    tested = " (tested)" if trial.tested else ""
    return (
        trial.name,
        trial.architecture,
        own or NOTHING,
        (trial.reason or "running") + tested,
        str(len(trial.epochs)),
        points(trial.validation_rmse),
    )


def _common(trials: Iterable[TrialRecord]) -> dict[str, object]:
    """Hyperparameters that have one value in all trials, where there is more than one trial."""
    first, *others = (trial.started.hyperparameters for trial in trials)
    if not others:
        return {}
    return {
        name: value
        for name, value in first.items()
        if name != "architecture" and all(each.get(name) == value for each in others)
    }


def _shown(value: object) -> str:
    if value is None:
        return "by default"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _html_table(cells: Columns, classes: list[str] | None = None) -> str:
    kinds = [_kind(place, header, cells) for place, header in enumerate(cells.headers)]
    heads = "".join(
        f'<th scope="col"{kind}>{escape(header)}</th>'
        for header, kind in zip(cells.headers, kinds, strict=True)
    )
    lines = [
        f'<tr class="{name}">'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row, name in zip(cells.rows, classes or [""] * len(cells.rows), strict=True)
    ]
    body = "\n".join(line.replace(' class=""', "") for line in lines)
    table = f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>'


def _kind(place: int, header: str, cells: Columns) -> str:
    if header == "hyperparameters":
        return ' class="text long"'
    if place < cells.texts:
        return ' class="text"'
    return ' class="other"' if header.startswith("published") else ""
