from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semtune import promotion
from semtune.results import Result

CHALLENGER = Result("resnet50", "network", test_rmse=0.8, trial="trial-0003", run_id="c0ffee")
CHAMPION = Result("pacf", "network", test_rmse=0.9, trial="trial-0001", run_id="beef")
BASELINES = [
    Result("constant", "constant", test_rmse=1.9),
    Result("entropy", "autofocus", test_rmse=1.6),
    Result("joint", "joint", test_rmse=1.2),
]
errors = st.floats(0, 10)


def decide(challenger, champion, baselines, differences=None, half=0.01, **options):
    """The decision; where no paired intervals are given, they have `half` on each side of the differences."""
    rivals = {row.name: row.test_rmse for row in baselines}
    if champion is not None:
        rivals[promotion.CHAMPION] = champion.test_rmse
    narrow = {
        name: (
            challenger.test_rmse - error,
            challenger.test_rmse - error - half,
            challenger.test_rmse - error + half,
        )
        for name, error in rivals.items()
    }
    return promotion.decide(
        challenger, champion, baselines, narrow if differences is None else differences, **options
    )


def test_a_challenger_below_every_baseline_is_promoted_where_there_is_no_champion():
    decision = decide(CHALLENGER, None, BASELINES)
    assert decision.promote
    assert decision.reason == (
        "resnet50 (trial-0003) has a test RMSE of 0.8000, lower than 1.2000 of joint, the best of 3 "
        "classical baselines (difference -0.4000, 95 % interval -0.4100 to -0.3900); there was no champion."
    )


def test_a_challenger_below_the_champion_takes_its_place():
    decision = decide(CHALLENGER, CHAMPION, BASELINES)
    assert decision.promote
    assert "and 0.9000 of the champion pacf (trial-0001)" in decision.reason


@pytest.mark.parametrize("rival", ["constant", "autofocus", "controls", "joint"])
def test_each_kind_of_baseline_can_stop_the_challenger(rival):
    decision = decide(CHALLENGER, CHAMPION, [*BASELINES, Result("strong", rival, test_rmse=0.7)])
    assert not decision.promote
    assert "not lower than 0.7000 of strong" in decision.reason


def test_rows_that_are_not_classical_stop_nobody():
    others = [Result("vgg11", "network"), Result("rater_noise", "ceiling", test_rmse=0.3)]
    assert decide(CHALLENGER, None, [*BASELINES, *others]).promote


@pytest.mark.parametrize("rival", [replace(CHAMPION, test_rmse=0.8), replace(CHAMPION, test_rmse=0.7)])
def test_a_champion_that_is_as_good_or_better_stays(rival):
    decision = decide(CHALLENGER, rival, BASELINES)
    assert not decision.promote
    assert "not lower than" in decision.reason
    assert "the champion pacf" in decision.reason


def test_a_tie_with_a_baseline_is_no_win():
    assert not decide(CHALLENGER, None, [Result("joint", "joint", test_rmse=0.8)]).promote


@pytest.mark.parametrize(("margin", "promoted"), [(0.0, True), (0.05, True), (0.2, False)])
def test_the_margin_must_be_exceeded(margin, promoted):
    decision = decide(CHALLENGER, CHAMPION, BASELINES, margin=margin)
    assert decision.promote is promoted
    assert ("by more than" in decision.reason) is (margin > 0)


def test_a_negative_margin_is_refused():
    with pytest.raises(ValueError, match=r"`margin >= 0` must hold, but got margin=-1"):
        decide(CHALLENGER, None, BASELINES, margin=-1)


@pytest.mark.parametrize("unmeasured", [math.nan, math.inf])
def test_a_challenger_without_a_test_rmse_is_refused(unmeasured):
    decision = decide(replace(CHALLENGER, test_rmse=unmeasured), None, BASELINES)
    assert not decision.promote
    assert "no finite test RMSE; train it to its last epoch" in decision.reason


def test_a_baseline_without_a_test_rmse_cannot_be_beaten():
    decision = decide(CHALLENGER, None, [*BASELINES, Result("brenner", "autofocus")])
    assert not decision.promote
    assert "brenner without a finite test RMSE" in decision.reason


def test_without_baselines_nothing_is_promoted():
    decision = decide(CHALLENGER, None, [])
    assert not decision.promote
    assert "fit the baselines first" in decision.reason


def test_a_champion_of_another_test_set_is_not_compared():
    decision = decide(CHALLENGER, CHAMPION, BASELINES, same_test_set=False)
    assert not decision.promote
    assert "score this test set with the champion" in decision.reason


def test_a_champion_that_was_not_scored_on_this_test_set_is_not_compared():
    decision = decide(CHALLENGER, replace(CHAMPION, test_rmse=math.nan), BASELINES)
    assert not decision.promote
    assert "no finite RMSE on this test set" in decision.reason


def test_the_champion_does_not_replace_itself():
    decision = decide(CHALLENGER, replace(CHALLENGER, test_rmse=0.9), BASELINES)
    assert not decision.promote
    assert "champion already" in decision.reason


@pytest.mark.parametrize("rival", ["joint", promotion.CHAMPION])
def test_an_interval_that_does_not_exclude_0_refuses(rival):
    differences = {"joint": (-0.4, -0.5, -0.3), promotion.CHAMPION: (-0.1, -0.2, -0.05)}
    assert decide(CHALLENGER, CHAMPION, BASELINES, differences).promote
    middle, low, _ = differences[rival]
    decision = decide(CHALLENGER, CHAMPION, BASELINES, {**differences, rival: (middle, low, 0.05)})
    assert not decision.promote
    assert "which is not shown to be lower than" in decision.reason
    assert decision.reason.endswith(f"95 % interval {low:+.4f} to +0.0500, so chance is not ruled out).")


def test_the_intervals_are_stated():
    differences = {"joint": (-0.4, -0.5, -0.3), promotion.CHAMPION: (-0.1, -0.2, -0.05)}
    reason = decide(CHALLENGER, CHAMPION, BASELINES, differences).reason
    assert "(difference -0.4000, 95 % interval -0.5000 to -0.3000)" in reason
    assert "(difference -0.1000, 95 % interval -0.2000 to -0.0500)" in reason


def test_without_a_paired_interval_nothing_is_promoted():
    decision = decide(CHALLENGER, None, BASELINES, {})
    assert not decision.promote
    assert "without predictions of the same frames to compare" in decision.reason


def test_what_was_reached_on_a_split_that_leaks_is_not_promoted():
    decision = decide(CHALLENGER, None, BASELINES, leaks=True)
    assert not decision.promote
    assert "was split at random, which leaks" in decision.reason


@given(errors, errors, st.lists(errors, min_size=1, max_size=6), st.floats(0, 1))
def test_the_promoted_is_below_all_its_rivals_and_the_reason_is_one_sentence(
    own, champion, baselines, margin
):
    rows = [Result(f"f{place}", "autofocus", test_rmse=value) for place, value in enumerate(baselines)]
    decision = decide(
        replace(CHALLENGER, test_rmse=own),
        replace(CHAMPION, test_rmse=champion),
        rows,
        half=0.0,
        margin=margin,
    )
    assert decision.promote is all(own < rival - margin for rival in (*baselines, champion))
    assert decision.reason.endswith(".")
    assert ". " not in decision.reason
