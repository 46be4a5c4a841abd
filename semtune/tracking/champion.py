"""The champion in MLflow's model registry: versions of one registered model, and the alias that moves.

The order of promotions is kept as a tag of the registered model, a list of versions to which each
promotion adds `version` and each rollback `-version` of the one it went back to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from semtune.errors import TrackingError
from semtune.files import written_whole
from semtune.tracking.layout import WEIGHTS
from semtune.tracking.store import Store, told

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature

REGISTERED_MODEL = "semtune-scorer"
ALIAS = "champion"
_FOLDER = "scorer"  # of the model among its run's artifacts
_HISTORY = "semtune.promotions"
_HISTORY_LIMIT = 5000  # characters that MLflow takes
_REMEDY = "start it or correct --tracking-uri, then try again"


@dataclass(frozen=True)
class ChampionFacts:
    """What is written on a promoted version."""

    search: str
    trial: str
    architecture: str
    dataset_digest: str
    test_rmse: float
    """Score points; lower is better."""
    reason: str
    """The sentence that explains the promotion."""
    version: str
    """Of semtune."""
    forced: str = ""
    """Why the rule was overruled; empty if it was not."""
    test_uses: int = 0
    """Networks that had met test frames of this dataset by then."""
    dataset_origin: str = ""
    """`simulated` or `measured`."""


@dataclass(frozen=True)
class ChampionVersion:
    """A version of the registered model."""

    version: int
    run_id: str
    tags: Mapping[str, str]
    """Facts of its promotion: `semtune.search`, `semtune.trial`, `semtune.architecture`, ..."""


def register_champion(store: Store, run_id: str, weights: Path, facts: ChampionFacts) -> int:
    """Save a finalist's scorer as a model of its run, register it and make it the champion.

    Args:
        store: Where the run is.
        run_id: The finalist's run.
        weights: Its `weights.safetensors`.
        facts: Written on the version as tags.

    Returns:
        The number of the new version.

    Raises:
        TrackingError: If the store cannot be used or does not know the run.
    """
    with told(store.uri, _REMEDY):
        source = _upload_model(store, run_id, weights)
        _ensure_registered_model(store)
        made = store.client.create_model_version(
            REGISTERED_MODEL, source, run_id, _tags(facts), description=facts.reason
        )
    version = int(made.version)
    set_champion(store, version)
    return version


def champion(store: Store) -> ChampionVersion | None:
    """The version with the alias; None while there is none.

    Raises:
        TrackingError: If the store cannot be used.
    """
    from mlflow.exceptions import MlflowException

    with told(store.uri, _REMEDY):
        try:
            found = store.client.get_model_version_by_alias(REGISTERED_MODEL, ALIAS)
        except MlflowException as error:
            if _absent(error):
                return None
            raise
    return _champion_version(found)


def set_champion(store: Store, version: int) -> None:
    """Give a version the alias, and add that to the history.

    Raises:
        TrackingError: If there is no such version or the store cannot be used.
    """
    _existing(store, version)
    with told(store.uri, _REMEDY):
        # First the history: should the alias not follow, a rollback passes over what is the champion already.
        _write_history(store, [*_history(store), version])
        store.client.set_registered_model_alias(REGISTERED_MODEL, ALIAS, str(version))


def rollback(store: Store) -> tuple[int, int]:
    """Give the alias back to the version that had it before; a second time to the one before that.

    Returns:
        The version that was the champion, and the one that is now.

    Raises:
        TrackingError: If there is no champion, no earlier one that still exists, or no usable store.
    """
    now = champion(store)
    if now is None:
        raise TrackingError("there is no champion to roll back; promote a trial first")
    with told(store.uri, _REMEDY):
        history = _history(store)
    earlier = earlier_champions(history, now.version)
    back = next((version for version in earlier if _version(store, version) is not None), None)
    if back is None:
        raise TrackingError(
            f"no version was champion before version {now.version}; promote another trial instead"
        )
    with told(store.uri, _REMEDY):
        _write_history(store, [*history, -back])
        store.client.set_registered_model_alias(REGISTERED_MODEL, ALIAS, str(back))
    return now.version, back


def earlier_champions(history: list[int], now: int) -> list[int]:
    """Champions before the present one, latest first.

    Args:
        history: `version` for a promotion, `-version` for a rollback to it, in order of time.
        now: The present champion. Promotions behind its own that the alias did not follow do not count.
    """
    stack: list[int] = []
    for entry in history:
        if entry < 0 and -entry in stack:
            stack = _up_to(stack, -entry)
        elif entry > 0 and stack[-1:] != [entry]:
            stack.append(entry)
    before = _up_to(stack, now)[:-1] if now in stack else stack
    return before[::-1]


def download_weights(store: Store, version: int, folder: Path) -> Path:
    """The weights of a version as a file on this machine; downloaded once.

    Args:
        store: Where the version is registered.
        version: Its number.
        folder: Where downloads are kept, each under the id of its run: numbers repeat from store to store.

    Raises:
        TrackingError: If there is no such version or its artifacts are gone.
    """
    run_id = _existing(store, version).run_id
    kept = folder / run_id / WEIGHTS
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with told(store.uri, _REMEDY), TemporaryDirectory(dir=kept.parent) as beside:
        path = store.client.download_artifacts(run_id, f"{_FOLDER}/{WEIGHTS}", beside)
        with written_whole(kept) as whole:
            Path(path).replace(whole)
    return kept


def _up_to(stack: list[int], version: int) -> list[int]:
    """The stack with the last occurrence of a version on top."""
    return stack[: len(stack) - stack[::-1].index(version)]


def _upload_model(store: Store, run_id: str, weights: Path) -> str:
    """Put an MLflow model (weights, name of the loader) among a run's artifacts; returns its URI."""
    from mlflow import pyfunc
    from mlflow.models import Model

    run = store.client.get_run(run_id)
    # Not `pyfunc.save_model`: it wants an example to run the network on, and guesses at requirements.
    model = Model(run_id=run_id, signature=_signature())
    pyfunc.add_to_model(model, loader_module="semtune.tracking.serving", data=WEIGHTS)
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "MLmodel")
        store.client.log_artifact(run_id, str(Path(folder) / "MLmodel"), _FOLDER)
    store.client.log_artifact(run_id, str(weights), _FOLDER)
    return f"{run.info.artifact_uri}/{_FOLDER}"


