"""What runs beside a search, and in which order it ends."""

import gc

import pytest
import ray
from small_workspace import append, plan_small_search

from semtune.journal import SearchClosed, SearchOpened
from semtune.planning import read_plan
from semtune.services import services
from semtune.tracking.progress import run_ids, unsent
from semtune.workspace import Workspace


# mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_the_last_events_are_sent_before_ray_is_left_and_no_garbage_is_collected_meanwhile(
    tmp_path, small_dataset, monkeypatch
):
    """Ray ends a process in which another thread drops an actor's handle while it shuts down."""
    workspace = Workspace(tmp_path / "w")
    folder, _ = plan_small_search(workspace, small_dataset, "s")
    plan = read_plan(folder.plan)
    seen = []
    monkeypatch.setattr(ray, "init", lambda **given: None)
    monkeypatch.setattr(ray, "shutdown", lambda: seen.append((unsent(folder), gc.isenabled())))
    with services(workspace, folder, lambda: plan, None, None) as (_, writer):
        append(folder, SearchOpened(pid=1, host="h"), SearchClosed(state="finished"))
        writer.notify()
    assert seen == [(0, False)]
    assert gc.isenabled()
    assert "" in run_ids(folder)
