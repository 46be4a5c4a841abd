"""The figures that judge a scorer, against other people's code and against plain loops."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics

from semtune.results import (
    Predictions,
    Result,
    best,
    bootstrap_interval,
    judge,
    krcc,
    mae,
    paired_difference,
    plcc,
    r2,
    resampled_rmse,
    rmse,
    srcc,
)

tenths = st.integers(0, 100).map(lambda tenth: tenth / 10)
pairs_of_scores = st.integers(3, 12).flatmap(
    lambda n: st.tuples(arrays(np.float64, n, elements=tenths), arrays(np.float64, n, elements=tenths))
)
moderate = settings(max_examples=30)


def made_predictions(frames=60, fields=12, error=1.0, seed=0):
    """Fields of unequal size, each with an offset of its own: the frames of a field are not independent."""
    random = np.random.default_rng(seed)
    index = np.sort(random.integers(0, fields, frames))
    reference = random.uniform(0, 10, frames)
    predicted = reference + error * (random.normal(size=fields)[index] + 0.3 * random.normal(size=frames))
    names = tuple(f"f{i}.png" for i in range(frames))
    return Predictions(names, tuple(f"field{i:02d}" for i in index), reference, predicted)


def kendall_by_pairs(a, b):
    """Tau-b, pair by pair."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    signs_a = [np.sign(a[i] - a[j]) for i, j in pairs]
    signs_b = [np.sign(b[i] - b[j]) for i, j in pairs]
    agreement = sum(x * y for x, y in zip(signs_a, signs_b, strict=True))
    return agreement / math.sqrt(sum(map(abs, signs_a)) * sum(map(abs, signs_b)))


# One figure


@moderate
@given(pair=pairs_of_scores)
def test_errors_equal_those_of_scikit_learn(pair):
    predicted, reference = pair
    assert rmse(predicted, reference) == pytest.approx(metrics.root_mean_squared_error(reference, predicted))
    assert mae(predicted, reference) == pytest.approx(metrics.mean_absolute_error(reference, predicted))
    assume(np.ptp(reference) > 0)
    assert r2(predicted, reference) == pytest.approx(metrics.r2_score(reference, predicted))


@moderate
@given(pair=pairs_of_scores)
def test_correlations_equal_their_definitions(pair):
    predicted, reference = pair
    assume(np.ptp(predicted) > 0 and np.ptp(reference) > 0)
    ranks = [stats.rankdata(each) for each in pair]
    assert plcc(predicted, reference) == pytest.approx(np.corrcoef(predicted, reference)[0, 1], abs=1e-9)
    assert srcc(predicted, reference) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
    assert krcc(predicted, reference) == pytest.approx(kendall_by_pairs(predicted, reference), abs=1e-9)


@moderate
@given(pair=pairs_of_scores)
def test_rank_correlations_see_only_the_order(pair):
    predicted, reference = pair
    assume(np.ptp(predicted) > 0 and np.ptp(reference) > 0)
    for figure in (srcc, krcc):
        assert figure(predicted**3 + predicted, reference) == pytest.approx(figure(predicted, reference))
        assert figure(-predicted, reference) == pytest.approx(-figure(predicted, reference))


@moderate
@given(pair=pairs_of_scores, shift=tenths)
def test_an_error_is_that_of_the_differences_alone(pair, shift):
    predicted, reference = pair
    assert rmse(predicted + shift, reference + shift) == pytest.approx(rmse(predicted, reference))
    assert mae(predicted, reference) <= rmse(predicted, reference) + 1e-12


def test_the_mean_explains_nothing_and_the_truth_everything():
    reference = np.array([1.0, 2.0, 6.0])
    assert r2(np.full(3, 3.0), reference) == pytest.approx(0)
    assert r2(reference, reference) == 1
    assert rmse(reference, reference) == 0


@pytest.mark.parametrize("figure", [plcc, srcc, krcc])
def test_a_correlation_with_a_constant_is_not_a_number(figure):
    changing = np.array([1.0, 2.0, 3.0])
    assert math.isnan(figure(np.full(3, 5.0), changing))
    assert math.isnan(figure(changing, np.full(3, 5.0)))


def test_the_share_of_no_variance_is_not_a_number():
    assert math.isnan(r2(np.array([1.0, 2.0]), np.array([3.0, 3.0])))


@pytest.mark.parametrize("figure", [rmse, mae, r2])
@pytest.mark.parametrize("shapes", [(3, 2), (0, 0)])
def test_unequal_or_empty_scores_are_refused(figure, shapes):
    with pytest.raises(ValueError, match="equal, non-empty shapes must hold, but got"):
        figure(np.zeros(shapes[0]), np.arange(shapes[1], dtype=float))


# Intervals


