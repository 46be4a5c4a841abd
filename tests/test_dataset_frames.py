"""The frame cache: right frames, shared, and never a part taken for the whole."""

import json
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import write_small_dataset

from semtune.dataset.frames import decode_frames, open_frames
from semtune.dataset.manifest import read_dataset
from semtune.errors import DatasetError
from semtune.images import read_frame, to_uint8, write_png


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def assert_holds(store, dataset):
    assert len(store) == len(dataset.samples)
    for index, sample in enumerate(dataset.samples):
        np.testing.assert_array_equal(store.frame(index), to_uint8(read_frame(dataset.folder / sample.image)))


def test_frames_come_in_the_order_of_the_samples(small_dataset, cache):
    dataset = read_dataset(small_dataset)
    assert_holds(decode_frames(dataset, cache), dataset)
    assert_holds(open_frames(cache, dataset.digest), dataset)


def test_frames_may_differ_in_size_and_depth(small_dataset, cache):
    wide = np.arange(70 * 300, dtype=np.uint16).reshape(70, 300)
    write_png(small_dataset / "frames/field2_1.png", wide)
    dataset = read_dataset(small_dataset)
    store = decode_frames(dataset, cache)
    assert_holds(store, dataset)
    assert sorted(zip(store.heights.tolist(), store.widths.tolist(), strict=True))[0] == (70, 300)


def test_a_copy_of_the_dataset_with_other_names_and_rows_shares_the_cache(small_dataset, cache):
    store = decode_frames(read_dataset(small_dataset), cache)
    header, *rows = (small_dataset / "manifest.csv").read_text().splitlines()
    (small_dataset / "frames").rename(small_dataset / "moved")
    text = "\n".join([header, *rows[::-1]]).replace("frames/", "moved/")
    (small_dataset / "manifest.csv").write_text(text)
    dataset = read_dataset(small_dataset)
    assert_holds(open_frames(cache, dataset.digest), dataset)
    assert store.pixels.size == 24 * 96 * 128


def test_a_whole_cache_is_used_without_the_images(small_dataset, cache):
    dataset = read_dataset(small_dataset)
    decode_frames(dataset, cache)
    for sample in dataset.samples:
        (small_dataset / sample.image).unlink()
    assert len(decode_frames(dataset, cache)) == 24


def test_a_frame_is_a_view_that_cannot_be_written_to(small_dataset, cache):
    dataset = read_dataset(small_dataset)
    store = decode_frames(dataset, cache)
    assert np.shares_memory(store.frame(3), store.pixels)
    with pytest.raises(ValueError, match="read-only"):
        store.frame(0)[:] = 1
    assert_holds(open_frames(cache, dataset.digest), dataset)


def shorten(path):
    path.write_bytes(path.read_bytes()[:-1])


def change_index(key, value):
    def damage(path):
        index = json.loads(path.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps({**index, key: value}))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        shorten,
        lambda pixels: pixels.unlink(),
        lambda pixels: pixels.write_bytes(b""),
        lambda pixels: pixels.with_suffix(".json").unlink(),
        lambda pixels: shorten(pixels.with_suffix(".json")),
        lambda pixels: pixels.with_suffix(".json").write_bytes(b"\xff"),
        lambda pixels: pixels.with_suffix(".json").write_text("[]"),
        change_index("format", 0),
        change_index("heights", []),
        change_index("heights", "96"),
        change_index("widths", [128]),
        change_index("widths", [[1], [2, 3]]),
    ],
)
def test_a_damaged_cache_is_not_opened_and_made_anew(small_dataset, cache, damage):
    dataset = read_dataset(small_dataset)
    decode_frames(dataset, cache)
    damage(cache / f"{dataset.digest}.u8")
    with pytest.raises(DatasetError, match=r"no whole frame cache of dataset [0-9a-f]{12}; decode"):
        open_frames(cache, dataset.digest)
    assert_holds(decode_frames(dataset, cache), dataset)


def test_a_decoding_that_fails_leaves_nothing_behind(small_dataset, cache):
    dataset = read_dataset(small_dataset)
    (small_dataset / dataset.samples[20].image).write_bytes(b"no image")
    with pytest.raises(DatasetError, match=dataset.samples[20].image):
        decode_frames(dataset, cache)
    assert list(cache.iterdir()) == []


def test_what_a_killed_decoding_left_is_swept_away_but_not_what_a_running_one_writes(small_dataset, cache):
    cache.mkdir()
    for name, age in ((".old.u8.1.part", 7200), (".new.u8.2.part", 60)):
        (cache / name).write_bytes(b"half")
        os.utime(cache / name, (time.time() - age, time.time() - age))
    decode_frames(read_dataset(small_dataset), cache)
    assert [path.name for path in cache.glob(".*.part")] == [".new.u8.2.part"]


def test_a_cache_that_cannot_be_written_is_refused(small_dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="the frames cannot be cached"):
        decode_frames(read_dataset(small_dataset), tmp_path / "file")


def test_two_searches_may_decode_at_once(small_dataset, cache):
    dataset = read_dataset(small_dataset)
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: decode_frames(dataset, cache), range(4)))
    for store in stores:
        assert_holds(store, dataset)
    assert len(list(cache.iterdir())) == 2


def test_memory_stays_far_below_the_size_of_all_frames(tmp_path, cache):
    folder = write_small_dataset(tmp_path / "larger", fields=3, frames=2, height=480, width=640)
    dataset = read_dataset(folder)
    repeated = replace(dataset, samples=dataset.samples * 50)
    tracemalloc.start()
    store = decode_frames(repeated, cache)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < store.pixels.size / 3
