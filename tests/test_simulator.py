import itertools
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from semtune.errors import ConfigError, UnknownNameError
from semtune.simulator import (
    CONTROL_PARAMETERS,
    RATER_NOISE,
    SIMULATOR_VERSION,
    SPECIALISTS,
    VirtualMicroscope,
    simulate_field,
    simulate_fields,
)
from semtune.simulator.disturbances import Disturbances
from semtune.simulator.fractal import fractal_surface
from semtune.simulator.microscope import Exposure, Knobs, field_conditions, pixel_um
from semtune.simulator.noise import electrons_per_pixel
from semtune.simulator.optics import Spot, probe_diameter_nm, transfer_function, wavelength_m
from semtune.simulator.other_specimens import ALL_SPECIMENS
from semtune.simulator.profile import find_specialist
from semtune.simulator.specialist import Qualities, qualities, rated
from semtune.simulator.specimen import MARGINS, RENDERED_SHAPE, SPECIMENS

BALLS, GRID = 0, 2
"""Fields that show tin balls and a grid."""
BALL_SIGNAL = 0.18
"""Between carbon and balls."""
KNOWN_SCORES = [6.539, 3.341, 5.646, 3.269]


@pytest.fixture(scope="module", params=[BALLS, GRID], ids=["tin balls", "grid"])
def microscope(request):
    return VirtualMicroscope(request.param, seed=4)


@pytest.fixture(scope="module")
def frames():
    return list(simulate_fields(fields=12, settings=4, seed=7))


def best_knobs(microscope, magnification=1000):
    conditions = microscope.conditions
    x, y = conditions.astigmatism_um
    focus = conditions.best_focus_um
    return Knobs(focus=focus, stigmator_x=x, stigmator_y=y, magnification=magnification)


def noise(exposure):
    unclipped = (exposure.noise_free > 75) & (exposure.noise_free < 180)
    return np.where(unclipped, exposure.frame.astype(float) - exposure.noise_free, np.nan)


def sharpness(exposure):
    return cv2.Laplacian(exposure.noise_free.astype(np.float32), -1).var()


def make_exposure(noise_free=None, spot=None, signal_to_noise=3.0):
    ramp = np.tile(np.linspace(30, 220, 640).astype(np.uint8), (480, 1))
    frame = ramp if noise_free is None else noise_free
    return Exposure(frame, frame, spot or Spot(0.4, 0, (0, 0)), signal_to_noise)


# --- the data set


