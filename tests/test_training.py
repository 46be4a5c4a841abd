"""Training on a small dataset: it learns, repeats itself, resumes, and leaves no trace for the next trial."""

import gc
import math
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_search import placed, write_small_table

from semtune.config import Hyperparameters
from semtune.errors import DivergedError, SearchError
from semtune.images import tiles
from semtune.training.augmentation import plan_epoch
from semtune.training.checkpoint import (
    read_checkpoint,
    read_facts,
    read_weights,
    write_checkpoint,
    write_weights,
)
from semtune.training.fit import (
    fit,
    learning_rates,
    prepare_step,
    score_samples,
    score_with_and_without_controls,
    uses_bfloat16,
)
from semtune.training.predict import predict
from semtune.training.samples import read_samples, write_samples

SMALL = Hyperparameters(architecture="pacf", learning_rate=1e-3, batch_size=4, crop=64, epochs=3, dropout=0.2)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_small_table(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def data(table):
    return placed(table)


def varied(**changes):
    return SMALL.model_copy(update=changes)


def fresh(data, settings=SMALL, seed=0, earlier=None):
    return prepare_step(settings, data, seed, "float32", earlier)


def trained(data, settings=SMALL, seed=0, earlier=None):
    """A step with all its epochs behind it, and what they reported."""
    step = fresh(data, settings, seed, earlier)
    return step, [errors(epoch) for epoch in fit(settings, data, step, seed)]


def errors(epoch):
    return epoch.training_rmse, epoch.validation_rmse


def snapshot(step):
    return {name: tensor.clone() for name, tensor in step.state().items()}


def assert_equal_states(a, b, tolerance=0.0):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=tolerance, atol=tolerance, msg=name)


# Learning


def test_training_lowers_the_error(data):
    settings = varied(epochs=12, control_dropout=0.0, dropout=0.0)
    _, epochs = trained(data, settings)
    losses = [training for training, _ in epochs]
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    constant = data.scores[data.train].std(unbiased=False).item()
    assert min(validation for _, validation in epochs) < 0.7 * constant


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_learns(data, optimizer):
    settings = varied(optimizer=optimizer, weight_decay=1e-4, epochs=6, dropout=0.0, learning_rate=3e-3)
    _, epochs = trained(data, settings)
    assert np.mean([training for training, _ in epochs[-2:]]) < 0.8 * epochs[0][0]


def test_an_epoch_tells_what_it_trained(data):
    epochs = list(fit(SMALL, data, fresh(data), 0))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert all(epoch.frames == len(data.train) == 12 for epoch in epochs)
    assert all(epoch.seconds > 0 for epoch in epochs)


def test_a_trial_stops_when_nobody_asks(data):
    step = fresh(data)
    epochs = fit(SMALL, data, step, 0)
    next(epochs)
    after_one = snapshot(step)
    epochs.close()
    assert_equal_states(after_one, snapshot(step))


def test_the_validation_error_is_that_of_the_scores(data):
    step, epochs = trained(data)
    predicted = score_samples(step, data, data.validation, SMALL)
    reference = data.scores[data.validation].double().numpy()
    assert epochs[-1][1] == pytest.approx(math.sqrt(np.mean((predicted - reference) ** 2)))


def test_a_last_batch_that_is_not_full_is_left_out(data):
    epochs = list(fit(varied(batch_size=5, epochs=1), data, fresh(data, varied(batch_size=5)), 0))
    assert epochs[0].frames == 10


def test_a_batch_larger_than_the_data_is_cut_to_it(data):
    settings = varied(batch_size=64, epochs=2)
    step = fresh(data, settings)
    assert step.key.batch_size == 12
    assert [epoch.frames for epoch in fit(settings, data, step, 0)] == [12, 12]


def test_frames_without_control_parameters_train(data):
    alone = replace(data, controls=torch.zeros(len(data.scores), 0))
    _, epochs = trained(alone)
    assert all(map(math.isfinite, np.ravel(epochs)))


def test_missing_control_parameters_do_not_spoil_the_gradients(data):
    holes = data.controls.clone()
    holes[::2, 1] = torch.nan
    step, _ = trained(replace(data, controls=holes))
    assert all(tensor.isfinite().all() for tensor in step.state().values())


# The same again


def test_the_same_seed_trains_the_same_network(data):
    (a, epochs_a), (b, epochs_b) = trained(data, seed=3), trained(data, seed=3)
    assert epochs_a == epochs_b
    assert_equal_states(snapshot(a), snapshot(b))