def _signature() -> ModelSignature:
    from mlflow import models
    from mlflow.types import Schema, TensorSpec

    frame = TensorSpec(np.dtype(np.uint8), (-1, -1), "frame")
    controls = TensorSpec(np.dtype(np.float64), (-1,), "controls")
    return models.ModelSignature(Schema([frame, controls]), Schema([TensorSpec(np.dtype(np.float64), (-1,))]))


def _ensure_registered_model(store: Store) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(
            REGISTERED_MODEL, description="Scores the quality of SEM frames."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _existing(store: Store, version: int) -> ChampionVersion:
    found = _version(store, version)
    if found is None:
        raise TrackingError(
            f"there is no version {version} of {REGISTERED_MODEL}; see the versions on MLflow's page"
        )
    return found


def _version(store: Store, version: int) -> ChampionVersion | None:
    from mlflow.exceptions import MlflowException

    with told(store.uri, _REMEDY):
        try:
            return _champion_version(store.client.get_model_version(REGISTERED_MODEL, str(version)))
        except MlflowException as error:
            if _absent(error):
                return None
            raise


def _champion_version(found: ModelVersion) -> ChampionVersion:
    return ChampionVersion(int(found.version), found.run_id, dict(found.tags))


def _absent(error: MlflowException) -> bool:
    """Whether the store answered that there is no such model, version or alias."""
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _history(store: Store) -> list[int]:
    tags = store.client.get_registered_model(REGISTERED_MODEL).tags
    history: list[int] = json.loads(tags.get(_HISTORY, "[]"))
    return history


def _write_history(store: Store, history: list[int]) -> None:
    text = json.dumps(history, separators=(",", ":"))
    while len(text) > _HISTORY_LIMIT:
        history = history[len(history) // 2 :]
        text = json.dumps(history, separators=(",", ":"))
    store.client.set_registered_model_tag(REGISTERED_MODEL, _HISTORY, text)


def _tags(facts: ChampionFacts) -> dict[str, str]:
    values = {**vars(facts), "promoted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    return {f"semtune.{name}": str(value) for name, value in values.items() if value != ""}
