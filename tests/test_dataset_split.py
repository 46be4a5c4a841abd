"""The split: no field on two sides, about the fractions asked for, the same for the same contents."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semtune.dataset import Dataset, Sample
from semtune.dataset.description import DatasetDescription
from semtune.dataset.split import by_field, split_fields
from semtune.errors import DatasetError


def dataset_of(specimens):
    """A dataset with fields of so many frames on each specimen."""
    samples = [
        Sample(f"{specimen}_{field}_{frame}.png", 5.0, f"s{specimen}", f"s{specimen}f{field}", ())
        for specimen, fields in enumerate(specimens)
        for field, frames in enumerate(fields)
        for frame in range(frames)
    ]
    return Dataset(Path("anywhere"), tuple(samples), DatasetDescription(), "0")


def fields_of(dataset, indices):
    return {dataset.samples[index].field for index in indices}


seeds = st.integers(0, 2**32)
fields = st.lists(st.integers(1, 15), min_size=1, max_size=8)
datasets = st.lists(fields, min_size=1, max_size=8).filter(lambda s: sum(map(len, s)) >= 3).map(dataset_of)
many_fields = st.lists(st.lists(st.integers(8, 12), min_size=10, max_size=30), min_size=1, max_size=5)


@given(datasets, seeds)
def test_every_sample_is_in_one_part_and_no_field_is_cut(dataset, seed):
    split = by_field(dataset, seed)
    assert sorted(split.train + split.validation + split.test) == list(range(len(dataset.samples)))
    train, validation, test = (
        fields_of(dataset, part) for part in (split.train, split.validation, split.test)
    )
    assert not train & validation
    assert not train & test
    assert not validation & test


@given(datasets, seeds)
def test_no_part_is_empty(dataset, seed):
    split = by_field(dataset, seed)
    assert all((split.train, split.validation, split.test))


@given(many_fields.map(dataset_of), seeds, st.floats(0.2, 0.5), st.floats(0.1, 0.4))
def test_with_many_fields_the_fractions_are_met_to_within_half_a_field(dataset, seed, test, validation):
    split = by_field(dataset, seed, test, validation)
    frames = len(dataset.samples)
    assert len(split.test) == pytest.approx(test * frames, abs=6)
    assert len(split.validation) == pytest.approx(validation * (frames - len(split.test)), abs=6)


@given(many_fields, seeds)
def test_every_large_specimen_gives_its_share_to_the_test(specimens, seed):
    dataset = dataset_of(specimens)
    tested = Counter(dataset.samples[index].specimen for index in by_field(dataset, seed).test)
    for specimen, fields in enumerate(specimens):
        assert tested[f"s{specimen}"] == pytest.approx(0.3 * sum(fields), abs=18)


@given(datasets, seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(dataset, seed, random):
    samples = list(dataset.samples)
    random.shuffle(samples)
    shuffled = Dataset(dataset.folder, tuple(samples), dataset.description, dataset.digest)
    assert split_fields(shuffled, by_field(shuffled, seed)) == split_fields(dataset, by_field(dataset, seed))


@given(st.lists(fields.filter(lambda f: len(f) > 1), min_size=1, max_size=4), st.integers(1, 5), seeds)
def test_a_field_alone_on_its_specimen_trains(specimens, lone, seed):
    dataset = dataset_of([*specimens, *[[4]] * lone])
    split = by_field(dataset, seed)
    alone = {f"s{len(specimens) + i}f0" for i in range(lone)}
    assert alone <= fields_of(dataset, split.train)


def test_specimens_of_one_field_each_can_be_split():
    dataset = dataset_of([[10]] * 10)
    split = by_field(dataset, seed=1)
    assert (len(split.test), len(split.validation), len(split.train)) == (30, 10, 60)


def test_few_fields_to_draw_from_are_shared_between_test_and_validation():
    dataset = dataset_of([[10] * 5, *[[10]] * 20])
    split = by_field(dataset, seed=0)
    assert (len(split.test), len(split.validation)) == (30, 20)


def test_another_seed_draws_other_fields():
    dataset = dataset_of([[4] * 20])
    assert len({by_field(dataset, seed).test for seed in range(5)}) == 5


@pytest.mark.parametrize("specimens", [[[5]], [[5, 5]], [[5], [5]]])
def test_fewer_than_three_fields_are_refused(specimens):
    with pytest.raises(DatasetError, match="fields cannot train, validate and test; record at least 3"):
        by_field(dataset_of(specimens), seed=0)


def test_the_fields_of_each_part_are_named_in_order():
    dataset = dataset_of([[2] * 10])
    named = split_fields(dataset, by_field(dataset, seed=0))
    assert list(named) == ["train", "validation", "test"]
    assert all(part == sorted(part) for part in named.values())
    assert sorted(field for part in named.values() for field in part) == [f"s0f{i}" for i in range(10)]
