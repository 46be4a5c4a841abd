"""How quickly the command line explains itself: whole processes, from the start of Python to its end."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import typer

from semtune import cli

ROOT = Path(__file__).parents[2]
ROUNDS = 7
WANTED = 300
"""Milliseconds."""


def run() -> dict[str, dict[str, Any]]:
    """Median milliseconds of the help of the program and of each command, and of the console script's."""
    commands = {"--help": ["--help"]}
    commands |= {name: [name, "--help"] for name in typer.main.get_command(cli.app).commands}
    calls = {name: [sys.executable, "-m", "semtune", *words] for name, words in commands.items()}
    script = Path(sys.executable).with_name("semtune")
    if script.exists():
        calls["console script"] = [str(script), "--help"]
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + ROUNDS):
        for name, call in calls.items():
            start = perf_counter()
            subprocess.run(call, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
            spent[name].append(1e3 * (perf_counter() - start))
    return {name: row(statistics.median(each[1:])) for name, each in spent.items()}


def row(milliseconds: float) -> dict[str, Any]:
    return {"milliseconds": milliseconds, "wanted": WANTED, "reached": milliseconds <= WANTED}


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