def test_a_resample_is_the_rmse_of_the_frames_of_the_drawn_fields():
    predictions = made_predictions()
    names = sorted(set(predictions.fields))
    owner = np.array([names.index(field) for field in predictions.fields])
    drawn = np.random.default_rng(5).multinomial(len(names), np.full(len(names), 1 / len(names)), 50)
    for times, resampled in zip(drawn, resampled_rmse(predictions, 50, seed=5), strict=True):
        rows = np.concatenate([np.repeat(np.flatnonzero(owner == f), n) for f, n in enumerate(times)])
        by_hand = rmse(predictions.predicted_score[rows], predictions.reference_score[rows])
        assert resampled == pytest.approx(by_hand)


def test_the_interval_agrees_with_that_of_scipy():
    predictions = made_predictions(400, 60)
    squares = (predictions.predicted_score - predictions.reference_score) ** 2
    _, owner = np.unique(predictions.fields, return_inverse=True)
    sums, counts = np.bincount(owner, squares), np.bincount(owner)

    def cluster_rmse(drawn, axis):
        return np.sqrt(sums[drawn].sum(axis) / counts[drawn].sum(axis))

    theirs = stats.bootstrap(
        (np.arange(60),), cluster_rmse, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = bootstrap_interval(resampled_rmse(predictions, 4000))
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.1 * width)


def test_frames_of_one_field_count_as_one_observation():
    """Each frame taken ten times tells nothing new, so the interval must not shrink."""
    once = made_predictions()
    tenfold = Predictions(
        tuple(f"{name}-{i}" for i in range(10) for name in once.frames),
        once.fields * 10,
        np.tile(once.reference_score, 10),
        np.tile(once.predicted_score, 10),
    )
    assert resampled_rmse(tenfold) == pytest.approx(resampled_rmse(once))


def test_resamples_depend_on_the_seed_alone():
    predictions = made_predictions()
    assert np.array_equal(resampled_rmse(predictions, seed=1), resampled_rmse(predictions, seed=1))
    assert not np.array_equal(resampled_rmse(predictions, seed=1), resampled_rmse(predictions, seed=2))


def test_an_interval_covers_what_it_says():
    low, high = bootstrap_interval(np.arange(1001.0), coverage=0.9)
    assert (low, high) == pytest.approx((50, 950))


def test_the_figures_of_a_judgement_are_those_of_a_result():
    predictions = made_predictions()
    figures = judge(predictions)
    names = {field.name for field in fields(Result) if field.name.startswith("test_")}
    assert set(figures) == names
    assert figures["test_rmse_low"] < figures["test_rmse"] < figures["test_rmse_high"]
    assert figures["test_rmse"] == rmse(predictions.predicted_score, predictions.reference_score)


def test_a_scorer_does_not_differ_from_itself():
    predictions = made_predictions()
    assert paired_difference(predictions, predictions) == (0, 0, 0)


def test_a_paired_difference_is_sharper_than_two_intervals():
    a = made_predictions()
    b = replace(a, predicted_score=a.predicted_score + 0.2 * np.sign(a.predicted_score - a.reference_score))
    difference, low, high = paired_difference(b, a)
    assert 0 < low < difference < high
    low_a, high_a = bootstrap_interval(resampled_rmse(a))
    assert high - low < (high_a - low_a) / 2


def test_a_paired_difference_changes_its_sign_with_the_order():
    a, b = made_predictions(), replace(made_predictions(), predicted_score=np.full(60, 5.0))
    forward, backward = paired_difference(a, b), paired_difference(b, a)
    assert forward == pytest.approx((-backward[0], -backward[2], -backward[1]))


def test_a_paired_difference_of_other_frames_is_refused():
    a = made_predictions()
    with pytest.raises(ValueError, match="needs predictions of the same frames in the same order"):
        paired_difference(a, replace(a, frames=a.frames[::-1]))


# The best


def result(name, validation_rmse=math.nan, **more):
    return Result(name, "network", validation_rmse=validation_rmse, **more)


def test_the_best_has_the_lowest_error_and_a_number():
    results = [result("unmeasured"), result("far", 2.0), result("near", 1.0), result("lost", math.inf)]
    assert best(results).name == "near"


def test_of_equals_the_faster_is_the_best_wherever_it_stands():
    rows = [
        result("unmeasured", 1.0),
        result("slow", 1.0, milliseconds_per_image=9.0),
        result("fast", 1.0, milliseconds_per_image=2.0),
    ]
    assert best(rows).name == best(rows[::-1]).name == "fast"


def test_the_best_by_another_figure():
    rows = [result("a", 1.0, test_rmse=2.0), result("b", 2.0, test_rmse=1.0)]
    assert best(rows, "test_rmse").name == "b"


def test_no_best_without_a_number():
    with pytest.raises(ValueError, match="no result has a finite validation_rmse"):
        best([result("unmeasured")])
