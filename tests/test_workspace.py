"""Where everything of a user lies."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semtune.errors import SearchError
from semtune.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


def planned(workspace, name, at):
    folder = workspace.search(name)
    folder.path.mkdir(parents=True)
    folder.plan.write_text("{}")
    os.utime(folder.plan, (at, at))
    return folder


def test_searches_come_in_the_order_of_their_plans(workspace):
    for name, at in {"b": 300, "a": 200, "c": 100}.items():
        planned(workspace, name, at)
    assert [folder.name for folder in workspace.all()] == ["c", "a", "b"]


def test_a_workspace_that_is_not_there_has_no_searches_and_is_not_made(workspace):
    assert workspace.all() == []
    with pytest.raises(SearchError, match=r"no search named 'demo' in .*workspace; there are: none yet"):
        workspace.existing("demo")
    assert not workspace.path.exists()


def test_a_folder_without_a_plan_is_no_search(workspace):
    planned(workspace, "whole", 100)
    workspace.search("empty").path.mkdir()
    with pytest.raises(SearchError, match=r"no search named 'empty'.*there are: whole"):
        workspace.existing("empty")
    assert workspace.existing("whole") == workspace.search("whole")


def test_all_files_of_a_search_lie_in_its_folder(workspace):
    folder = workspace.search("demo")
    files = [getattr(folder, name) for name in dir(type(folder)) if not name.startswith("_")]
    paths = [path for path in files if path not in (folder.name, folder.path)]
    assert len(set(paths)) == len(paths) >= 7
    assert all(path.parent == folder.path for path in paths)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-x", "a/b", "a\\b", "a b", "a\n", "ü", "a" * 101]
)
def test_a_name_that_is_no_plain_name_is_refused(workspace, name):
    with pytest.raises(SearchError, match="cannot name a search; use letters, digits"):
        workspace.search(name)


@given(st.text(max_size=12))
def test_a_name_is_refused_or_stays_inside_the_workspace(tmp_path_factory, name):
    workspace = Workspace(tmp_path_factory.getbasetemp())
    try:
        folder = workspace.search(name)
    except SearchError:
        return
    assert folder.path.resolve().parent == workspace.searches.resolve()
    assert folder.name == name
