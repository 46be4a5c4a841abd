"""What is asked of a search: checked before it starts, kept beside its journal for all that comes later."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from semtune.config import Compilation, Precision, SplitKind
from semtune.dataset import Dataset
from semtune.dataset.across import copies_across
from semtune.dataset.frames import FrameStore, decode_frames, holds_frames
from semtune.dataset.manifest import read_dataset
from semtune.dataset.split import SPLITS, split_fields
from semtune.errors import ConfigError, DatasetError, SearchError, words_of
from semtune.files import written_whole
from semtune.provenance import commit_here, versions_here
from semtune.registry import nearest_name
from semtune.search.line import Value
from semtune.search.space import SearchSpace, parse_space, read_space
from semtune.spaces import shipped_spaces
from semtune.start import Start, StartedFrom
from semtune.timing import describe_processor
from semtune.training.samples import SampleTable, tabulate

CHANGEABLE = ("trials", "epochs", "max_failures", "seeds", "gpu_hours", "cost_per_gpu_hour")
"""What a later session may change."""


@dataclass(frozen=True)
class SearchRequest:
    """What the command line asks of a new search; what it leaves out is up to the search space."""

    space: str
    """A file, or the name of a shipped space."""
    data: Path
    name: str
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision = "auto"
    compilation: Compilation = "auto"
    leave_out_faulty: bool = False
    start: str | None = None
    """Whose weights to start from: `champion`, or a trial as `NAME/trial-0003`."""
    split: SplitKind = "field"
    storage: str | None = None
    """Where workers of other machines find frames and leave files: a shared folder, `s3://` or `gs://`."""


class SearchPlan(BaseModel):
    """Everything that fixes a search, dataset facts included.

    Attributes:
        search_id: Never reused, unlike a name.
        space_text: The YAML as given.
        hyperparameters: Values that the command line put in place of the space's.
        settings: Settings that the command line put in place of the space's.
        dataset_folder: Where the frames were read.
        left_out_faulty: Whether frames with faults were left out.
        split: Names of the fields of each part.
        split_kind: `random` cuts fields, for comparison: it leaks.
        near_copies: Pairs of fields on two sides of the split that look as if they showed one place.
        versions: Of the packages that computed it.
        commit: Of semtune's source, where it runs from a checkout.
        hardware: Processor and cores of the machine that started the search.
        started_from: What trials of one architecture start from in place of the seed's weights.
        storage: Where workers find frames and leave files; None where they share the workspace.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search_id: str
    name: str
    created: float
    space_name: str
    space_text: str
    hyperparameters: dict[str, str | int | float | None]
    settings: dict[str, Any]
    precision: Precision = "auto"
    compilation: Compilation = "auto"
    dataset_name: str
    dataset_folder: str
    dataset_digest: str
    left_out_faulty: bool = False
    dataset_origin: Literal["simulated", "measured"]
    score_range: tuple[float, float]
    rater_noise: float | None
    control_parameters: tuple[str, ...]
    frames: int
    fields: int
    split_seed: int
    split: dict[str, list[str]]
    split_kind: SplitKind = "field"
    near_copies: tuple[str, ...] = ()
    versions: dict[str, str]
    commit: str | None = None
    hardware: str | None = None
    started_from: StartedFrom | None = None
    storage: str | None = None

    def starts(self, architecture: str) -> bool:
        """Whether trials of an architecture start from weights that were given."""
        return self.started_from is not None and self.started_from.architecture == architecture

    def space(self) -> SearchSpace:
        """Rebuild the search space with what the command line changed."""
        overrides: dict[str, Value] = dict(self.hyperparameters)
        return parse_space(self.space_text, f"{self.space_name}.yaml", self.space_name).overridden(
            overrides, self.settings
        )


@dataclass(frozen=True)
class CheckedRequest:
    """A request with its search space and dataset, both read and found sound."""

    request: SearchRequest
    space: SearchSpace
    dataset: Dataset
    start: Start | None = None


def check_request(request: SearchRequest, start: Start | None = None) -> CheckedRequest:
    """Read what a request names: all that can be refused before the frames are decoded.

    Args:
        request: What is asked.
        start: The weights that it asks to start from.

    Raises:
        ConfigError: If the search space is wrong, with file and line, or the weights fit no network.
        DatasetError: If the dataset is, with the way to leave faulty frames out.
    """
    space = read_space(find_space(request.space)).overridden(request.hyperparameters, request.settings)
    with _remedy_told(request):
        dataset = read_dataset(request.data, request.leave_out_faulty)
    if start:
        start.check(space.architectures, dataset.description.control_parameters)
    return CheckedRequest(request, space, dataset, start)


