"""What leaks through a split: neighbours in the order of acquisition, near copies, fields that are cut."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import write_small_dataset
from small_search import write_small_table

from semtune.dataset.across import copies_across
from semtune.dataset.checks import check
from semtune.dataset.copies import NEAR_BITS, near_copies
from semtune.dataset.frames import decode_frames
from semtune.dataset.manifest import read_dataset, write_manifest
from semtune.dataset.split import at_random, by_field
from semtune.errors import DatasetError
from semtune.images import read_frame, write_png
from semtune.images.likeness import BITS, likeness
from semtune.leaks import order_check

# The order of acquisition


def table_of(tmp_path, scores, names=None, acquired=None, test=None):
    """A table of frames in a row, every third of which is tested."""
    table = write_small_table(tmp_path)
    count = len(scores)
    rows = np.arange(count)
    tested = rows % 3 == 1 if test is None else test
    return replace(
        table,
        frames=np.array(names or [f"frames/{i}.png" for i in range(count)]),
        fields=np.array([f"f{i // 4}" for i in range(count)]),
        scores=np.asarray(scores, float),
        controls=np.zeros((count, len(table.control_parameters))),
        acquired=np.full(count, np.nan) if acquired is None else np.asarray(acquired, float),
        train=rows[~tested],
        validation=rows[:0],
        test=rows[tested],
    )


def drifting(count=90):
    """Scores that wander slowly, as an operator's focus does over a session."""
    return 5 + np.cumsum(np.random.default_rng(0).normal(0, 0.5, count))


def test_neighbours_give_away_scores_that_drift(tmp_path):
    table = table_of(tmp_path, drifting())
    found = order_check(table)
    assert found.by == "names"
    assert found.difference[2] < 0
    expected = [(table.scores[i - 1] + table.scores[i + 1]) / 2 for i in table.test]
    assert found.rmse == pytest.approx(
        np.sqrt(np.mean((expected - table.scores[table.test]) ** 2)), abs=1e-12
    )


def test_neighbours_know_nothing_of_scores_without_order(tmp_path):
    found = order_check(table_of(tmp_path, np.random.default_rng(1).uniform(0, 10, 90)))
    assert found.difference[0] > 0


def test_times_go_before_names_where_all_are_known(tmp_path):
    shuffled = np.random.default_rng(2).permutation(90)
    names = [f"frames/{place}.png" for place in shuffled]
    timed = order_check(table_of(tmp_path / "a", drifting(), names, acquired=4.0 * np.arange(90)))
    assert timed.by == "times"
    assert timed.difference[2] < 0
    partly = np.where(np.arange(90) == 7, np.nan, np.arange(90))
    assert order_check(table_of(tmp_path / "b", drifting(), names, acquired=partly)).by == "names"


def test_the_numbers_in_names_count_as_numbers(tmp_path):
    names = [f"scan2/{i}.tif" if i >= 45 else f"scan1/{i}.tif" for i in range(90)]
    assert order_check(table_of(tmp_path, drifting(), names)).difference[2] < 0


def test_a_split_by_field_does_not_leak_by_order_where_fields_are_independent(tmp_path):
    """Four frames a field with one score a field: cut fields give it away, whole ones do not."""
    scores = np.repeat(np.random.default_rng(3).uniform(0, 10, 40), 4)
    whole = (np.arange(160) // 4) % 3 == 1
    assert order_check(table_of(tmp_path / "a", scores, test=whole)).difference[0] > 0
    assert order_check(table_of(tmp_path / "b", scores)).difference[2] < 0


def test_a_single_training_frame_is_every_frame_s_neighbour(tmp_path):
    table = table_of(tmp_path, [1.0, 5.0, 3.0, 5.0], test=np.array([True, False, True, True]))
    assert order_check(table).difference == (0, 0, 0)


def test_the_manifest_may_tell_the_time_which_is_no_input(small_dataset):
    before = read_dataset(small_dataset)
    samples = [replace(sample, acquired=100.0 + place) for place, sample in enumerate(before.samples)]
    write_manifest(small_dataset, samples, before.description.control_parameters)
    after = read_dataset(small_dataset)
    assert [sample.acquired for sample in after.samples] == [100.0 + i for i in range(len(samples))]
    assert after.digest == before.digest
    manifest = small_dataset / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",100.0\n", ",2020-05-17T14:03:22\n"))
    assert read_dataset(small_dataset).samples[0].acquired == 1589724202
    manifest.write_text(manifest.read_text().replace(",101.0\n", ",yesterday\n"))
    assert any("acquired is 'yesterday', not a time" in fault.fault for fault in check(small_dataset).faults)


