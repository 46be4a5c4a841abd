"""The documents as a site: every page is built, and asks nothing of other hosts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:script|img|link)[^>]*(?:src|href)=["'](https?://[^"']*)""")


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    environment = {**os.environ, "DISABLE_MKDOCS_2_WARNING": "true", "PYTHONPATH": str(ROOT)}
    for arguments in (
        ("typer", "semtune.cli", "utils", "docs", "--name", "semtune", "--output", "docs/reference/cli.md"),
        ("mkdocs", "build", "--strict", "--quiet", "--site-dir", "site"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: path.read_text("utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > 70  # the decisions too
    python, options = (pages[tmp_path / f"site/reference/{name}/index.html"] for name in ("python", "cli"))
    assert all(f"semtune.{name}" in python for name in ("api.run_search", "config.Hyperparameters"))
    assert "--storage" in options
    assert not {url for text in pages.values() for url in LOADED.findall(text)}
