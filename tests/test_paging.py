"""Frames larger than memory: a sparse file stands for 31 GB of them, which no disk needs to hold."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from semtune.config import Hyperparameters
from semtune.dataset.frames import open_frames
from semtune.dataset.paging import Pager, give_back, host_memory, outgrows
from semtune.training.augmentation import plan_epoch
from semtune.training.data import place, whereabouts
from semtune.training.fit import fit, prepare_step

FRAMES, HEIGHT, WIDTH = 100_000, 480, 640
CPU = torch.device("cpu")
SETTINGS = Hyperparameters(architecture="pacf", crop=64, batch_size=8, frames_per_epoch=32, epochs=2, tiles=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """31 GB of frames, nearly all of them holes in the file."""
    folder = tmp_path_factory.mktemp("large")
    pixels = folder / "large.u8"
    with pixels.open("wb") as file:
        file.truncate(FRAMES * HEIGHT * WIDTH)
    index = {"format": 1, "heights": [HEIGHT] * FRAMES, "widths": [WIDTH] * FRAMES}
    (folder / "large.json").write_text(str(index).replace("'", '"'))
    return open_frames(folder, "large")


def placed(store, memory):
    random = np.random.default_rng(0)
    order = random.permutation(FRAMES)
    parts = order[:80_000], order[80_000:80_016], order[80_016:]
    scores, controls = random.uniform(0, 10, FRAMES), random.normal(size=(FRAMES, 3))
    return place(store, controls, scores, parts, (0.0, 10.0), CPU, memory=memory)


def resident(name="large.u8"):
    """Bytes of a mapped file that this process holds."""
    smaps = Path("/proc/self/smaps")
    if not smaps.exists():
        pytest.skip("this system does not tell which pages a process holds")
    maps = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", smaps.read_text())
    return sum(int(re.search(r"Rss:\s+(\d+)", each)[1]) * 1024 for each in maps if name in each)


def test_frames_larger_than_memory_train_and_say_where_they_are(store):
    data = placed(store, 24 * 2**30)
    assert whereabouts(data) == "30.7 GB of frames: read from disk as they are needed"
    step = prepare_step(SETTINGS, data, 0, "float32", None)
    assert [epoch.frames for epoch in fit(SETTINGS, data, step, 0)] == [32, 32]
    crops = 2 * (32 + 16)
    assert resident() < 4 * crops * 64 * WIDTH  # whole rows of the crops, and what lies around them


def test_frames_that_fit_are_left_to_the_system(store):
    data = placed(store, 2**40)
    assert data.frames.pager is None
    assert whereabouts(data) is None


def test_pages_are_given_back(store):
    most = 2**22
    frames = replace(placed(store, 2**40).frames, pager=Pager(store.mapping, most))
    plan = plan_epoch(frames, np.arange(0, FRAMES, 50), 224, 0.0, 0, 0)
    highest = 0
    for number, part in enumerate(plan.geometry.split(16)):
        frames.expect(part, 224)
        frames.cut(*part.T, 224)
        if number % 6 == 0:  # the system takes a tenth of a second to count
            highest = max(highest, resident())
    assert len(plan.geometry) * 224 * WIDTH > 50 * most
    assert highest < 3 * most


def test_who_walks_through_the_frames_holds_one_at_a_time(store):
    give_back(store.mapping)
    frames = store.walk()
    held = [(float(next(frames).mean()), resident())[1] for _ in range(30)]
    assert max(held) < 4 * HEIGHT * WIDTH


def test_a_pager_asks_for_pages_that_are_there_when_they_are_looked_at(store):
    pager = Pager(store.mapping)
    pager.expect(len(store.mapping) - 5, 5)
    pager.expect(0, 1)
    assert store.pixels[-1] == store.pixels[0] == 0


def test_half_of_the_memory_is_left_to_the_rest():
    assert outgrows(13 * 10**9, 24 * 10**9)
    assert not outgrows(11 * 10**9, 24 * 10**9)
    assert host_memory() > 2**28
