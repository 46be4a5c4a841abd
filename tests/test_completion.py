"""What the shell completes, asked as bash asks."""

import os
import subprocess
import sys

import pytest
from conftest import write_small_dataset
from small_workspace import write_small_search

from semtune.workspace import Workspace


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("w")
    data, workspace = write_small_dataset(folder / "data"), Workspace(folder / "workspace")
    for name in ("tin", "tin2", "gold"):
        write_small_search(workspace, data, name)
    return workspace


@pytest.fixture
def completed(place):
    def ask(line):
        words = line.split(" ")
        environment = os.environ | {
            "_SEMTUNE_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "SEMTUNE_WORKSPACE": str(place.path),
        }
        code = "import sys; from semtune.cli import app; app(prog_name='semtune')"
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("semtune resume t", ["tin", "tin2"]),
        ("semtune report --beside g", ["gold"]),
        ("semtune search ta", ["table1"]),
        ("semtune search table1 --from c", ["champion"]),
        ("semtune reproduce gold/t", ["gold/trial-0000"]),
        ("semtune focus tin --scorer resnet", ["resnet50", "resnet101"]),
        ("semtune roll", ["rollback"]),
    ],
)
def test_the_shell_completes(completed, line, found):
    assert completed(line) == found


def test_a_workspace_named_before_the_command_is_looked_into(completed, tmp_path):
    assert completed(f"semtune --workspace {tmp_path} resume t") == []
