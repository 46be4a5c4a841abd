"""The comparison table as Markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from semtune.published import TABLE1
from semtune.report.markup import finite, latex_tabular, latex_text, markdown_table, markdown_text
from semtune.report.table import ComparisonTable
from semtune.report.text import columns, headline, notes, score_map_columns, title
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
        "differences_to_joint": {name: list(each) for name, each in table.differences.items()},
        "dataset_name": facts.name,
        "score_range": list(facts.score_range),
        "rater_noise": facts.rater_noise,
        "split_seed": facts.seed,
        "versions": dict(table.versions),
        "commit": table.commit,
        "hardware": table.hardware,
        "started_from": table.started_from,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_csv(table: ComparisonTable) -> str:
    """The table for spreadsheets: the keys of the JSON rows, then all details; empty where not measured."""
    details = dict.fromkeys(name for row in table.rows for name in row.details)
    lines = [{**_flat(row), **_details(row, "details_")} for row in table.rows]
    file = io.StringIO()
    names = (*_CONTRACT, *_FURTHER, "published_rmse", "published_seconds", "origin")
    writer = csv.DictWriter(file, (*names, *(f"details_{name}" for name in details)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**line, "origin": table.dataset.origin} for line in lines)
    return file.getvalue()


def write_markdown(table: ComparisonTable) -> str:
    """The table with its notes, as GitHub's Markdown."""
    maps = score_map_columns(table)
    parts = [
        f"# {markdown_text(title(table))}",
        markdown_text(headline(table)),
        markdown_table(columns(table)),
    ]
    if maps.rows:
        parts += ["## Test RMSE of the autofocus functions by score map", markdown_table(maps)]
    bullets = "\n".join(f"* {markdown_text(note)}" for note in notes(table))
    return "\n\n".join([*parts, "## Notes", bullets]) + "\n"


def write_latex(table: ComparisonTable) -> str:
    """The table with its notes, to be put into a document that loads the package booktabs."""
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
        r"\begin{table}",
        rf"\caption{{{latex_text(title(table))}. {latex_text(headline(table))}}}",
        r"\centering",
        *latex_tabular(columns(table)),
        r"\par\medskip\raggedright\footnotesize",
        *(rf"{latex_text(note)}\par" for note in notes(table)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


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
