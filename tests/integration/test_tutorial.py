"""The tutorial as it is written, in an empty folder: every block, in order."""

import os
import re
import shlex
from pathlib import Path

import pytest
from place import Place

pytestmark = pytest.mark.slow

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_tutorial_works_as_written(tmp_path):
    place, ran = Place(tmp_path, f"tutorial-{os.getpid()}"), []
    for language, text in BLOCK.findall(TUTORIAL):
        if language == "yaml":
            (tmp_path / re.match(r"# (\S+)", text)[1]).write_text(text, "utf-8")
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line, comments=True)
            assert program == "semtune"
            place.run(*arguments)
            ran.append(arguments[0])
    assert len(ran) >= 12
    assert "simulated" in (tmp_path / "first.html").read_text("utf-8")
    assert (tmp_path / "scorer.zip").stat().st_size > 10**6
    assert len(place.record("first").trials) == 12
