"""The notebook of the documents runs as it is written, on simulated frames."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"

# ipykernel and its sockets are another's.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def said_by(notebook):
    """All text that the cells printed or returned."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(each.get("text", "") + each.get("data", {}).get("text/plain", "") for each in outputs)


def test_the_notebook_runs_as_it_is_written(tmp_path, monkeypatch):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = said_by(notebook)
    assert "'finished'" in said
    assert "champion is now version 1" in said
    assert "learnt from simulated scores" in said


def test_the_notebook_shows_what_it_printed_and_that_it_is_simulated():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    said = said_by(notebook)
    assert "'finished'" in said
    assert "simulated" in said
    assert not [cell for cell in notebook.cells if cell.cell_type == "code" and not cell.outputs]
