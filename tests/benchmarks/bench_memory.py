"""How much memory a whole search holds at its peak, all its processes together, shared pages counted once."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from family import watched

from semtune.simulated_dataset import write_simulated_dataset

FRAMES = {"pacf, 2136 frames": (178, 12), "the demo's space": (90, 6)}
"""Fields, and frames of each."""
SPACES = {
    "pacf, 2136 frames": "architecture: pacf\nepochs: 2\ntrials: 3\ngrace_epochs: 1\n",
    "the demo's space": None,
}
WANTED = {"pacf, 2136 frames": 3.0}
"""Most GB."""


def run() -> dict[str, Any]:
    """GB by kind of process, at the moment when their sum was largest."""
    with TemporaryDirectory() as folder:
        return {name: row(name, Path(folder)) for name in FRAMES}


def row(name: str, home: Path) -> dict[str, Any]:
    frames, space = home / name.replace(" ", "-"), home / "space.yaml"
    fields, settings = FRAMES[name]
    write_simulated_dataset(frames, fields, settings, seed=0, specialist="overall", processes=2)
    options = ["--epochs", "1"]
    if SPACES[name]:
        space.write_text(SPACES[name], "utf-8")
        options = []
    command = [sys.executable, "-m", "semtune", "--workspace", str(home / "workspace"), "search"]
    wanted_space = str(space) if SPACES[name] else "quick"
    searching = [*command, wanted_space, "--data", str(frames), "--name", frames.name[:4], "--json", *options]
    peak = watched(searching, memory=True).peak_memory
    total = sum(peak.values())
    wanted = WANTED.get(name)
    return {"GB": total, "wanted": wanted, "reached": wanted is None or total <= wanted, **peak}


if __name__ == "__main__":
    print(run())
