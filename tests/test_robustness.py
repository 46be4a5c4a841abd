"""Ladders make frames worse; a scorer of sense falls on every step."""

import numpy as np
import pytest
from conftest import grain_texture, noisy_frame

from semtune.robustness import LADDERS, Descent, descend, monotone_share


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(0)
    return noisy_frame(generator, grain_texture(generator, 160, 200), 0)


@pytest.mark.parametrize("ladder", LADDERS, ids=lambda each: each.name)
def test_a_ladder_starts_at_the_frame_and_gets_worse(ladder, frame):
    frames = ladder.frames(frame)
    assert frames[0] is frame
    assert len(frames) == 1 + len(ladder.levels)
    assert all(each.dtype == np.uint8 and each.shape == frame.shape for each in frames)
    gone = [np.abs(each.astype(float) - frame).mean() for each in frames]
    assert gone == sorted(set(gone))


def test_each_ladder_does_what_its_name_says(frame):
    def last(name):
        return LADDERS[name].frames(frame)[-1].astype(float)

    assert np.abs(np.diff(last("blurred"))).mean() < 0.1 * np.abs(np.diff(frame.astype(float))).mean()
    assert np.abs(np.diff(last("noised"))).mean() > 2 * np.abs(np.diff(frame.astype(float))).mean()
    assert last("washed_out").std() == pytest.approx(0.12 * frame.std(), rel=0.1)
    assert (last("clipped_white") == 255).mean() > 0.7
    assert (last("clipped_black") == 0).mean() > 0.7


def test_a_step_is_right_if_the_score_falls_or_stays_at_the_bottom():
    assert Descent("a", "blurred", (5.0, 4.0, 0.0, 0.0), lowest=0.0).right_steps == 3
    assert Descent("a", "blurred", (5.0, 5.0, 6.0, 2.0), lowest=0.0).right_steps == 1


def test_the_share_counts_the_steps_of_all_frames_and_ladders(frame):
    calls = iter(range(100))

    def falls_but_on_the_first_ladder(frames):
        return -np.arange(len(frames)) * (1.0 if next(calls) else -1.0)

    descents = list(descend(falls_but_on_the_first_ladder, {"frame": frame}, lowest=-100.0))
    assert [each.ladder for each in descents] == list(LADDERS.names)
    assert monotone_share(descents) == pytest.approx((len(LADDERS) - 1) / len(LADDERS))
