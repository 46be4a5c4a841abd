"""Searches replayed against learning curves: the budget holds, weak trials stop, the best is found."""

import math

import numpy as np
import pytest
from benchmarks.bench_replay import BUDGET, CLOSE, TABLE, Grid, nearest, read_grid, replay, search_space

from semtune.networks import ARCHITECTURES
from semtune.results import EpochResult

RATES = [10**power for power in (-5, -4.5, -4, -3.5, -3, -2.5, -2, -1.5)]
NAMES = [entry.name for entry in ARCHITECTURES]
BEST = ("pacf", 10**-3)
EPOCHS = 9


def curve(last, epochs=EPOCHS):
    """Falls from 2 to its last value."""
    values = last + (2 - last) * 0.5 ** np.arange(1, EPOCHS + 1)
    values[-1] = last
    return tuple(EpochResult(e + 1, 1.0, float(values[e]), 10, 1.0) for e in range(epochs))


def last_rmse(architecture, rate, seed):
    distance = abs(math.log10(rate) + 3) + 0.5 * NAMES.index(architecture)
    return 0.5 + 0.1 * distance + 0.001 * seed


@pytest.fixture
def grid():
    """The nearer to the best, the better, at every epoch."""
    curves = {
        (name, rate): tuple(curve(last_rmse(name, rate, seed)) for seed in range(3))
        for name in NAMES
        for rate in RATES
    }
    return Grid(curves, EPOCHS)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("scheduler", ["asha", "none"])
@pytest.mark.parametrize("continuous", [False, True])
def test_a_search_keeps_to_its_budget_of_epochs(grid, sampler, scheduler, continuous):
    for seed in range(3):
        found = replay(grid, search_space(grid, sampler, scheduler, continuous), seed)
        assert 0.8 * BUDGET < found.epochs / grid.all_epochs <= BUDGET
        assert found.epochs == sum(len(trial.epochs) for trial in found.trials) == found.seconds


def test_asha_stops_what_the_table_says_is_bad(grid):
    found = replay(grid, search_space(grid, "random", "asha", continuous=False), seed=1)
    whole, stopped = (
        [last_rmse(*nearest(grid, trial.started.hyperparameters), 0) for trial in found.trials if test(trial)]
        for test in (lambda trial: trial.reason == "epochs", lambda trial: trial.reason == "asha")
    )
    assert len(stopped) > len(whole)
    assert np.mean(stopped) > np.mean(whole) + 0.1


def test_without_asha_every_trial_trains_to_the_end(grid):
    found = replay(grid, search_space(grid, "tpe", "none", continuous=False), seed=1)
    assert {len(trial.epochs) for trial in found.trials} == {EPOCHS}


def test_the_default_finds_the_known_best(grid):
    found = [replay(grid, search_space(grid, "tpe", "asha", continuous=True), seed) for seed in range(10)]
    near = [each for each in found if grid.regret(grid.mean_rmse(each.configuration)) <= CLOSE]
    assert len(near) >= 9


def test_a_diverged_curve_is_never_returned(grid):
    curves = {**grid.curves, BEST: (curve(0.1, epochs=2),) * 3}
    found = replay(Grid(curves, EPOCHS), search_space(grid, "random", "asha", continuous=False), seed=0)
    assert found.configuration != BEST
    assert math.isfinite(found.own_rmse)


def test_a_point_of_the_continuous_space_meets_the_nearest_curve(grid):
    assert nearest(grid, {"architecture": "pacf", "learning_rate": 9e-4}) == BEST
    assert nearest(grid, {"architecture": "pacf", "learning_rate": 5e-4}) == ("pacf", 10**-3.5)


def test_the_recorded_table_is_whole():
    """All 48 configurations, each with three seeds, none cut short."""
    table = read_grid(TABLE)
    assert set(table.architectures) == {entry.name for entry in ARCHITECTURES}
    assert (len(table.learning_rates), len(table.curves)) == (8, 6 * 8)
    for curves in table.curves.values():
        assert len(curves) == 3
        for recorded in curves:
            assert [each.epoch for each in recorded] == list(range(1, len(recorded) + 1))
            assert all(math.isfinite(each.training_rmse) and each.seconds > 0 for each in recorded)
    short = sum(len(recorded) < table.epochs for curves in table.curves.values() for recorded in curves)
    assert TABLE.read_text("utf-8").count(",nan,nan,") == short  # diverged, and marked so
