"""What a dry run foretells: survivors as the scheduler lets them through, costs as a batch shows them."""

import pytest
from conftest import write_small_dataset

from semtune.cli_forecast import foretold
from semtune.config import Hyperparameters
from semtune.display import duration
from semtune.forecast import foreseen
from semtune.planning import SearchRequest, check_request, find_space, plan_search
from semtune.search.driver import Resources
from semtune.search.halving import rungs, survivors
from semtune.search.packing import largest_trial
from semtune.search.space import parse_space, read_space
from semtune.training.cost import measure_cost

SPACE = "architecture: pacf\ncrop: 64\nbatch_size: 4\nepochs: 9\ntrials: 6\n"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    (folder / "space.yaml").write_text(SPACE)
    request = SearchRequest(str(folder / "space.yaml"), write_small_dataset(folder / "data"), "new")
    return plan_search(check_request(request), folder / "frames")


def test_more_survive_than_the_factor_says_and_fewer_at_each_rung():
    there = survivors(27, 9, 1, 3.0)
    assert len(there) == len(rungs(9, 1, 3.0)) + 1
    assert there[0] == 27
    assert there == sorted(there, reverse=True)
    assert 27 / 3 < there[1] < 27 / 1.5


def test_without_a_scheduler_all_reach_the_end():
    assert survivors(5, 9, 9, 3.0) == [5]


def test_a_first_trial_always_survives():
    assert survivors(1, 9, 1, 3.0) == [1, 1, 1]


def test_the_largest_trial_of_an_architecture_has_what_holds_for_it():
    quick = read_space(find_space("quick"))
    assert (largest_trial(quick, "pacf").batch_size, largest_trial(quick, "vgg11").batch_size) == (32, 16)
    assert (largest_trial(quick, "pacf").epochs, largest_trial(quick, "vgg11").tiles) == (40, 1)
    full = largest_trial(read_space(find_space("full")), "resnet50")
    assert (full.crop, full.batch_size, full.dropout) == (224, 64, None)
    text = "architecture: pacf\nbatch_size: {int_uniform: [2, 7]}\n"
    assert largest_trial(parse_space(text, "f", "f"), "pacf").batch_size == 7


def test_a_larger_batch_is_foretold_to_take_longer_and_more_memory():
    few, many = (
        measure_cost(Hyperparameters(architecture="pacf", crop=64, batch_size=batch), "float32", 1)
        for batch in (2, 64)
    )
    assert many.seconds_per_step > few.seconds_per_step
    assert many.peak_bytes > few.peak_bytes > 50e6
    assert few.seconds_per_crop > 0


def test_a_dry_run_foretells_time_memory_and_hours(planned):
    facts = {**foreseen(*planned, Resources(concurrent=1)), "leaks": []}
    [stratum] = facts["strata"]
    assert stratum["survivors"][-1] <= stratum["survivors"][0] <= 6
    forecast = facts["forecast"]
    [cost] = forecast["costs"]
    assert cost["epochs"] < facts["most_epochs"] == 54
    assert forecast["seconds"] > cost["seconds"] == pytest.approx(cost["epochs"] * cost["seconds_per_epoch"])
    assert forecast["device_hours"] > 0
    assert forecast["memory_bytes"] > forecast["peak_bytes"] >= cost["peak_bytes"] > 50e6
    said = foretold(facts)
    assert "reach 9" in said
    assert "with 1 trials at a time" in said
    assert "warning" not in said
    assert "lower --concurrent" in foretold({**facts, "forecast": {**forecast, "memory_bytes": 1}})


def test_without_resources_nothing_is_probed(planned):
    facts = {**foreseen(*planned), "leaks": []}
    assert facts["forecast"] is None
    assert "expected" not in foretold(facts)


def test_durations_are_short_words():
    assert [duration(each) for each in (5, 65, 3661)] == ["5s", "1m05s", "1h01m"]
