"""The criteria of focus curves, on curves whose answers are known."""

import numpy as np
import pytest

from semtune.focusing.criteria import (
    criteria,
    false_maxima,
    half_width,
    monotone_range,
    noise_level,
    peak_position,
)

DEFOCUS = np.linspace(-12, 12, 97)  # a quarter of a micrometre apart


def gaussian(centre=0.0, sigma=2.0, height=1.0):
    return height * np.exp(-((DEFOCUS - centre) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("centre", [-3.1, 0.0, 0.07, 5.12])
def test_the_peak_of_a_gaussian_lies_at_its_centre(centre):
    assert peak_position(DEFOCUS, gaussian(centre)) == pytest.approx(centre, abs=0.002)


def test_the_peak_of_a_parabola_is_exact():
    assert peak_position(DEFOCUS, -((DEFOCUS - 0.613) ** 2)) == pytest.approx(0.613, abs=1e-9)


def test_a_peak_on_the_edge_stays_there():
    assert peak_position(DEFOCUS, -DEFOCUS) == DEFOCUS[0]


def test_the_width_of_a_gaussian_is_its_full_width_at_half_maximum():
    assert half_width(DEFOCUS, gaussian(sigma=1.5)) == pytest.approx(1.5 * 2.3548, abs=0.02)


def test_a_pedestal_and_a_gain_change_no_width():
    assert half_width(DEFOCUS, 7 - 3 * (1 - gaussian())) == pytest.approx(half_width(DEFOCUS, gaussian()))


def test_a_peak_at_the_edge_has_half_a_width():
    assert half_width(DEFOCUS, gaussian(DEFOCUS[0])) == pytest.approx(2.3548, abs=0.02)


def test_one_peak_has_no_false_maximum():
    assert false_maxima(gaussian()) == 0


def test_a_second_peak_is_a_false_maximum_wherever_it_lies():
    assert false_maxima(gaussian(-4, 1) + gaussian(4, 1, 0.6)) == 1
    assert false_maxima(gaussian(-4, 1) + gaussian(DEFOCUS[-1], 1, 0.6)) == 1


def test_ripples_below_a_hundredth_of_the_range_are_no_maxima():
    ripple = np.where(np.arange(97) % 2, np.linspace(0.9, 1, 97), 0.0)  # no two are level
    assert false_maxima(gaussian() + 0.009 * ripple) == 0
    assert false_maxima(gaussian() + 0.05 * ripple) > 10


def test_a_plateau_counts_once_and_a_constant_not_at_all():
    assert false_maxima(np.minimum(gaussian(), 0.5)) == 0
    assert false_maxima(np.full(97, 3.0)) == 0


def test_the_monotone_range_ends_at_the_minima_next_to_the_peak():
    curve = np.interp(DEFOCUS, [-12, -5, 0, 7, 12], [0.5, 0, 1, 0, 0.4])
    assert monotone_range(DEFOCUS, curve) == pytest.approx(12, abs=0.5)


def test_a_single_peak_is_monotone_over_the_whole_sweep():
    assert monotone_range(DEFOCUS, 1 / (1 + DEFOCUS**2)) == pytest.approx(24)


def test_the_noise_level_is_the_noise_over_the_range():
    rng = np.random.default_rng(0)
    curves = 5 * gaussian() + 0.1 * rng.standard_normal((50, 97))
    assert noise_level(curves) == pytest.approx(0.02, rel=0.05)


def test_a_flat_curve_has_no_noise_level():
    assert np.isnan(noise_level(np.ones((3, 97))))


def test_criteria_are_means_over_repeats_in_both_units():
    found = criteria(DEFOCUS, np.array([gaussian(-1.0), gaussian(2.0), gaussian(2.0)]), 0.5)
    assert found.accuracy_um == pytest.approx(5 / 3, abs=0.01)
    assert found.accuracy_dof == pytest.approx(2 * found.accuracy_um)
    assert found.reproducibility_um == pytest.approx(np.std([-1, 2, 2], ddof=1), abs=0.01)
    assert found.width_dof == pytest.approx(2 * found.width_um)
    assert found.monotone_dof == pytest.approx(48)
    assert found.false_maxima == 0


def test_one_sweep_tells_nothing_of_noise():
    found = criteria(DEFOCUS, gaussian()[None], 0.5)
    assert np.isnan(found.noise)
    assert np.isnan(found.reproducibility_dof)
