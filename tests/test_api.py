"""semtune in a notebook: light to import, typed as written, and results as pandas frames."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_small_dataset
from small_workspace import write_small_search

import semtune
from semtune import api
from semtune.errors import ConfigError, SearchError, TrackingError
from semtune.workspace import Workspace

ROOT = Path(semtune.__file__).parent


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    workspace = Workspace(folder / "workspace")
    write_small_search(workspace, write_small_dataset(folder / "data"), "demo")
    return workspace.path


def test_importing_semtune_loads_nothing_of_its_own():
    code = "import semtune, sys; print(*[m for m in sys.modules if m.startswith('semtune.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_registry_is_reached_without_importing_its_package():
    code = "import semtune; print(semtune.autofocus.AUTOFOCUS_FUNCTIONS.names[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == semtune.autofocus.AUTOFOCUS_FUNCTIONS.names[0]


def test_what_type_checkers_see_is_what_there_is():
    stub = ast.parse((ROOT / "__init__.pyi").read_text("utf-8"))
    named = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named == set(semtune.__all__) - {"__version__"}
    assert set(dir(semtune)) == set(semtune.__all__)
    assert all(getattr(semtune, name) is not None for name in semtune.__all__)
    with pytest.raises(AttributeError, match="no attribute 'run_serch'"):
        _ = semtune.run_serch


def test_the_trials_and_epochs_of_a_search_are_frames(place):
    search = semtune.open_search("demo", place)
    assert search.state == "finished"
    trials = search.trials()
    assert trials["reason"].tolist() == ["epochs", "asha", "diverged"]
    assert trials.loc["trial-0000", "test_rmse"] == pytest.approx(0.5)
    assert np.isnan(trials.loc["trial-0001", "test_rmse"])
    assert search.epochs().loc[("trial-0000", 2), "validation_rmse"] == 0.6


def test_the_table_and_the_predictions_of_a_search_are_frames(place):
    search = semtune.open_search("demo", place)
    table = search.table()
    assert table.loc["pacf", "test_rmse"] == pytest.approx(0.5)
    assert table.loc["joint", "kind"] == "joint"
    predictions = search.predictions()
    errors = predictions["trial-0000"] - predictions["reference_score"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(0.5)


# mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_what_is_not_there_is_refused_in_words(place, tmp_path):
    with pytest.raises(SearchError, match="there are: demo"):
        semtune.open_search("other", place)
    with pytest.raises(TrackingError, match="no champion yet"):
        semtune.load_champion(place)
    data = place.parent / "data"
    for where, crop in ((data, 96), (tmp_path, None)):
        with pytest.raises(ConfigError, match="data, crop and seed stay as they are: give another name"):
            semtune.run_search(where, "demo", workspace=place, crop=crop)


def test_a_search_without_trials_is_empty_frames(place):
    search = api.Search("demo", place)
    (Workspace(place).search("demo").journal).rename(place / "kept")
    try:
        assert search.trials().empty
        assert search.epochs().empty
    finally:
        (place / "kept").rename(Workspace(place).search("demo").journal)
