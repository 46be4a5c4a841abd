"""Wheel and sdist as a user gets them: built, installed, and used from an empty folder."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import write_small_dataset

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel made of a sdist made of the checkout, as `pip install` of a sdist would, without a network."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    return out


@pytest.fixture(scope="module")
def semtune(built, tmp_path_factory):
    """Calls the program of the installed wheel in a folder of its own, where no checkout is in sight."""
    folder = tmp_path_factory.mktemp("user")
    venv.create(folder / "venv", with_pip=False)
    place = next((folder / "venv").glob("lib/python*/site-packages"))
    [wheel] = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", folder / "venv" / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (place / "others.pth").write_text(sysconfig.get_path("purelib"))  # what semtune needs, behind the wheel
    empty = folder / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*arguments):
        program = folder / "venv" / "bin" / "semtune"
        return subprocess.run(
            [program, *map(str, arguments)], cwd=empty, env=environment, capture_output=True, text=True
        )

    return call


def test_the_archives_hold_what_is_used_and_nothing_else(built):
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"semtune/search_spaces/{name}.yaml" for name in ("table1", "quick", "full")} <= set(names)
    assert {"semtune/py.typed", "semtune/__init__.pyi", "semtune/cli.py"} <= set(names)
    assert not [name for name in names if not name.startswith(("semtune/", "semtune-"))]
    with tarfile.open(sdist) as inside:
        assert [name for name in inside.getnames() if name.endswith("/search_spaces/table1.yaml")]


def test_the_installed_program_finds_its_search_spaces(semtune, tmp_path):
    assert semtune("--version").stdout.startswith("semtune ")
    data = write_small_dataset(tmp_path / "data")
    done = semtune("search", "quick", "--data", data, "--name", "a", "--dry-run", "--no-probe", "--json")
    assert done.returncode == 0, done.stderr
    assert {stratum["name"] for stratum in json.loads(done.stdout)["strata"]} >= {"pacf", "resnet101"}
    assert "table1" in semtune("search", "tabel1", "--data", data, "--name", "a", "--dry-run").stderr
