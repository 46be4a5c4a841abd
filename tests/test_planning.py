"""What is asked of a search, checked before it starts and kept."""

import pytest
from conftest import write_small_dataset

from semtune.dataset.frames import open_frames
from semtune.dataset.manifest import read_dataset
from semtune.errors import ConfigError, DatasetError, SearchError
from semtune.leaks import leaks_of
from semtune.planning import (
    SearchRequest,
    check_request,
    find_space,
    plan_search,
    read_plan,
    write_plan,
)

SPACE = """
architecture: {choice: [pacf, resnet50]}
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
crop: {choice: [64, 80]}
trials: 5
seed: 3
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_dataset(tmp_path_factory.mktemp("data") / "tin")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(SPACE)
    return str(path)


@pytest.fixture
def planned(space, data, cache):
    return plan_search(check_request(SearchRequest(space, data, "demo")), cache)


def test_a_plan_tells_the_dataset_by_its_contents(planned, data):
    plan, _ = planned
    dataset = read_dataset(data)
    assert (plan.dataset_digest, plan.dataset_origin, plan.dataset_name) == (
        dataset.digest,
        "measured",
        "tin",
    )
    assert (plan.frames, plan.fields, plan.score_range) == (24, 6, (0.0, 10.0))
    assert plan.control_parameters == ("brightness", "contrast", "focus")
    assert set(plan.versions) >= {"semtune", "torch", "ray", "optuna", "mlflow"}


def test_every_field_is_in_one_part_and_the_samples_say_the_same(planned):
    plan, table = planned
    fields = [field for part in plan.split.values() for field in part]
    assert sorted(fields) == [f"field{number}" for number in range(6)]
    for part, names in plan.split.items():
        assert set(table.fields[getattr(table, part)]) == set(names)


def test_the_frames_are_decoded_under_the_digest(planned, cache):
    plan, table = planned
    assert len(open_frames(cache, plan.dataset_digest)) == len(table.frames) == 24


def test_the_command_line_goes_before_the_space(space, data, cache):
    request = SearchRequest(space, data, "n", {"epochs": 7, "crop": None}, {"trials": 2, "seed": None})
    plan, _ = plan_search(check_request(request), cache)
    rebuilt = plan.space()
    assert (rebuilt.settings.trials, rebuilt.settings.seed, plan.split_seed) == (2, 3, 3)
    assert (rebuilt.epochs(""), rebuilt.largest("crop")) == (7, 80)


def test_equal_requests_get_equal_splits_and_different_ids(space, data, cache):
    first, second = (plan_search(check_request(SearchRequest(space, data, "n")), cache)[0] for _ in range(2))
    assert first.split == second.split
    assert first.search_id != second.search_id


def test_another_seed_splits_otherwise(space, data, cache):
    splits = [
        plan_search(check_request(SearchRequest(space, data, "n", settings={"seed": seed})), cache)[0].split
        for seed in range(4)
    ]
    assert any(split != splits[0] for split in splits)


def test_a_split_that_leaks_is_planned_as_such_and_told(space, data, cache, planned):
    plan, table = plan_search(check_request(SearchRequest(space, data, "n", split="random")), cache)
    assert (plan.split_kind, planned[0].split_kind) == ("random", "field")
    assert set(plan.split["train"]) & set(plan.split["test"])
    assert set(table.fields[table.train]) & set(table.fields[table.test])
    assert ["leaks" in told for told in leaks_of(plan)] == [True]
    assert list(leaks_of(planned[0])) == []


def test_near_copies_on_two_sides_are_planned_and_told(planned):
    many = planned[0].model_copy(update={"near_copies": ("a and b", "c and d", "e and f", "g and h")})
    told = list(leaks_of(many))
    assert told[0].startswith("a and b look alike on two sides of the split")
    assert told[3] == "and 1 more such pairs; `semtune check` names them"


def test_a_plan_reads_back_as_written(planned, tmp_path):
    plan, _ = planned
    write_plan(plan, tmp_path / "search.json")
    again = read_plan(tmp_path / "search.json")
    assert again == plan
    assert again.space() == plan.space()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".yaml"] == ["search.json"]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"search_id": 1, "surplus": 2}'])
def test_a_damaged_plan_is_refused(tmp_path, text):
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(SearchError, match=r"search\.json: not a search's plan"):
        read_plan(tmp_path / "search.json")


def test_the_largest_crop_of_the_space_must_fit_the_frames(tmp_path, data, cache):
    (tmp_path / "large.yaml").write_text("architecture: pacf\ncrop: {choice: [64, 128]}\n")
    request = SearchRequest(str(tmp_path / "large.yaml"), data, "n")
    with pytest.raises(
        DatasetError, match="24 frames have a side below the crop of 128 pixels, the first is"
    ):
        plan_search(check_request(request), cache)


def test_a_faulty_frame_is_refused_or_left_out(tmp_path, space, cache):
    data = write_small_dataset(tmp_path / "data", seed=1)
    (data / "frames" / "field0_0.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DatasetError, match="--leave-out-faulty leaves them out") as refused:
        plan_search(check_request(SearchRequest(space, data, "n")), cache)
    assert str(refused.value).count("`semtune check") == 1
    plan, table = plan_search(check_request(SearchRequest(space, data, "n", leave_out_faulty=True)), cache)
    assert plan.frames == len(table.frames) == 23
    assert "frames/field0_0.png" not in table.frames


def test_what_leaving_out_does_not_mend_is_not_answered_with_leaving_out(tmp_path, space, cache):
    with pytest.raises(DatasetError, match="there is no folder") as refused:
        plan_search(check_request(SearchRequest(space, tmp_path / "nowhere", "n")), cache)
    assert "leave-out" not in str(refused.value)


def test_values_of_the_command_line_are_checked(space, data, cache):
    with pytest.raises(ConfigError, match=r"command line: .*crop"):
        plan_search(check_request(SearchRequest(space, data, "n", {"crop": 10})), cache)


@pytest.mark.parametrize("name", ["table1", "quick", "full", "quick.yaml"])
def test_shipped_spaces_are_found_by_name(name):
    assert find_space(name).name == f"{name.removesuffix('.yaml')}.yaml"


def test_a_file_goes_before_a_shipped_space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.yaml").write_text(SPACE)
    assert find_space("quick.yaml").resolve() == tmp_path / "quick.yaml"
    assert find_space("quick").resolve() != tmp_path / "quick.yaml"


@pytest.mark.parametrize(
    ("name", "hint"), [("tabel1", "did you mean 'table1'"), ("mine/quik.yaml", "'quick'")]
)
def test_an_unknown_space_is_answered_with_the_nearest(name, hint):
    with pytest.raises(ConfigError, match=rf"no search space '{name}': neither a YAML file .*{hint}"):
        find_space(name)
