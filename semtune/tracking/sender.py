"""Sends a search's journal to MLflow, batch by batch; sending anything again adds nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from semtune.errors import TrackingError
from semtune.journal import SearchRecord, read_events
from semtune.tracking.layout import (
    KIND,
    PARENT,
    SEARCH_ID,
    TRACEBACK,
    TRIAL,
    RunUpdate,
    TrackedSearch,
    birth,
    experiment_names,
    search_tags,
    standings,
    updates,
)
from semtune.tracking.progress import Progress, read_progress, write_progress
from semtune.tracking.store import Store, reason, told
from semtune.tracking.view import view_tags
from semtune.workspace import SearchFolder

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

_EVENTS = 2000  # a batch
_METRICS, _PARAMETERS, _TAGS = 800, 100, 100  # a call: MLflow takes 1000 metrics, and 1000 of all together
_REFUSALS = ("INVALID_PARAMETER_VALUE", "INVALID_STATE")  # as for a run that was deleted on MLflow's page


@dataclass(frozen=True)
class Sent:
    """What a foreground sending did."""

    events: int
    refusals: tuple[str, ...]
    """A line for each run that MLflow refused to change, such as one that was deleted on its page."""


@dataclass
class Sender:
    """The sending of one search to one store.

    Args:
        store: Opened; a server may be away.
        folder: Of the search; its journal is read, `tracked.json` is written.
        search: What holds for all runs.
    """

    store: Store
    folder: SearchFolder
    search: TrackedSearch
    alive: bool = True
    """Whether a process may work on the search; else what it left running is marked as killed."""
    refusals: dict[str, str] = field(default_factory=dict)
    """By the run's key, why MLflow refused to change it. What stands in the journal is not lost."""
    _record: SearchRecord = field(default_factory=SearchRecord)
    _progress: Progress | None = None
    _statuses: dict[str, str] = field(default_factory=dict)
    """By the run's key, the status that MLflow has."""

    def __post_init__(self) -> None:
        """Prepare the lock; the system frees it when the process dies, however it dies."""
        self._lock = FileLock(self.folder.tracked.with_suffix(".lock"))

    def send(self, most: int = _EVENTS) -> int:
        """Send the next events and acknowledge them in `tracked.json`.

        Returns:
            Their number; 0 when MLflow has all.

        Raises:
            Exception: Whatever MLflow raises when the store is away; calling again goes on where it was.
        """
        try:
            self._progress = self._progress or self._connect()
            return self._send_batch(self._progress, most)
        except Exception:
            # The store may come back another one: its runs are looked up anew.
            self._progress = None
            raise

    def _send_batch(self, progress: Progress, most: int) -> int:
        batch = list(islice(read_events(self.folder.journal, progress.position), most))
        if not batch:
            self._send_report(progress)
            return 0
        events = [event for event, _ in batch]
        for event in events:
            self._record.add(event)
        for key, update in updates(events, self._record, self.search, self.folder).items():
            with self._refusable(key):
                self._send_update(self._run_id(key, progress), update)
        self._set_statuses(progress)
        progress.position = batch[-1][1]
        write_progress(progress, self.folder.tracked)
        return len(batch)

    def _send_report(self, progress: Progress) -> None:
        """Put the report that `semtune report` left beside the parent's artifacts, if it is a new one."""
        files = [file for file in self.folder.report.rglob("*") if file.is_file()]
        written = max((file.stat().st_mtime_ns for file in files), default=0)
        if written in (0, progress.report) or PARENT not in progress.runs:
            return
        with self._refusable(PARENT):
            self.store.client.log_artifacts(progress.runs[PARENT], str(self.folder.report))
        progress.report = written
        write_progress(progress, self.folder.tracked)

    def close(self) -> None:
        """Let another process send."""
        self._lock.release()

    def _connect(self) -> Progress:
        """Find or make the experiment, find its runs, set right what a death left wrong."""
        self._hold_lock()
        experiment_id = self._experiment_id()
        runs, statuses = self._existing_runs(experiment_id)
        kept = read_progress(self.folder.tracked)
        sound = kept.experiment_id == experiment_id and set(kept.runs.values()) <= set(runs.values())
        progress = kept if sound else Progress(experiment_id=experiment_id)
        progress.runs = runs
        self._record, self._statuses = SearchRecord(), statuses
        for event, end in read_events(self.folder.journal):
            if end > progress.position:
                break
            self._record.add(event)
        self._set_statuses(progress)
        return progress

    def _hold_lock(self) -> None:
        """Two senders would not see each other's new runs and make them twice."""
        try:
            if not self._lock.is_locked:
                self._lock.acquire(timeout=0)
        except Timeout:
            name = self.folder.name
            raise TrackingError(
                f"another process sends search {name!r} to MLflow; wait until it ends"
            ) from None

    def _experiment_id(self) -> str:
        """The experiment tagged with the search, whatever its name is by now; made if there is none."""
        client = self.store.client
        known = client.search_experiments(filter_string=f"tags.`{SEARCH_ID}` = '{self.search.search_id}'")
        if known:
            return str(known[0].experiment_id)
        names = experiment_names(self.search)
        name = next((each for each in names if client.get_experiment_by_name(each) is None), None)
        if name is None:
            taken = ", ".join(names)
            raise TrackingError(f"experiments {taken} exist already or were deleted; restore or purge one")
        location = f"{self.store.artifacts}/{name}" if self.store.artifacts else None
        return str(client.create_experiment(name, location, search_tags(self.search) | view_tags()))

    def _existing_runs(self, experiment_id: str) -> tuple[dict[str, str], dict[str, str]]:
        """Ids and statuses of all runs of the search, deleted ones too, by key."""
        from mlflow.entities import ViewType

        wanted = f"tags.`{SEARCH_ID}` = '{self.search.search_id}'"
        runs: dict[str, str] = {}
        statuses: dict[str, str] = {}
        token = ""
        while token is not None:
            page = self.store.client.search_runs(
                [experiment_id], wanted, ViewType.ALL, 1000, ["attributes.start_time ASC"], token or None
            )
            for run in page:
                key = run.data.tags.get(TRIAL, PARENT)
                if key in runs and run.info.status == "RUNNING" and run.info.lifecycle_stage == "active":
                    # A server that was given up too early made it after all.
                    self.store.client.set_terminated(run.info.run_id, "KILLED")
                runs.setdefault(key, run.info.run_id)
                statuses.setdefault(key, run.info.status)
            token = page.token
        return runs, statuses

    def _run_id(self, key: str, progress: Progress) -> str:
        """The run of a trial or baseline, made if there is none."""
        if key not in progress.runs:
            born = birth(key, self._record, self.search)
            tags = search_tags(self.search) | {KIND: born.kind, TRIAL: key}
            if key != PARENT:
                tags["mlflow.parentRunId"] = self._run_id(PARENT, progress)
            run = self.store.client.create_run(progress.experiment_id, born.milliseconds, tags, born.name)
            progress.runs[key], self._statuses[key] = run.info.run_id, "RUNNING"
        return progress.runs[key]

    def _send_update(self, run_id: str, update: RunUpdate) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client = self.store.client
        metrics = [Metric(*point) for point in update.points]
        parameters = [Param(name, value) for name, value in update.parameters.items()]
        tags = [RunTag(name, value) for name, value in update.tags.items()]
        parts = zip_longest(
            _sliced(metrics, _METRICS), _sliced(parameters, _PARAMETERS), _sliced(tags, _TAGS)
        )
        for part in parts:
            client.log_batch(run_id, *(entities or [] for entities in part))
        for name, path in update.files.items():
            if path.exists():
                self._send_file(run_id, path, name)
        if update.traceback:
            client.log_text(run_id, update.traceback, TRACEBACK)
        if update.names_dataset:
            client.log_inputs(run_id, [_dataset_input(self.search)])

    def _send_file(self, run_id: str, path: Path, name: str) -> None:
        if path.name == name:
            self.store.client.log_artifact(run_id, str(path))
        else:
            self.store.client.log_text(run_id, path.read_text("utf-8"), name)

    def _set_statuses(self, progress: Progress) -> None:
        """Give every run that MLflow has in another state the one that the journal says."""
        for key, wanted in standings(self._record, self.alive).items():
            if key not in progress.runs or self._statuses.get(key) == wanted.status:
                continue
            with self._refusable(key):
                if wanted.milliseconds is None:
                    self.store.client.update_run(progress.runs[key], wanted.status)
                else:
                    self.store.client.set_terminated(progress.runs[key], wanted.status, wanted.milliseconds)
            self._statuses[key] = wanted.status

    @contextmanager
    def _refusable(self, key: str) -> Iterator[None]:
        """Let the other runs go on when MLflow refuses to change this one, or its files."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            self.refusals[key] = reason(error)
        except (PermissionError, ImportError) as error:
            # The artifacts' place is closed to this machine: a server's own folder, a bucket without library.
            self.refusals[key] = reason(error)


def sync(store: Store, folder: SearchFolder, search: TrackedSearch, alive: bool = True) -> Sent:
    """Send everything of a search's journal that MLflow does not have yet, and set its runs right.

    Args:
        store: Where to.
        folder: Of the search.
        search: What holds for all runs.
        alive: Whether a process may work on the search.

    Raises:
        TrackingError: If the store cannot be reached, or the process that runs the search is sending.
    """
    sender = Sender(store, folder, search, alive)
    with told(store.uri, f"start it or correct --tracking-uri, then run `semtune sync {folder.name}`"):
        try:
            sent = sum(iter(sender.send, 0))
        finally:
            sender.close()
    return Sent(sent, tuple(f"{key or 'search'}: {why}" for key, why in sender.refusals.items()))


def _sliced(entities: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [entities[start : start + size] for start in range(0, len(entities), size)]


def _dataset_input(search: TrackedSearch) -> DatasetInput:
    """The dataset as MLflow lists it; MLflow cuts digests at 36 characters, the whole one is a tag."""
    from mlflow.entities import Dataset, InputTag
    from mlflow.entities import DatasetInput as Input

    source, profile = {"uri": search.dataset_folder}, dict(search.dataset_profile)
    name, digest = search.dataset_name, search.dataset_digest[:32]
    dataset = Dataset(name, digest, "local", json.dumps(source), None, json.dumps(profile))
    return Input(dataset, [InputTag("mlflow.data.context", "training")])
