"""What only a GPU can show: capture against its eager twin, staged crops, too little memory, no waiting."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_search import write_small_table

from semtune.config import Hyperparameters, TrialTask
from semtune.networks import ARCHITECTURES
from semtune.search.worker import WarmWorker
from semtune.training.augmentation import plan_epoch
from semtune.training.capture import run_once
from semtune.training.data import place, training_device
from semtune.training.feed import StagedFeed
from semtune.training.fit import fit, learning_rates, prepare_step, score_samples, step_key
from semtune.training.samples import write_samples
from semtune.training.step import TrainingStep

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU on this machine")

SMALL = Hyperparameters(
    architecture="pacf", learning_rate=1e-3, batch_size=4, crop=64, epochs=3, weight_decay=0.01, dropout=0.0
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_small_table(tmp_path_factory.mktemp("gpu"))


@pytest.fixture(scope="module")
def data(table):
    return placed(table)


def placed(table, share=1.0):
    from pathlib import Path

    from semtune.dataset.frames import open_frames

    parts = (table.train, table.validation, table.test)
    store = open_frames(Path(table.cache_folder), table.digest)
    return place(
        store, table.controls, table.scores, parts, table.score_range, training_device(), share=share
    )


def losses(step, data, settings):
    found = [(each.training_rmse, each.validation_rmse) for each in fit(settings, data, step, 0)]
    return np.array(found)


def fresh(data, settings, capture=None):
    step = TrainingStep(step_key(settings, data, "float32"), data.frames, data.controls, data.scores, capture)
    return prepare_step(settings, data, 0, "float32", step)


@pytest.fixture(autouse=True)
def _exact():
    """Without TF32, and with the same algorithms each time."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_captured_step_trains_as_its_eager_twin(data, optimizer):
    settings = SMALL.model_copy(update={"optimizer": optimizer})
    step = fresh(data, settings)
    captured = losses(step, data, settings)
    assert step.notes == []
    assert captured == pytest.approx(losses(fresh(data, settings, run_once), data, settings), abs=1e-4)


@pytest.mark.parametrize("architecture", [each.name for each in ARCHITECTURES])
def test_every_architecture_can_be_captured(data, architecture):
    settings = SMALL.model_copy(update={"architecture": architecture, "epochs": 1})
    step = prepare_step(settings, data, 0, "bfloat16", None)
    assert np.isfinite(losses(step, data, settings)).all()
    assert step.notes == []


def test_a_reused_graph_bears_no_trace_of_the_trial_before(data):
    settings = SMALL.model_copy(update={"dropout": 0.3})
    before = fresh(data, settings)
    losses(before, data, settings.model_copy(update={"learning_rate": 0.01}))
    again = prepare_step(settings, data, 0, "float32", before)
    assert losses(again, data, settings) == pytest.approx(
        losses(fresh(data, settings), data, settings), abs=1e-4
    )


def test_frames_on_the_host_train_the_same_network(table, data):
    host = placed(table, share=1e-9)
    assert host.frames.pixels.device.type == "cpu"
    step = fresh(host, SMALL)
    assert isinstance(step._feed, StagedFeed)
    assert losses(step, host, SMALL) == pytest.approx(losses(fresh(data, SMALL), data, SMALL), abs=1e-4)


def test_a_captured_validation_scores_as_predict_does(data):
    step = fresh(data, SMALL)
    losses(step, data, SMALL)
    expected = score_samples(step, data, data.validation, SMALL)
    assert step.validation.run() == pytest.approx(expected, abs=1e-4)


def test_an_epoch_is_queued_without_waiting_for_the_device(data):
    """The host is done long before the device: nothing in an epoch asks the device for a value."""
    train = np.tile(data.train, 40)
    settings = SMALL.model_copy(update={"architecture": "resnet50"})
    many = replace(data, train=train)
    step = fresh(many, settings)
    plan = plan_epoch(many.frames, train, settings.crop, 0.2, 0, 0)
    rates = learning_rates(settings, len(train) // 4, 0)
    float(step.run_epoch(plan, rates, 0))
    start = time.perf_counter()
    error = step.run_epoch(plan, rates, 0)
    queued = time.perf_counter() - start
    float(error)
    assert queued < 0.5 * (time.perf_counter() - start)


def test_a_trial_that_gets_too_little_memory_says_so_and_the_worker_goes_on(table, tmp_path):
    samples = tmp_path / "samples.npz"
    write_samples(table, samples)
    worker = WarmWorker()

    def last_report(name, share, **changes):
        worker.start(
            TrialTask(
                trial=name,
                role="search",
                hyperparameters=SMALL.model_copy(update={"epochs": 1, **changes}),
                seed=0,
                trial_folder=str(tmp_path / name),
                samples_file=str(samples),
                threads=1,
                gpu_share=share,
            )
        )
        report = worker.advance()
        while not report["done"]:
            report = worker.advance()
        return report

    memory = torch.cuda.get_device_properties(0).total_memory
    assert last_report("large", 5e8 / memory, architecture="vgg19")["reason"] == "out_of_memory"
    assert last_report("small", 1.0)["reason"] == "epochs"
