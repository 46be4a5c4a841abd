"""semtune in a notebook: run a search, look at it as pandas frames, score with the champion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semtune.environment import quiet_environment
from semtune.errors import ConfigError
from semtune.workspace import Workspace, workspace_at

if TYPE_CHECKING:
    import pandas as pd

    from semtune.images import Frame
    from semtune.journal import Event
    from semtune.report import ComparisonTable
    from semtune.scoring import Scorer

WORKSPACE = Path("semtune-workspace")


@dataclass(frozen=True)
class Search:
    """A search of a workspace, to be looked at. It is read anew each time, so that a running one moves."""

    name: str
    workspace: Path
    """Folder of the workspace."""

    @property
    def state(self) -> str:
        """`running`, `interrupted`, `finished` or `failed`."""
        from semtune.hold import state_of
        from semtune.journal import read_record

        folder = Workspace(self.workspace).existing(self.name)
        return state_of(folder, read_record(folder.journal))

    def trials(self) -> pd.DataFrame:
        """A row a trial, by name: why it ended, epochs, validation RMSE (score points), hyperparameters."""
        rows = [
            {
                "trial": trial.name,
                "stratum": trial.started.stratum,
                "reason": trial.reason or "running",
                "epochs_trained": len(trial.epochs),
                "validation_rmse": trial.validation_rmse,
                "test_rmse": trial.tested.figures["test_rmse"] if trial.tested else None,
                **trial.started.hyperparameters,
            }
            for trial in self._record().trials.values()
        ]
        return _frame(rows, "trial")

    def epochs(self) -> pd.DataFrame:
        """A row an epoch, by trial and epoch: training and validation RMSE (score points), seconds."""
        rows = [
            {"trial": trial.name, **asdict(epoch)}
            for trial in self._record().trials.values()
            for epoch in trial.epochs
        ]
        return _frame(rows, "trial", "epoch")

    def table(self) -> pd.DataFrame:
        """Table 1 of the search, a row a scorer, by name; RMSE in score points, lower is better."""
        table = self._table()
        rows = [
            {**asdict(row), **row.details, "letters": table.letters.get(row.trial or row.name)}
            for row in table.rows
        ]
        return _frame(rows, "name").drop(columns="details", errors="ignore")

    def predictions(self) -> pd.DataFrame:
        """Scores of the test frames, a row a frame: field, reference score, then a column a scorer."""
        import pandas as pd

        columns: dict[str, Any] = {}
        for name, each in self._table().predictions.items():
            columns |= {"field": each.fields, "reference_score": each.reference_score}
            columns[name] = each.predicted_score
            index = pd.Index(each.frames, name="frame")
        return pd.DataFrame(columns, index=index) if columns else pd.DataFrame()

    def _record(self) -> Any:  # noqa: ANN401 - a SearchRecord, whose module loads pydantic
        from semtune.journal import read_record

        return read_record(Workspace(self.workspace).existing(self.name).journal)

    def _table(self) -> ComparisonTable:
        from semtune import workflow

        return workflow.report(Workspace(self.workspace), self.name)


@dataclass(frozen=True)
class Champion:
    """The scorer with the alias `champion`."""

    version: int
    """In the model registry."""
    scorer: Scorer

    def score(self, frame: Frame, controls: Mapping[str, float] | None = None) -> float:
        """Score one frame.

        Args:
            frame: Grey levels without data bar, shape (height, width), uint8 or uint16.
            controls: Known control parameters by name, in the units of the training data, such as
                `{"brightness": 50, "contrast": 45}`; others count as missing.

        Returns:
            Score points; higher is better.

        Raises:
            ConfigError: If a control parameter is unknown.
            DatasetError: If the frame is smaller than the crops that the network was trained on.
        """
        return self.scorer.score(frame, controls)


def run_search(
    data: str | Path,
    name: str,
    space: str | Path = "table1",
    *,
    workspace: str | Path = WORKSPACE,
    trials: int | None = None,
    epochs: int | None = None,
    crop: int | None = None,
    seeds: int | None = None,
    seed: int | None = None,
    concurrent: int | None = None,
    minutes: float | None = None,
    tracking_uri: str | None = None,
    observe: Callable[[Event], None] | None = None,
) -> Search:
    """Run a search to its end, as `semtune search` does; a name that is known goes on where it stands.

    Args:
        data: Folder of the dataset.
        name: Of the search.
        space: A YAML file, or `table1`, `quick` or `full`.
        workspace: Folder that holds everything.
        trials: All architectures together; by default the space's, as all that follow.
        epochs: Of every architecture.
        crop: Side of the crops, pixels, 64 to 480.
        seeds: Fresh seeds that the best of each architecture is trained with.
        seed: Of split, sampler and trials.
        concurrent: Trials at the same time; by default as many as fit.
        minutes: Time for the trials; finals come after it.
        tracking_uri: MLflow server; by default a database in the workspace.
        observe: Called with each event of the journal.

    Returns:
        The search; `state` tells whether it finished.

    Raises:
        ConfigError: If the space is wrong, or a known search was asked for with other data, crop or seed.
        DatasetError: If the dataset is.
        SearchError: If the search cannot go on.
    """
    quiet_environment()
    from semtune import workflow
    from semtune.changes import Changes
    from semtune.planning import SearchRequest, read_plan
    from semtune.search.driver import Resources

    place = workspace_at(workspace)
    watch = observe or (lambda event: None)
    seconds = None if minutes is None else 60 * minutes
    conditions = workflow.Conditions(Resources(concurrent), seconds, tracking_uri)
    if place.search(name).plan.exists():
        known = read_plan(place.search(name).plan).dataset_folder
        if crop is not None or seed is not None or known != str(Path(data).resolve()):
            raise ConfigError(
                f"search {name!r} exists, on {known}; data, crop and seed stay as they are: give another name"
            )
        workflow.resume(place, name, Changes(trials, epochs, seeds=seeds), conditions, watch)
    else:
        settings = {"trials": trials, "seed": seed, "seeds": seeds}
        request = SearchRequest(
            str(space), Path(data), name, hyperparameters={"epochs": epochs, "crop": crop}, settings=settings
        )
        workflow.search(place, request, conditions, watch)
    return Search(name, place.path)


def open_search(name: str, workspace: str | Path = WORKSPACE) -> Search:
    """A search that exists, running or not.

    Raises:
        SearchError: If there is none of that name.
    """
    place = workspace_at(workspace)
    return Search(place.existing(name).name, place.path)


def load_champion(workspace: str | Path = WORKSPACE, tracking_uri: str | None = None) -> Champion:
    """Load the scorer that `semtune promote` made the champion.

    Args:
        workspace: Folder that holds everything.
        tracking_uri: MLflow server; by default a database in the workspace.

    Raises:
        TrackingError: If there is no champion, or its weights are gone.
    """
    quiet_environment()
    from semtune.candidacy import load_champion as load
    from semtune.tracking.store import open_store

    place = workspace_at(workspace)
    return Champion(*load(place, open_store(place, tracking_uri)))


def _frame(rows: list[dict[str, Any]], *index: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows).set_index(list(index)) if rows else pd.DataFrame()
