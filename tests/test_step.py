"""The step that a GPU captures, on the CPU: its eager twin, the seams of capture, feeds, kept steps."""

import gc
import weakref

import numpy as np
import pytest
import torch
from small_search import placed, write_small_table

from semtune.config import Hyperparameters
from semtune.networks import ARCHITECTURES
from semtune.training.augmentation import plan_epoch
from semtune.training.capture import captured
from semtune.training.compilation import FIGURES, compiles
from semtune.training.feed import HostFeed, ResidentFeed, StagedFeed, feed_of
from semtune.training.fit import fit, learning_rates, prepare_step, score_samples, step_key
from semtune.training.kept import KeptSteps
from semtune.training.step import TrainingStep
from semtune.training.validation import Validation, ValidationKey

SMALL = Hyperparameters(
    architecture="pacf", learning_rate=1e-3, batch_size=4, crop=64, epochs=3, weight_decay=0.01
)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return placed(write_small_table(tmp_path_factory.mktemp("step")))


def step_with(data, capture=None, settings=SMALL):
    """A prepared step that captures as told."""
    step = TrainingStep(step_key(settings, data, "float32"), data.frames, data.controls, data.scores, capture)
    return prepare_step(settings, data, 0, "float32", step)


def losses(step, data, settings=SMALL):
    found = [(each.training_rmse, each.validation_rmse) for each in fit(settings, data, step, 0)]
    return np.array(found)


def snapshot(step):
    return {name: tensor.clone() for name, tensor in step.state().items()}


# Stand-ins for a CUDA graph, which on a CPU can only be run again


def warmed_up(run, undo):
    """What `GraphCapture` does, but for the graph: warm-ups that are undone, one more run."""
    for _ in range(3):
        run()
        undo()
    run()
    return run


def failing(run, undo):
    """A capture that fails half-way, the step's tensors changed."""
    run()
    raise RuntimeError("operation not permitted when stream is capturing\nmore of it")


def out_of_memory(run, undo):
    run()
    raise torch.OutOfMemoryError("CUDA out of memory")


# The twin


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_step_trains_as_a_plain_loop_does(data, optimizer):
    """The loop that a text-book has, with torch's own optimiser and weight decay: the same losses to 1e-4."""
    settings = SMALL.model_copy(
        update={"optimizer": optimizer, "dropout": 0.0, "schedule": "cosine", "batch_size": 6}
    )
    network = step_with(data, settings=settings).network
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    plain = kinds[optimizer](network.parameters(), 1e-3, weight_decay=0.01, **momentum)
    expected = []
    for epoch in range(settings.epochs):
        plan = plan_epoch(data.frames, data.train, 64, settings.control_dropout, 0, epoch)
        network.train()
        squared = 0.0
        for batch, bare, rate in zip(
            plan.geometry.split(6),
            plan.without_controls.split(6),
            learning_rates(settings, 2, epoch),
            strict=True,
        ):
            crops = (
                data.frames.cut(*batch.T, 64).float().div(255).contiguous(memory_format=torch.channels_last)
            )
            controls = data.controls[batch[:, 0]].masked_fill(bare[:, None], torch.nan)
            errors = (network(crops, controls) - data.scores[batch[:, 0]]) ** 2
            for group in plain.param_groups:
                group["lr"] = float(rate)
            plain.zero_grad()
            errors.mean().backward()
            plain.step()
            squared += errors.sum().item()
        expected.append((squared / 12) ** 0.5)
    step = step_with(data, warmed_up, settings)
    assert losses(step, data, settings)[:, 0] == pytest.approx(expected, abs=1e-4)


def test_a_captured_step_trains_as_its_eager_twin(data):
    """Warm-ups, and that the graph is kept from epoch to epoch, leave no trace."""
    settings = SMALL.model_copy(update={"dropout": 0.3})
    assert losses(step_with(data, warmed_up, settings), data, settings) == pytest.approx(
        losses(step_with(data, None, settings), data, settings), abs=1e-6
    )


