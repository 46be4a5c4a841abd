"""One function a command, each readable top to bottom: the table of contents of the program."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from semtune.changes import Changes, changed
from semtune.errors import SearchError
from semtune.exhibits import facts_of, material_of, predictions_of
from semtune.hold import hours_of, only_one, state_of, stop_search, summary
from semtune.journal import Event, SearchOpened, read_record
from semtune.leaks import leaks_of, order_check, test_uses
from semtune.planning import (
    SearchPlan,
    SearchRequest,
    check_request,
    ensure_frames,
    plan_search,
    read_plan,
    write_plan,
)
from semtune.report import ComparisonTable, build_table
from semtune.services import services, tracked
from semtune.session import Outcome, run_session
from semtune.start import Start
from semtune.tracking.champion import rollback as roll_back
from semtune.tracking.progress import run_ids
from semtune.tracking.sender import Sent
from semtune.tracking.sender import sync as send_all
from semtune.tracking.store import open_store
from semtune.tracking.writer import TrackingWriter
from semtune.training.samples import SampleTable, read_samples, write_samples
from semtune.workspace import SearchFolder, Workspace

if TYPE_CHECKING:
    from semtune.candidacy import Promotion
    from semtune.comparison import Comparison
    from semtune.focusing.bench import BenchSettings
    from semtune.focusing.summary import FocusReport
    from semtune.reproduction import Reproduction
    from semtune.results import EpochResult
    from semtune.search.driver import Resources

Observer = Callable[[Event], None]
_LOG = logging.getLogger("semtune")


@dataclass(frozen=True)
class Conditions:
    """Where and for how long a session works on a search."""

    resources: Resources
    seconds: float | None = None
    tracking_uri: str | None = None
    retry_failed: bool = False
    """Run failed trials again, each under a new name."""


def search(
    workspace: Workspace, request: SearchRequest, conditions: Conditions, observe: Observer
) -> Outcome:
    """Start a search and work on it to its end."""
    folder = workspace.search(request.name)
    _refuse_taken(folder)
    checked = check_request(request, _start(workspace, request, conditions.tracking_uri))

    def prepare() -> SearchPlan:
        plan, samples = plan_search(checked, workspace.frames)
        for leak in leaks_of(plan):
            _LOG.warning(leak)
        _create(workspace, folder, plan, samples, checked.start)
        return plan

    with (
        services(workspace, folder, prepare, conditions.resources.address, conditions.tracking_uri) as (
            plan,
            writer,
        ),
        only_one(folder),
    ):
        return _work(folder, plan, writer, conditions, observe)


def resume(
    workspace: Workspace, name: str, changes: Changes, conditions: Conditions, observe: Observer
) -> Outcome:
    """Go on with a search that was interrupted or died, or extend a finished one by trials or epochs."""
    folder = workspace.existing(name)
    with only_one(folder):
        plan = changed(read_plan(folder.plan), changes)

        def prepare() -> SearchPlan:
            ensure_frames(plan, workspace.frames)
            write_plan(plan, folder.plan)
            return plan

        with services(workspace, folder, prepare, conditions.resources.address, conditions.tracking_uri) as (
            _,
            writer,
        ):
            return _work(folder, plan, writer, conditions, observe)


def explain(
    workspace: Workspace,
    request: SearchRequest,
    tracking_uri: str | None = None,
    resources: Resources | None = None,
) -> dict[str, Any]:
    """Tell what a search would do, without starting it; with resources, by a probe, what it would take."""
    from semtune.forecast import foreseen  # ray comes in here

    _refuse_taken(workspace.search(request.name))
    start = _start(workspace, request, tracking_uri)
    plan, samples = plan_search(check_request(request, start), workspace.frames)
    return {**foreseen(plan, samples, resources), "leaks": list(leaks_of(plan))}


def list_searches(workspace: Workspace) -> list[dict[str, Any]]:
    """Summarise all searches of a workspace, oldest first."""
    return [summary(folder) for folder in workspace.all()]


def stop(workspace: Workspace, name: str, trial: str | None = None) -> None:
    """Ask the process that works on a search to end it, to be resumed, or to end one of its trials."""
    stop_search(workspace.existing(name), trial)


def report(workspace: Workspace, name: str, beside: str | None = None) -> ComparisonTable:
    """Build Table 1 of a search from its journal and its predictions, with another search beside it."""
    folder = workspace.existing(name)
    plan, record, samples = read_plan(folder.plan), read_record(folder.journal), read_samples(folder.samples)
    table = build_table(
        name,
        record,
        facts_of(plan, samples),
        plan.versions,
        run_ids(folder),
        predictions_of(folder, record),
        plan.commit,
        plan.hardware,
    )
    return replace(
        table,
        started_from=plan.started_from.sentence if plan.started_from else None,
        material=material_of(folder, plan, samples),
        uses=test_uses(workspace, plan.dataset_digest, name),
        order=order_check(samples),
        hours=hours_of(record, plan),
        beside=report(workspace, beside) if beside else None,
    )


def compare(workspace: Workspace, one: str, other: str) -> Comparison:
    """Put two searches side by side, or two trials named as NAME/trial-0003."""
    from semtune.comparison import compare_searches, compare_trials

    if "/" in one or "/" in other:
        return compare_trials(workspace, one, other)
    table = report(workspace, one, other)
    return compare_searches(table, workspace.existing(one), workspace.existing(other))


def promote(workspace: Workspace, name: str, tracking_uri: str | None, force: str | None = None) -> Promotion:
    """Make the best trial of a search the champion, unless it loses to a baseline or to the champion."""
    from semtune.candidacy import challenge  # torch comes in here

    folder = workspace.existing(name)
    ensure_frames(read_plan(folder.plan), workspace.frames)
    store = open_store(workspace, tracking_uri)
    send_all(store, folder, tracked(read_plan(folder.plan)))
    return challenge(workspace, store, folder, report(workspace, name), force)


def rollback(workspace: Workspace, tracking_uri: str | None) -> tuple[int, int]:
    """Give the alias back to the champion before; returns (version that was, version that is)."""
    return roll_back(open_store(workspace, tracking_uri))


def focus(
    workspace: Workspace,
    name: str,
    settings: BenchSettings,
    scorers: Sequence[str] = (),
    policies: Sequence[str] = (),
    tracking_uri: str | None = None,
    processes: int = 1,
    on_field: Callable[[int], None] = lambda done: None,
) -> FocusReport:
    """Focus the virtual microscope by the networks of a search, the champion and the autofocus functions."""
    from semtune.focusing.contestants import contestants
    from semtune.focusing.experiment import run_experiment  # the simulator and scipy come in here
    from semtune.focusing.policies import POLICIES
    from semtune.focusing.summary import summarise
    from semtune.focusing.writers import keep_figure

    folder = workspace.existing(name)
    chosen = contestants(workspace, folder, report(workspace, name), scorers, tracking_uri)
    start = time.monotonic()
    experiment = run_experiment(settings, chosen, policies or POLICIES.names, processes, on_field)
    found = summarise(name, experiment, time.monotonic() - start)
    try:
        keep_figure(found, folder.focus_figure)
    except SearchError as error:  # a workspace that can only be read
        _LOG.warning("the report will not show the figure: %s", error)
    return found


def reproduce(workspace: Workspace, run: str, observe: Callable[[float, EpochResult], None]) -> Reproduction:
    """Train a trial again, and tell whether the recorded numbers come out again."""
    from semtune.reproduction import reproduce as train_again

    return train_again(workspace, run, observe)


def sync(workspace: Workspace, name: str, tracking_uri: str | None) -> Sent:
    """Send what MLflow does not have of a search yet."""
    folder = workspace.existing(name)
    running = state_of(folder, read_record(folder.journal)) == "running"
    return send_all(open_store(workspace, tracking_uri), folder, tracked(read_plan(folder.plan)), running)


def _work(
    folder: SearchFolder, plan: SearchPlan, writer: TrackingWriter, conditions: Conditions, observe: Observer
) -> Outcome:
    def heard(event: Event) -> None:
        if not isinstance(event, SearchOpened):  # MLflow's import would hold up the start of the trials
            writer.notify()
        observe(event)

    return run_session(folder, plan, conditions.resources, conditions.seconds, heard, conditions.retry_failed)


def _start(workspace: Workspace, request: SearchRequest, tracking_uri: str | None) -> Start | None:
    """The weights that a search is to start from, if any."""
    if request.start is None:
        return None
    from semtune.candidacy import find_start  # torch comes in here

    return find_start(workspace, request.start, lambda: open_store(workspace, tracking_uri))


def _create(
    workspace: Workspace, folder: SearchFolder, plan: SearchPlan, samples: SampleTable, start: Start | None
) -> None:
    """Make the folder of a search, whole or not at all: a name without a plan could not be resumed."""
    draft = SearchFolder(workspace.path / f".{plan.search_id}.part")
    draft.path.mkdir(parents=True)
    try:
        if start:  # the search goes on if the champion changes, or its store is away
            shutil.copyfile(start.weights, draft.start)
        write_samples(samples, draft.samples)
        write_plan(plan, draft.plan)
        folder.path.parent.mkdir(exist_ok=True)
        draft.path.rename(folder.path)
    except OSError:
        _refuse_taken(folder)  # by another process, meanwhile
        raise
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)


def _refuse_taken(folder: SearchFolder) -> None:
    if folder.path.exists():
        raise SearchError(
            f"a search named {folder.name!r} exists already; `semtune resume {folder.name}` goes on with it, "
            "another --name starts anew"
        )
