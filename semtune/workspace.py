"""Where everything of a user lies: one folder, and the names in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from semtune.errors import SearchError

CHECKPOINT, WEIGHTS, PREDICTIONS = "checkpoint.safetensors", "weights.safetensors", "predictions.csv"
"""Files in the folder of a trial."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class SearchFolder:
    """The files of one search."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the search."""
        return self.path.name

    @property
    def plan(self) -> Path:
        """What was asked for: data, space, settings, split."""
        return self.path / "search.json"

    @property
    def journal(self) -> Path:
        """What has happened."""
        return self.path / "journal.jsonl"

    @property
    def stop(self) -> Path:
        """What `semtune stop` asks of the process that works on the search."""
        return self.path / "stop"

    @property
    def study(self) -> Path:
        """Optuna's study; optuna-dashboard opens it."""
        return self.path / "study.log"

    @property
    def samples(self) -> Path:
        """The samples and their split, for workers."""
        return self.path / "samples.npz"

    @property
    def start(self) -> Path:
        """Weights that trials start from, where the search was told to start from some."""
        return self.path / "start.safetensors"

    @property
    def trials(self) -> Path:
        """A folder a trial: checkpoint, weights, predictions."""
        return self.path / "trials"

    @property
    def focus_figure(self) -> Path:
        """What `semtune focus` drew last, for the report; the caption lies beside it as .txt."""
        return self.path / "focus.svg"

    @property
    def report(self) -> Path:
        """What `semtune report` wrote last as a page and as figures; MLflow gets it."""
        return self.path / "report"

    @property
    def baselines(self) -> Path:
        """Predictions of the baselines."""
        return self.path / "baselines"

    @property
    def tracked(self) -> Path:
        """How far the journal has been sent to MLflow, and the run of each trial there."""
        return self.path / "tracked.json"


@dataclass(frozen=True)
class Workspace:
    """A folder that holds everything semtune writes.

    Args:
        path: Absolute, because Ray and MLflow change the working directory.
    """

    path: Path

    @property
    def frames(self) -> Path:
        """Decoded frames by dataset digest."""
        return self.path / "frames"

    @property
    def database(self) -> Path:
        """MLflow's embedded store."""
        return self.path / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts where the store is embedded."""
        return self.path / "mlartifacts"

    @property
    def probes(self) -> Path:
        """What was measured of trials that share a GPU; all searches read it."""
        return self.path / "probes.json"

    @property
    def champions(self) -> Path:
        """Weights of promoted versions, downloaded once."""
        return self.path / "champions"

    @property
    def searches(self) -> Path:
        """A folder a search."""
        return self.path / "searches"

    def search(self, name: str) -> SearchFolder:
        """The files of a search, existing or not.

        Raises:
            SearchError: If the name is no plain name.
        """
        if not _NAME.fullmatch(name):
            raise SearchError(f"{name!r} cannot name a search; use letters, digits, '.', '_' and '-'")
        return SearchFolder(self.searches / name)

    def existing(self, name: str) -> SearchFolder:
        """The files of a search.

        Raises:
            SearchError: If there is no such search in this workspace.
        """
        folder = self.search(name)
        if not folder.plan.exists():
            known = ", ".join(each.name for each in self.all()) or "none yet"
            raise SearchError(f"no search named {name!r} in {self.path}; there are: {known}")
        return folder

    def all(self) -> list[SearchFolder]:
        """All searches, oldest first."""
        plans = sorted(self.searches.glob("*/search.json"), key=lambda path: path.stat().st_mtime)
        return [SearchFolder(plan.parent) for plan in plans]


def workspace_at(path: str | Path) -> Workspace:
    """The workspace in a folder that a user named."""
    return Workspace(Path(path).expanduser().resolve())
