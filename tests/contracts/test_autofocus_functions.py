"""What every autofocus function obeys; a new one is tested the moment it is in the table."""

from collections import Counter
from fractions import Fraction
from math import log2

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from semtune.autofocus import AUTOFOCUS_FUNCTIONS


def each_function_but(*names):
    functions = [function for function in AUTOFOCUS_FUNCTIONS if function.name not in names]
    return pytest.mark.parametrize("function", functions, ids=lambda function: function.name)


each_function = each_function_but()
moderate = settings(max_examples=25, deadline=None)

CHECKERBOARD = {
    "absolute_variance": 127.5,
    "squared_variance": 16256.25,
    "absolute_gradient": 255,
    "squared_gradient": 65025,
    "vollath_f4": -32512.5,
    "entropy": 1,
    "normalised_variance": 127.5,
    "brenner": 0,
    "tenengrad": 0,
    "laplacian_energy": (16 * 255) ** 2,
    "vollath_f5": -16256.25,
}


def frames_of(dtype, least=3, most=9):
    return arrays(dtype, array_shapes(min_dims=2, max_dims=2, min_side=least, max_side=most))


def mean(values):
    values = [Fraction(value) for value in values]
    return sum(values) / len(values)


def pixel_by_pixel(name, frame):
    """The formula of the documents, one pixel after the other, in exact fractions."""
    g = [[Fraction(level.item()) for level in row] for row in frame]
    rows, columns = range(len(g)), range(len(g[0]))
    levels = [level for row in g for level in row]
    mu = mean(levels)

    def filtered(kernel):
        taps = [(r, c) for r in range(3) for c in range(3)]
        inner = [(r, c) for r in rows[:-2] for c in columns[:-2]]
        return [sum(kernel[i][j] * g[r + i][c + j] for i, j in taps) for r, c in inner]

    def entropy():
        shares = [count / len(levels) for count in Counter(levels).values()]
        return -sum(share * log2(share) for share in shares)

    def f5():
        return mean(g[r][c] * g[r + 1][c] for r in rows[:-1] for c in columns) - mu**2

    sobel = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)), ((-1, -2, -1), (0, 0, 0), (1, 2, 1))
    laplacian = ((-1, -4, -1), (-4, 20, -4), (-1, -4, -1))
    formula = {
        "absolute_variance": lambda: mean(abs(level - mu) for level in levels),
        "squared_variance": lambda: mean((level - mu) ** 2 for level in levels),
        "absolute_gradient": lambda: mean(abs(g[r][c + 1] - g[r][c]) for r in rows for c in columns[:-1]),
        "squared_gradient": lambda: mean((g[r][c + 1] - g[r][c]) ** 2 for r in rows for c in columns[:-1]),
        "vollath_f4": lambda: mean(g[r][c] * (g[r + 1][c] - g[r + 2][c]) for r in rows[:-2] for c in columns),
        "entropy": entropy,
        "normalised_variance": lambda: mean((level - mu) ** 2 for level in levels) / mu if mu else 0,
        "brenner": lambda: mean((g[r][c + 2] - g[r][c]) ** 2 for r in rows for c in columns[:-2]),
        "tenengrad": lambda: sum(mean(x**2 for x in filtered(kernel)) for kernel in sobel),
        "laplacian_energy": lambda: mean(x**2 for x in filtered(laplacian)),
        "vollath_f5": f5,
    }
    return float(formula[name]())


@pytest.fixture(scope="module")
def grains():
    """A textured frame that leaves room for a gain of 2 and an offset, shape (61, 83), levels 20 to 110."""
    texture = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, (61, 83)), (0, 0), 1.5)
    return np.interp(texture, (texture.min(), texture.max()), (20, 110)).round().astype(np.uint8)


def nearly(value):
    """Equal to 1e-9, or to the rounding of float64 where large products cancel."""
    return pytest.approx(value, rel=1e-9, abs=1e-8)


@each_function
@moderate
@given(frame=st.one_of(frames_of(np.uint8), frames_of(np.uint16)))
def test_integer_frames_agree_with_the_formula_pixel_by_pixel(function, frame):
    assert function.focus_value(frame) == pytest.approx(
        pixel_by_pixel(function.name, frame), rel=1e-12, abs=1e-12
    )


