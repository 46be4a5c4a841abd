"""A search as a finished session leaves it, written by hand: plan, samples, journal, predictions, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.journal import (
    BaselineFitted,
    EpochDone,
    Event,
    Journal,
    SearchClosed,
    SearchOpened,
    TrialEnded,
    TrialStarted,
    TrialTested,
    TrialTimed,
)
from semtune.planning import SearchPlan, SearchRequest, check_request, plan_search, write_plan
from semtune.predictions import write_predictions
from semtune.results import EpochResult, judge
from semtune.training.samples import SampleTable, write_samples
from semtune.workspace import SearchFolder, Workspace

SPACE = "architecture: pacf\nlearning_rate: {log_uniform: [1.0e-4, 1.0e-2]}\ncrop: 64\nepochs: 2\ntrials: 3\n"
BASELINES = {"constant": "constant", "controls": "controls", "joint": "joint"} | dict.fromkeys(
    AUTOFOCUS_FUNCTIONS.names, "autofocus"
)
FINALIST = "trial-0000"


def plan_small_search(workspace: Workspace, data: Path, name: str) -> tuple[SearchFolder, SampleTable]:
    """Plan a search of one architecture and write plan and samples, as before its first session."""
    folder = workspace.search(name)
    folder.path.mkdir(parents=True)
    space = folder.path / "space.yaml"
    space.write_text(SPACE)
    plan, table = plan_search(check_request(SearchRequest(str(space), data, name)), workspace.frames)
    write_samples(table, folder.samples)
    write_plan(plan, folder.plan)
    return folder, table


def write_small_search(
    workspace: Workspace, data: Path, name: str, network_error: float = 0.5, baseline_error: float = 1.5
) -> SearchFolder:
    """Write a finished search: a tested trial, one that ASHA stopped, one that diverged, all baselines.

    Args:
        workspace: Where the search is written.
        data: Folder of a dataset.
        name: Of the search.
        network_error: How far the tested trial is from the reference scores, score points.
        baseline_error: The same of every baseline.
    """
    folder, table = plan_small_search(workspace, data, name)
    append(
        folder,
        SearchOpened(pid=1, host="here", at=100.0),
        *(started(number) for number in range(3)),
        epoch(0, 1, 1.2),
        epoch(1, 1, 1.9),
        TrialEnded(trial="trial-0001", reason="asha", at=103.0),
        TrialEnded(trial="trial-0002", reason="diverged", message="error became NaN", at=104.0),
        epoch(0, 2, 0.6),
        TrialEnded(trial=FINALIST, reason="epochs", at=105.0),
        tested(folder, table, network_error),
        TrialTimed(trial=FINALIST, figures=_times(4.0), device="Some CPU, float32", at=107.0),
        *(fitted(folder, table, baseline, baseline_error) for baseline in BASELINES),
        SearchClosed(state="finished", at=110.0),
    )
    return folder


def append(folder: SearchFolder, *events: Event) -> None:
    """Append events to the journal of a search."""
    journal = Journal(folder.journal)
    for event in events:
        journal.append(event)
    journal.close()


def started(number: int) -> TrialStarted:
    """The start of a trial of PACF."""
    settings = {"architecture": "pacf", "learning_rate": 1.5e-4, "epochs": 2, "crop": 64, "dropout": None}
    return TrialStarted(trial=f"trial-{number:04d}", stratum="", hyperparameters=settings, seed=7, at=101.0)


def epoch(trial: int, number: int, rmse: float) -> EpochDone:
    """An epoch of 10 frames."""
    return EpochDone(
        trial=f"trial-{trial:04d}", result=EpochResult(number, rmse, rmse, 10, 0.5), at=101.0 + number
    )


def tested(folder: SearchFolder, table: SampleTable, error: float) -> TrialTested:
    """The finalist's meeting with the test frames, its predictions written."""
    (folder.trials / FINALIST).mkdir(parents=True)
    figures = _judged(table, error, folder.trials / FINALIST / "predictions.csv")
    return TrialTested(trial=FINALIST, validation_rmse=0.6, figures=figures, at=106.0)


def fitted(folder: SearchFolder, table: SampleTable, name: str, error: float) -> BaselineFitted:
    """A baseline's meeting with the test frames, its predictions written."""
    folder.baselines.mkdir(exist_ok=True)
    figures = _judged(table, error, folder.baselines / f"{name}.csv")
    kind = BASELINES[name]
    return BaselineFitted(
        name=name,
        kind=kind,
        figures={**figures, "validation_rmse": error, **(_times(0.1) if kind == "autofocus" else {})},
        facts={},
        device="Some CPU, uint8",
        at=108.0,
    )


def plan_of(folder: SearchFolder) -> SearchPlan:
    """The plan of a search."""
    return SearchPlan.model_validate_json(folder.plan.read_bytes())


def _judged(table: SampleTable, error: float, path: Path) -> dict[str, float]:
    """Predict the reference scores, now too high and now too low by `error`; returns the test figures."""
    signs = np.where(np.arange(len(table.test)) % 2, 1.0, -1.0)
    predictions = table.predictions(table.test, table.scores[table.test] + error * signs)
    write_predictions(predictions, None, path)
    return judge(predictions)


def _times(milliseconds: float) -> dict[str, float]:
    return {
        "milliseconds_per_image": milliseconds,
        "milliseconds_per_image_batch32": milliseconds / 2,
        "milliseconds_per_image_p95": milliseconds * 2,
    }