def test_another_seed_trains_another_network(data):
    assert trained(data, seed=3)[1] != trained(data, seed=4)[1]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_step_taken_over_bears_no_trace_of_the_trial_before(data, optimizer):
    settings = varied(optimizer=optimizer, weight_decay=0.01, schedule="cosine")
    before, _ = trained(data, varied(optimizer=optimizer, weight_decay=0.3, learning_rate=0.01), seed=7)
    step, epochs = trained(data, settings, seed=1, earlier=before)
    assert step is before
    alone, expected = trained(data, settings, seed=1)
    assert epochs == expected
    assert_equal_states(snapshot(step), snapshot(alone))


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 6},
        {"crop": 72},
        {"optimizer": "sgd"},
        {"dropout": 0.3},
        {"weight_decay": 0.1},
        {"architecture": "vgg11"},
    ],
    ids=str,
)
def test_a_step_of_another_shape_is_not_taken_over(data, change):
    step = fresh(data)
    if "architecture" in change:
        # 130 million parameters for one comparison are too many: the key decides, and it is enough.
        key = type(step.key).of(varied(**change), 3, 4, False)
        assert key != step.key
    else:
        assert fresh(data, varied(**change), earlier=step) is not step


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.1}, {"epochs": 9}, {"control_dropout": 0.9}, {"tiles": 1}], ids=str
)
def test_a_step_of_the_same_shape_is_taken_over(data, change):
    step = fresh(data)
    assert fresh(data, varied(**change), earlier=step) is step


def test_a_step_that_was_let_go_frees_its_memory_at_once(data):
    """The VGGs take gigabytes: waiting for the cycle collector would double a worker's memory."""
    gc.collect()
    gc.disable()
    try:
        step, _ = trained(data, varied(epochs=1))
        weights = weakref.ref(next(step.network.parameters()))
        del step
        assert weights() is None
    finally:
        gc.enable()


def test_training_leaves_the_plan_of_the_caller_alone(data):
    step = fresh(data)
    plans = [plan_epoch(data.frames, data.train, 64, 0.2, 0, epoch) for epoch in range(2)]
    first = plans[0].geometry.clone()
    rates = learning_rates(SMALL, 3, 0)
    for plan in plans:
        step.run_epoch(plan, rates, 0)
    assert torch.equal(plans[0].geometry, first)


# Resuming


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_resumed_trial_ends_as_one_that_was_never_interrupted(data, tmp_path, optimizer):
    settings = varied(epochs=4, optimizer=optimizer, weight_decay=0.01, schedule="cosine", warmup_epochs=1)
    whole, expected = trained(data, settings)
    step = fresh(data, settings)
    epochs = fit(settings, data, step, 0)
    first = [errors(next(epochs)) for _ in range(2)]
    write_checkpoint(step, 2, tmp_path / "checkpoint")

    resumed = fresh(data, settings, seed=99)  # what it starts with must not matter
    done = read_checkpoint(resumed, tmp_path / "checkpoint")
    rest = [errors(epoch) for epoch in fit(settings, data, resumed, 0, done)]
    assert done == 2
    assert np.allclose(first + rest, expected, rtol=1e-6)
    assert_equal_states(snapshot(resumed), snapshot(whole), tolerance=1e-6)


def test_without_a_checkpoint_a_trial_starts_anew(data, tmp_path):
    step = fresh(data)
    before = snapshot(step)
    assert read_checkpoint(step, tmp_path / "missing") == 0
    assert_equal_states(before, snapshot(step))


