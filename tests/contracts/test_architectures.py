"""What every network obeys; a new one is tested the moment it is in the table.

The VGGs have 130 million parameters, so each network is built once for the whole module.
"""

import gc

import pytest
import torch

from semtune.networks import ARCHITECTURES

CONTROLS = 3


IN_A_MOMENT = ("pacf", "vgg11", "resnet50")
"""One of each family; the deeper ones take their time."""


@pytest.fixture(
    scope="module",
    params=[
        name if name in IN_A_MOMENT else pytest.param(name, marks=pytest.mark.slow)
        for name in ARCHITECTURES.names
    ],
)
def network(request):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield ARCHITECTURES[request.param].build(controls=CONTROLS).eval()
    gc.collect()  # one VGG at a time


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.inference_mode():
        yield


def frames_of(batch, height, width, seed=0):
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(seed))


def some_controls(batch, controls=CONTROLS):
    return torch.linspace(-1, 1, batch * controls).reshape(batch, controls)


@pytest.mark.parametrize(("batch", "height", "width"), [(3, 64, 64), (1, 64, 97), (1, 480, 224)])
def test_a_batch_of_any_crop_gives_a_score_a_frame(network, batch, height, width):
    scores = network(frames_of(batch, height, width), some_controls(batch))
    assert scores.shape == (batch,)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()


def test_a_score_does_not_depend_on_the_company(network):
    frames, controls = frames_of(3, 64, 64), some_controls(3)
    alone = torch.cat([network(frames[i : i + 1], controls[i : i + 1]) for i in range(3)])
    assert torch.allclose(network(frames, controls), alone, atol=1e-4)


def test_missing_controls_give_a_number(network):
    frames = frames_of(2, 64, 64)
    assert network(frames, torch.full((2, CONTROLS), torch.nan)).isfinite().all()
    partly = torch.tensor([[1.0, torch.nan, 2.0], [torch.nan, 0.0, torch.nan]])
    assert network(frames, partly).isfinite().all()


def test_a_missing_control_is_not_taken_for_the_mean(network):
    frame = frames_of(1, 64, 64)
    at_the_mean = network.control_mean.expand(1, -1).clone()
    assert not torch.equal(network(frame, at_the_mean), network(frame, torch.full((1, CONTROLS), torch.nan)))


def test_an_untrained_scorer_answers_near_the_mean_score(network):
    before = {name: value.clone() for name, value in network.named_buffers() if not name.startswith("trunk")}
    scores = torch.tensor([2.0, 4.0, 9.0])
    network.set_scales(some_controls(3), scores)
    answers = network(frames_of(2, 64, 64), some_controls(2))
    for name, value in before.items():
        network.get_buffer(name).copy_(value)
    assert (answers - scores.mean()).abs().max() < scores.std()


def test_all_that_scoring_needs_is_in_the_state_dict(network):
    kept = network.state_dict()
    assert {"control_mean", "control_sd", "score_mean", "score_sd"} <= set(kept)
    assert all(value.dtype in (torch.float32, torch.int64) for value in kept.values())


def test_every_architecture_tells_its_reference_and_a_valid_dropout():
    for architecture in ARCHITECTURES:
        assert architecture.reference
        assert 0 <= architecture.default_dropout < 1


def test_the_architectures_are_those_of_table_1():
    assert ARCHITECTURES.names == ("pacf", "vgg11", "vgg13", "vgg19", "resnet50", "resnet101")


def test_a_negative_number_of_controls_is_refused():
    for architecture in ARCHITECTURES:
        with pytest.raises(ValueError, match="`controls >= 0` must hold, but got controls=-1"):
            architecture.build(controls=-1)


def test_pacf_is_small():
    parameters = sum(parameter.numel() for parameter in ARCHITECTURES["pacf"].build().parameters())
    assert 0.4e6 < parameters < 0.6e6


# Control parameters are joined by one head for all architectures, so the smallest stands for all.


@pytest.mark.parametrize("controls", [0, 1, 5])
def test_any_number_of_controls_is_taken(controls):
    scorer = ARCHITECTURES["pacf"].build(controls=controls).eval()
    assert scorer(frames_of(2, 64, 64), some_controls(2, controls)).shape == (2,)


def test_dropout_is_the_architectures_own_or_as_given():
    def probabilities(network):
        return {layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)}

    assert probabilities(ARCHITECTURES["pacf"].build()) == {0.0}
    assert probabilities(ARCHITECTURES["pacf"].build(dropout=0.3)) == {0.3}
    assert ARCHITECTURES["vgg11"].default_dropout == 0.5


def test_scales_come_from_what_is_present():
    scorer = ARCHITECTURES["pacf"].build(controls=3)
    nan = torch.nan
    scorer.set_scales(
        torch.tensor([[1.0, nan, 7.0], [3.0, nan, 7.0], [nan, nan, 7.0]]), torch.tensor([1.0, 3.0, 5.0])
    )
    assert scorer.control_mean.tolist() == [2, 0, 7]
    assert scorer.control_sd.tolist() == [1, 1, 1]  # 1 also where nothing varies
    assert scorer.score_mean == 3
    assert scorer.score_sd == pytest.approx((8 / 3) ** 0.5)


def test_the_unit_of_a_control_does_not_matter():
    scorer = ARCHITECTURES["pacf"].build(controls=3).eval()
    frames, controls, scores = frames_of(4, 64, 64), some_controls(4), torch.arange(4.0)
    scorer.set_scales(controls, scores)
    in_one_unit = scorer(frames, controls)
    scorer.set_scales(controls * 1000 + 5, scores)
    assert torch.allclose(scorer(frames, controls * 1000 + 5), in_one_unit, atol=1e-4)