def test_frames_are_8_bit_640_by_480_and_scores_are_tenths_of_0_to_10(frames):
    for frame in frames:
        assert frame.frame.dtype == np.uint8
        assert frame.frame.shape == (480, 640)
        assert 0 <= frame.score <= 10
        assert frame.score == round(frame.score, 1)
        assert len(frame.controls) == len(CONTROL_PARAMETERS)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others():
    first, again, other = (simulate_field(3, 2, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        assert a.frame.tobytes() == b.frame.tobytes()
        assert (a.score, a.controls) == (b.score, b.controls)
        assert a.frame.tobytes() != c.frame.tobytes()


def test_a_field_depends_neither_on_other_fields_nor_on_the_number_of_settings(frames):
    alone = simulate_field(5, 3, seed=7)
    within = [frame for frame in frames if frame.field == alone[0].field]
    for a, b in zip(alone, within, strict=False):
        assert a.frame.tobytes() == b.frame.tobytes()
        assert (a.score, a.controls) == (b.score, b.controls)


def test_a_change_of_the_frames_changes_the_version():
    # Stored from version 1 itself: should it fail, the simulator has changed and needs another version.
    known = {"1": KNOWN_SCORES}
    found = [frame.exact_score for index in (BALLS, GRID) for frame in simulate_field(index, 2, seed=0)]
    assert found == pytest.approx(known[SIMULATOR_VERSION], abs=2e-3)


def test_scores_spread_over_the_scale_as_the_prototypes_did(frames):
    scores = np.array([frame.score for frame in frames])
    assert scores.mean() == pytest.approx(5.3, abs=0.6)  # prototype: mean 5.3, standard deviation 1.9
    assert scores.std() == pytest.approx(1.9, abs=0.4)


def test_rater_noise_lies_between_the_exact_and_the_given_score(frames):
    errors = [frame.score - frame.exact_score for frame in frames]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(RATER_NOISE, rel=0.2)


@pytest.mark.parametrize("fields", [2, 6, 16, 17, 178])
def test_no_field_is_alone_in_its_specimen(fields):
    per_specimen = Counter(field_conditions(index, 0).specimen for index in range(fields))
    assert min(per_specimen.values()) >= 2


def test_the_focus_reading_is_the_defocus_from_the_fields_best_focus(frames):
    best = {(f.field, round(f.controls[2] - f.defocus_um, 6)) for f in frames}
    assert len(best) == len({f.field for f in frames})
    assert len({reading for _, reading in best}) == len(best)


def test_the_best_contrast_is_not_the_same_for_every_field():
    levels = (30, 40, 50, 60, 70)

    def best_contrast(index):
        microscope = VirtualMicroscope(index, seed=4)
        knobs = best_knobs(microscope)
        quality = [
            qualities(microscope.take_frame(replace(knobs, contrast=level))).contrast for level in levels
        ]
        return levels[int(np.argmax(quality))]

    assert len({best_contrast(index) for index in range(0, 8, 2)}) > 1


def test_an_unknown_specialist_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'overall'"):
        find_specialist("overal")


# --- specimens


def test_balls_cover_the_share_that_their_specimen_names():
    shares = [(ball_signal(seed, 2000) > BALL_SIGNAL).mean() for seed in range(4)]
    low, high = SPECIMENS["tin_balls_1"].coverage
    assert low - 0.05 <= np.mean(shares) <= high + 0.05


def test_radii_span_two_decades():
    wide = (ball_signal(0, 500) > BALL_SIGNAL).astype(np.uint8)
    largest_um = cv2.distanceTransform(wide, cv2.DIST_L2, 5).max() * pixel_um(500)
    close = (ball_signal(0, 10000) > BALL_SIGNAL).astype(np.uint8)
    areas = cv2.connectedComponentsWithStats(close)[2][1:, cv2.CC_STAT_AREA]
    small_um = np.sqrt(np.quantile(areas, 0.1) / np.pi) * pixel_um(10000)
    assert 5 < largest_um < 9
    assert 0.05 < small_um < 0.09


def ball_signal(seed, magnification):
    return SPECIMENS["tin_balls_1"].signal(pixel_um(magnification), np.random.default_rng(seed))


def test_a_grid_repeats_after_its_pitch():
    signal = SPECIMENS["grid_2000"].signal(pixel_um(1000), np.random.default_rng(1))
    power = np.abs(np.fft.rfft2(signal - signal.mean())) ** 2
    row, column = np.unravel_index(power.argmax(), power.shape)
    fy, fx = np.fft.fftfreq(RENDERED_SHAPE[0])[row], np.fft.rfftfreq(RENDERED_SHAPE[1])[column]
    assert pixel_um(1000) / np.hypot(fy, fx) == pytest.approx(12.7, rel=0.05)


@pytest.mark.parametrize("name", ALL_SPECIMENS.names)
def test_every_specimen_has_something_to_focus_on_at_any_magnification(name):
    for magnification in (500, 10000):
        signal = ALL_SPECIMENS[name].signal(pixel_um(magnification), np.random.default_rng(2))
        assert signal.shape == RENDERED_SHAPE
        assert signal.min() >= 0
        centre = signal[MARGINS[0] : -MARGINS[0], MARGINS[1] : -MARGINS[1]]
        assert np.ptp(cv2.GaussianBlur(centre, (0, 0), 3)) > 0.06


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.sampled_from([1.0, 2.2, 4.0]))
def test_a_fractal_surface_has_the_power_law_asked_for(seed, beta):
    surface = fractal_surface((256, 256), beta, np.random.default_rng(seed))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256))
    power = np.abs(np.fft.rfft2(surface)) ** 2
    low, high = (power[(frequency > f) & (frequency < 1.2 * f)].mean() for f in (0.04, 0.3))
    assert np.log(low / high) / np.log(0.3 / 0.04) == pytest.approx(beta, abs=0.35)
    assert surface.std() == pytest.approx(1, abs=1e-3)


# --- optics


