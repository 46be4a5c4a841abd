"""How trials share GPUs and cores: rules on figures, without a GPU."""

import pytest

from semtune.errors import SearchError
from semtune.search.packing import (
    Node,
    Probe,
    ProbeFile,
    allot,
    best_company,
    probed,
    settings_to_probe,
)
from semtune.search.space import parse_space

GB = 10**9


class Gpu:
    """A GPU of 80 GB: frames a second by company; None where memory is too little."""

    def __init__(self, *rates, peak=10 * GB):
        self.rates, self.peak, self.asked = dict(zip((1, 2, 4, 8), rates, strict=False)), peak, []

    def __call__(self, company):
        self.asked.append(company)
        rate = self.rates[company]
        return None if rate is None else Probe(company, rate, self.peak, 80 * GB)


# Company


def test_trials_share_a_gpu_while_each_step_up_is_worth_it():
    gpu = Gpu(1000.0, 1500.0, 1700.0)
    assert best_company(probed(gpu)) == 4
    assert gpu.asked == [1, 2, 4]


def test_probing_ends_with_the_first_step_that_is_not_worth_it():
    gpu = Gpu(1000.0, 1050.0, 9000.0)
    assert best_company(probed(gpu)) == 1
    assert gpu.asked == [1, 2]


def test_a_company_that_ran_out_of_memory_is_not_chosen():
    assert best_company(probed(Gpu(1000.0, 1500.0, None))) == 2


def test_a_company_that_cannot_fit_is_not_tried():
    gpu = Gpu(1000.0, 1900.0, 3000.0, peak=25 * GB)
    assert best_company(probed(gpu)) == 2
    assert gpu.asked == [1, 2]


def test_a_company_whose_peaks_overfill_the_gpu_is_not_chosen():
    assert best_company([Probe(1, 1000.0, 10 * GB, 80 * GB), Probe(2, 1900.0, 40 * GB, 80 * GB)]) == 1


def test_a_trial_that_does_not_even_fit_alone_runs_alone():
    """It then fails with its own message, not with the search."""
    assert best_company(probed(Gpu(None))) == 1


# Layout


def nodes(*sizes):
    """Nodes of so many cores and GPUs."""
    return [Node(f"n{number}", f"host{number}", *size) for number, size in enumerate(sizes)]


def test_on_a_cpu_each_core_has_a_trial_of_one_thread():
    laid_out = allot(nodes((8, 0)), concurrent=None, gpus_per_trial=None, companies={})
    assert (laid_out.concurrent, laid_out.cpus, laid_out.gpus) == (8, 1, 0)


def test_fewer_trials_have_more_threads():
    laid_out = allot(nodes((8, 0)), concurrent=3, gpus_per_trial=None, companies={})
    assert (laid_out.concurrent, laid_out.cpus) == (3, 2)


def test_a_trial_has_no_more_threads_than_its_node_has_cores():
    assert allot(nodes((2, 0), (2, 0)), 1, None, {}).cpus == 2
    assert allot(nodes((8, 0), (2, 0)), 2, None, {}).cpus == 2


def test_a_node_without_a_core_takes_no_trial():
    laid_out = allot(nodes((0, 0), (1, 0), (2, 0)), None, None, {})
    assert laid_out.concurrent == 3


def test_shares_of_a_gpu_do_not_reach_from_one_to_the_next():
    assert allot(nodes((16, 2)), None, 0.4, {}).concurrent == 4
    assert allot(nodes((4, 1), (4, 1)), None, 2 / 3, {}).concurrent == 2


def test_small_networks_share_a_gpu_and_large_ones_do_not():
    laid_out = allot(nodes((16, 2)), concurrent=None, gpus_per_trial=None, companies={"pacf": 4, "vgg19": 1})
    assert laid_out.of("pacf", alone=False) == (2, 0.25)
    assert laid_out.of("vgg19", alone=False) == (2, 1.0)
    assert laid_out.concurrent == 8


def test_what_the_user_says_goes_before_what_was_measured():
    laid_out = allot(nodes((16, 1)), concurrent=None, gpus_per_trial=0.5, companies={"pacf": 4})
    assert laid_out.of("pacf", alone=False) == (8, 0.5)
    assert laid_out.concurrent == 2


def test_a_trial_that_must_be_alone_takes_the_whole_gpu():
    laid_out = allot(nodes((16, 1)), concurrent=None, gpus_per_trial=None, companies={"pacf": 4})
    assert laid_out.of("pacf", alone=True) == (4, 1.0)
    assert allot(nodes((8, 0)), None, None, {}).of("pacf", alone=True) == (8, 0.0)
    assert allot(nodes((8, 4)), None, 2.0, {}).of("pacf", alone=True)[1] == 2.0


def test_a_trial_alone_takes_the_largest_node_and_no_more():
    assert allot(nodes((2, 0), (8, 0)), None, None, {}).of("pacf", alone=True) == (8, 0.0)


def test_more_gpus_than_any_node_has_is_refused_with_what_each_has():
    with pytest.raises(
        SearchError,
        match=r"asks for 2 GPUs, but no node has so many \(host0: 8 cores, 1 GPUs, host1: 4 cores, 1 GPUs\)",
    ):
        allot(nodes((8, 1), (4, 1)), concurrent=None, gpus_per_trial=2, companies={})


def test_trials_wait_for_nodes_to_come_if_the_user_wants_more_than_fit():
    assert allot(nodes((2, 0)), 6, None, {}, patient=True).concurrent == 6
    assert allot(nodes((2, 0)), 6, None, {}).concurrent == 2


def test_the_largest_trial_of_each_architecture_is_probed():
    space = parse_space(
        "architecture: {choice: [pacf, vgg11]}\nbatch_size: {choice: [16, 64]}\ncrop: 96\ntrials: 4\n",
        "space.yaml",
        "space",
    )
    asked = [(each.architecture, each.batch_size, each.crop) for each in settings_to_probe(space)]
    assert asked == [("pacf", 64, 96), ("vgg11", 64, 96)]


# The file


def test_probes_are_read_back_on_the_same_gpu_alone(tmp_path):
    path, probes = tmp_path / "probes.json", probed(Gpu(1000.0, 1500.0, 1700.0))
    ProbeFile(path, "H100, torch 2.11").keep("pacf", probes)
    ProbeFile(path, "A100, torch 2.11").keep("pacf", probes[:1])
    assert ProbeFile(path, "H100, torch 2.11").find("pacf") == probes
    assert ProbeFile(path, "A100, torch 2.11").find("pacf") == probes[:1]
    assert ProbeFile(path, "H100, torch 2.12").find("pacf") is None
    assert ProbeFile(path, "H100, torch 2.11").find("vgg11") is None


@pytest.mark.parametrize("damage", ["", "[]", '{"gpu": {"pacf": [{"company": 1}]}}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage):
    path = tmp_path / "probes.json"
    path.write_text(damage)
    assert ProbeFile(path, "gpu").find("pacf") is None
