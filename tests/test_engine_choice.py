"""The race of the engines, what is kept of it, and the twin of the CUDA graph."""

import json
from dataclasses import replace

import pytest
import torch

from semtune.engines import ENGINES, choice
from semtune.engines.choice import (
    EngineTrial,
    cheapest,
    choose_engine,
    prepare_engine,
    race_pays,
    read_trials,
    surroundings,
    write_trials,
)
from semtune.engines.exported import averaging_matrix
from semtune.engines.graph import replayed
from semtune.engines.native import as_trained
from semtune.errors import ConfigError, UnknownNameError
from semtune.networks import ARCHITECTURES
from semtune.registry import Registry

CPU = torch.device("cpu")
QUICK = EngineTrial("eager", "float32", 0.0, 40.0, 0.0, True)
FAST = EngineTrial("openvino", "bfloat16", 0.5, 10.0, 0.001, True)
WRONG = EngineTrial("folded", "bfloat16", 0.0, 1.0, 0.2, False)


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return ARCHITECTURES["pacf"].build().eval()


@pytest.fixture
def crops():
    return torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8)


@pytest.fixture
def controls():
    return torch.rand(4, 3)


# The race


def test_the_fastest_exact_engine_wins(network, crops, controls):
    race = choose_engine(network, crops, controls, bfloat16=True, score_span=10.0)
    exact = [trial for trial in race.trials if trial.exact]
    best = min(exact, key=lambda trial: trial.milliseconds)
    assert (race.winner.name, race.winner.precision) == (best.engine, best.precision)
    usable = {each.name for each in ENGINES if each.automatic and not each.hindrance("cpu")}
    assert {trial.engine for trial in race.trials} == usable
    assert race.trials[0].precision == "float32"
    assert race.trials[0].difference == 0


def test_bfloat16_stays_out_unless_the_network_was_tested_in_it(network, crops, controls):
    race = choose_engine(network, crops, controls, bfloat16=False, score_span=10.0)
    assert {trial.precision for trial in race.trials} == {"float32"}
    assert len({trial.engine for trial in race.trials}) == len(race.trials)


def race_with(monkeypatch, network, crops, controls, *engines):
    """A race of eager and of further engines."""
    monkeypatch.setattr(choice, "ENGINES", Registry("engine", [ENGINES["eager"], *engines]))
    return choose_engine(network, crops, controls, bfloat16=False, score_span=10.0)


def always(answer):
    return lambda network, crops, bfloat16: lambda crops, controls: torch.full((len(crops),), answer)


def test_an_engine_that_is_fast_but_wrong_loses(network, crops, controls, monkeypatch):
    wrong = replace(ENGINES["folded"], name="wrong", prepare=always(5.0))
    race = race_with(monkeypatch, network, crops, controls, wrong)
    assert race.winner.name == "eager"
    assert [trial.exact for trial in race.trials] == [True, False]
    assert race.trials[1].milliseconds < race.trials[0].milliseconds


def test_an_engine_that_gives_no_number_loses(network, crops, controls, monkeypatch):
    broken = replace(ENGINES["folded"], name="broken", prepare=always(float("nan")))
    race = race_with(monkeypatch, network, crops, controls, broken)
    assert race.winner.name == "eager"
    assert race.trials[1].difference == float("inf")


def test_an_engine_that_fails_is_left_out_and_named(network, crops, controls, monkeypatch, caplog):
    def fail(network, crops, bfloat16):
        raise NotImplementedError("no such operator\nand a page more")

    failing = replace(ENGINES["folded"], name="failing", prepare=fail)
    race = race_with(monkeypatch, network, crops, controls, failing)
    assert race.winner.name == "eager"
    assert [record.message for record in caplog.records] == ["engine failing left out: no such operator"]


def test_the_winner_scores_as_eager(network, crops, controls):
    race = choose_engine(network, crops, controls, bfloat16=False, score_span=10.0)
    expected = as_trained(network, crops, False)(crops, controls)
    assert torch.allclose(race.winner.score_crops(crops, controls), expected, atol=1e-3)


def test_an_engine_is_prepared_by_name_or_refused(network, crops):
    assert prepare_engine("folded", network, crops, True).precision == "bfloat16"
    with pytest.raises(UnknownNameError, match="no engine named 'openwino'; did you mean 'openvino'"):
        prepare_engine("openwino", network, crops, False)
    with pytest.raises(ConfigError, match="engine 'cuda_graph' cannot be used here: it does not run on cpu"):
        prepare_engine("cuda_graph", network, crops, False)


# What is kept


