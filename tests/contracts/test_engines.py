"""What every engine obeys: the scores of eager float32, for every architecture, within its tolerance."""

import gc
import sys

import pytest
import torch

from semtune.engines import ENGINES
from semtune.engines.choice import TOLERANCE
from semtune.networks import ARCHITECTURES

SPAN = 10.0
SIZE = 64


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
    """Each architecture with running averages that differ from 0 and 1, which folding must respect.

    A VGG has 120 million parameters between its last pool and its features; a test that copies and exports it
    by every engine can do with a thousandth. `test_a_whole_vgg_scores_alike` has them all.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = ARCHITECTURES[request.param].build()
    if request.param.startswith("vgg"):
        network.trunk.classifier[0] = torch.nn.Linear(512 * 7 * 7, 8)
        network.trunk.classifier[3] = torch.nn.Linear(8, 4096)
    yield settled(network)
    gc.collect()


def settled(network):
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:  # zero_init_residual would hide what its blocks compute
                parameter.add_(0.1 * torch.rand_like(parameter))
        network.train()(torch.rand(8, 1, SIZE, SIZE), torch.rand(8, 3))
        network.set_scales(torch.rand(8, 3), torch.linspace(1, 9, 8))
    return network.eval()


def crops_of(batch, size=SIZE):
    random = torch.Generator().manual_seed(batch)
    return torch.randint(0, 256, (batch, 1, size, size), dtype=torch.uint8, generator=random)


def some_controls(batch):
    controls = torch.linspace(-1, 2, 3 * batch).reshape(batch, 3).clone()
    controls[0, 1] = torch.nan
    controls[1::3] = torch.nan
    return controls


def assert_alike(engine, network, bfloat16, size=SIZE):
    hindrance = engine.hindrance("cpu")
    if hindrance:
        pytest.skip(f"{engine.name}: {hindrance}")
    score = engine.prepare(network, crops_of(1, size), bfloat16)
    for batch in (1, 5, 32):
        crops, controls = crops_of(batch, size), some_controls(batch)
        with torch.inference_mode():
            expected = network(crops.float() / 255, controls)
        scores = score(crops, controls)
        assert scores.shape == (batch,)
        assert scores.dtype == torch.float32
        tolerance = TOLERANCE["bfloat16" if bfloat16 else "float32"] * SPAN
        assert (scores - expected).abs().max() <= tolerance, batch
    assert len({float(each) for each in scores}) > 1


raced = pytest.mark.parametrize("engine", [each for each in ENGINES if each.automatic], ids=lambda e: e.name)


@raced
@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
def test_an_engine_scores_as_eager_float32_and_leaves_the_network_as_it_was(engine, network, bfloat16):
    if bfloat16 and not engine.bfloat16:
        pytest.skip(f"{engine.name} computes in float32")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    names = [name for name, _ in network.named_modules()]
    assert_alike(engine, network, bfloat16)
    assert [name for name, _ in network.named_modules()] == names
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_answers_stay_when_the_next_are_computed():
    network = settled(ARCHITECTURES["pacf"].build())
    for engine in ENGINES:
        if engine.automatic and not engine.hindrance("cpu"):
            score = engine.prepare(network, crops_of(1), False)
            first = score(crops_of(4), some_controls(4))
            kept = first.clone()
            score(crops_of(4).flip(0), some_controls(4).flip(0))
            assert torch.equal(first, kept), engine.name


def test_openvino_does_not_tell_its_makers_that_it_is_imported():
    engine = ENGINES["openvino"]
    if engine.hindrance("cpu"):
        pytest.skip(engine.hindrance("cpu"))
    engine.prepare(settled(ARCHITECTURES["pacf"].build()), crops_of(1), False)
    assert sys.modules["openvino_telemetry"] is None


def test_an_engine_tells_why_it_cannot_be_used():
    assert ENGINES["cuda_graph"].hindrance("cpu") == "it does not run on cpu"
    assert ENGINES["onnxruntime"].hindrance("cuda") == "it does not run on cuda"
    assert not ENGINES["eager"].hindrance("cuda")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "folded"])
def test_a_whole_vgg_scores_alike(name):
    torch.manual_seed(0)
    assert_alike(ENGINES[name], settled(ARCHITECTURES["vgg11"].build()), False, 96)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_the_compiled_network_scores_alike():
    torch.manual_seed(0)
    assert_alike(ENGINES["compiled"], settled(ARCHITECTURES["pacf"].build()), False)
