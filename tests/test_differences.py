"""Which differences are real: simultaneous paired intervals and letters, against loops and definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semtune.differences import Difference, differences, letters
from semtune.results import Predictions, paired_difference

FIELDS, FRAMES = 20, 6


def predictions(spread, seed=0, fields=FIELDS):
    generator = np.random.default_rng(3)
    reference = generator.uniform(0, 10, fields * FRAMES)
    own = reference + spread * np.random.default_rng(seed).standard_normal(len(reference))
    names = tuple(np.repeat([f"f{i}" for i in range(fields)], FRAMES).tolist())
    return Predictions(tuple(map(str, range(len(reference)))), names, reference, own)


def found(compared):
    return {(each.of, each.minus): each for each in compared}


def test_every_pair_is_compared_once_and_by_the_mean_over_seeds():
    compared = differences(
        {"a": [predictions(1, 1), predictions(1, 2)], "b": [predictions(2, 3)], "c": [predictions(3, 4)]}
    )
    assert list(found(compared)) == [("a", "b"), ("a", "c"), ("b", "c")]
    one, two, three = (paired_difference(predictions(1, s), predictions(2, 3))[0] for s in (1, 2, 1))
    assert compared[0].value == pytest.approx((one + two) / 2, abs=1e-12)
    assert three == one
    assert all(each.is_real for each in compared)


def test_the_intervals_agree_with_plain_loops():
    scorers = {
        name: predictions(spread, place)
        for place, (name, spread) in enumerate([("a", 1), ("b", 1.1), ("c", 2)])
    }
    compared = differences({name: [each] for name, each in scorers.items()}, resamples=200)
    fields = np.unique(scorers["a"].fields)
    drawn = np.random.default_rng(0).multinomial(len(fields), np.full(len(fields), 1 / len(fields)), 200)
    squares = {
        name: [
            [
                (p - r) ** 2
                for p, r, f in zip(each.predicted_score, each.reference_score, each.fields, strict=True)
                if f == field
            ]
            for field in fields
        ]
        for name, each in scorers.items()
    }

    def error(name, counts):
        frames = [s for count, own in zip(counts, squares[name], strict=True) for s in own * int(count)]
        return (sum(frames) / len(frames)) ** 0.5

    pairs = list(combinations(scorers, 2))
    value = {(a, b): error(a, [1] * len(fields)) - error(b, [1] * len(fields)) for a, b in pairs}
    off = {(a, b): [error(a, c) - error(b, c) - value[a, b] for c in drawn] for a, b in pairs}
    scale = {pair: (sum(d * d for d in each) / 200) ** 0.5 for pair, each in off.items()}
    largest = [max(abs(off[pair][i]) / scale[pair] for pair in pairs) for i in range(200)]
    factor = float(np.quantile(largest, 0.95))
    for pair, each in found(compared).items():
        assert each.value == pytest.approx(value[pair], abs=1e-9)
        assert each.high - each.low == pytest.approx(2 * factor * scale[pair], abs=1e-9)


def test_intervals_that_hold_together_are_wider_than_one_alone():
    scorers = {f"s{i}": [predictions(1 + i / 20, i)] for i in range(12)}
    many = found(differences(scorers))["s0", "s1"]
    two = found(differences({name: scorers[name] for name in ("s0", "s1")}))["s0", "s1"]
    assert many.high - many.low > 1.2 * (two.high - two.low)


def test_of_equal_scorers_none_differs_in_19_of_20_tables():
    """The rate of false discoveries among 15 pairs, over 40 tables whose null hypothesis is true."""
    wrong = 0
    for table in range(40):
        scorers = {f"s{i}": [predictions(1, 1000 * table + i, fields=40)] for i in range(6)}
        wrong += any(each.is_real for each in differences(scorers, resamples=400))
    assert wrong <= 6  # 2 expected; more than 6 has a probability of 1 in 300


def test_a_spread_over_seeds_makes_differences_doubtful():
    steady = {"a": [predictions(1.0, 1)] * 3, "b": [predictions(1.3, 2)] * 3}
    shaky = {
        "a": [predictions(s, 1) for s in (0.5, 1.0, 1.5)],
        "b": [predictions(s, 2) for s in (0.8, 1.3, 1.8)],
    }
    assert differences(steady)[0].is_real
    assert not differences(shaky)[0].is_real


def test_scorers_that_are_the_same_or_seen_on_one_field_are_not_told_apart():
    same = predictions(1, 1)
    assert not differences({"a": [same], "b": [same]})[0].is_real
    lone = {"a": [predictions(1, 1, fields=1)], "b": [predictions(3, 2, fields=1)]}
    assert not differences(lone)[0].is_real


def test_one_scorer_alone_has_nothing_to_compare_and_a_letter():
    assert differences({"a": [predictions(1)]}) == ()
    assert letters(["a"], ()) == {"a": "a"}
    assert letters([], ()) == {}


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(st.booleans(), min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2).map(
            lambda real: (n, real)
        )
    )
)
def test_two_share_a_letter_exactly_where_their_difference_is_not_real(case):
    count, real = case
    names = [f"s{i}" for i in range(count)]
    pairs = list(combinations(names, 2))
    compared = [
        Difference(a, b, 1.0, 0.5 if each else -0.5, 1.5) for (a, b), each in zip(pairs, real, strict=True)
    ]
    given_letters = letters(names, compared)
    assert "a" in given_letters[names[0]]
    for each in compared:
        assert bool(set(given_letters[each.of]) & set(given_letters[each.minus])) is not each.is_real
