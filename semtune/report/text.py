"""The words of a report: columns, figures as strings, headline and notes; shared by all its formats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from semtune.published import TABLE1
from semtune.report.table import CEILING, JOINT, ComparisonTable, PairedDifference, key
from semtune.results import CLASSICAL, Result

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
    headers = (
        "scorer", "kind", "RMSE", "95 % interval", "R²", "SRCC", "ms/image", "ms/image, batch 32",
        "epochs", "published RMSE (other data)", "published s/image (other data)",
    )  # fmt: skip
    return Columns(headers, tuple(_cells(row) for row in table.rows), texts=2)


def score_map_columns(table: ComparisonTable) -> Columns:
    """Test RMSE of the autofocus functions under every map from focus values to scores; maybe empty."""
    prefix = "test_rmse_"
    rows = [row for row in table.rows if row.kind == "autofocus"]
    maps = dict.fromkeys(name for row in rows for name in row.details if name.startswith(prefix))
    cells = tuple((row.name, *(points(row.details.get(name)) for name in maps)) for row in rows)
    headers = ("autofocus function", *(name.removeprefix(prefix) for name in maps))
    return Columns(headers, cells if maps else (), texts=1)


def title(table: ComparisonTable) -> str:
    """Heading of a report."""
    return f"Comparison table of the search {table.search}" + (" (simulated data)" if table.simulated else "")


def headline(table: ComparisonTable) -> str:
    """The outcome in one sentence."""
    network, classical = table.best_network, table.best_classical
    if network is None:
        return "No network has met the test frames yet."
    found = (
        f"{network.name} ({network.trial}), chosen by its validation RMSE, scores the test frames with an "
        f"RMSE of {points(network.test_rmse)} (95 % interval {interval(network)})"
    )
    if classical is None:
        return f"{found}; no classical opponent has met them yet."
    constant = next((row for row in table.rows if row.kind == "constant" and row is not classical), None)
    mean = f", a constant answer {points(constant.test_rmse)}" if constant else ""
    opponent = f"the best classical opponent, {classical.name}, reaches {points(classical.test_rmse)}"
    return f"{found}; {opponent}{mean}."


def notes(table: ComparisonTable) -> list[str]:
    """What must be known to read the table, a sentence or a few each."""
    return [
        _origin(table),
        _data(table),
        "RMSE in score points (lower is better) on test fields that no training frame shows. The 95 % "
        "interval is a cluster bootstrap over the test fields (2000 resamples). R² is the share of variance "
        "explained, SRCC Spearman's rank correlation (higher is better).",
        "Time is the median for a whole frame, all its tiles included, from grey levels in memory to the "
        "score; reading the file is excluded; networks and classical opponents are timed by the same ruler. "
        + _devices(table),
        *_bounds(table),
        *_against_joint(table),
        *_epochs(table),
        *([table.started_from] if table.started_from else ()),
        *_without_controls(table),
        *_use_of_test_frames(table),
        *_untested(table),
        "Published: Table 1 of the paper, on its own frames, scores and machine (GTX 1080M, PyTorch 1.0; "
        "file reading is within its time of the autofocus functions). Those figures cannot be compared with "
        "the figures beside them.",
        _provenance(table),
    ]


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


def _cells(row: Result) -> tuple[str, ...]:
    published = TABLE1.get(row.name)
    return (
        row.name,
        row.kind,
        points(row.test_rmse),
        interval(row),
        _share(row.test_r2),
        _share(row.test_srcc),
        milliseconds(row.milliseconds_per_image),
        milliseconds(row.milliseconds_per_image_batch32),
        epochs(row),
        f"{published.rmse:.4f}" if published else NOTHING,
        f"{published.seconds:.4f}" if published else NOTHING,
    )


def _share(value: float) -> str:
    # Adding 0 turns the -0.00 of a constant into 0.00.
    return f"{round(value, 2) + 0:.2f}" if math.isfinite(value) else NOTHING


def _origin(table: ComparisonTable) -> str:
    if table.simulated:
        return (
            "Frames and scores are simulated: the specialist is a formula; what a network learns here is "
            "that formula, and what it reaches here says nothing about real frames. A simulated champion "
            "is a starting point: a laboratory's own scores come first."
        )
    return "Frames and scores are measured: real frames, scored by a specialist."


def _data(table: ComparisonTable) -> str:
    facts = table.dataset
    low, high = facts.score_range
    name = f" {facts.name}" if facts.name else ""
    parts = ", ".join(_part(table, part) for part in facts.split)
    return (
        f"Dataset{name}: {facts.frames} frames of {facts.fields} fields, scores from {low:g} to {high:g}; "
        f"split by field ({parts}), seed {facts.seed}; digest {facts.digest}."
    )


def _part(table: ComparisonTable, part: str) -> str:
    frames = table.dataset.frames_by_part.get(part)
    counted = f", {frames} frames" if frames is not None else ""
    return f"{part} {len(table.dataset.split[part])} fields{counted}"


def _devices(table: ComparisonTable) -> str:
    timed = sorted((row.device, row.kind == "network") for row in table.rows if row.device is not None)
    shown = "; ".join(
        f"{'networks' if network else 'classical opponents'} on {device}"
        for (device, network), _ in groupby(timed)
    )
    return f"Timed: {shown}." if timed else "Nothing has been timed yet."


def _bounds(table: ComparisonTable) -> Iterator[str]:
    names = {row.name for row in table.rows}
    if "constant" in names:
        yield "constant answers with the mean training score: a scorer that is not below it knows nothing."
    if CEILING in names:
        yield f"{CEILING} is the spread of the specialist's scores of equal frames: the floor of any RMSE."


def _against_joint(table: ComparisonTable) -> Iterator[str]:
    found = [(row, table.differences[key(row)]) for row in table.rows if key(row) in table.differences]
    networks = [(row, difference) for row, difference in found if row.kind not in CLASSICAL]
    if not networks:
        return
    groups = (
        ("lower, with the whole interval below 0", [each for each in networks if each[1][2] < 0]),
        ("not distinguishable", [each for each in networks if each[1][1] <= 0 <= each[1][2]]),
        ("higher", [each for each in networks if each[1][1] > 0]),
    )
    said = "; ".join(f"{verdict}: {_listed(rows)}" for verdict, rows in groups if rows)
    yield f"RMSE minus that of {JOINT}, with the paired 95 % interval over the same fields: {said}."


def _listed(rows: Sequence[tuple[Result, PairedDifference]]) -> str:
    return ", ".join(
        f"{row.name} {middle:+.3f} ({low:+.3f} to {high:+.3f})" for row, (middle, low, high) in rows
    )


def _epochs(table: ComparisonTable) -> Iterator[str]:
    trained = {row.name: epochs(row) for row in table.networks if "epochs_trained" in row.details}
    counts = set(trained.values())
    if len(counts) == 1:
        yield f"Each network shown was trained for {counts.pop()} epochs."
    elif counts:
        listed = ", ".join(f"{name} {count}" for name, count in trained.items())
        yield f"The networks were trained for unequal numbers of epochs ({listed}): compare them with care."


def _without_controls(table: ComparisonTable) -> Iterator[str]:
    name = "test_rmse_without_controls"
    rows = [row for row in table.networks if isinstance(row.details.get(name), float)]
    if rows:
        listed = ", ".join(
            f"{row.name} {points(row.details[name])} ({points(row.test_rmse)} with)" for row in rows
        )
        yield f"RMSE of the same networks on frames shown without control parameters: {listed}."


def _use_of_test_frames(table: ComparisonTable) -> Iterator[str]:
    tested = sum(trial.tested is not None for trial in table.trials)
    yield (
        f"{tested} of {len(table.trials)} trials met the test frames. Each architecture is shown by the one "
        "of them with the lowest validation RMSE; the test frames chose nothing."
    )


def _untested(table: ComparisonTable) -> Iterator[str]:
    for row in table.networks:
        if "not_tested" in row.details:
            yield f"{row.name}: {row.details['not_tested']}."


def _provenance(table: ComparisonTable) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in table.versions.items())
    commit = f"; commit {table.commit}" if table.commit else ""
    hardware = f"; trained on {table.hardware}" if table.hardware else ""
    return f"Computed with {versions or 'unknown versions'}{commit}{hardware}."
