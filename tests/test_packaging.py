"""What is shipped: every package is named, and every search space lies inside."""

import re
import tomllib
from itertools import chain
from pathlib import Path

from semtune.spaces import shipped_spaces

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_package_is_named():
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("semtune/**/__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {*there, "semtune.search_spaces"}


def test_a_checkout_has_its_search_spaces():
    assert {"table1", "quick", "full"} <= shipped_spaces().keys()


def test_every_extra_is_documented():
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    extras = PROJECT["project"]["optional-dependencies"]
    assert not [name for name in extras if f"[{name}]" not in text]


def test_every_dependency_is_documented():
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    extras = PROJECT["project"]["optional-dependencies"].values()
    asked = [*PROJECT["project"]["dependencies"], *chain.from_iterable(extras)]
    names = {re.match(r"[\w-]+", line)[0] for line in asked} - {"semtune"}
    assert not [name for name in sorted(names) if name not in text]