def damaged(path):
    whole = path.read_bytes()
    yield "cut short", whole[: len(whole) // 2]
    yield "empty", b""
    yield "other bytes", b"not a checkpoint at all"
    yield "no header", bytes(64) + whole[64:]


def test_a_damaged_checkpoint_is_refused_and_changes_nothing(data, tmp_path):
    path, step = tmp_path / "checkpoint", fresh(data)
    write_checkpoint(step, 1, path)
    other = fresh(data, seed=1)
    before = snapshot(other)
    for damage, content in list(damaged(path)):
        path.write_bytes(content)
        with pytest.raises(SearchError, match="not a readable safetensors file"):
            read_checkpoint(other, path)
        assert_equal_states(before, snapshot(other)), damage


@pytest.mark.parametrize("change", [{"optimizer": "sgd"}, {"controls": 1}], ids=str)
def test_a_checkpoint_of_another_network_is_refused_and_changes_nothing(data, tmp_path, change):
    path = tmp_path / "checkpoint"
    if "controls" in change:
        write_checkpoint(fresh(replace(data, controls=data.controls[:, :1])), 1, path)
    else:
        write_checkpoint(fresh(data, varied(**change)), 1, path)
    step = fresh(data, seed=1)
    before = snapshot(step)
    with pytest.raises(SearchError, match="belongs to another network; delete it to train anew"):
        read_checkpoint(step, path)
    assert_equal_states(before, snapshot(step))


def test_weights_travel_with_their_facts(data, tmp_path):
    step, path = fresh(data), tmp_path / "weights"
    facts = {"trial": "trial-0001", "score_range": [0.0, 10.0], "nested": {"dropout": None}}
    write_weights(step.network, facts, path)
    weights, read = read_weights(path)
    assert read == read_facts(path) == facts
    assert_equal_states(weights, dict(step.network.state_dict()))
    assert not path.with_name("weights.part").exists()


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(SearchError, match="weights: not a readable safetensors file"):
        read_weights(tmp_path / "weights")


# Optimisers and learning rates


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_weight_decay_is_that_of_torch(data, optimizer):
    """Two epochs by hand with torch's own optimiser, weight decay included."""
    settings = varied(optimizer=optimizer, weight_decay=0.05, epochs=2, dropout=0.0, control_dropout=0.0)
    ours, theirs = fresh(data, settings), fresh(data, settings).network
    started = [parameter.detach().clone() for parameter in theirs.parameters()]
    by_torch = {
        "adam": partial(torch.optim.Adam, fused=True),
        "adamw": partial(torch.optim.AdamW, fused=True),
        "sgd": partial(torch.optim.SGD, momentum=0.9),
    }[optimizer](theirs.parameters(), 1e-3, weight_decay=0.05)
    for epoch in range(2):
        plan = plan_epoch(data.frames, data.train, 64, 0.0, 0, epoch)
        theirs.train()
        for batch in plan.geometry.split(4):
            crops = data.frames.cut(*batch.T, 64).float() / 255
            crops = crops.contiguous(memory_format=torch.channels_last)
            loss = ((theirs(crops, data.controls[batch[:, 0]]) - data.scores[batch[:, 0]]) ** 2).mean()
            by_torch.zero_grad()
            loss.backward()
            by_torch.step()
        ours.run_epoch(plan, learning_rates(settings, 3, epoch), epoch)
    # Adam divides by the gradient's own size, so a few near-zero gradients may round to another sign.
    for mine, other, start in zip(ours.network.parameters(), theirs.parameters(), started, strict=True):
        assert (mine - other).norm() <= 0.01 * (other - start).norm()


def rates_of(**settings):
    chosen = varied(learning_rate=0.1, **settings)
    return np.concatenate([learning_rates(chosen, 5, epoch).numpy() for epoch in range(chosen.epochs)])


def test_a_constant_rate_stays():
    assert rates_of() == pytest.approx(np.full(15, 0.1))


def test_a_cosine_falls_from_the_peak_to_zero():
    rates = rates_of(schedule="cosine")
    assert np.all(np.diff(rates) < 0)
    assert rates[0] < 0.1
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert np.mean(rates) == pytest.approx(0.05, rel=0.1)


def test_a_warm_up_rises_linearly_to_the_peak():
    assert rates_of(warmup_epochs=2) == pytest.approx([*np.arange(1, 11) / 100, *[0.1] * 5])


def test_a_warm_up_may_end_within_an_epoch():
    assert rates_of(warmup_epochs=0.4)[:3] == pytest.approx([0.05, 0.1, 0.1])


def test_a_cosine_may_be_warmed_up():
    product = rates_of(schedule="cosine") * rates_of(warmup_epochs=1) / 0.1
    assert rates_of(schedule="cosine", warmup_epochs=1) == pytest.approx(product)


def test_the_rates_of_the_plan_reach_the_optimizer(data):
    step = fresh(data, varied(optimizer="sgd"))
    before = snapshot(step)
    step.run_epoch(plan_epoch(data.frames, data.train, 64, 0.0, 0, 0), torch.zeros(3), 0)
    for name, _ in step.network.named_parameters():
        assert torch.equal(before[f"network.{name}"], step.state()[f"network.{name}"]), name


# Divergence


def test_a_diverging_trial_says_so(data):
    settings = varied(optimizer="sgd", learning_rate=10.0, epochs=60)
    with pytest.raises(DivergedError, match=r"the (training|validation) error became (nan|inf) in epoch \d+"):
        list(fit(settings, data, fresh(data, settings), 0))


def test_an_infinite_prediction_is_not_hidden_by_the_score_range(data):
    step = fresh(data)
    with torch.no_grad():
        step.network.head[-1].bias.fill_(torch.inf)
    assert not np.isfinite(score_samples(step, data, data.test, SMALL)).any()


# Control dropout


def test_control_dropout_changes_nothing_but_the_controls(data):
    """A network that was never shown controls learns the same whatever their values."""
    settings = varied(control_dropout=1.0)
    _, epochs = trained(data, settings)
    # The scale is taken from the values, so it is kept; only which frame has which is turned round.
    turned = replace(data, controls=data.controls.clone())
    turned.controls[data.train] = data.controls[data.train].flip(0)
    _, expected = trained(turned, settings)
    assert [training for training, _ in epochs] == pytest.approx([training for training, _ in expected])


def test_a_frame_is_scored_with_and_without_its_controls(data):
    step, _ = trained(data)
    shown = score_samples(step, data, data.test, SMALL)
    known, bare = score_with_and_without_controls(step, data, data.test, SMALL)
    hidden = replace(data, controls=torch.full_like(data.controls, torch.nan))
    assert known == pytest.approx(shown, abs=1e-5)
    assert bare == pytest.approx(score_samples(step, hidden, data.test, SMALL), abs=1e-5)
    assert not np.allclose(known, bare)


# Scores of whole frames


def prediction(step, data, rows, **changes):
    asked = {"crop": 64, "tiles_per_frame": 4, "score_range": (0.0, 10.0), **changes}
    return predict(step.network, data.frames, rows, data.controls[torch.from_numpy(rows)], **asked)


def test_a_frame_scores_the_mean_of_its_tiles(data):
    step, _ = trained(data)
    rows = np.array([5, 0])
    by_tile = []
    for row in rows:
        places = torch.tensor([(row, *place, 0) for place in tiles(96, 128, 64, 4)])
        crops = data.frames.cut(*places.T, 64).float() / 255
        with torch.inference_mode():
            by_tile.append(step.network(crops, data.controls[[row] * len(places)]).mean().item())
    wide = prediction(step, data, rows, score_range=(-1e9, 1e9))
    assert wide == pytest.approx(by_tile, abs=1e-4)


def test_predictions_are_clipped_to_the_score_range(data):
    step, _ = trained(data)
    free = prediction(step, data, data.test, score_range=(-1e9, 1e9))
    low, high = np.quantile(free, [0.3, 0.6])
    assert prediction(step, data, data.test, score_range=(low, high)) == pytest.approx(
        np.clip(free, low, high)
    )


def test_predictions_do_not_depend_on_the_company(data):
    step, _ = trained(data)
    rows = np.arange(len(data.scores))  # more tiles than one batch takes
    together = prediction(step, data, rows)
    alone = [prediction(step, data, rows[i : i + 1])[0] for i in rows]
    assert together == pytest.approx(alone, abs=1e-4)


def test_scoring_leaves_the_network_as_it_was(data):
    step, _ = trained(data)
    before = snapshot(step)
    prediction(step, data, data.test)
    assert_equal_states(before, snapshot(step))


def test_bfloat16_scores_stay_near(data):
    step, _ = trained(data)
    near = prediction(step, data, data.test, bfloat16=True)
    assert near == pytest.approx(prediction(step, data, data.test), abs=0.2)


def test_a_precision_is_as_asked():
    cpu = torch.device("cpu")
    assert uses_bfloat16("bfloat16", cpu)
    assert not uses_bfloat16("float32", cpu)
    assert isinstance(uses_bfloat16("auto", cpu), bool)


def test_bfloat16_trains_as_float32_does_within_its_precision(data):
    settings = varied(dropout=0.0, epochs=2)
    half = prepare_step(settings, data, 0, "bfloat16", None)
    losses = [epoch.training_rmse for epoch in fit(settings, data, half, 0)]
    assert losses == pytest.approx([training for training, _ in trained(data, settings)[1]], rel=0.1)


# The file of the samples


def test_samples_come_back_as_written(table, tmp_path):
    write_samples(table, tmp_path / "samples.npz")
    back = read_samples(tmp_path / "samples.npz")
    for name, value in vars(table).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    assert type(back.digest) is str


def test_predictions_of_a_table_bring_references_and_fields(table):
    rows = table.test
    predictions = table.predictions(rows, np.zeros(len(rows)))
    assert np.array_equal(predictions.reference_score, table.scores[rows])
    assert predictions.fields == tuple(table.fields[rows])
    assert all(frame.startswith("frames/") for frame in predictions.frames)