# Near copies


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: cv2.imdecode(cv2.imencode(".jpg", frame, [1, 50])[1], 0),
        lambda frame: np.clip(0.8 * frame + 10, 0, 255).astype(np.uint8),
        lambda frame: cv2.GaussianBlur(frame, None, 1.5),
        lambda frame: np.clip(frame + np.random.default_rng(0).normal(0, 20, frame.shape), 0, 255).astype(
            np.uint8
        ),
        lambda frame: cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    ],
    ids=["jpeg", "contrast", "blur", "noise", "smaller"],
)
def test_a_place_is_known_again(small_dataset, spoil):
    frame = read_frame(small_dataset / "frames" / "field0_0.png")
    assert np.sum(likeness(spoil(frame)) != likeness(frame)) <= NEAR_BITS


def test_another_place_is_another(small_dataset):
    frames = [read_frame(small_dataset / "frames" / f"field{i}_0.png") for i in range(6)]
    distances = [np.sum(likeness(a) != likeness(b)) for a in frames for b in frames if a is not b]
    assert min(distances) > 1.5 * NEAR_BITS


def test_only_pairs_of_fields_are_named_each_once_with_its_nearest_frames():
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2, (600, BITS)).astype(bool)
    hashes[7] = hashes[3]  # of one field
    hashes[540], hashes[541] = hashes[3], hashes[3]
    hashes[541, :10] ^= True
    hashes[[20, 580]] = False  # blank
    found = near_copies(hashes, [f"f{i // 10}" for i in range(600)])
    assert [(each.first, each.second, each.bits) for each in found] == [(3, 540, 0)]


def copied(folder, spoil):
    """A dataset in which a frame of field5 shows the place of field0."""
    data = write_small_dataset(folder / "dataset")
    write_png(data / "frames" / "field5_1.png", spoil(read_frame(data / "frames" / "field0_0.png")))
    return data


def bordered(frame):
    changed = frame.copy()
    changed[0, 0] ^= 1
    return changed


def test_check_warns_of_a_place_under_two_fields(tmp_path):
    report = check(copied(tmp_path, bordered))
    assert report.is_clean
    [fault] = report.faults
    assert fault.severity == "warning"
    assert "looks like the frame in line" in fault.fault
    assert "of field 'field0'" in fault.fault


def test_a_search_is_told_of_places_on_two_sides_of_its_split(tmp_path):
    data = read_dataset(copied(tmp_path / "near", bordered))
    split = next(
        each
        for each in (by_field(data, seed) for seed in range(50))
        if sides(data, each, "field0", "field5") == 2
    )
    [pair] = copies_across(data, decode_frames(data, tmp_path / "cache"), split, "field")
    assert pair == "frames/field5_1.png of field field5 and frames/field0_0.png of field field0"
    together = next(
        each
        for each in (by_field(data, seed) for seed in range(50))
        if sides(data, each, "field0", "field5") == 1
    )
    assert list(copies_across(data, decode_frames(data, tmp_path / "cache"), together, "field")) == []


def sides(data, split, *fields):
    return sum(any(data.samples[i].field in fields for i in part) for part in vars(split).values())


def test_equal_pixels_under_two_fields_are_refused_before_a_search(tmp_path):
    data = write_small_dataset(tmp_path / "dataset")
    frame = read_frame(data / "frames" / "field0_0.png")
    (data / "frames" / "field5_1.png").write_bytes(
        cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1]
    )
    read = read_dataset(data)
    with pytest.raises(DatasetError, match=r"field0_0\.png of field 'field0' are the same frame; keep one"):
        list(copies_across(read, decode_frames(read, tmp_path / "cache"), by_field(read, 0), "field"))


# The split that leaks


def test_a_random_split_cuts_fields_and_keeps_the_fractions(tmp_path):
    data = read_dataset(write_small_dataset(tmp_path / "dataset", fields=10, frames=10))
    split = at_random(data, 0)
    assert sorted((*split.train, *split.validation, *split.test)) == list(range(100))
    assert (len(split.test), len(split.validation)) == (30, 14)
    trained = {data.samples[i].field for i in split.train}
    assert trained & {data.samples[i].field for i in split.test}
    assert at_random(data, 0) == split
    assert at_random(data, 1) != split
