"""Whether a challenger becomes the champion: a pure decision, with the sentence that explains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from semtune.results import CLASSICAL, Result

PairedDifference: TypeAlias = tuple[float, float, float]
"""RMSE of the challenger minus RMSE of the rival, low, high: see `semtune.results.paired_difference`."""

CHAMPION = "champion"
"""Key of the champion among the paired differences; baselines stand there under their names."""


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why, in one sentence."""

    promote: bool
    reason: str


def decide(
    challenger: Result,
    champion: Result | None,
    baselines: Sequence[Result],
    differences: Mapping[str, PairedDifference],
    same_test_set: bool = True,
    margin: float = 0.0,
    leaks: bool = False,
) -> Decision:
    """Decide whether the challenger takes the champion's place.

    Its test RMSE must be lower than that of the best classical baseline and of the champion, and by the whole
    paired 95 % interval of each difference; by more than `margin`, if one is given.

    Args:
        challenger: The network that asks for the place.
        champion: The network that has it; None while there is none.
        baselines: Rows of the challenger's comparison table; rows that are not classical are passed over.
        differences: Paired difference to each rival, by the name of the baseline or `CHAMPION`.
        same_test_set: Whether the champion's `test_rmse` was measured on the challenger's test frames.
        margin: Score points, 0 or more.
        leaks: Whether the split cut fields, so that the test RMSE says nothing of unseen fields.

    Raises:
        ValueError: If the margin is negative.
    """
    if not margin >= 0:
        raise ValueError(f"`margin >= 0` must hold, but got {margin=}")
    classical = [row for row in baselines if row.kind in CLASSICAL]
    obstacle = _leak(leaks) or _obstacle(challenger, champion, classical, same_test_set)
    if obstacle:
        return Decision(False, f"{_label(challenger)} is not promoted: {obstacle}.")
    strongest = min(classical, key=lambda row: row.test_rmse)
    rivals = [
        (strongest.name, strongest, f"{strongest.name}, the best of {len(classical)} classical baselines")
    ]
    if champion is not None:
        rivals.append((CHAMPION, champion, f"the champion {_label(champion)}"))
    for key, rival, label in rivals:
        difference = differences.get(key)
        lower = challenger.test_rmse < rival.test_rmse - margin
        if not (lower and difference and difference[2] < -margin):
            doubt = "shown to be lower" if lower else "lower"
            comparison = _comparison(rival, label, difference)
            return Decision(
                False, f"{_reached(challenger)}, which is not {doubt}{_by(margin)} than {comparison}."
            )
    compared = " and ".join(_comparison(rival, label, differences.get(key)) for key, rival, label in rivals)
    first = "" if champion is not None else "; there was no champion"
    return Decision(True, f"{_reached(challenger)}, lower{_by(margin)} than {compared}{first}.")


def _leak(leaks: bool) -> str:
    if not leaks:
        return ""
    return "its search was split at random, which leaks; search with --split field and promote from that"


def _obstacle(
    challenger: Result, champion: Result | None, classical: Sequence[Result], same_test_set: bool
) -> str:
    """What forbids a comparison, and what to do about it; empty if nothing does."""
    unmeasured = [row.name for row in classical if not math.isfinite(row.test_rmse)]
    if not math.isfinite(challenger.test_rmse):
        return "it has no finite test RMSE; train it to its last epoch and let it meet the test frames first"
    if not classical:
        return "no classical baseline met its test frames; fit the baselines first"
    if unmeasured:
        return (
            f"{', '.join(unmeasured)} without a finite test RMSE cannot be compared; fit the baselines again"
        )
    if champion is None:
        return ""
    if challenger.run_id is not None and challenger.run_id == champion.run_id:
        return "it is the champion already"
    if not same_test_set:
        return (
            f"the champion {_label(champion)} was measured on another test set, where an RMSE says "
            "nothing about this one; score this test set with the champion and compare with that RMSE"
        )
    if not math.isfinite(champion.test_rmse):
        return (
            f"the champion {_label(champion)} has no finite RMSE on this test set; score the test set with it"
        )
    return ""


def _reached(result: Result) -> str:
    return f"{_label(result)} has a test RMSE of {result.test_rmse:.4f}"


def _label(result: Result) -> str:
    return f"{result.name} ({result.trial})" if result.trial else result.name


def _by(margin: float) -> str:
    return f" by more than {margin:g}" if margin else ""


def _comparison(rival: Result, label: str, difference: PairedDifference | None) -> str:
    """The rival's figure, with the paired interval where it is known."""
    if difference is None:
        return f"{rival.test_rmse:.4f} of {label} (without predictions of the same frames to compare)"
    middle, low, high = difference
    doubt = ", so chance is not ruled out" if low <= 0 <= high else ""
    return (
        f"{rival.test_rmse:.4f} of {label} "
        f"(difference {middle:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}{doubt})"
    )
