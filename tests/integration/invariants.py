"""What holds after any death, once the search has been taken up again and has come to its end."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from place import AGENTS, until
from small_workspace import BASELINES

from semtune.journal import FAILURES, read_events, read_record
from semtune.tracking.layout import standings
from semtune.tracking.progress import unsent
from semtune.tracking.store import open_store
from semtune.training.checkpoint import read_facts

STATES = {"epochs": "COMPLETE", "asha": "PRUNED", "budget": "PRUNED", "stopped": "PRUNED"} | dict.fromkeys(
    FAILURES, "FAIL"
)


@dataclass(frozen=True)
class Tally:
    """What was counted while everything was looked at; all but the first two must be 0."""

    trials: int
    finished: int
    lost: int
    doubled: int
    zombies: int
    leaked: int


def whole_lines(path):
    """The journal up to its last whole line: what nothing may ever change."""
    text = path.read_bytes() if path.exists() else b""
    return text[: text.rfind(b"\n") + 1]


def check_all(place, name, before=b"", finished=True, store=None):
    """Look at journal, study, files, MLflow and processes of a search that no process works on.

    Args:
        place: Where the search was run.
        name: Of the search.
        before: What `whole_lines` gave before the last death.
        finished: Whether the search has come to its end.
        store: MLflow's, by default the one in the workspace.
    """
    folder = place.workspace.search(name)
    assert whole_lines(folder.journal).startswith(before)
    record, events = _journal_is_whole(folder)
    doubled = _no_trial_ran_twice(record, events)
    if finished:
        _everything_has_ended(record)
        _study_agrees(folder, record)
    _files_are_whole(folder)
    zombies = _mlflow_tells_the_truth(store or open_store(place.workspace), folder, record)
    until(lambda: not place.processes(but=AGENTS), 30)
    ended = [trial for trial in record.trials.values() if trial.reason not in (None, "interrupted")]
    lost = len(record.trials) - len(ended) if finished else 0
    return Tally(len(record.trials), len(ended), lost, doubled, zombies, len(place.processes(but=AGENTS)))


def _journal_is_whole(folder):
    """Every line is an event; none was cut or grown into the next one."""
    lines = whole_lines(folder.journal).splitlines()
    events = [event for event, _ in read_events(folder.journal)]
    assert len(events) == len(lines)
    return read_record(folder.journal), events


def _no_trial_ran_twice(record, events):
    counted = Counter((event.event, getattr(event, "trial", None)) for event in events)
    for trial in record.trials:
        assert counted["trial_started", trial] == 1, trial
        assert counted["trial_tested", trial] <= 1, trial
        assert counted["trial_timed", trial] <= 1, trial
    told = Counter((e.trial, e.result.epoch) for e in events if e.event == "epoch_done")
    assert {key: n for key, n in told.items() if n > 1} == {}
    over = set()
    for event in events:
        if event.event == "epoch_done":
            assert event.trial not in over, f"{event.trial} trained on after its end"
        elif event.event == "trial_ended" and event.reason == "epochs":
            over.add(event.trial)
    for trial in record.trials.values():
        assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1)), trial.name
    return sum(number > 1 for (event, _), number in counted.items() if event == "trial_started")


def _everything_has_ended(record):
    assert record.closed.state == "finished"
    for trial in record.trials.values():
        assert trial.reason in STATES, (trial.name, trial.reason)
        whole = int(trial.started.hyperparameters["epochs"])
        assert trial.reason != "epochs" or len(trial.epochs) == whole, trial.name
    assert any(trial.tested and trial.timed for trial in record.trials.values())
    assert set(record.baselines) == set(BASELINES)
    assert record.pending == []


def _study_agrees(folder, record):
    storage = JournalStorage(JournalFileBackend(str(folder.study)))
    names = optuna.get_all_study_names(storage)
    told = [trial for name in names for trial in optuna.load_study(study_name=name, storage=storage).trials]
    states = {trial.user_attrs.get("semtune_trial"): trial.state.name for trial in told}
    for trial in record.trials.values():
        if trial.started.reseeds:  # no sampler proposed it
            assert trial.name not in states
            continue
        # A finalist can fail after the study was told that it was whole.
        assert states[trial.name] in (STATES[trial.reason], "COMPLETE" if trial.tested else None), trial.name


def _files_are_whole(folder):
    for path in folder.path.rglob("*"):
        if path.name.startswith("."):
            continue  # a draft has another name until it is whole
        if path.suffix == ".safetensors":
            read_facts(path)
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                header, *rows = csv.reader(file)
            assert rows, path
            assert {len(row) for row in rows} == {len(header)}, path


def _mlflow_tells_the_truth(store, folder, record):
    """A run a trial and a baseline, each once, none running, with one point an epoch."""
    assert unsent(folder) == 0
    wanted = f"tags.`semtune.search` = '{folder.name}'"
    [experiment] = store.client.search_experiments(filter_string=wanted)
    runs = store.client.search_runs([experiment.experiment_id], max_results=1000)
    by_key = {run.data.tags["semtune.trial"]: run for run in runs}
    assert len(by_key) == len(runs)
    assert set(by_key) == {"", *record.trials, *record.baselines}
    expected = {key: standing.status for key, standing in standings(record, alive=False).items()}
    assert {key: run.info.status for key, run in by_key.items()} == expected
    for name, trial in record.trials.items():
        points = store.client.get_metric_history(by_key[name].info.run_id, "training_rmse")
        assert [point.step for point in points] == [epoch.epoch for epoch in trial.epochs], name
        assert by_key[name].data.tags.get("semtune.stop_reason") == trial.reason
        artifacts = {file.path for file in store.client.list_artifacts(by_key[name].info.run_id)}
        assert not trial.failed or "traceback.txt" in artifacts
    return sum(run.info.status == "RUNNING" for run in runs)
