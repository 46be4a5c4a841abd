"""Tables and words as Markdown, LaTeX and JSON take them."""

from __future__ import annotations

import math
import re
from typing import Any

from semtune.report.text import NOTHING, Columns

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "²": r"\textsuperscript{2}", NOTHING: "--", "±": r"$\pm$",
}  # fmt: skip


def finite(value: str | float | None) -> str | float | None:
    """The value, but None, which JSON knows, for what is no number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cleaned(content: Any) -> Any:  # noqa: ANN401 - whatever json takes
    """Null for what is not finite, wherever it stands."""
    if isinstance(content, dict):
        return {name: cleaned(value) for name, value in content.items()}
    return [cleaned(value) for value in content] if isinstance(content, list | tuple) else finite(content)


def markdown_table(cells: Columns) -> str:
    """A table in GitHub's Markdown, padded so that it can be read as it is."""
    escaped = [tuple(markdown_text(cell) for cell in row) for row in (cells.headers, *cells.rows)]
    widths = [max(len(row[column]) for row in escaped) for column in range(len(cells.headers))]
    rules = [
        ":" + "-" * (width - 1) if column < cells.texts else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    padded = [
        [
            cell.ljust(width) if column < cells.texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in escaped
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (padded[0], rules, *padded[1:]))


def markdown_text(text: str) -> str:
    """Escape what Markdown reads as markup; underscores within words are none."""
    marked = re.sub(r"([\\`*~\[\]<>|#&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", marked)


def latex_text(text: str) -> str:
    """Escape what LaTeX reads as markup."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def latex_tabular(cells: Columns) -> list[str]:
    """A table as wide as the line, line by line, for a document that loads booktabs and graphicx."""
    alignment = "l" * cells.texts + "r" * (len(cells.headers) - cells.texts)
    # Narrow heads keep sixteen columns on a page.
    heads = [latex_text(header).replace(" (", r"\\ (").replace(", ", r",\\ ") for header in cells.headers]
    return [
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(rf"\shortstack{{{head}}}" for head in heads) + r" \\",
        r"\midrule",
        *(" & ".join(latex_text(cell) for cell in row) + r" \\" for row in cells.rows),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
