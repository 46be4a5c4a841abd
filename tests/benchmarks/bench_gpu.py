"""How near training comes to what the GPU can do: `training.fit` beside bare CUDA graphs, in one run.

    make bench-gpu      (or python tests/benchmarks/bench_gpu.py; torch, torchvision, OpenCV, NumPy,
                         SciPy, scikit-learn, tifffile, typer and pydantic will do)

`graph` is one CUDA graph of forward, backward and Adam on a batch that stays: no augmentation, no validation.
`fit` is semtune's, augmentation and validation included, from the second epoch on. `ratio` is their quotient
by training frames; `same work` allows for the validation's forward passes at the speed of a bare graph.
The figures are kept under benchmark-results/.
"""

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
for decoder in ("imagecodecs", "yaml"):  # nothing is decoded here, so the bench can do without them
    if importlib.util.find_spec(decoder) is None:
        sys.modules[decoder] = ModuleType(decoder)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from semtune.config import Hyperparameters  # noqa: E402
from semtune.networks import ARCHITECTURES  # noqa: E402
from semtune.training.augmentation import FramePixels  # noqa: E402
from semtune.training.data import TrainingData, training_device  # noqa: E402
from semtune.training.fit import fit, prepare_step  # noqa: E402

FRAMES, HEIGHT, WIDTH, CROP, BATCH = 1493, 480, 640, 224, 32
EPOCHS, TABLE_EPOCHS = 3, 100
WANTED, WANTED_MINUTES = 0.95, 6.0
STREAMS = {"pacf": 8, "vgg11": 2, "resnet50": 4}
SCORING_MS = {"pacf": 0.22, "vgg11": 0.38, "vgg13": 0.43, "vgg19": 0.54, "resnet50": 0.93, "resnet101": 1.75}
"""One frame of 224 x 224 as a CUDA graph in bfloat16 on an H100; 1.1 times it is wanted."""


def run() -> dict[str, Any]:
    """Figures by architecture, and of Table 1 whole; without a GPU only a note that there is none."""
    if not torch.cuda.is_available():
        return {"note": "no GPU: not measured", "wanted": WANTED}
    device = training_device()
    data = noise_of_an_sem(device)
    rows = {each.name: measured(each.name, data) for each in ARCHITECTURES}
    minutes = sum(row["epoch_s"] for row in rows.values()) * TABLE_EPOCHS / 60
    return {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "wanted": WANTED,
        "reached": all(row["ratio"] >= WANTED for row in rows.values()),
        "table1_minutes": minutes,
        "table1_wanted": WANTED_MINUTES,
        "table1_reached": minutes <= WANTED_MINUTES,
        **rows,
        **{f"autofocus {name}": value for name, value in autofocus().items()},
    }


def measured(name: str, data: TrainingData) -> dict[str, Any]:
    """Frames a second of one architecture, bare and in `fit`, and milliseconds to score one frame."""
    graph, forward = bare_step(name), bare_forward(name, 64, torch.bfloat16)
    bare = BATCH / seconds_of(graph)
    scoring = 64 / seconds_of(forward)
    streams = together(name, STREAMS[name]) if name in STREAMS else None
    one = 1e3 * seconds_of(bare_forward(name, 1, torch.bfloat16))
    del graph, forward
    torch.cuda.empty_cache()
    settings = Hyperparameters(architecture=name, batch_size=BATCH, crop=CROP, epochs=EPOCHS)
    step = prepare_step(settings, data, 0, "bfloat16", None)
    epochs = list(fit(settings, data, step, 0))
    notes = list(step.notes)
    spent = statistics.median(epoch.seconds for epoch in epochs[1:])
    trained, validated = epochs[-1].frames, len(data.validation) * settings.tiles
    del step
    torch.cuda.empty_cache()
    return {
        "graph": bare,
        "streams": streams,
        "fit": trained / spent,
        "ratio": trained / spent / bare,
        "same work": (trained / bare + validated / scoring) / spent,
        "epoch_s": spent,
        "score_ms": one,
        "score_wanted": 1.1 * SCORING_MS[name],
        "eager": "; ".join(notes) or None,
    }


