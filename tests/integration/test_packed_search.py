"""Trials that share a GPU, on a real cluster that is told it has one; without CUDA they train on the CPU."""

import json

import pytest
from small_search import write_small_table

from semtune.config import Hyperparameters, TrialTask
from semtune.environment import quiet_environment
from semtune.journal import Journal, read_record
from semtune.search.space import parse_space
from semtune.training.samples import write_samples

pytestmark = pytest.mark.slow

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
batch_size: 4
crop: 64
epochs: 2
grace_epochs: 2
trials: 4
"""
SMALL = Hyperparameters(architecture="pacf", batch_size=4, crop=64)


@pytest.fixture(scope="module")
def _one_gpu():
    quiet_environment()  # before ray is imported
    import ray

    from semtune.search.access import guard

    guard(local=True)
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packing")
    write_samples(write_small_table(folder), folder / "samples.npz")
    return folder / "samples.npz"


def search(folder, samples, trainable=None, **resources):
    """Run a search; returns its record and the tasks that workers got."""
    from semtune.search.depot import TrialFiles
    from semtune.search.director import Director
    from semtune.search.driver import Resources, run
    from semtune.search.trainable import RayTrial

    journal, tasks = Journal(folder / "journal.jsonl"), []

    def task_of(order, allotment):
        tasks.append((order, allotment))
        return TrialTask(
            trial=order.trial,
            role=order.role,
            hyperparameters=order.hyperparameters,
            seed=order.seed,
            trial_folder=str(folder / "trials" / order.trial),
            samples_file=str(samples),
            threads=1,
            precision="float32",
        )

    record = read_record(folder / "journal.jsonl")
    director = Director(
        parse_space(SPACE, "space.yaml", "space"), record, folder / "study.log", journal.append
    )
    run(
        director,
        task_of,
        Resources(**resources),
        TrialFiles(folder / "trials"),
        folder / "probes.json",
        trainable or RayTrial,
    )
    journal.close()
    return record, tasks


@pytest.mark.usefixtures("_one_gpu")
def test_a_gpu_is_shared_as_probes_find_best(tmp_path, samples):
    record, tasks = search(tmp_path, samples)
    from semtune.search.packing import ProbeFile

    assert [trial.reason for trial in record.trials.values()] == ["epochs"] * 4
    (surroundings,) = json.loads((tmp_path / "probes.json").read_text())
    assert "torch" in surroundings
    probes = ProbeFile(tmp_path / "probes.json", surroundings).find("pacf batch 4 crop 64 auto")
    assert probes[0].company == 1
    assert all(probe.frames_per_second > 0 for probe in probes)
    assert tasks[0][1].concurrent in (1, 2)


@pytest.mark.usefixtures("_one_gpu")
def test_what_was_probed_is_not_probed_again(tmp_path):
    from semtune.search.packing import ProbeFile
    from semtune.search.prober import companies

    file = ProbeFile(tmp_path / "probes.json", "here")
    first = companies([SMALL], "float32", file, seconds=0.2)
    kept = (tmp_path / "probes.json").read_text()
    assert companies([SMALL], "float32", file, seconds=0.2) == first
    assert (tmp_path / "probes.json").read_text() == kept


@pytest.mark.usefixtures("_one_gpu")
def test_a_trial_without_memory_in_company_ends_well_alone(tmp_path, samples):
    record, tasks = search(tmp_path, samples, greedy(), gpus_per_trial=0.5)
    assert [trial.reason for trial in record.trials.values()] == ["epochs"] * 4
    assert [trial.alone for trial in record.trials.values()] == [True, False, False, False]
    assert [order.alone for order, _ in tasks if order.trial == "trial-0000"][:2] == [False, True]


def greedy():
    """A worker whose first trial runs out of memory unless the whole GPU is its own."""
    from semtune.search.trainable import RayTrial

    class Greedy(RayTrial):
        def step(self):
            if self.config["task"]["trial"] == "trial-0000" and self.config["task"]["gpu_share"] < 1:
                return {"reason": "out_of_memory", "message": "CUDA out of memory", "done": True}
            return super().step()

    return Greedy
