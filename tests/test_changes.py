"""What a later session may do otherwise, and what it may not."""

import pytest
from conftest import write_small_dataset
from small_workspace import plan_of, plan_small_search

from semtune.changes import Changes, changed
from semtune.errors import ConfigError
from semtune.workspace import Workspace


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Of a search of 3 trials of 2 epochs."""
    folder = tmp_path_factory.mktemp("changes")
    data = write_small_dataset(folder / "data")
    search, _ = plan_small_search(Workspace(folder / "workspace"), data, "one")
    return plan_of(search)


def test_nothing_changes_unless_it_is_asked_for(plan):
    assert changed(plan, Changes()) == plan


def test_trials_and_failures_are_settings_and_epochs_a_hyperparameter(plan):
    later = changed(plan, Changes(trials=9, epochs=4, max_failures=5, seeds=3))
    assert later.space().settings.seeds == 3
    assert (later.space().settings.trials, later.space().settings.max_failures) == (9, 5)
    assert later.space().epochs("pacf") == 4
    assert changed(later, Changes(trials=12)).space().epochs("pacf") == 4


def test_fewer_epochs_are_refused(plan):
    with pytest.raises(ConfigError, match=r"--epochs 1: the search has 2 already; give more, or none"):
        changed(plan, Changes(epochs=1))


def test_a_search_can_move_into_a_storage(plan):
    assert changed(plan, Changes(storage="s3://bucket/lab")).storage == "s3://bucket/lab"
    assert changed(changed(plan, Changes(storage="/lab")), Changes()).storage == "/lab"