def bare_step(name: str, stream: torch.cuda.Stream | None = None) -> Callable[[], None]:
    """One CUDA graph of a whole training step on a batch that stays."""
    device = torch.device("cuda")
    network = ARCHITECTURES[name].build(3).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(
        network.parameters(), torch.tensor(1.5e-4, device=device), fused=True, capturable=True
    )
    frames, controls, scores = batch_of(BATCH, device)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.mse_loss(network(frames, controls).float(), scores)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return graph_of(step, stream or torch.cuda.Stream())


def bare_forward(name: str, batch: int, kind: torch.dtype) -> Callable[[], None]:
    """One CUDA graph of a network scoring a batch that stays."""
    device = torch.device("cuda")
    network = ARCHITECTURES[name].build(3).to(device).to(kind).to(memory_format=torch.channels_last).eval()
    frames, controls, _ = batch_of(batch, device)
    frames, controls = frames.to(kind).contiguous(memory_format=torch.channels_last), controls.to(kind)

    def score() -> None:
        with torch.no_grad():
            network(frames, controls)

    return graph_of(score, torch.cuda.Stream())


def graph_of(work: Callable[[], None], stream: torch.cuda.Stream) -> Callable[[], None]:
    """Warm up and capture."""
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(4):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay


def together(name: str, count: int) -> float:
    """Frames a second of several bare trials, each on a stream of its own."""
    streams = [torch.cuda.Stream() for _ in range(count)]
    steps = [bare_step(name, stream) for stream in streams]

    def all_steps() -> None:
        for stream, step in zip(streams, steps, strict=True):
            with torch.cuda.stream(stream):
                step()

    return count * BATCH / seconds_of(all_steps)


def seconds_of(work: Callable[[], None], calls: int = 40, rounds: int = 5) -> float:
    """Median over rounds of the time of a call, the device waited for at the end of each round."""
    spent = []
    for _ in range(1 + rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        spent.append((time.perf_counter() - start) / calls)
    return statistics.median(spent[1:])


def batch_of(count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Frames, control parameters and scores that mean nothing."""
    frames = torch.rand(count, 1, CROP, CROP, device=device).contiguous(memory_format=torch.channels_last)
    return frames, torch.rand(count, 3, device=device), 10 * torch.rand(count, device=device)


def noise_of_an_sem(device: torch.device) -> TrainingData:
    """1493 frames of noise on the device: four fifths to train on, the rest to validate."""
    random = np.random.default_rng(0)
    pixels = torch.randint(0, 256, (FRAMES * HEIGHT * WIDTH,), dtype=torch.uint8, device=device)
    offsets = torch.arange(FRAMES, device=device) * HEIGHT * WIDTH
    heights, widths = (torch.full((FRAMES,), side, device=device) for side in (HEIGHT, WIDTH))
    order = random.permutation(FRAMES)
    train, validation = order[: 4 * FRAMES // 5], order[4 * FRAMES // 5 :]
    controls = torch.rand(FRAMES, 3, device=device)
    frames = FramePixels(pixels, offsets, heights, widths)
    scores = 10 * torch.rand(FRAMES, device=device)
    return TrainingData(frames, controls, scores, train, validation, validation, (0.0, 10.0))


def autofocus() -> dict[str, Any]:
    """What bench_gpu_autofocus.py measures, where it can be run."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        import bench_gpu_autofocus
    except ImportError as error:
        return {"note": f"not measured ({error})"}
    return dict(bench_gpu_autofocus.run())


def main() -> None:
    figures = run()
    if "note" in figures:
        print(f"bench-gpu: {figures['note']}")
        return
    folder = ROOT / "benchmark-results"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    file = folder / f"gpu-{now.replace(':', '')}.json"
    file.write_text(json.dumps({"date": now, **figures}, indent=1), "utf-8")
    for name, row in figures.items():
        shown = row.items() if isinstance(row, dict) else [("", row)]
        print(f"{name:24}", *(f"{key} {cell(value)}".strip() for key, value in shown), sep="  ")
    print(f"-> {file.relative_to(ROOT)}")
    if not (figures["reached"] and figures["table1_reached"]):
        raise SystemExit(f"below what is wanted: {WANTED:.0%} of the graph, {WANTED_MINUTES:g} minutes")


def cell(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