def test_preparation_must_pay():
    assert cheapest([QUICK, FAST, WRONG], 1) == QUICK
    assert cheapest([QUICK, FAST, WRONG], 16) == QUICK
    assert cheapest([QUICK, FAST, WRONG], 17) == FAST


def test_a_race_is_not_held_for_a_few_frames():
    assert not race_pays(0, 1e9)
    assert not race_pays(30, 10.0)
    assert race_pays(31, 10.0)
    assert not race_pays(100, 0.04)
    assert race_pays(106, 0.04)


def test_a_race_is_remembered_by_its_surroundings(tmp_path):
    file = tmp_path / "engines.json"
    write_trials(file, "here", [QUICK, FAST])
    write_trials(file, "there", [QUICK])
    assert read_trials(file, "here") == (QUICK, FAST)
    assert read_trials(file, "there") == (QUICK,)
    assert read_trials(file, "elsewhere") == ()
    assert [path.name for path in tmp_path.iterdir()] == ["engines.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "[1]", '{"here": 1}', '{"here": [{"engine": "eager"}]}', '{"here": []}']
)
def test_a_damaged_memory_is_none(tmp_path, text):
    file = tmp_path / "engines.json"
    file.write_text(text)
    assert read_trials(file, "here") == ()
    write_trials(file, "here", [QUICK])
    assert read_trials(file, "here") == (QUICK,)


def test_other_versions_threads_or_libraries_are_other_surroundings(monkeypatch):
    monkeypatch.setattr(choice, "version", lambda package: "1.0")
    before = surroundings(CPU)
    assert "torch 1.0" in before
    assert "openvino 1.0" in before
    monkeypatch.setattr(choice, "version", lambda package: "1.1" if package == "openvino" else "1.0")
    assert surroundings(CPU) != before
    monkeypatch.setattr(choice, "version", lambda package: "1.0")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert "64 threads" in surroundings(CPU)


def test_the_memory_is_plain_json(tmp_path):
    write_trials(tmp_path / "engines.json", "here", [FAST])
    assert json.loads((tmp_path / "engines.json").read_text()) == {
        "here": [
            {
                "engine": "openvino",
                "precision": "bfloat16",
                "preparation_seconds": 0.5,
                "milliseconds": 10.0,
                "difference": 0.001,
                "exact": True,
            }
        ]
    }


# The twin of the CUDA graph: the same buffers and bookkeeping, the work done again instead of replayed


class Twin:
    """Records as `captured` does, on a CPU."""

    def __init__(self):
        self.recorded = 0

    def __call__(self, work):
        self.recorded += 1
        answer = work()
        return (lambda: answer.copy_(work())), answer


def test_a_recording_is_made_once_a_batch_size_and_scores_alike(network):
    twin, score = Twin(), as_trained(network, torch.zeros(1, 1, 64, 64, dtype=torch.uint8), False)
    run = replayed(score, twin)
    for batch in (1, 5, 1, 5, 5):
        crops = torch.randint(0, 256, (batch, 1, 64, 64), dtype=torch.uint8)
        controls = torch.rand(batch, 3)
        assert torch.equal(run(crops, controls), score(crops, controls))
    assert twin.recorded == 2


def test_an_answer_is_not_overwritten_by_the_next_replay(network, crops, controls):
    run = replayed(as_trained(network, crops, False), Twin())
    first = run(crops, controls)
    kept = first.clone()
    run(255 - crops, controls)
    assert torch.equal(first, kept)


def test_recordings_are_bounded(network):
    twin = Twin()
    run = replayed(as_trained(network, torch.zeros(1, 1, 64, 64, dtype=torch.uint8), False), twin)
    for batch in range(1, 12):
        assert run(torch.zeros(batch, 1, 64, 64, dtype=torch.uint8), torch.rand(batch, 3)).shape == (batch,)
    assert twin.recorded == 8


def test_what_cannot_be_captured_is_scored_eagerly_and_said_once(network, crops, controls, caplog):
    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    score = as_trained(network, crops, False)
    run = replayed(score, refuse)
    for _ in range(3):
        assert torch.equal(run(crops, controls), score(crops, controls))
    assert [record.message for record in caplog.records] == [
        "scoring without a CUDA graph: operation not permitted when stream is capturing"
    ]


# ONNX has no adaptive pooling


@pytest.mark.parametrize(("size", "parts"), [(3, 7), (7, 7), (14, 7), (15, 7), (2, 7), (9, 1)])
def test_the_matrix_averages_as_adaptive_pooling_does(size, parts):
    rows = torch.rand(4, size)
    expected = torch.nn.functional.adaptive_avg_pool1d(rows, parts)
    torch.testing.assert_close(rows @ averaging_matrix(size, parts).T, expected)
