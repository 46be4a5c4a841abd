"""Reports of a search: one comparison table, written in the format that a file's suffix names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from semtune.registry import Registry
from semtune.report.notes import notes, warnings
from semtune.report.table import ComparisonTable, DatasetFacts, UsesOfTest, build_table
from semtune.report.text import Columns, columns, headline, title
from semtune.report.writers import write_csv, write_json, write_latex, write_markdown

__all__ = [
    "TABLE_WRITERS",
    "Columns",
    "ComparisonTable",
    "DatasetFacts",
    "TableWriter",
    "UsesOfTest",
    "build_table",
    "columns",
    "headline",
    "notes",
    "title",
    "warnings",
]


@dataclass(frozen=True)
class TableWriter:
    """A format of the comparison table."""

    name: str
    """The suffix of its files."""
    label: str
    write: Callable[[ComparisonTable], str]


def _write_html(table: ComparisonTable) -> str:
    from semtune.report.page import write_html  # matplotlib takes a second, which other formats are spared

    return write_html(table)


TABLE_WRITERS = Registry(
    "table format",
    [
        TableWriter(".md", "Markdown", write_markdown),
        TableWriter(".csv", "CSV", write_csv),
        TableWriter(".tex", "LaTeX", write_latex),
        TableWriter(".json", "JSON", write_json),
        TableWriter(".html", "HTML with figures", _write_html),
    ],
)
