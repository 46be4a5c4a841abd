"""A warm worker in this process: it searches, completes, tests, times, and survives failures."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_search import write_small_table

from semtune.config import Hyperparameters, TrialTask
from semtune.dataset.frames import open_frames
from semtune.engines import ENGINES
from semtune.predictions import read_predictions
from semtune.results import judge
from semtune.search.worker import CHECKPOINT, PREDICTIONS, WEIGHTS, WarmWorker
from semtune.training.checkpoint import read_facts, read_weights
from semtune.training.samples import write_samples

SMALL = Hyperparameters(architecture="pacf", learning_rate=1e-3, batch_size=4, crop=64, epochs=3, dropout=0.2)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_small_table(tmp_path_factory.mktemp("worker"))


@pytest.fixture(scope="module")
def samples_file(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    write_samples(table, path)
    return path


@pytest.fixture
def task_of(samples_file, tmp_path):
    """Tasks of trials in a folder of this test."""

    def make(role="search", trial="trial-0000", seed=1, samples=samples_file, **hyperparameters):
        return TrialTask(
            trial=trial,
            role=role,
            hyperparameters=SMALL.model_copy(update=hyperparameters),
            seed=seed,
            trial_folder=str(tmp_path / trial),
            samples_file=str(samples),
            threads=1,
            precision="float32",
        )

    return make


def reports_of(task, worker=None):
    """All reports until the worker is done."""
    worker = worker or WarmWorker()
    worker.start(task)
    reports = [worker.advance()]
    while not reports[-1]["done"]:
        reports.append(worker.advance())
    return reports


def epochs_in(reports):
    return [report["epoch"]["epoch"] for report in reports if "epoch" in report]


def file_of(task, name):
    return Path(task.trial_folder) / name


def assert_same_weights(task, other):
    one, two = (read_weights(file_of(each, WEIGHTS))[0] for each in (task, other))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-6, msg=name)


# Search


def test_a_search_reports_every_epoch_and_leaves_weights(task_of, table):
    task = task_of()
    reports = reports_of(task)
    assert epochs_in(reports) == [1, 2, 3]
    assert [report["done"] for report in reports] == [False, False, True]
    assert reports[-1]["reason"] == "epochs"
    assert "tested" not in reports[-1]
    store = open_frames(Path(table.cache_folder), table.digest)
    assert read_facts(file_of(task, WEIGHTS)) == {
        "hyperparameters": task.hyperparameters.model_dump(),
        "control_parameters": ["brightness", "contrast", "focus"],
        "score_range": [0.0, 10.0],
        "dataset_digest": table.digest,
        "dataset_origin": "measured",
        "precision": "float32",
        "trial": "trial-0000",
        "last_epoch": reports[-1]["epoch"],
        "trained": sorted(map(store.checksum, table.train)),
        "validated": sorted(map(store.checksum, table.validation)),
    }


def test_the_first_report_says_where_a_trial_trains(task_of):
    first, *others = reports_of(task_of())
    assert first["placed"].pop("device").endswith("1 thread")
    assert first["placed"] == {"threads": 1, "precision": "float32", "started_from": None}
    assert not any("placed" in report for report in others)


def test_reports_are_plain_names_and_numbers(task_of):
    for report in reports_of(task_of("final")):
        json.dumps(report)


def test_a_warm_worker_trains_as_a_fresh_one(task_of):
    worker = WarmWorker()
    for number in range(2):
        reports_of(task_of(trial=f"warm-{number}", seed=number, learning_rate=0.003), worker)
    warm, fresh = task_of(trial="warm", seed=5), task_of(trial="fresh", seed=5)
    reports_of(warm, worker)
    reports_of(fresh)
    assert_same_weights(warm, fresh)


def test_a_worker_takes_up_another_search(task_of, table, tmp_path):
    worker = WarmWorker()
    reports_of(task_of(), worker)
    other = tmp_path / "other.npz"
    write_samples(table, other)
    again, fresh = task_of(trial="again", samples=other), task_of(trial="fresh")
    reports_of(again, worker)
    reports_of(fresh)
    assert_same_weights(again, fresh)


# Stopping and going on


def test_a_stopped_trial_goes_on_where_it_was(task_of):
    whole, parts = task_of(trial="whole"), task_of(trial="parts")
    reports_of(whole)
    worker = WarmWorker()
    worker.start(parts)
    first = worker.advance()["epoch"]
    worker.stop()
    assert read_facts(file_of(parts, CHECKPOINT)) == {"epochs_done": 1, "last_epoch": first}
    later = reports_of(parts)
    assert later[0]["epoch"] == first  # told again: the driver may have died before it heard of it
    assert epochs_in(later) == [1, 2, 3]
    assert_same_weights(whole, parts)


def test_the_next_task_saves_what_the_one_before_left(task_of):
    left, following = task_of(trial="left"), task_of(trial="following", seed=9)
    worker = WarmWorker()
    worker.start(left)
    worker.advance()
    reports_of(following, worker)
    assert epochs_in(reports_of(left)) == [1, 2, 3]


def test_nothing_is_saved_of_a_trial_whose_folder_the_driver_removed(task_of):
    unwanted, following = task_of(trial="unwanted"), task_of(trial="following", seed=9)
    worker = WarmWorker()
    worker.start(unwanted)
    worker.advance()
    Path(unwanted.trial_folder).rmdir()
    reports_of(following, worker)
    assert not Path(unwanted.trial_folder).exists()


def test_stopping_twice_or_before_the_start_does_nothing(task_of):
    worker = WarmWorker()
    worker.stop()
    worker.start(task_of())
    worker.stop()
    worker.stop()
    assert not file_of(task_of(), CHECKPOINT).exists()


def test_a_trial_whose_checkpoint_is_whole_gets_its_weights(task_of):
    """Else it could never be timed or promoted."""
    whole, died = task_of(trial="whole"), task_of(trial="died")
    reports_of(whole)
    worker = WarmWorker()
    worker.start(task_of(trial="died", epochs=4))
    for _ in range(3):
        worker.advance()
    worker.stop()
    assert read_facts(file_of(died, CHECKPOINT))["epochs_done"] == 3
    reports = reports_of(died)
    assert epochs_in(reports) == [3]
    assert reports[-1]["reason"] == "epochs"
    assert_same_weights(whole, died)


# Finals


def test_a_final_of_a_trained_trial_does_not_train_again(task_of):
    task = task_of()
    trained = reports_of(task)
    before = file_of(task, WEIGHTS).stat().st_mtime_ns
    (report,) = reports_of(task_of("final"))
    assert report["done"]
    assert report["epoch"] == trained[-1]["epoch"]  # the same, seconds included
    assert file_of(task, WEIGHTS).stat().st_mtime_ns == before


def test_a_trial_that_died_before_its_last_report_reports_it(task_of):
    """The weights are written, but the journal has not heard of the last epoch."""
    last = reports_of(task_of())[-1]
    assert reports_of(task_of()) == [last]


def test_a_final_goes_on_with_a_stopped_trial(task_of):
    worker = WarmWorker()
    worker.start(task_of())
    worker.advance()
    worker.stop()
    reports = reports_of(task_of("final"), worker)
    assert epochs_in(reports) == [1, 2, 3]
    assert "tested" in reports[-1]


def test_a_final_trains_a_trial_whose_files_were_removed(task_of):
    whole, anew = task_of(trial="whole"), task_of("final", trial="anew")
    reports_of(whole)
    assert epochs_in(reports_of(anew)) == [1, 2, 3]
    assert_same_weights(whole, anew)


def test_the_test_figures_are_those_of_the_predictions_on_disk(task_of, table):
    task = task_of("final")
    reports = reports_of(task)
    tested = reports[-1]["tested"]
    predictions = read_predictions(file_of(task, PREDICTIONS))
    assert predictions.frames == tuple(table.frames[table.test])
    without_controls = tested.pop("test_rmse_without_controls")
    assert tested == pytest.approx(judge(predictions))
    assert without_controls != tested["test_rmse"]


def test_the_same_final_in_another_worker_gives_the_same_figures(task_of):
    one = reports_of(task_of("final"))[-1]["tested"]
    two = reports_of(task_of("final"))[-1]["tested"]  # only loads the weights
    assert one == pytest.approx(two)


# Timing


def test_a_measurement_tells_milliseconds_and_where(task_of):
    reports_of(task_of())
    (report,) = reports_of(task_of("measure"))
    figures = report["timed"]["figures"]
    assert set(figures) == {
        "milliseconds_per_image",
        "milliseconds_per_image_p95",
        "milliseconds_per_image_batch32",
        "milliseconds_per_image_batch32_p95",
    }
    assert 0 < figures["milliseconds_per_image"] <= figures["milliseconds_per_image_p95"]
    batch, slow = (figures[f"milliseconds_per_image_batch32{end}"] for end in ("", "_p95"))
    assert 0 < batch <= slow
    *_, precision, engine = report["timed"]["device"].split(", ")
    assert precision == "float32"  # as the trial was tested
    assert engine in ENGINES.names
    if not torch.cuda.is_available():
        assert "1 thread" in report["timed"]["device"]


def test_a_trial_without_weights_cannot_be_measured(task_of):
    (report,) = reports_of(task_of("measure"))
    assert report["reason"] == "error"
    assert "not a readable safetensors file" in report["message"]


# Failures


def test_a_diverged_trial_is_reported_with_its_reason(task_of):
    reports = reports_of(task_of(optimizer="sgd", learning_rate=10.0, epochs=60))
    assert reports[-1]["reason"] == "diverged"
    assert "error became" in reports[-1]["message"]
    assert not file_of(task_of(), WEIGHTS).exists()


@pytest.mark.parametrize("file", [CHECKPOINT, WEIGHTS])
def test_a_damaged_file_is_reported_with_its_name(task_of, file):
    task = task_of()
    file_of(task, file).parent.mkdir()
    file_of(task, file).write_bytes(b"damaged")
    (report,) = reports_of(task)
    assert report["reason"] == "error"
    assert f"{file}: not a readable safetensors file" in report["message"]


def test_a_missing_samples_file_is_reported(task_of, tmp_path):
    (report,) = reports_of(task_of(samples=tmp_path / "missing.npz"))
    assert report["reason"] == "error"
    assert "missing.npz" in report["message"]


@pytest.mark.parametrize(
    "failing", [{"optimizer": "sgd", "learning_rate": 10.0, "epochs": 60}, {"crop": 480}], ids=str
)
def test_a_worker_goes_on_after_a_failure_as_if_nothing_had_been(task_of, failing):
    worker = WarmWorker()
    assert reports_of(task_of(trial="failing", **failing), worker)[-1]["reason"] in ("diverged", "error")
    after, fresh = task_of(trial="after"), task_of(trial="fresh")
    reports_of(after, worker)
    reports_of(fresh)
    assert_same_weights(after, fresh)


def test_a_failed_trial_leaves_no_checkpoint_of_its_ruin(task_of):
    worker = WarmWorker()
    task = task_of(optimizer="sgd", learning_rate=10.0, epochs=60)
    reports_of(task, worker)
    worker.stop()
    if file_of(task, CHECKPOINT).exists():
        weights, _ = read_weights(file_of(task, CHECKPOINT))
        assert all(np.isfinite(tensor.float().numpy()).all() for tensor in weights.values())


# Steps and memory


def test_a_search_that_alternates_between_shapes_keeps_their_steps(task_of):
    worker = WarmWorker()
    first = [task_of(trial="a"), task_of(trial="b", crop=72)]
    for task in first:
        reports_of(task, worker)
    again, fresh = task_of(trial="again", seed=5), task_of(trial="fresh", seed=5)
    (kept,) = worker._kept._steps.values()
    reports_of(again, worker)
    assert worker._step is kept
    reports_of(fresh)
    assert_same_weights(again, fresh)


def test_a_trial_without_memory_says_so_and_leaves_the_memory_to_others(task_of, monkeypatch):
    worker = WarmWorker()
    reports_of(task_of(trial="before"), worker)
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Module, "train", out_of_memory)
        (report,) = reports_of(task_of(trial="large", crop=72), worker)
    assert report["reason"] == "out_of_memory"
    assert "OutOfMemoryError" in report["message"]
    assert worker._step is None
    assert not worker._kept._steps
    after, fresh = task_of(trial="after"), task_of(trial="fresh")
    reports_of(after, worker)
    reports_of(fresh)
    assert_same_weights(after, fresh)


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_what_a_user_should_know_is_told_once(task_of, monkeypatch):
    monkeypatch.setattr("semtune.search.worker.whereabouts", lambda data: "31 GB of frames: read from disk")
    worker = WarmWorker()
    reports = reports_of(task_of(), worker) + reports_of(task_of(trial="next"), worker)
    assert [report.get("notes") for report in reports] == [["31 GB of frames: read from disk"], *[None] * 5]


LITTLE_MEMORY = """
import json, resource, sys
from pathlib import Path
import torchvision
from semtune.config import TrialTask
from semtune.search.worker import WarmWorker
worker = WarmWorker()
worker.start(TrialTask.model_validate_json(sys.argv[1]))
reports = [worker.advance()]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50 * 2**20,) * 2)
worker.start(TrialTask.model_validate_json(sys.argv[2]))
print(json.dumps(worker.advance()))
"""


def test_a_host_without_memory_is_told_by_its_own_reason(task_of):
    """The system refuses to give a real process what a larger network needs."""
    small, large = task_of(trial="small"), task_of(trial="large", architecture="vgg11")
    arguments = [task.model_dump_json() for task in (small, large)]
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, *arguments], capture_output=True, text=True, check=True
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["reason"], report["done"]) == ("out_of_memory", True), report["message"]
    assert "Traceback" in report["message"]
