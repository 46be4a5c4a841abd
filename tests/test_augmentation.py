"""Crops cut by indexing, against plain slicing; epochs drawn by seed and number alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semtune.training.augmentation import SYMMETRIES, FramePixels, plan_epoch


def packed(frames):
    """Lay frames end to end as the frame cache does."""
    sizes = np.array([frame.shape for frame in frames], np.int64)
    ends = np.cumsum(sizes.prod(1))
    tensors = map(torch.from_numpy, (ends - sizes.prod(1), sizes[:, 0].copy(), sizes[:, 1].copy()))
    return FramePixels(torch.from_numpy(np.concatenate([frame.ravel() for frame in frames])), *tensors)


def random_frames(sizes=((9, 13), (16, 8), (8, 8)), seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, size, dtype=np.uint8) for size in sizes]


def symmetries_of(square):
    return [np.rot90(each, turns) for each in (square, np.fliplr(square)) for turns in range(4)]


def cut_one(frames, row, top, left, symmetry, size):
    place = (torch.tensor([value]) for value in (row, top, left, symmetry))
    return packed(frames).cut(*place, size)[0, 0].numpy()


def test_the_symmetries_are_the_eight_of_the_square():
    square = np.arange(9, dtype=np.uint8).reshape(3, 3)
    cut = {cut_one([square], 0, 0, 0, symmetry, 3).tobytes() for symmetry in range(SYMMETRIES)}
    assert cut == {np.ascontiguousarray(each).tobytes() for each in symmetries_of(square)}
    assert len(cut) == SYMMETRIES == 8


@pytest.mark.parametrize("symmetry", range(8))
@settings(max_examples=15)
@given(data=st.data())
def test_a_cut_is_a_slice_turned_and_flipped(symmetry, data):
    frames = random_frames()
    row, size = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 8))
    height, width = frames[row].shape
    top, left = data.draw(st.integers(0, height - size)), data.draw(st.integers(0, width - size))
    square = frames[row][top : top + size, left : left + size]
    expected = symmetries_of(square)[symmetry] if symmetry < 4 else None
    got = cut_one(frames, row, top, left, symmetry, size)
    if expected is None:
        assert any(np.array_equal(got, each) for each in symmetries_of(square)[4:])
    else:
        assert np.array_equal(got, expected)


def test_the_plain_symmetry_is_number_0():
    frames = random_frames()
    assert np.array_equal(cut_one(frames, 1, 3, 0, 0, 8), frames[1][3:11, 0:8])


def test_a_batch_is_cut_crop_by_crop():
    frames = random_frames()
    rows, tops, lefts = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 8, 0, 0]), torch.tensor([5, 0, 0, 2])
    symmetry = torch.tensor([3, 6, 1, 0])
    crops = packed(frames).cut(rows, tops, lefts, symmetry, 8)
    assert crops.shape == (4, 1, 8, 8)
    assert crops.dtype == torch.uint8
    for index in range(4):
        place = [int(each[index]) for each in (rows, tops, lefts, symmetry)]
        assert np.array_equal(crops[index, 0].numpy(), cut_one(frames, *place, 8))


@settings(max_examples=30)
@given(data=st.data())
def test_indexing_and_slicing_cut_the_same(data):
    """The one on a GPU, the other on the host."""
    frames = random_frames()
    size = data.draw(st.integers(1, 8))
    rows = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=9))
    room = [(frames[row].shape[0] - size, frames[row].shape[1] - size) for row in rows]
    places = [(data.draw(st.integers(0, top)), data.draw(st.integers(0, left))) for top, left in room]
    symmetries = [data.draw(st.integers(0, 7)) for _ in rows]
    top, left = torch.tensor(places).T
    geometry = torch.stack([torch.tensor(rows), top, left, torch.tensor(symmetries)], 1)
    assert torch.equal(packed(frames).cut(*geometry.T, size), packed(frames).gather(geometry, size))


# Epochs


def drawn(seed=1, epoch=0, control_dropout=0.5, train=(0, 2), size=8):
    return plan_epoch(packed(random_frames()), np.array(train), size, control_dropout, seed, epoch)


def same(a, b):
    return torch.equal(a.geometry, b.geometry) and torch.equal(a.without_controls, b.without_controls)


def test_an_epoch_is_drawn_by_seed_and_number_alone():
    train = tuple(range(3)) * 5
    first = drawn(train=train)
    np.random.seed(99)
    assert same(first, drawn(train=train))
    assert not same(first, drawn(train=train, epoch=1))
    assert not same(first, drawn(train=train, seed=2))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 10_000), size=st.integers(1, 8))
def test_an_epoch_shows_each_training_frame_once_and_stays_inside_it(seed, epoch, size):
    frames = random_frames()
    plan = drawn(seed, epoch, train=(0, 1, 2), size=size)
    rows, top, left, symmetry = plan.geometry.T.numpy()
    assert sorted(rows) == [0, 1, 2]
    heights, widths = np.array([frames[row].shape for row in rows]).T
    assert np.all((top >= 0) & (top + size <= heights))
    assert np.all((left >= 0) & (left + size <= widths))
    assert np.all((symmetry >= 0) & (symmetry < SYMMETRIES))


def test_every_place_and_symmetry_comes_up():
    plans = torch.cat([drawn(seed, train=(0,)).geometry for seed in range(300)])
    height, width = random_frames()[0].shape
    assert set(plans[:, 1].tolist()) == set(range(height - 8 + 1))
    assert set(plans[:, 2].tolist()) == set(range(width - 8 + 1))
    assert set(plans[:, 3].tolist()) == set(range(SYMMETRIES))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_crops_without_controls_is_met(share):
    plan = drawn(control_dropout=share, train=(0, 1, 2) * 400)
    assert plan.without_controls.float().mean().item() == pytest.approx(share, abs=0.04)


def test_dropped_controls_change_neither_order_nor_crops():
    assert torch.equal(drawn(control_dropout=0.0).geometry, drawn(control_dropout=1.0).geometry)