def test_a_step_is_captured_once_for_all_trials_of_its_shape(data):
    captures = []

    def counting(run, undo):
        captures.append(run)
        return warmed_up(run, undo)

    step = step_with(data, counting)
    first = losses(step, data)
    again = prepare_step(SMALL, data, 0, "float32", step)
    assert np.array_equal(losses(again, data), first)
    assert len(captures) == 2  # the step and the validation


def test_a_shorter_epoch_is_captured_anew(data):
    """The buffers of the plan have another length."""
    step = step_with(data, warmed_up)
    losses(step, data)
    short = SMALL.model_copy(update={"frames_per_epoch": 4})
    again = prepare_step(short, data, 0, "float32", step)
    assert losses(again, data, short) == pytest.approx(losses(step_with(data, None, short), data, short))


# What cannot be captured


def test_what_cannot_be_captured_runs_eagerly_and_says_so_once(data):
    step = step_with(data, failing)
    assert np.array_equal(losses(step, data), losses(step_with(data), data))
    reason = "operation not permitted when stream is capturing"
    assert step.notes == [
        f"pacf cannot be captured and runs eagerly: {reason}",
        f"validation cannot be captured and runs eagerly: {reason}",
    ]


def test_a_failed_capture_changes_nothing(data):
    tensors = [torch.ones(3), torch.zeros(())]

    def run():
        tensors[0].add_(1)
        tensors[1].fill_(torch.nan)

    replay, reason = captured(run, tensors, failing)
    assert replay is None
    assert reason == "operation not permitted when stream is capturing"
    assert torch.equal(tensors[0], torch.ones(3))
    assert tensors[1] == 0


def test_too_little_memory_is_no_reason_to_run_eagerly(data):
    step = step_with(data, out_of_memory)
    before = snapshot(step)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        losses(step, data)
    for name, tensor in step.state().items():
        assert torch.equal(before[name], tensor), name


# Compilation


def test_what_cannot_be_compiled_trains_as_before_and_says_so(data, monkeypatch):
    def broken(network):
        def forward(*_):
            raise RuntimeError("InvalidCxxCompiler: no working C++ compiler found")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    step = step_with(data)
    compiled = [epoch.validation_rmse for epoch in fit(SMALL, data, step, 0, 0, "on")]
    assert np.array_equal(compiled, losses(step_with(data), data)[:, 1])
    assert step.notes == ["pacf is not compiled: InvalidCxxCompiler: no working C++ compiler found"]


def test_compilation_is_as_asked():
    assert compiles("on", "vgg11", "cpu", 0.0)
    assert not compiles("off", "pacf", "cuda", 1e9)


def test_only_a_trial_that_is_long_enough_is_compiled():
    assert not compiles("auto", "pacf", "cuda", 0.0)  # nothing is known before the first epoch
    assert not compiles("auto", "pacf", "cuda", 60.0)
    assert compiles("auto", "pacf", "cuda", 100.0)
    assert not compiles("auto", "resnet50", "cuda", 400.0)
    assert compiles("auto", "resnet101", "cuda", 450.0)


def test_by_itself_nothing_is_compiled_on_a_cpu_nor_what_was_not_measured():
    assert not compiles("auto", "pacf", "cpu", 1e9)
    assert not compiles("auto", "vgg19", "cuda", 1e9)
    assert set(FIGURES) <= {each.family for each in ARCHITECTURES}


# Feeds


def fed(feed, plan, batch):
    feed.start(plan.geometry)
    for part in plan.geometry.split(batch):
        if len(part) == batch:
            feed.fetch()
            yield feed.crops(part).clone()