def plan_search(checked: CheckedRequest, cache_folder: Path) -> tuple[SearchPlan, SampleTable]:
    """Plan a search; writes nothing but decoded frames.

    Args:
        checked: What is asked.
        cache_folder: Where decoded frames are kept.

    Returns:
        The plan, and the samples with their split.

    Raises:
        DatasetError: If a frame cannot be decoded, is smaller than the crops, or stands under two fields.
        ConfigError: If the weights to start from have seen all frames that could judge them.
    """
    request, space, dataset = checked.request, checked.space, checked.dataset
    with _remedy_told(request):
        store = decode_frames(dataset, cache_folder)
    start, split = checked.start, SPLITS[request.split](dataset, space.settings.seed)
    if start:
        start, split = start.kept_apart(dataset, store, split)
    _check_sizes(store, space, dataset)
    description = dataset.description
    plan = SearchPlan(
        search_id=uuid4().hex,
        name=request.name,
        created=time.time(),
        space_name=space.name,
        space_text=space.text,
        hyperparameters=dict(request.hyperparameters),
        settings=dict(request.settings),
        precision=request.precision,
        compilation=request.compilation,
        dataset_name=description.name or request.data.resolve().name,
        dataset_folder=str(request.data.resolve()),
        dataset_digest=dataset.digest,
        left_out_faulty=request.leave_out_faulty,
        dataset_origin=description.origin,
        score_range=description.score_range,
        rater_noise=description.rater_noise,
        control_parameters=description.control_parameters,
        frames=len(dataset.samples),
        fields=len({sample.field for sample in dataset.samples}),
        split_seed=space.settings.seed,
        split=split_fields(dataset, split),
        split_kind=request.split,
        near_copies=tuple(copies_across(dataset, store, split, request.split)),
        versions=versions_here(),
        commit=commit_here(),
        hardware=describe_processor(os.cpu_count() or 1),
        started_from=start.origin if start else None,
        storage=request.storage,
    )
    return plan, tabulate(dataset, split, cache_folder)


def ensure_frames(plan: SearchPlan, cache_folder: Path) -> None:
    """Decode the frames of a search again if somebody removed them from the cache.

    Raises:
        DatasetError: If the dataset is gone, or is no longer the one that was searched.
    """
    if holds_frames(cache_folder, plan.dataset_digest):
        return
    dataset = read_dataset(Path(plan.dataset_folder), plan.left_out_faulty)
    if dataset.digest != plan.dataset_digest:
        raise DatasetError(
            f"{plan.dataset_folder}: these are not the frames that {plan.name!r} was searched on (digest "
            f"{dataset.digest[:12]}, then {plan.dataset_digest[:12]}); restore them or start a new search"
        )
    decode_frames(dataset, cache_folder)


def find_space(name: str) -> Path:
    """Find a search space: a file, or one of the shipped ones by name.

    Raises:
        ConfigError: If there is neither.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).exists():
        return Path(name)
    shipped = shipped_spaces()
    stem = Path(name).name.removesuffix(".yaml")
    if stem not in shipped:
        raise ConfigError(
            f"no search space {name!r}: neither a YAML file nor a shipped one; {nearest_name(stem, shipped)}"
        )
    return shipped[stem]


def write_plan(plan: SearchPlan, path: Path) -> None:
    """Write a plan, whole or not at all."""
    with written_whole(path) as beside:
        beside.write_text(plan.model_dump_json(indent=1), "utf-8")


def read_plan(path: Path) -> SearchPlan:
    """Read a plan.

    Raises:
        SearchError: If it is damaged.
    """
    try:
        return SearchPlan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SearchError(f"{path}: not a search's plan ({words_of(error)}); restore the file") from None


@contextmanager
def _remedy_told(request: SearchRequest) -> Iterator[None]:
    """Let a refusal of frames say how to leave the faulty ones out."""
    try:
        yield
    except DatasetError as error:
        if request.leave_out_faulty or not request.data.is_dir():
            raise
        remedy = f"`semtune check {request.data}` names all faults; --leave-out-faulty leaves them out"
        raise DatasetError(f"{str(error).partition('`semtune check')[0].rstrip()}\n{remedy}") from error


def _check_sizes(store: FrameStore, space: SearchSpace, dataset: Dataset) -> None:
    """Refuse frames that are smaller than the largest crop that the space can choose."""
    crop = space.largest("crop")
    small = [index for index in range(len(store)) if min(store.heights[index], store.widths[index]) < crop]
    if small:
        first = dataset.samples[small[0]].image
        raise DatasetError(
            f"{dataset.folder}: {len(small)} frames have a side below the crop of {crop} pixels, "
            f"the first is {first}; choose a smaller --crop"
        )
