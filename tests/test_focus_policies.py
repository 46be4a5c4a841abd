"""Focusing policies, on curves whose maximum is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semtune.focusing.policies import LEAST_BUDGET, POLICIES, Acquisitions, fit_peak

LAST = 384
SHAPES = {
    "wide": lambda d: np.exp(-((d / 150) ** 2)),
    "pointed": lambda d: 1 / (1 + (d / 20) ** 2),
    "flat on top": lambda d: 1 / (1 + np.abs(d / 40) ** 4),
}
each_policy = pytest.mark.parametrize("policy", list(POLICIES), ids=lambda policy: policy.name)
objectives = st.dictionaries(st.integers(0, 40), st.floats(-1, 1, width=16), max_size=41)


def asked(objective, last=LAST, budget=12):
    return Acquisitions(lambda step: float(objective(step)), last, budget)


@each_policy
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("centre", [45, 130, 192, 270.4, 340])
def test_a_policy_finds_the_only_maximum_within_its_budget(policy, shape, centre):
    ask = asked(lambda step: SHAPES[shape](step - centre))
    # A sweep of twelve frames, 32 steps apart, is as coarse as it is.
    tolerance = 8 if policy.name == "full_sweep" else 3
    assert policy.focus(ask) == pytest.approx(centre, abs=tolerance)
    assert len(ask.values) <= 12


@each_policy
@given(values=objectives, budget=st.integers(LEAST_BUDGET, 15), last=st.integers(20, 40))
@settings(max_examples=40, deadline=None)
def test_a_policy_keeps_to_budget_and_window_whatever_it_sees(policy, values, budget, last):
    ask = asked(lambda step: values.get(step, 0.0), last, budget)
    assert 0 <= policy.focus(ask) <= last
    assert 1 <= len(ask.values) <= budget
    assert all(0 <= step <= last for step in ask.values)


@each_policy
def test_a_larger_objective_by_gain_and_offset_leads_to_the_same_place(policy):
    def value(step):
        return SHAPES["pointed"](step - 100)

    assert policy.focus(asked(value)) == policy.focus(asked(lambda step: 1024 * value(step) + 8))


def test_with_a_frame_a_step_the_sweep_agrees_with_brute_force():
    values = np.random.default_rng(0).permutation(40).astype(float)
    values[17] = 100.0
    positions = 39 * (np.arange(40) + 0.5) / 40
    found = POLICIES["full_sweep"].focus(asked(lambda step: values[step], 39, 40))
    assert abs(found - positions[17]) < 1


def test_the_golden_section_agrees_with_brute_force_given_enough_frames():
    curve = -np.abs(np.arange(LAST + 1) - 211.3)
    assert POLICIES["golden_section"].focus(asked(lambda step: curve[step], budget=20)) == np.argmax(curve)


def test_a_step_is_asked_for_once():
    calls = []
    ask = asked(lambda step: calls.append(step) or 1.0)
    assert ask.at(3.2) == ask.at(2.9) == 1.0
    assert calls == [3]


def test_the_budget_cannot_be_passed_over():
    ask = asked(float, budget=2)
    ask.at(1)
    ask.at(2)
    assert ask.at(1) == 1.0  # known already
    with pytest.raises(ValueError, match="a budget of 2 acquisitions is spent"):
        ask.at(3)


def test_the_fit_centres_a_noisy_peak_better_than_its_highest_value():
    rng = np.random.default_rng(0)
    fitted, highest = [], []
    for _ in range(100):
        centre = rng.uniform(100, 280)
        steps = np.linspace(0, LAST, 13).astype(int)
        values = SHAPES["flat on top"](steps - centre) + 0.03 * rng.standard_normal(13)
        fitted.append(fit_peak(dict(zip(steps.tolist(), values, strict=True)), LAST)[0] - centre)
        highest.append(steps[np.argmax(values)] - centre)
    assert np.std(fitted) < 0.5 * np.std(highest)


def test_a_fit_without_a_peak_falls_back_on_the_highest_value():
    flat = dict.fromkeys(range(0, 300, 50), 1.0)
    assert fit_peak(flat, LAST)[0] == 0
