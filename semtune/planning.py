"""What was asked of a search, kept beside its journal so that it can be resumed and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from semtune.errors import SearchError
from semtune.search.space import SearchSpace, Value, parse_space


class SearchPlan(BaseModel):
    """Everything that fixes a search, dataset facts included.

    Attributes:
        search_id: Never reused, unlike a name.
        space_text: The YAML as given.
        hyperparameters: Values that the command line put in place of the space's.
        settings: Settings that the command line put in place of the space's.
        dataset_folder: Where the frames were read.
        split: Names of the fields of each part.
        versions: Of the packages that computed it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search_id: str
    name: str
    created: float
    space_name: str
    space_text: str
    hyperparameters: dict[str, str | int | float | None]
    settings: dict[str, Any]
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    dataset_name: str
    dataset_folder: str
    dataset_digest: str
    dataset_origin: Literal["simulated", "measured"]
    score_range: tuple[float, float]
    rater_noise: float | None
    control_parameters: tuple[str, ...]
    frames: int
    fields: int
    split_seed: int
    split: dict[str, list[str]]
    versions: dict[str, str]

    def space(self) -> SearchSpace:
        """Rebuild the search space with what the command line changed."""
        overrides: dict[str, Value] = dict(self.hyperparameters)
        return parse_space(self.space_text, f"{self.space_name}.yaml", self.space_name).overridden(overrides, self.settings)


def write_plan(plan: SearchPlan, path: Path) -> None:
    """Write a plan beside and rename."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(plan.model_dump_json(indent=1), "utf-8")
    beside.replace(path)


def read_plan(path: Path) -> SearchPlan:
    """Read a plan.

    Raises:
        SearchError: If it is damaged.
    """
    try:
        return SearchPlan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SearchError(f"{path}: not a search's plan ({str(error).splitlines()[0]})") from None
