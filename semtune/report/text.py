"""The words of a report: columns, figures as strings, headline and notes; shared by all its formats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from semtune.published import TABLE1
from semtune.report.beside import paired_rows
from semtune.report.table import ComparisonTable, key, mean_rmse
from semtune.results import Result

NOTHING = "–"  # noqa: RUF001 - the dash of empty table cells
"""What stands where nothing was measured."""


@dataclass(frozen=True)
class Columns:
    """A table of strings, one row each as long as the headers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int
    """How many columns, from the left, hold words; the others hold numbers, which stand to the right."""


def columns(table: ComparisonTable) -> Columns:
    """The comparison as every format shows it, one row per result."""
    cells = {header: [cell(table, row) for row in table.rows] for header, cell in _CELLS.items()}
    if not any(row.details.get("seeds") for row in table.rows):
        del cells[_SEEDS]
    return Columns(tuple(cells), tuple(zip(*cells.values(), strict=True)), texts=2)


def score_map_columns(table: ComparisonTable) -> Columns:
    """Test RMSE of the autofocus functions under every map from focus values to scores; maybe empty."""
    prefix = "test_rmse_"
    rows = [row for row in table.rows if row.kind == "autofocus"]
    maps = dict.fromkeys(name for row in rows for name in row.details if name.startswith(prefix))
    cells = tuple((row.name, *(points(row.details.get(name)) for name in maps)) for row in rows)
    headers = ("autofocus function", *(name.removeprefix(prefix) for name in maps))
    return Columns(headers, cells if maps else (), texts=1)


def beside_columns(table: ComparisonTable) -> Columns:
    """The mean RMSE of each scorer in this search and the one beside it, the gap, the paired difference.

    Empty without a search beside.
    """
    other = table.beside
    if other is None:
        return Columns((), (), texts=1)
    found, paired = {row.name: mean_rmse(row) for row in other.rows}, paired_rows(table)
    cells = tuple(
        (
            row.name,
            points(mean_rmse(row)),
            points(found[row.name]),
            _signed(mean_rmse(row) - found[row.name]),
            paired[row.name].words if row.name in paired else NOTHING,
        )
        for row in table.rows
        if row.name in found and row.kind != "ceiling"
    )
    heads = (f"RMSE of {each.search} ({split_words(each)})" for each in (table, other))
    return Columns(("scorer", *heads, "gap", "paired difference, 95 % interval"), cells, texts=1)


def title(table: ComparisonTable) -> str:
    """Heading of a report."""
    return f"Comparison table of the search {table.search}{_labels(table)}"


def supplements(table: ComparisonTable) -> list[tuple[str, Columns]]:
    """The tables that follow the comparison, each with its heading; those that have rows."""
    found = (
        ("Test RMSE of the autofocus functions by score map", score_map_columns(table)),
        (f"Beside the search {table.beside.search if table.beside else ''}", beside_columns(table)),
    )
    return [(f"{heading}{_labels(table)}", cells) for heading, cells in found if cells.rows]


def headline(table: ComparisonTable) -> str:
    """The outcome in one sentence."""
    network, classical = table.best_network, table.best_classical
    if network is None:
        return "No network has met the test frames yet."
    over = ", mean over its seeds," if "seeds" in network.details else ","
    found = (
        f"{network.name} ({network.trial}), chosen by its validation RMSE{over} scores the test frames with "
        f"an RMSE of {points(network.test_rmse)} (95 % interval {interval(network)})"
    )
    if classical is None:
        return f"{found}; no classical opponent has met them yet."
    constant = next((row for row in table.rows if row.kind == "constant" and row is not classical), None)
    mean = f", a constant answer {points(constant.test_rmse)}" if constant else ""
    opponent = f"the best classical opponent, {classical.name}, reaches {points(classical.test_rmse)}"
    return f"{found}; {opponent}{mean}."


def points(value: object) -> str:
    """Score points, 3 decimals."""
    return f"{value:.3f}" if isinstance(value, float) and math.isfinite(value) else NOTHING


def interval(row: Result) -> str:
    """The 95 % interval of the test RMSE."""
    if not math.isfinite(row.test_rmse_low + row.test_rmse_high):
        return NOTHING
    return f"{row.test_rmse_low:.3f} to {row.test_rmse_high:.3f}"


def milliseconds(value: float) -> str:
    """Milliseconds: two significant digits below 10, whole ones above."""
    if not math.isfinite(value):
        return NOTHING
    return f"{value:#.2g}" if value < 9.95 else f"{value:.0f}"


def epochs(row: Result) -> str:
    """Epochs trained, with those planned if they differ."""
    trained, planned = row.details.get("epochs_trained"), row.details.get("epochs")
    if trained is None:
        return NOTHING
    return f"{trained:g}" if trained == planned or planned is None else f"{trained:g} of {planned:g}"


def over_seeds(row: Result) -> str:
    """Mean and standard deviation of the test RMSE over seeds, and their number."""
    if "seeds" not in row.details:
        return NOTHING
    mean, deviation = points(row.details["test_rmse_mean"]), points(row.details["test_rmse_sd"])
    return f"{mean} ± {deviation} ({row.details['seeds']})"


_SEEDS = "RMSE over seeds"
_CELLS: dict[str, Callable[[ComparisonTable, Result], str]] = {
    "scorer": lambda _, row: row.name,
    "kind": lambda _, row: row.kind,
    "RMSE": lambda _, row: points(row.test_rmse),
    "95 % interval": lambda _, row: interval(row),
    _SEEDS: lambda _, row: over_seeds(row),
    "letters": lambda table, row: table.letters.get(key(row), NOTHING),
    "R²": lambda _, row: _share(row.test_r2),
    "PLCC": lambda _, row: _share(row.test_plcc),
    "SRCC": lambda _, row: _share(row.test_srcc),
    "KRCC": lambda _, row: _share(row.test_krcc),
    "MAE": lambda _, row: points(row.test_mae),
    "ms/image": lambda _, row: milliseconds(row.milliseconds_per_image),
    "ms/image, batch 32": lambda _, row: milliseconds(row.milliseconds_per_image_batch32),
    "epochs": lambda _, row: epochs(row),
    "published RMSE (other data)": lambda _, row: (
        f"{TABLE1[row.name].rmse:.4f}" if row.name in TABLE1 else NOTHING
    ),
    "published s/image (other data)": lambda _, row: (
        f"{TABLE1[row.name].seconds:.4f}" if row.name in TABLE1 else NOTHING
    ),
}


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else NOTHING


def _share(value: float) -> str:
    # Adding 0 turns the -0.00 of a constant into 0.00.
    return f"{round(value, 2) + 0:.2f}" if math.isfinite(value) else NOTHING


def _labels(table: ComparisonTable) -> str:
    """What every heading must say of where the figures come from."""
    said = [
        *(["simulated data"] if table.simulated else []),
        *(["random split: leaks"] if table.leaks else []),
    ]
    return f" ({', '.join(said)})" if said else ""


def split_words(table: ComparisonTable) -> str:
    """How fields were treated by the split."""
    return "at random: leaks" if table.leaks else "by field"
