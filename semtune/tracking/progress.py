"""How far a search's journal has been sent to MLflow, and the run of each trial there."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from semtune.files import written_whole
from semtune.journal import read_events
from semtune.workspace import SearchFolder


class Progress(BaseModel):
    """What `tracked.json` holds. If it is lost, the journal is sent again, which adds nothing."""

    position: int = 0
    """Bytes of the journal that MLflow has."""
    experiment_id: str = ""
    report: int = 0
    """When the report that MLflow has was written, in nanoseconds since 1970; 0 for none."""
    runs: dict[str, str] = Field(default_factory=dict)
    """MLflow's run ids by name of the trial or baseline; the parent run under the empty name."""


def read_progress(path: Path) -> Progress:
    """Read the progress; nothing sent if the file is missing or damaged."""
    try:
        return Progress.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Progress()


def write_progress(progress: Progress, path: Path) -> None:
    """Write the progress, whole or not at all."""
    with written_whole(path) as beside:
        beside.write_text(progress.model_dump_json(), "utf-8")


def unsent(folder: SearchFolder) -> int:
    """Number of journal events that MLflow does not have yet."""
    return sum(1 for _ in read_events(folder.journal, read_progress(folder.tracked).position))


def run_ids(folder: SearchFolder) -> dict[str, str]:
    """MLflow's run ids by name of the trial or baseline, as far as they have been sent."""
    return read_progress(folder.tracked).runs