@each_function
@moderate
@given(
    frame=arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=9),
        elements=st.floats(0, 1024, width=32),
    )
)
def test_float_frames_agree_with_the_formula_pixel_by_pixel(function, frame):
    levels = np.rint(frame) if function.name == "entropy" else frame
    assert function.focus_value(frame) == nearly(pixel_by_pixel(function.name, levels))


@each_function
@moderate
@given(frame=frames_of(np.uint8, most=20))
def test_the_dtype_does_not_change_the_focus_value(function, frame):
    expected = function.focus_value(frame)
    for dtype in (np.uint16, ">u2", np.float32, np.float64):
        assert function.focus_value(frame.astype(dtype)) == nearly(expected)


@each_function
def test_a_checkerboard_has_the_value_of_the_formula(function):
    board = (255 * (np.indices((10, 12)).sum(0) % 2)).astype(np.uint8)
    assert function.focus_value(board) == CHECKERBOARD[function.name]


@each_function
@pytest.mark.parametrize("level", [np.uint8(0), np.uint8(255), np.uint16(65535), np.float32(0.5), -3.0])
def test_a_constant_frame_has_no_focus(function, level):
    assert function.focus_value(np.full((9, 7), level)) == 0


# One divides by the mean, one is not centred, and one is centred on rows that it counts once or twice.
@each_function_but("normalised_variance", "vollath_f4", "vollath_f5")
def test_an_offset_changes_nothing(function, grains):
    assert function.focus_value(grains + np.uint8(30)) == nearly(function.focus_value(grains))


@each_function_but("entropy")
def test_gain_scales_the_focus_value_as_declared(function, grains):
    expected = 2**function.gain_power * function.focus_value(grains)
    assert function.focus_value(2 * grains) == nearly(expected)
    assert function.focus_value(2 * grains.astype(np.float32)) == nearly(expected)


# Averages of two levels are new levels: no law for entropy. Blur lowers the correlation of a specimen, but
# raises that of its noise.
@each_function_but("entropy", "vollath_f4", "vollath_f5")
def test_blur_lowers_the_focus_value(function, grains):
    sharp = grains.astype(np.float64)
    values = [function.focus_value(cv2.blur(sharp, (width, width))) for width in (1, 3, 5, 9, 15)]
    assert values == sorted(values, reverse=True)


@each_function
def test_a_view_is_as_good_as_a_copy(function, grains):
    wide = grains.astype(np.uint16) * 500
    stack = np.random.default_rng(4).integers(0, 256, (40, 50, 3), np.uint8)
    views = [grains[3:-5, 7:-2], grains[::2, ::3], grains[::-1, ::-1], grains.T, wide[1:, 1:], stack[..., 1]]
    for view in views:
        assert function.focus_value(view) == function.focus_value(view.copy())


@each_function
def test_the_frame_is_left_as_it_was_and_may_be_read_only(function, grains):
    for frame in (grains.copy(), grains.astype(np.float64)):
        before = frame.copy()
        frame.flags.writeable = False
        function.focus_value(frame)
        assert np.array_equal(frame, before)


@each_function
def test_the_focus_value_is_a_plain_float(function, grains):
    assert type(function.focus_value(grains)) is float
    assert type(function.focus_value(grains.astype(np.float32))) is float


@each_function
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), r"shape \(height, width\), but got \(8, 8, 3\); make it grey"),
        (np.zeros((0, 5), np.uint8), r"`height >= \d` and `width >= \d` must hold, but got \(0, 5\)"),
        (np.zeros((8, 8), np.int32), "uint8, uint16 or float, but got int32; convert it"),
        (np.zeros((8, 8), np.bool_), "uint8, uint16 or float, but got bool; convert it"),
        (np.full((8, 8), np.nan), "finite, but got NaN or infinity; crop or mend"),
        (np.full((8, 8), np.inf, np.float32), "finite, but got NaN or infinity; crop or mend"),
    ],
    ids=["colour", "empty", "int32", "bool", "nan", "infinite"],
)
def test_what_is_no_grey_frame_is_refused(function, frame, message):
    with pytest.raises(ValueError, match=message):
        function.focus_value(frame)
