"""What must be known to read a report: warnings and notes, a sentence or a few each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from semtune.report.beside import paired_rows
from semtune.report.table import CEILING, JOINT, ComparisonTable, PairedDifference, key
from semtune.report.text import epochs, points, split_words
from semtune.results import CLASSICAL, Result

_FEW_FIELDS = 10


def warnings(table: ComparisonTable) -> list[str]:
    """What casts doubt on the figures, to be read before them; a sentence or two each."""
    return [*_split_warning(table), *_order_warning(table), *_copies_warning(table), *_few_fields(table)]


def notes(table: ComparisonTable) -> list[str]:
    """What must be known to read the table, a sentence or a few each."""
    return [
        _origin(table),
        _data(table),
        f"RMSE in score points (lower is better) on {_tested_frames(table)}. The 95 % "
        "interval is a cluster bootstrap over the test fields (2000 resamples). R² is the share of variance "
        "explained; PLCC, SRCC and KRCC are Pearson's, Spearman's and Kendall's correlations (higher is "
        "better); MAE is the mean absolute error (lower is better).",
        *_seeds(table),
        *_failed_seeds(table),
        *_letters(table),
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
        *_hours(table),
        *_beside(table),
        *_claims(table),
        "Published: Table 1 of the paper, on its own frames, scores and machine (GTX 1080M, PyTorch 1.0; "
        "file reading is within its time of the autofocus functions). Those figures cannot be compared with "
        "the figures beside them.",
        _provenance(table),
    ]


def _origin(table: ComparisonTable) -> str:
    if table.simulated:
        return (
            "Frames and scores are simulated: the specialist is a formula; what a network learns here is "
            "that formula, and what it reaches here says nothing about real frames. Such a scorer is a "
            "starting point; a laboratory's own scores come first."
        )
    return "Frames and scores are measured: real frames, scored by a specialist."


def _split_warning(table: ComparisonTable) -> Iterator[str]:
    if table.leaks:
        yield (
            "The split is random and leaks: frames of one field stand on both sides, so test frames are "
            "near-copies of training frames. These figures are here to be compared with those of a split by "
            "field; they say nothing of fields not seen."
        )


def _order_warning(table: ComparisonTable) -> Iterator[str]:
    if table.order is not None and table.order.difference[2] < 0:
        middle, low, high = table.order.difference
        yield (
            "The order of acquisition gives scores away: the mean score of the two training frames nearest "
            f"by {table.order.by} predicts the test frames, unseen, with an RMSE of "
            f"{points(table.order.rmse)} ({middle:+.3f} to the constant, 95 % interval {low:+.3f} to "
            f"{high:+.3f}). Frames that follow each other stand on both sides of the split; give one field "
            "to what was recorded in one go."
        )


def _copies_warning(table: ComparisonTable) -> Iterator[str]:
    copies = table.dataset.near_copies
    if copies:
        listed = "; ".join(copies[:3]) + (f"; and {len(copies) - 3} more" if len(copies) > 3 else "")
        yield (
            f"Frames on two sides of the split look alike ({listed}); if they show one place, give them one "
            "field."
        )


def _few_fields(table: ComparisonTable) -> Iterator[str]:
    fields = len(table.dataset.split["test"])
    if fields < _FEW_FIELDS:
        yield f"Only {fields} test fields: intervals from so few are too narrow, and letters too bold."


def _seeds(table: ComparisonTable) -> Iterator[str]:
    rows = [row for row in table.networks if "seeds" in row.details]
    if rows:
        yield (
            "Over seeds: mean and standard deviation of the test RMSE of the configuration that the search "
            "found best by validation, trained anew with fresh seeds. The trial that won the search, chosen "
            "for its luck too, is not among them. RMSE and the figures beside it are those of the seed with "
            "the lowest validation RMSE, the network that may become the champion."
        )
    elif table.best_network:
        yield "Each network was trained once: how much of a difference is the luck of a seed is not shown."


def _failed_seeds(table: ComparisonTable) -> Iterator[str]:
    failed = [
        f"{row.name} {row.details['seeds_failed']}" for row in table.rows if "seeds_failed" in row.details
    ]
    if failed:
        yield f"Trainings with fresh seeds that failed, and are missing above: {', '.join(failed)}."


def _letters(table: ComparisonTable) -> Iterator[str]:
    if table.compared:
        yield (
            "Letters: two rows that share one are not told apart. Paired bootstrap over the test fields and "
            f"over seeds (2000 resamples), all {len(table.compared)} pairs at once with 95 %."
        )


def _beside(table: ComparisonTable) -> Iterator[str]:
    other = table.beside
    if other is None:
        return
    same = "the same dataset" if other.dataset.digest == table.dataset.digest else "another dataset"
    yield (
        f"Gap: RMSE (mean over seeds) of {table.search}, split {split_words(table)}, minus that of "
        f"{other.search}, split {split_words(other)}, on {same} (digest {other.dataset.digest}, seed "
        f"{other.dataset.seed})."
    )
    if paired := paired_rows(table):
        frames = min(each.frames for each in paired.values())
        yield (
            f"Paired difference: of the networks whose figures stand in the two tables, on the {frames} test "
            "frames that both searches met; paired bootstrap over their fields, each interval by itself."
        )
    if table.leaks != other.leaks:
        yield "Between a split that leaks and one by field the gap is what the leak gives, not skill."


def _claims(table: ComparisonTable) -> Iterator[str]:
    """What the figures show, and what they do not."""
    where = _tested_frames(table)
    kind = "simulated " if table.simulated else ""
    yield (
        f"Shown: how near each scorer comes to the {kind}scores of {where}, on this dataset, and which rows "
        "differ there. Not shown: how any does on other specimens, microscopes or specialists"
        f"{', or on any real frame' if table.simulated else ''}, nor whether a lower RMSE focuses a "
        "microscope better: that is what `semtune focus` measures."
    )


def _tested_frames(table: ComparisonTable) -> str:
    return (
        "test frames of fields that also train" if table.leaks else "test fields that no training frame shows"
    )


def _data(table: ComparisonTable) -> str:
    facts = table.dataset
    low, high = facts.score_range
    name = f" {facts.name}" if facts.name else ""
    parts = ", ".join(_part(table, part) for part in facts.split)
    return (
        f"Dataset{name}: {facts.frames} frames of {facts.fields} fields, scores from {low:g} to {high:g}; "
        f"split {split_words(table)} ({parts}), seed {facts.seed}; digest {facts.digest}."
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
        yield (
            f"{CEILING} is the noise left in the reference scores, single ratings or means of several: the "
            "floor of any RMSE."
        )


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
    if uses := table.uses:
        yield (
            f"Use of the test frames: {uses.here} networks of this search met them, {uses.everywhere} of all "
            f"searches on this dataset that this workspace knows ({uses.searches}). Each look that is "
            "followed by a change makes the next figure too good."
        )


def _untested(table: ComparisonTable) -> Iterator[str]:
    for row in table.networks:
        if "not_tested" in row.details:
            yield f"{row.name}: {row.details['not_tested']}."


def _hours(table: ComparisonTable) -> Iterator[str]:
    hours = table.hours
    if hours and hours.cpu:
        lost = f"; machines were taken away from under them {hours.preempted} times"
        yield f"Trials took {hours} (reserved, while at work){lost if hours.preempted else ''}."


def _provenance(table: ComparisonTable) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in table.versions.items())
    commit = f"; commit {table.commit}" if table.commit else ""
    hardware = f"; trained on {table.hardware}" if table.hardware else ""
    return f"Computed with {versions or 'unknown versions'}{commit}{hardware}."
