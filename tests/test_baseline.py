"""The classical opponents see training samples only, stay on the score scale and are hard to beat."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semtune import baseline
from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.baseline import BaselineData, fit_regression, focus_values
from semtune.errors import UnknownNameError
from semtune.results import rmse
from semtune.score_maps import SCORE_MAPS

RANGE = (0.0, 10.0)
each_map = pytest.mark.parametrize("score_map", list(SCORE_MAPS), ids=lambda score_map: score_map.name)
learnt_map = pytest.mark.parametrize("name", ["affine", "isotonic", "logistic"])
grey_values = st.floats(-1e4, 1e4).map(lambda value: round(value, 3))
columns = st.integers(1, 30).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=grey_values), arrays(float, n, elements=st.floats(0, 10)))
)


def simulated(fields=20, frames=6, seed=0):
    """Samples whose score falls with a defocus that the focus values and the last control show."""
    generator = np.random.default_rng(seed)
    count = fields * frames
    defocus, brightness = np.abs(generator.normal(0, 1, count)), generator.normal(50, 10, count)
    texture = np.repeat(generator.uniform(0.5, 1.5, fields), frames)
    sharpness = texture / (1 + defocus**2)
    noise = generator.normal(1, 0.03, (count, len(AUTOFOCUS_FUNCTIONS)))
    powers = np.linspace(0.5, 2, len(AUTOFOCUS_FUNCTIONS))
    scores = np.clip(9 - 3 * defocus - ((brightness - 50) / 12) ** 2, 0, 10)
    return BaselineData(
        focus_values=100 * sharpness[:, None] ** powers * noise,
        controls=np.column_stack([brightness, defocus + 3 * texture]),
        scores=scores,
        fields=tuple(f"field{index // frames}" for index in range(count)),
        train=tuple(range(count * 2 // 3)),
        validation=tuple(range(count * 2 // 3, count * 5 // 6)),
        test=tuple(range(count * 2 // 3, count)),
        score_range=RANGE,
    )


@pytest.fixture(scope="module")
def data():
    return simulated()


@pytest.fixture(scope="module")
def table(data):
    return {row.name: row for row in baseline.rows(data)}


@each_map
@settings(max_examples=15)
@given(columns=columns, unseen=arrays(float, 8, elements=grey_values))
def test_every_prediction_is_a_score(score_map, columns, unseen):
    values, scores = columns
    predicted = score_map.fit(values, scores, RANGE)(unseen)
    assert predicted.shape == unseen.shape
    assert np.all((predicted >= 0) & (predicted <= 10))


@each_map
@pytest.mark.parametrize("count", [1, 5])
def test_equal_focus_values_give_one_score_for_all(score_map, count):
    predict = score_map.fit(np.full(count, 0.1), np.linspace(2, 5, count), RANGE)
    predicted = predict(np.array([-1e6, 0.1, 1e6]))
    assert np.ptp(predicted) == 0
    expected = np.mean(np.linspace(2, 5, count)) if score_map.name not in ("minmax", "as_published") else 5
    assert predicted[0] == pytest.approx(expected)


@learnt_map
@settings(max_examples=15)
@given(columns=columns)
def test_a_fitted_map_is_on_its_samples_no_worse_than_the_mean(name, columns):
    values, scores = columns
    predicted = SCORE_MAPS[name].fit(values, scores, RANGE)(values)
    assert rmse(predicted, scores) <= rmse(np.full_like(scores, scores.mean()), scores) + 1e-6


@learnt_map
@settings(max_examples=15)
@given(columns=columns)
def test_a_fitted_map_is_monotone(name, columns):
    values, scores = columns
    steps = np.diff(SCORE_MAPS[name].fit(values, scores, RANGE)(np.sort(values)))
    assert np.all(steps >= -1e-9) or np.all(steps <= 1e-9)


@learnt_map
def test_the_sign_of_the_focus_value_is_free(name):
    generator = np.random.default_rng(1)
    values = generator.uniform(0, 100, 60)
    scores = values / 12 + generator.normal(0, 0.3, 60)
    upward, downward = (SCORE_MAPS[name].fit(sign * values, scores, RANGE) for sign in (1, -1))
    assert downward(-values) == pytest.approx(upward(values), abs=1e-3)
    assert rmse(downward(-values), scores) < 0.5


def test_affine_finds_a_line():
    values = np.array([1.0, 2, 3, 4])
    predict = SCORE_MAPS["affine"].fit(values, 9 - 2 * values, RANGE)
    assert predict(np.array([2.5, 0.5])) == pytest.approx([4, 8])


def test_logistic_finds_a_logistic_curve():
    values = np.linspace(0, 50, 80)
    scores = 1 + 8 / (1 + np.exp(-(values - 20) / 3))
    assert SCORE_MAPS["logistic"].fit(values, scores, RANGE)(values) == pytest.approx(scores, abs=1e-3)


def test_isotonic_finds_any_monotone_curve():
    values = np.linspace(1, 50, 80)
    scores = 10 / values**0.7
    assert SCORE_MAPS["isotonic"].fit(values, scores, RANGE)(values) == pytest.approx(scores)


def pool_adjacent_violators(values, scores):
    """Rising isotonic regression by its definition: neighbours out of order are averaged till none is."""
    blocks = [[float(np.mean(scores[values == v])), int(np.sum(values == v)), [v]] for v in np.unique(values)]
    while any(one[0] > two[0] for one, two in pairwise(blocks)):
        at = next(i for i, (one, two) in enumerate(pairwise(blocks)) if one[0] > two[0])
        (a, n, first), (b, m, second) = blocks[at : at + 2]
        blocks[at : at + 2] = [[(a * n + b * m) / (n + m), n + m, first + second]]
    level = {v: mean for mean, _, members in blocks for v in members}
    return np.array([level[v] for v in values])


@settings(max_examples=30)
@given(columns=columns)
def test_isotonic_is_the_better_of_two_pools_of_adjacent_violators(columns):
    values, scores = columns
    rising, falling = pool_adjacent_violators(values, scores), pool_adjacent_violators(-values, scores)
    better = min(rising, falling, key=lambda fitted: rmse(fitted, scores))
    fitted = SCORE_MAPS["isotonic"].fit(values, scores, RANGE)(values)
    assert rmse(fitted, scores) == pytest.approx(rmse(better, scores), abs=1e-9)
    if not np.isclose(rmse(rising, scores), rmse(falling, scores)):
        assert fitted == pytest.approx(better, abs=1e-9)


def test_affine_is_the_line_of_numpy():
    generator = np.random.default_rng(1)
    values = generator.uniform(0, 300, 80)
    scores = np.clip(5 + values / 100 + generator.normal(0, 0.5, 80), 0, 10)
    line = np.clip(np.polyval(np.polyfit(values, scores, 1), values), *RANGE)
    assert SCORE_MAPS["affine"].fit(values, scores, RANGE)(values) == pytest.approx(line, abs=1e-9)


def test_minmax_stretches_the_training_extremes_and_clips():
    predict = SCORE_MAPS["minmax"].fit(np.array([20.0, 30, 60]), np.zeros(3), (1.0, 5.0))
    assert predict(np.array([20, 40, 60, 0, 99])) == pytest.approx([1, 3, 5, 1, 5])


def test_as_published_does_not_subtract_the_minimum():
    predict = SCORE_MAPS["as_published"].fit(np.array([20.0, 30, 60]), np.zeros(3), RANGE)
    assert predict(np.array([20, 30, 60])) == pytest.approx([5, 7.5, 10])


def test_only_the_published_map_sees_the_test_samples():
    assert [score_map.name for score_map in SCORE_MAPS if score_map.fitted_on == "test"] == ["as_published"]


def test_the_test_scores_change_no_prediction(data, table):
    scores = data.scores.copy()
    scores[list(data.test)] = 0
    for row in baseline.rows(replace(data, scores=scores)):
        assert np.array_equal(row.predicted_score, table[row.name].predicted_score)


def test_other_test_samples_change_no_prediction(data, table):
    half = data.test[::2]
    for row in baseline.rows(replace(data, test=half)):
        assert row.predicted_score == pytest.approx(table[row.name].predicted_score[::2], abs=1e-9)


def test_the_table_has_a_row_for_the_constant_the_controls_all_jointly_and_each_function(table, data):
    assert tuple(table) == ("constant", "controls", "joint", *AUTOFOCUS_FUNCTIONS.names)
    kinds = [row.kind for row in table.values()]
    assert kinds == ["constant", "controls", "joint", *["autofocus"] * len(AUTOFOCUS_FUNCTIONS)]
    assert all(row.predicted_score.shape == (len(data.test),) for row in table.values())


def test_the_constant_is_the_mean_training_score(table, data):
    assert table["constant"].predicted_score == pytest.approx(data.scores[list(data.train)].mean())


def test_all_jointly_beat_every_other_classical_row(table, data):
    errors = {name: rmse(row.predicted_score, data.scores[list(data.test)]) for name, row in table.items()}
    assert min(errors, key=errors.get) == "joint"
    assert errors["controls"] < errors["constant"]


def test_an_autofocus_row_tells_the_error_of_every_map_and_leads_with_the_affine(table, data):
    row = table["entropy"]
    assert set(row.details) == {f"test_rmse_{name}" for name in SCORE_MAPS.names}
    headline = rmse(row.predicted_score, data.scores[list(data.test)])
    assert row.details["test_rmse_affine"] == pytest.approx(headline)


def test_an_unknown_autofocus_function_is_answered_with_the_nearest(data):
    with pytest.raises(UnknownNameError, match="did you mean 'entropy'"):
        baseline.autofocus(data, "entropi")


def test_missing_control_parameters_are_no_obstacle(data, table):
    controls = data.controls.copy()
    controls[np.random.default_rng(2).random(controls.shape) < 0.1] = np.nan
    controls = np.column_stack([controls, np.full(len(controls), np.nan)])
    test = data.scores[list(data.test)]
    predicted = baseline.joint(replace(data, controls=controls)).predicted_score
    assert rmse(predicted, test) < rmse(table["constant"].predicted_score, test)


def test_without_control_parameters_their_row_is_the_constant(data, table):
    row = baseline.controls(replace(data, controls=np.empty((len(data.scores), 0))))
    assert (row.name, row.kind) == ("controls", "controls")
    assert np.array_equal(row.predicted_score, table["constant"].predicted_score)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_training_samples_still_give_a_table(data, count):
    for row in baseline.rows(replace(data, train=data.train[:count])):
        assert np.all((row.predicted_score >= 0) & (row.predicted_score <= 10))


def test_a_regression_on_noise_is_the_constant():
    generator = np.random.default_rng(3)
    fields = [f"field{index // 4}" for index in range(40)]
    regression = fit_regression(generator.normal(size=(40, 3)), generator.uniform(0, 10, 40), fields, RANGE)
    assert regression.name == "constant"


def test_the_table_is_the_same_every_time(data, table):
    assert np.array_equal(baseline.joint(data).predicted_score, table["joint"].predicted_score)


def test_focus_values_have_a_row_a_frame_and_a_column_a_function():
    frames = [np.random.default_rng(4).integers(0, 256, (9, 8), np.uint8) for _ in range(3)]
    values = focus_values(iter(frames))
    assert values.shape == (3, len(AUTOFOCUS_FUNCTIONS))
    assert values[2, 5] == AUTOFOCUS_FUNCTIONS["entropy"].focus_value(frames[2])
    assert focus_values([]).shape == (0, len(AUTOFOCUS_FUNCTIONS))


def test_validation_samples_are_predicted_as_test_samples_are(data, table):
    swapped = replace(data, validation=data.test, test=data.validation)
    for row in (
        baseline.autofocus(swapped, "entropy"),
        baseline.controls(swapped),
        baseline.constant(swapped),
    ):
        assert row.validation_score == pytest.approx(table[row.name].predicted_score)
        assert row.predicted_score == pytest.approx(table[row.name].validation_score)
