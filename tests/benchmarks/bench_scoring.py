"""Milliseconds of a crop of 224 x 224 on one thread, by architecture and engine, one crop and 32 at once.

`asked` is what ONNX Runtime (in the rows of `eager`: eager torch) took in float32 on such a core before this
was written. Deep networks take seconds for 32 crops: they are scored once to warm up and once to be timed.
"""

import json
from typing import Any

import torch

from semtune.engines import ENGINES, Engine
from semtune.engines.choice import choose_engine
from semtune.networks import ARCHITECTURES
from semtune.networks.head import ScoreNetwork
from semtune.timing import time_calls

ASKED = {
    "onnxruntime": {"pacf": 5.2, "resnet50": 80, "resnet101": 164, "vgg19": 410},
    "eager": {"pacf": 18, "resnet50": 116, "resnet101": 274, "vgg19": 459},
}
NAMES = ("pacf", "resnet50", "resnet101", "vgg19")
SIZE, TILES, SECONDS = 224, 4, 0.5


def run(names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """A row an architecture, engine and precision; then the engine that wins a race over 4 tiles."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {name: row for architecture in names for name, row in figures(architecture).items()}
    finally:
        torch.set_num_threads(threads)


def figures(architecture: str) -> dict[str, dict[str, Any]]:
    torch.manual_seed(0)
    network = ARCHITECTURES[architecture].build().eval().to(memory_format=torch.channels_last)
    crops, controls = torch.randint(0, 256, (32, 1, SIZE, SIZE), dtype=torch.uint8), torch.rand(32, 3)
    rows = {}
    for engine in ENGINES:
        if engine.automatic and not engine.hindrance("cpu"):
            for bfloat16 in (False, True) if engine.bfloat16 else (False,):
                kind = "bf16" if bfloat16 else "f32"
                row = milliseconds(engine, network, crops, controls, bfloat16)
                asked = None if bfloat16 else ASKED.get(engine.name, {}).get(architecture)
                rows[f"{architecture} {engine.name} {kind}"] = {**row, "asked": asked}
    race = choose_engine(network, crops[:TILES], controls[:TILES], bfloat16=True, score_span=10.0)
    rows[f"{architecture} chosen"] = {"engine": f"{race.winner.name} {race.winner.precision}"}
    return rows


def milliseconds(
    engine: Engine, network: ScoreNetwork, crops: torch.Tensor, controls: torch.Tensor, bfloat16: bool
) -> dict[str, float]:
    score = engine.prepare(network, crops[:1], bfloat16)
    single = time_calls(lambda: score(crops[:1], controls[:1]), SECONDS)
    batch = time_calls(lambda: score(crops, controls), SECONDS, fewest=1)
    return {"ms": single.median, "p95": single.p95, "ms of 32": batch.median / len(crops)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
