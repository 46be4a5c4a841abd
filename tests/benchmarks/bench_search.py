"""How many frames a second a whole search trains, beside two yardsticks and the bare training loop.

The same folder, space, trials, epochs, crop, batch and ASHA for all, both cores, in one run whose second
round goes backwards, so that a slow hour of the machine hits all alike: only the ratios count.
A contender's frames a second are those of its command from call to exit, start-up and all; those a second of
processor time, of all its processes, move less when other work shares the machine. `warm` is semtune once
its workers train, from the journal, beside the bare loop: as many processes that train without Ray.
The splits differ (the yardsticks hold no test frames back), which is why frames a second are compared.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from family import watched

from semtune.journal import EpochDone, TrialStarted, read_events
from semtune.simulated_dataset import write_simulated_dataset

PEERS = Path(__file__).parents[3] / "shared" / "peers"
FIELDS, SETTINGS = 30, 12
TRIALS, EPOCHS, CROP, BATCH = 24, 6, 96, 16
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
CORES = len(os.sched_getaffinity(0))
BARE_EPOCHS = 8
SPACE = f"""
architecture: pacf
learning_rate: {{log_uniform: [1.0e-5, 1.0e-2]}}
batch_size: {BATCH}
crop: {CROP}
tiles: 1  # the yardsticks validate on the centre crop alone
epochs: {EPOCHS}
trials: {TRIALS}
grace_epochs: 1
reduction_factor: 4
"""
WANTED = {"semtune/ray_tune": (6.0, 8.0), "semtune/optuna": (3.5, 4.5), "semtune warm/bare": (0.8, 1.0)}
"""Ratio that must be reached, and the one after it."""
STEADY = ("ray_tune", "optuna")
"""Beside whom the work itself is compared, by processor time: what waiting costs is not in it."""


def run() -> dict[str, Any]:
    """Frames a second by contender and round; ratios of their medians."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        frames, space = home / "frames", home / "space.yaml"
        write_simulated_dataset(frames, FIELDS, SETTINGS, seed=1, specialist="overall", processes=CORES)
        space.write_text(SPACE, "utf-8")
        rounds = [a_round(home / str(number), frames, space, number % 2) for number in range(ROUNDS)]
    rates = {key: [each[key] for each in rounds if key in each] for key in rounds[0]}
    middle = {key: statistics.median(values) for key, values in rates.items()}
    contenders = {key: row(middle[key], values) for key, values in rates.items()}
    skipped = {} if PEERS.exists() else {"yardsticks": "skipped: no ../shared/peers beside the checkout"}
    return {**skipped, **contenders, **ratios(middle)}


def a_round(home: Path, frames: Path, space: Path, backwards: bool) -> dict[str, float]:
    """Every contender once, in order or backwards, as frames a second."""
    home.mkdir()
    contenders = [
        lambda: semtune(home, frames, space),
        lambda: {"bare": bare(frames, home)},
        lambda: yardstick("ray_tune", frames),
        lambda: yardstick("optuna", frames),
    ]
    found: dict[str, float] = {}
    for contend in contenders[::-1] if backwards else contenders:
        found |= contend()
    return found


def semtune(home: Path, frames: Path, space: Path) -> dict[str, float]:
    """The command `semtune search`, whole and warm."""
    command = [sys.executable, "-m", "semtune", "--workspace", str(home / "semtune")]
    ended = watched([*command, "search", str(space), "--data", str(frames), "--name", "bench", "--json"])
    listed = subprocess.run([*command, "list", "--json"], check=True, capture_output=True, text=True)
    trained = json.loads(listed.stdout)[0]["frames_trained"]
    journal = next((home / "semtune").glob("**/journal.jsonl"))
    return {**ended.rates("semtune", trained), "semtune warm": warm_rate(journal)}


def warm_rate(journal: Path) -> float:
    """Frames a second while all workers train: from the first epoch of the last of them to the last start.

    Trials change in between, so what a warm worker pays for a new trial is in it.
    """
    events = [event for event, _ in read_events(journal)]
    epochs = [event for event in events if isinstance(event, EpochDone)]
    first = epochs[CORES - 1].at
    last = max(event.at for event in events if isinstance(event, TrialStarted))
    return sum(event.result.frames for event in epochs if first < event.at <= last) / (last - first)


def yardstick(name: str, frames: Path) -> dict[str, float]:
    """A script of ../shared/peers: the whole command, and by its own clock, which starts later."""
    script = PEERS / f"plain_{name}.py"
    if not script.exists():
        return {}
    options = {
        "--trials": TRIALS,
        "--epochs": EPOCHS,
        "--crop": CROP,
        "--batch": BATCH,
        "--concurrent": CORES,
    }
    words = [str(word) for option in options.items() for word in option]
    ended = watched([sys.executable, str(script), str(frames), *words, "--architectures", "pacf"])
    own = json.loads(ended.printed.strip().splitlines()[-1])
    return {**ended.rates(name, own["frames"]), f"{name} own clock": own["frames_per_s"]}


def bare(frames: Path, home: Path) -> float:
    """One process a core training the same network side by side, without Ray: the ceiling."""
    spawn = multiprocessing.get_context("spawn")
    ready, spans = spawn.Barrier(CORES), spawn.Queue()
    processes = [spawn.Process(target=train_bare, args=(frames, home, ready, spans)) for _ in range(CORES)]
    for process in processes:
        process.start()
    rates = [spans.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return sum(rates)


def train_bare(frames: Path, home: Path, ready: Any, spans: Any) -> None:
    """Train after a warm-up epoch and put frames a second into `spans`."""
    import torch

    from semtune.config import Hyperparameters
    from semtune.dataset.frames import decode_frames
    from semtune.dataset.manifest import read_dataset
    from semtune.dataset.split import by_field
    from semtune.training.data import place
    from semtune.training.fit import fit, prepare_step
    from semtune.training.samples import tabulate

    torch.set_num_threads(1)
    dataset = read_dataset(frames)
    cache = home / f"cache-{os.getpid()}"
    table = tabulate(dataset, by_field(dataset, 0), cache)
    parts = (table.train, table.validation, table.test)
    store = decode_frames(dataset, cache)
    data = place(store, table.controls, table.scores, parts, table.score_range, torch.device("cpu"))
    settings = Hyperparameters(
        architecture="pacf", batch_size=BATCH, crop=CROP, tiles=1, epochs=1 + BARE_EPOCHS
    )
    step = prepare_step(settings, data, 0, "auto", None)
    epochs = fit(settings, data, step, 0)
    next(epochs)
    ready.wait()
    start = time.perf_counter()
    trained = sum(epoch.frames for epoch in epochs)
    spans.put(trained / (time.perf_counter() - start))


def row(middle: float, rates: list[float]) -> dict[str, Any]:
    """A contender's frames a second, with the noise of the run: its lowest and highest round."""
    return {"frames/s": middle, "lowest": min(rates), "highest": max(rates)}


def ratios(middle: dict[str, float]) -> dict[str, Any]:
    """How many times each yardstick semtune is, with what is wanted."""
    found = {}
    for name, (wanted, stretch) in WANTED.items():
        ours, theirs = name.split("/")
        if theirs in middle:
            ratio = middle[ours] / middle[theirs]
            found[name] = {"ratio": ratio, "wanted": wanted, "stretch": stretch, "reached": ratio >= wanted}
    for name in STEADY:
        if name in middle:
            ratio = middle["semtune a cpu s"] / middle[f"{name} a cpu s"]
            found[f"semtune/{name} a cpu s"] = {"ratio": ratio}
    return found


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
