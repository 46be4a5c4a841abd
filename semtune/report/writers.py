"""The comparison table as Markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from semtune.config import SPLIT_LABELS
from semtune.published import TABLE1
from semtune.report.beside import paired_rows
from semtune.report.markup import cleaned, finite, latex_tabular, latex_text, markdown_table, markdown_text
from semtune.report.notes import notes, warnings
from semtune.report.table import ComparisonTable, key, mean_rmse
from semtune.report.text import Columns, columns, headline, supplements, title
from semtune.results import Result

_CONTRACT = (
    "name", "kind", "test_rmse", "test_rmse_low", "test_rmse_high", "test_r2", "test_plcc", "test_srcc",
    "milliseconds_per_image", "milliseconds_per_image_batch32", "device", "trial", "run_id",
)  # fmt: skip
_FURTHER = ("validation_rmse", "test_krcc", "test_mae")


def write_json(table: ComparisonTable) -> str:
    """The table for machines: null where nothing was measured, full precision.

    Keys `search`, `dataset` (`digest`, `origin`, `frames`, `fields`, `split`) and `rows` come first and are a
    contract; so are, in each row, those from `name` to `run_id`.
    """
    facts = table.dataset
    split = {part: list(fields) for part, fields in facts.split.items()}
    content = {
        "search": table.search,
        "dataset": {
            "digest": facts.digest,
            "origin": facts.origin,
            "frames": facts.frames,
            "fields": facts.fields,
            "split": split,
        },
        "rows": [{**_flat(row), "details": _details(row)} for row in table.rows],
        "warnings": warnings(table),
        "split": facts.split_kind,
        "leaks": table.leaks,
        "test_uses": vars(table.uses) if table.uses else None,
        "acquisition_order": vars(table.order) if table.order else None,
        "differences_to_joint": {name: list(each) for name, each in table.differences.items()},
        "letters": dict(table.letters),
        "differences": [{**vars(each), "is_real": each.is_real} for each in table.compared],
        "beside": _beside(table),
        "dataset_name": facts.name,
        "score_range": list(facts.score_range),
        "rater_noise": facts.rater_noise,
        "split_seed": facts.seed,
        "near_copies": list(facts.near_copies),
        "versions": dict(table.versions),
        "hours": {**vars(table.hours), "cost": table.hours.cost} if table.hours else None,
        "commit": table.commit,
        "hardware": table.hardware,
        "started_from": table.started_from,
    }
    return json.dumps(cleaned(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _beside(table: ComparisonTable) -> dict[str, Any] | None:
    other = table.beside
    if other is None:
        return None
    means = {row.name: mean_rmse(row) for row in other.rows}
    return {
        "search": other.search,
        "split": other.dataset.split_kind,
        "leaks": other.leaks,
        "test_rmse": means,
        "paired": {name: each.facts for name, each in paired_rows(table).items()},
    }


def write_csv(table: ComparisonTable) -> str:
    """The table for spreadsheets: the keys of the JSON rows, then all details; empty where not measured."""
    details = dict.fromkeys(name for row in table.rows for name in row.details)
    origin = _origin(table)
    lines = [
        {**_flat(row), "letters": table.letters.get(key(row)), **origin, **_details(row, "details_")}
        for row in table.rows
    ]
    file = io.StringIO()
    names = (*_CONTRACT, *_FURTHER, "published_rmse", "published_seconds", "letters", *origin)
    writer = csv.DictWriter(file, (*names, *(f"details_{name}" for name in details)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def _origin(table: ComparisonTable) -> dict[str, object]:
    """Where the figures of a row come from, for a format that has no room for notes."""
    facts = table.dataset
    return {
        "origin": facts.origin,
        "split": SPLIT_LABELS[facts.split_kind],
        "dataset_digest": facts.digest,
        "split_seed": facts.seed,
        "frames": facts.frames,
        "fields": facts.fields,
        "hours": {**vars(table.hours), "cost": table.hours.cost} if table.hours else None,
        "commit": table.commit,
        "hardware": table.hardware,
        "versions": " ".join(f"{name}={version}" for name, version in table.versions.items()),
    }


def write_markdown(table: ComparisonTable) -> str:
    """The table with its notes, as GitHub's Markdown."""
    parts = [f"# {markdown_text(title(table))}", markdown_text(headline(table))]
    parts += [f"> **Warning:** {markdown_text(warning)}" for warning in warnings(table)]
    parts.append(markdown_table(columns(table)))
    for heading, cells in supplements(table):
        parts += [f"## {markdown_text(heading)}", markdown_table(cells)]
    bullets = "\n".join(f"* {markdown_text(note)}" for note in notes(table))
    return "\n\n".join([*parts, "## Notes", bullets]) + "\n"


def write_latex(table: ComparisonTable) -> str:
    """The tables with their notes, to be put into a document that loads the package booktabs."""
    said = [*(f"Warning: {warning}" for warning in warnings(table)), *notes(table)]
    feet = [r"\par\medskip\raggedright\footnotesize", *(rf"{latex_text(note)}\par" for note in said)]
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
        *_latex_table(columns(table), f"{title(table)}. {headline(table)}", feet),
    ]
    for heading, cells in supplements(table):
        lines += _latex_table(cells, f"{heading}.", [])
    return "\n".join(lines) + "\n"


def _latex_table(cells: Columns, caption: str, feet: list[str]) -> list[str]:
    return [
        r"\begin{table}",
        rf"\caption{{{latex_text(caption)}}}",
        r"\centering",
        *latex_tabular(cells),
        *feet,
        r"\end{table}",
    ]


def _flat(row: Result) -> dict[str, Any]:
    """A result without its details, in the order of the contract, with the paper's figures behind."""
    published = TABLE1.get(row.name)
    return {
        **{name: finite(getattr(row, name)) for name in (*_CONTRACT, *_FURTHER)},
        "published_rmse": published.rmse if published else None,
        "published_seconds": published.seconds if published else None,
    }


def _details(row: Result, prefix: str = "") -> dict[str, str | float | None]:
    return {prefix + name: finite(value) for name, value in row.details.items()}
