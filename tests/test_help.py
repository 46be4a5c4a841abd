"""The help of every command is quick, because it loads nothing that only the work needs."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "torch", "torchvision", "ray", "mlflow", "optuna", "pandas", "cv2", "scipy", "sklearn", "matplotlib",
    "numpy", "rich",
}  # fmt: skip
# One process for all: what any of them imports stays. Commands are found where the program finds them.
SCRIPT = """
import contextlib, io, json, sys
import typer
from semtune import cli

def explain(*words):
    sys.argv = ["semtune", *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        cli.run()
    return said.getvalue()

def names(command, *above):
    yield above
    for name, inner in getattr(command, "commands", {}).items():
        yield from names(inner, *above, name)

helps = {" ".join(words): explain(*words) for words in names(typer.main.get_command(cli.app))}
print(json.dumps({"helps": helps, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def test_the_help_of_every_command_loads_no_heavy_library():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    told = json.loads(done.stdout)
    assert {"", "search", "simulate", "promote"} <= told["helps"].keys()
    assert all(f"semtune {name}".strip() in text for name, text in told["helps"].items())
    assert not HEAVY & set(told["modules"])
