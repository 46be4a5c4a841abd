"""What single autofocus functions obey, on big frames too."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.autofocus.correlation import vollath_f4, vollath_f5
from semtune.autofocus.gradient import (
    absolute_gradient,
    brenner,
    laplacian_energy,
    squared_gradient,
    tenengrad,
)
from semtune.autofocus.statistics import absolute_variance, entropy, normalised_variance, squared_variance

frames = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
moderate = settings(max_examples=30, deadline=None)


@moderate
@given(frames)
def test_the_squared_absolute_variance_is_at_most_the_variance(frame):
    assert absolute_variance(frame) ** 2 <= squared_variance(frame) * (1 + 1e-12)


@moderate
@given(frames, st.permutations(range(256)))
def test_entropy_is_blind_to_which_level_is_which(frame, order):
    assert entropy(np.array(order, np.uint8)[frame]) == pytest.approx(entropy(frame), rel=1e-12, abs=1e-12)


@moderate
@given(frames, st.randoms(use_true_random=False))
def test_distribution_functions_are_blind_to_where_the_pixels_lie(frame, random):
    pixels = frame.ravel().tolist()
    random.shuffle(pixels)
    moved = np.array(pixels, np.uint8).reshape(frame.shape)
    for function in (absolute_variance, squared_variance, normalised_variance, entropy):
        assert function(moved) == function(frame)


def test_entropy_is_highest_where_all_levels_are_equally_frequent():
    assert entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == 8
    assert entropy(np.arange(65536, dtype=np.uint16).reshape(256, 256)) == 16


def test_entropy_of_a_float_frame_is_that_of_its_rounded_levels():
    frame = np.array([[-3.2, -2.9, 0.4, 7.0]])
    assert entropy(frame) == 1.5


def test_entropy_refuses_levels_too_far_apart():
    with pytest.raises(ValueError, match="span at most 65536 integers, but span 70001; rescale"):
        entropy(np.array([[0.0, 70000.0]]))


def test_a_black_frame_has_no_normalised_variance():
    assert normalised_variance(np.zeros((4, 4), np.uint16)) == 0


@pytest.mark.parametrize(
    ("function", "too_small", "smallest"),
    [
        (absolute_variance, (0, 0), (1, 1)),
        (squared_variance, (0, 0), (1, 1)),
        (normalised_variance, (0, 0), (1, 1)),
        (entropy, (0, 0), (1, 1)),
        (absolute_gradient, (5, 1), (1, 2)),
        (squared_gradient, (5, 1), (1, 2)),
        (brenner, (5, 2), (1, 3)),
        (vollath_f4, (2, 5), (3, 1)),
        (vollath_f5, (1, 5), (2, 1)),
        (tenengrad, (3, 2), (3, 3)),
        (laplacian_energy, (2, 3), (3, 3)),
    ],
)
def test_the_smallest_frame_is_accepted_and_a_smaller_one_refused(function, too_small, smallest):
    assert function(np.zeros(smallest, np.uint8)) == 0
    with pytest.raises(ValueError, match="must hold, but got"):
        function(np.zeros(too_small, np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_big_frame_of_extremes_neither_overflows_nor_rounds(dtype):
    high = int(np.iinfo(dtype).max)
    stripes = np.zeros((8192, 8192), dtype)
    stripes[:, ::2] = high
    assert squared_variance(stripes) == high**2 / 4
    assert absolute_variance(stripes) == high / 2
    assert squared_gradient(stripes) == high**2
    assert absolute_gradient(stripes) == high
    assert brenner(stripes) == 0
    assert vollath_f4(stripes) == 0
    assert vollath_f5(stripes) == high**2 / 4
    assert entropy(stripes[:5000]) == 1  # more pixels than float32 can count


def test_one_odd_pixel_in_a_big_bright_frame_is_seen():
    frame = np.full((4096, 4096), 65535, np.uint16)
    frame[7, 9] -= 1
    assert squared_variance(frame) == pytest.approx((1 - 1 / frame.size) / frame.size, rel=1e-12)
    assert absolute_variance(frame) == pytest.approx(2 * (1 - 1 / frame.size) / frame.size, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
@pytest.mark.parametrize("function", [tenengrad, laplacian_energy, absolute_gradient, vollath_f4])
def test_rows_add_up_across_the_blocks_of_a_tall_frame(function, dtype):
    frame = np.random.default_rng(5).integers(0, 256, (1500, 641)).astype(dtype)
    overlap = 0 if function is absolute_gradient else 2
    parts = [frame[:437], frame[437 - overlap : 1001], frame[1001 - overlap :]]
    weights = [len(part) - overlap for part in parts]
    expected = np.average([function(part) for part in parts], weights=weights)
    assert function(frame) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_statistics_of_many_blocks_are_those_of_numpy(dtype):
    frame = np.random.default_rng(6).integers(0, np.iinfo(dtype).max, (1031, 733), dtype, endpoint=True)
    counts = np.bincount(frame.ravel())
    share = counts[counts > 0] / frame.size
    assert squared_variance(frame) == pytest.approx(np.var(frame, dtype=np.float64), rel=1e-11)
    assert absolute_variance(frame) == pytest.approx(np.mean(np.abs(frame - frame.mean())), rel=1e-11)
    assert entropy(frame) == pytest.approx(-np.sum(share * np.log2(share)), rel=1e-11)


def test_white_noise_cancels_in_the_correlation_but_not_in_the_gradient():
    noise = np.random.default_rng(7).normal(128, 19, (480, 640)).round().clip(0, 255).astype(np.uint8)
    assert abs(vollath_f5(noise)) < 0.02 * 19**2
    assert squared_gradient(noise) == pytest.approx(2 * 19**2, rel=0.02)
    assert absolute_gradient(noise) == pytest.approx(1.128 * 19, rel=0.02)


def test_the_six_functions_of_the_paper_come_first_in_its_order():
    table1 = [function for function in AUTOFOCUS_FUNCTIONS if function.table1]
    assert [function.name for function in table1] == [
        "absolute_variance",
        "squared_variance",
        "absolute_gradient",
        "squared_gradient",
        "vollath_f4",
        "entropy",
    ]


def test_correlation_falls_with_the_defocus_of_a_real_field(sem_frames):
    values = []
    for name in ("pert5000", "base", "pert-5000"):  # 8.3, 13.3 and 18.3 um out of focus
        path = sem_frames / f"zeiss_merlin_defocus_-13324nm_{name}.png"
        values.append(vollath_f4(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    assert values == sorted(values, reverse=True)


def test_an_offset_changes_f5_through_the_end_rows_alone():
    frame = np.random.default_rng(5).integers(0, 200, (40, 30)).astype(np.uint8)
    ends = np.mean(frame[:-1]) + np.mean(frame[1:]) - 2 * np.mean(frame)
    change = vollath_f5(frame + np.uint8(30)) - vollath_f5(frame)
    assert change == pytest.approx(30 * ends, rel=1e-9)