@pytest.mark.parametrize(
    ("voltage_kv", "diameter_nm"), [(5, 82), (10, 58), (15, 47), (20, 41), (30, 33)], ids=str
)
def test_probe_diameters_are_those_of_a_tungsten_gun(voltage_kv, diameter_nm):
    # Figures of the prototype for 100 pA, after Barth and Kruit (1996).
    assert probe_diameter_nm(voltage_kv) == pytest.approx(diameter_nm, abs=0.5)


def test_the_wavelength_of_20_kv_electrons_is_that_of_the_textbooks():
    assert wavelength_m(20) == pytest.approx(8.588e-12, rel=1e-3)  # Reimer (1998), table 2.1


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 2), st.floats(-30, 30), st.floats(-3, 3), st.floats(-3, 3))
def test_a_spot_transfers_the_mean_as_it_is_and_amplifies_nothing(sigma, defocus, x, y):
    transfer = transfer_function(Spot(sigma, defocus, (x, y)))
    assert transfer[0, 0] == pytest.approx(1, abs=1e-6)
    assert np.abs(transfer).max() <= 1 + 1e-6


def test_the_transfer_of_a_round_disc_is_the_jinc():
    transfer = transfer_function(Spot(0.3, 10, (0, 0)))
    f = np.fft.rfftfreq(RENDERED_SHAPE[1])[1:]
    jinc = special.j1(2 * np.pi * 10 * f) / (np.pi * 10 * f)
    assert transfer[0, 1:] == pytest.approx(jinc * np.exp(-2 * (np.pi * 0.3 * f) ** 2), abs=6e-4)


def test_astigmatism_turns_the_disc_into_a_line_whose_direction_changes_with_the_side_of_the_focus():
    below, above = (transfer_function(Spot(0.3, z, (4, 0))) for z in (-4, 4))
    column, row = 48, 40  # the same frequency, 1/16 a pixel, along x and along y
    assert below[0, column] == pytest.approx(above[row, 0], abs=1e-3)
    assert above[0, column] < 0.25 < 0.9 < below[0, column]


def test_semi_axes_are_defocus_plus_and_minus_astigmatism():
    assert Spot(0.3, -5, (3, 4)).semi_axes_px == (10, 0)
    assert Spot(0.3, 1, (0, 3)).semi_axes_px == (4, 2)


# --- the microscope and its knobs


def test_noise_is_white_and_as_strong_as_in_real_frames():
    for index in range(0, 8, 2):
        microscope = VirtualMicroscope(index, seed=4)
        microscope.conditions = replace(
            microscope.conditions, gain=SPECIMENS[microscope.conditions.specimen].usual_gain
        )
        n = noise(microscope.take_frame(best_knobs(microscope)))
        variance = np.nanvar(n)
        assert 15 <= np.sqrt(variance) <= 24  # real frames: 17 to 22 grey levels
        assert abs(np.nanmean(n[:, 1:] * n[:, :-1])) < 0.03 * variance
        assert abs(np.nanmean(n[1:] * n[:-1])) < 0.03 * variance


def test_lines_share_no_noise_unless_line_noise_is_on():
    def spread_of_lines(disturbances):
        n = noise(VirtualMicroscope(GRID, 4, disturbances).take_frame(Knobs()))
        return np.nanstd(np.nanmean(n, axis=1)) / (np.nanstd(n) / np.sqrt(np.isfinite(n).sum(axis=1).mean()))

    assert spread_of_lines(None) == pytest.approx(1, abs=0.25)
    shifted = VirtualMicroscope(GRID, 4, Disturbances(line_noise=0.02)).take_frame(Knobs())
    steady = VirtualMicroscope(GRID, 4).take_frame(Knobs())
    offsets = (shifted.noise_free.astype(float) - steady.noise_free).mean(axis=1)
    assert offsets.std() == pytest.approx(0.02 * 420 * field_conditions(GRID, 4).gain, rel=0.25)