def test_all_feeds_give_the_same_crops(data):
    plan = plan_epoch(data.frames, data.train, 64, 0.0, 0, 0)
    feeds = [
        HostFeed(data.frames, 5, 64),
        ResidentFeed(data.frames, 64),
        StagedFeed(data.frames, 5, 64, CPU),
    ]
    host, resident, staged = ([*fed(feed, plan, 5), *fed(feed, plan, 5)] for feed in feeds)
    assert len(host) == 4
    for a, b, c in zip(host, resident, staged, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_an_epoch_that_was_broken_off_leaves_nothing_for_the_next(data):
    plan = plan_epoch(data.frames, data.train, 64, 0.0, 0, 0)
    feed = StagedFeed(data.frames, 4, 64, CPU)
    feed.start(plan.geometry)
    feed.fetch()
    assert all(map(torch.equal, fed(feed, plan, 4), fed(HostFeed(data.frames, 4, 64), plan, 4)))


def test_staged_crops_train_the_same_network(data, monkeypatch):
    monkeypatch.setattr("semtune.training.step.feed_of", lambda *given: StagedFeed(*given))
    staged = step_with(data, warmed_up)
    monkeypatch.undo()
    assert losses(staged, data) == pytest.approx(losses(step_with(data), data), abs=1e-6)


def test_a_fault_on_the_thread_that_cuts_reaches_the_step(data):
    feed = StagedFeed(data.frames, 4, 64, CPU)
    feed.start(torch.full((4, 4), 10_000))
    with pytest.raises(IndexError, match="out of bounds"):
        feed.fetch()


def test_on_a_cpu_crops_are_cut_when_they_are_needed(data):
    assert isinstance(feed_of(data.frames, 4, 64, CPU), HostFeed)


# Validation


@pytest.mark.parametrize("most", [64, 5, 1])
def test_a_captured_validation_scores_as_predict_does(data, monkeypatch, most):
    """The last batch is filled up; what fills it must not reach a score."""
    monkeypatch.setattr("semtune.training.validation.crops_at_once", lambda crop, device: most)
    step = step_with(data)
    losses(step, data)
    rows = np.array([3, 0, 7])
    key = ValidationKey(64, 4, data.score_range, False)
    validation = Validation(step.network, data.frames, rows, data.controls[rows], key, warmed_up, [])
    expected = score_samples(step, data, rows, SMALL)
    for _ in range(2):
        assert validation.run() == pytest.approx(expected, abs=1e-5)


def test_a_validation_is_used_again_for_the_same_frames_alone(data):
    key = ValidationKey(64, 4, data.score_range, False)
    rows, step = data.validation, step_with(data)
    controls = data.controls[rows]
    validation = Validation(step.network, data.frames, rows, controls, key, warmed_up, [])
    assert validation.serves(data.frames, rows, controls.clone(), key)
    assert not validation.serves(data.frames, rows[::-1].copy(), controls, key)
    assert not validation.serves(data.frames, rows, controls + 1, key)
    assert not validation.serves(data.frames, rows, controls, ValidationKey(64, 1, data.score_range, False))


# Kept steps


def changed(**changes):
    return SMALL.model_copy(update=changes)


def test_a_search_that_alternates_finds_its_steps_again(data):
    kept, one, two = KeptSteps(10**9), step_with(data), step_with(data, settings=changed(crop=72))
    assert kept.exchange(one, two.key) is None
    assert kept.exchange(two, one.key) is one
    assert kept.exchange(one, two.key) is two


def test_the_step_that_was_used_longest_ago_goes_first(data):
    steps = [step_with(data, settings=changed(crop=crop)) for crop in (64, 72, 80)]
    kept, other = KeptSteps(2 * steps[0].nbytes), step_with(data, settings=changed(crop=88)).key
    for step in steps:
        assert kept.exchange(step, other) is None
    assert kept.exchange(None, steps[0].key) is None
    assert kept.exchange(None, steps[1].key) is steps[1]
    assert kept.exchange(None, steps[2].key) is steps[2]


def test_a_step_that_is_not_kept_frees_its_memory_at_once(data):
    gc.collect()
    gc.disable()
    try:
        step = step_with(data)
        losses(step, data)
        weights, key = weakref.ref(next(step.network.parameters())), step.key
        kept = KeptSteps(step.nbytes - 1)
        kept.exchange(step, step_key(changed(crop=72), data, "float32"))
        del step
        assert weights() is None
        assert kept.exchange(None, key) is None
    finally:
        gc.enable()


def test_the_bytes_of_a_step_are_weights_gradients_and_two_moments(data):
    step = step_with(data)
    parameters = sum(each.nbytes for each in step.network.parameters())
    assert step.nbytes == pytest.approx(4 * parameters, rel=0.01)