def test_shading_darkens_the_right_side_and_drift_moves_lines():
    steady = VirtualMicroscope(BALLS, 4).take_frame(Knobs()).noise_free.astype(float)
    shaded = VirtualMicroscope(BALLS, 4, Disturbances(shading=0.3)).take_frame(Knobs()).noise_free
    drifted = VirtualMicroscope(BALLS, 4, Disturbances(drift_px=2)).take_frame(Knobs()).noise_free
    loss = (steady - shaded).mean(axis=0)
    assert loss[:20].mean() < 2 < loss[-20:].mean()
    assert np.abs(steady[:20] - drifted[:20]).mean() < np.abs(steady[-200:] - drifted[-200:]).mean()


def test_charging_leaves_dark_tails_behind_bright_places():
    steady = VirtualMicroscope(BALLS, 4).take_frame(Knobs()).noise_free.astype(float)
    charged = VirtualMicroscope(BALLS, 4, Disturbances(charging=0.4)).take_frame(Knobs()).noise_free
    loss = steady - charged
    bright = steady > np.quantile(steady, 0.9)
    behind, before = np.zeros_like(bright), np.zeros_like(bright)
    behind[:, 8:], before[:, :-8] = bright[:, :-8], bright[:, 8:]
    assert loss.min() >= 0
    assert loss[behind & ~bright].mean() > 1.2 * loss[before & ~bright].mean() > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"drft_px": 1}, "no disturbance named 'drft_px'; did you mean 'drift_px'"),
        ({"shading": 1.5}, "`0 <= shading <= 1` must hold, but got shading=1.5"),
        ({"line_noise": -0.1}, "must hold, but got line_noise=-0.1"),
    ],
)
def test_a_wrong_disturbance_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Disturbances.from_values(wrong)


def test_the_noise_of_a_dim_pixel_is_that_of_counted_electrons():
    electrons = electrons_per_pixel(0.4, 100)
    assert electrons == pytest.approx(87, abs=0.5)  # 100 pA, 0.4 us, 35 %
    assert electrons_per_pixel(1.6, 100) == pytest.approx(4 * electrons)


def test_brightness_raises_the_mean_by_three_grey_levels_a_step(microscope):
    knobs = replace(best_knobs(microscope), contrast=30)
    low, high = (microscope.take_frame(replace(knobs, brightness=b)).noise_free for b in (48, 54))
    assert high.mean() - low.mean() == pytest.approx(18, abs=1)


def test_contrast_doubles_the_spread_every_15_steps(microscope):
    knobs = replace(best_knobs(microscope), brightness=55)
    low, high = (microscope.take_frame(replace(knobs, contrast=c)).noise_free for c in (5, 20))
    assert high.std() / low.std() == pytest.approx(2, rel=0.05)


def test_the_best_focus_gives_the_sharpest_frame(microscope):
    knobs = best_knobs(microscope)
    steps = microscope.depth_of_field_um(1000) * np.array([-8, -4, -2, 0, 2, 4, 8])
    values = [sharpness(microscope.take_frame(replace(knobs, focus=knobs.focus + z))) for z in steps]
    assert values[:4] == sorted(values[:4])
    assert values[3:] == sorted(values[3:], reverse=True)


def test_the_stigmator_cancels_the_columns_astigmatism(microscope):
    knobs = best_knobs(microscope)
    assert microscope.spot(knobs).semi_axes_px == pytest.approx((0, 0), abs=1e-9)
    left = replace(knobs, stigmator_x=0.0, stigmator_y=0.0)
    worse = replace(knobs, stigmator_x=knobs.stigmator_x + 300)
    values = [sharpness(microscope.take_frame(k)) for k in (worse, left, knobs)]
    assert values == sorted(values)


def test_a_fourfold_dwell_halves_the_noise(microscope):
    knobs = replace(best_knobs(microscope), contrast=40)
    short, long = (noise(microscope.take_frame(replace(knobs, dwell=t))) for t in (0.4, 1.6))
    assert np.nanstd(short) / np.nanstd(long) == pytest.approx(2, rel=0.05)


def test_magnification_shows_a_smaller_place_with_less_depth_of_field(microscope):
    low, high = (microscope.take_frame(best_knobs(microscope, m)).frame for m in (1000, 2000))
    assert low.tobytes() != high.tobytes()
    depths = [microscope.depth_of_field_um(m) for m in (500, 1000, 2000)]
    assert depths == sorted(depths, reverse=True)


def test_another_exposure_has_other_noise_on_the_same_scene(microscope):
    first, second = (microscope.take_frame(best_knobs(microscope), exposure) for exposure in (0, 1))
    assert first.noise_free.tobytes() == second.noise_free.tobytes()
    assert first.frame.tobytes() != second.frame.tobytes()


@pytest.mark.parametrize("wrong", [{"brightness": 101}, {"contrast": -1}, {"magnification": 0}, {"dwell": 0}])
def test_a_knob_out_of_its_range_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"must hold, but got {next(iter(wrong))}"):
        Knobs(**wrong)


# --- the specialist


@pytest.mark.parametrize("name", SPECIALISTS.names)
def test_the_score_falls_with_defocus_on_both_sides(microscope, name):
    knobs = best_knobs(microscope)
    for side in (-1, 1):
        blurs = [replace(knobs, focus=knobs.focus + side * z) for z in (0, 150, 300, 600)]
        scores = [SPECIALISTS[name].score(microscope.take_frame(k)) for k in blurs]
        assert scores == sorted(scores, reverse=True)


def test_the_score_falls_with_noise(microscope):
    knobs = best_knobs(microscope)
    noisy = [microscope.take_frame(replace(knobs, dwell=t)) for t in (1.6, 0.4, 0.02)]
    scores = [SPECIALISTS["overall"].score(exposure) for exposure in noisy]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


@pytest.mark.parametrize("level", [0, 255])
def test_the_score_falls_with_clipping(level):
    frame = make_exposure().noise_free
    clipped = frame.copy()
    clipped[:, :160] = level
    heavily = frame.copy()
    heavily[:, :400] = level
    values = [qualities(make_exposure(f)).contrast for f in (frame, clipped, heavily)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 3), st.floats(-60, 60), st.floats(0, 9), st.floats(0, 20), st.integers(0, 255))
def test_qualities_and_scores_stay_in_their_ranges(sigma, defocus, astigmatism, snr, level):
    flat = np.full((480, 640), level, np.uint8)
    exposure = make_exposure(flat, Spot(sigma, defocus, (astigmatism, 0)), snr)
    quality = qualities(exposure)
    values = (quality.sharpness, quality.contrast, quality.brightness, quality.noise)
    assert all(0 <= value <= 1 for value in values)
    assert all(0 <= specialist.score(exposure) <= 10 for specialist in SPECIALISTS)


def test_a_perfect_frame_scores_nearly_10():
    assert qualities(make_exposure()).sharpness == 1
    assert SPECIALISTS["overall"].score(make_exposure(signal_to_noise=50)) > 9.5


def test_weights_of_every_specialist_sum_to_1():
    for specialist in SPECIALISTS:
        w = specialist.weights
        assert w.sharpness + w.contrast + w.brightness + w.noise == pytest.approx(1)


def test_the_focus_specialist_hardly_minds_brightness_and_contrast(microscope):
    knobs = best_knobs(microscope)
    scores = {
        name: [
            SPECIALISTS[name].score(microscope.take_frame(replace(knobs, brightness=b, contrast=c)))
            for b, c in itertools.product((30, 50, 70), (20, 50, 80))
        ]
        for name in SPECIALISTS.names
    }
    assert np.ptp(scores["focus"]) < 0.6 < 2 < np.ptp(scores["overall"])


def test_the_overall_score_is_the_documented_formula():
    exposure = make_exposure(spot=Spot(1, 6, (1, 0)), signal_to_noise=1.5)
    q = qualities(exposure)
    weighted = 0.50 * q.sharpness + 0.20 * q.contrast + 0.15 * q.brightness + 0.15 * q.noise
    worst = min(q.sharpness, q.contrast, q.brightness, q.noise)
    assert SPECIALISTS["overall"].score(exposure) == pytest.approx(10 * (weighted / 2 + worst / 2))
    assert isinstance(q, Qualities)


@given(st.floats(0, 10), st.floats(-40, 40))
def test_a_rating_is_a_tenth_within_the_scale(score, deviate):
    rating = rated(score, deviate)
    assert 0 <= rating <= 10
    assert rating == round(rating, 1)
    assert rating == pytest.approx(min(max(score + RATER_NOISE * deviate, 0), 10), abs=0.0501)
