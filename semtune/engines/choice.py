"""The race of the engines: which of them scores a frame fastest here, and is exact."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from semtune.engines import ENGINES, Engine
from semtune.engines.native import ScoreCrops, as_trained
from semtune.errors import ConfigError
from semtune.networks.head import ScoreNetwork
from semtune.timing import describe_processor, time_calls

TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-3}
"""Largest difference from the eager float32 score of a crop, as a share of the score range."""
_SECONDS = 0.05  # to time an engine for
_RACE_FRAMES, _RACE_SECONDS = (
    30,
    3.0,
)  # what a race costs at most: eager scores of so many frames, and so long
_LOG = logging.getLogger("semtune")

Numbers = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class EngineTrial:
    """How an engine did in a race."""

    engine: str
    precision: Numbers
    preparation_seconds: float
    milliseconds: float
    """For the crops of one frame."""
    difference: float
    """Largest difference from the eager float32 score of a crop, score points."""
    exact: bool
    """Whether the difference is within the tolerance."""


@dataclass(frozen=True)
class PreparedEngine:
    """An engine that is ready to score the crops of one network."""

    name: str
    precision: Numbers
    score_crops: ScoreCrops


@dataclass(frozen=True)
class Race:
    """The engine that won, and how each did."""

    winner: PreparedEngine
    trials: tuple[EngineTrial, ...]


def choose_engine(
    network: ScoreNetwork, crops: Tensor, controls: Tensor, *, bfloat16: bool, score_span: float
) -> Race:
    """Prepare every engine that can be used here, check it against eager float32 and time it.

    Args:
        network: The trained network.
        crops: Those of one frame, uint8, shape (tiles, 1, size, size), on the network's device.
        controls: Its control parameters, repeated for each crop, shape (tiles, controls).
        bfloat16: Whether bfloat16 may be used: only if the network was validated and tested in it.
        score_span: Highest minus lowest score; the tolerances are shares of it.
    """
    network.eval()
    checked = controls.clone()
    checked[1::2] = torch.nan
    expected = as_trained(network, crops, bfloat16=False)(crops, checked)
    winner = _prepare(ENGINES["eager"], network, crops, bfloat16=False)  # though no engine gave a number
    trials: list[EngineTrial] = []
    for engine, low in _contestants(crops.device.type, bfloat16):
        try:
            start = time.perf_counter()
            prepared = _prepare(engine, network, crops, low)
            difference = _difference(prepared.score_crops(crops, checked), expected)
            took = time.perf_counter() - start
            milliseconds = _milliseconds(prepared, crops, controls)
        except Exception as error:  # whatever a library cannot do with this network
            _LOG.warning("engine %s left out: %s", engine.name, str(error).partition("\n")[0])
            continue
        exact = difference <= TOLERANCE[prepared.precision] * score_span
        if exact and all(milliseconds < rival.milliseconds for rival in trials if rival.exact):
            winner = prepared
        trials.append(EngineTrial(engine.name, prepared.precision, took, milliseconds, difference, exact))
    return Race(winner, tuple(trials))


def prepare_engine(name: str, network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> PreparedEngine:
    """Prepare an engine by name, in bfloat16 if that is allowed and it can.

    Raises:
        UnknownNameError: If there is no such engine.
        ConfigError: If it cannot be used here.
    """
    engine = ENGINES[name]
    hindrance = engine.hindrance(crops.device.type)
    if hindrance:
        raise ConfigError(f"engine {name!r} cannot be used here: {hindrance}")
    return _prepare(engine, network.eval(), crops, bfloat16 and engine.bfloat16)


def cheapest(trials: Sequence[EngineTrial], frames: int) -> EngineTrial:
    """The exact engine that scores so many frames soonest, its preparation included."""
    return min(
        (trial for trial in trials if trial.exact),
        key=lambda trial: trial.preparation_seconds + frames * trial.milliseconds / 1e3,
    )


def race_pays(frames: int, seconds: float) -> bool:
    """Whether a race costs less than it may save on so many frames, of which eager takes `seconds` each.

    A race scores a frame some 15 times and loads libraries; an engine may halve the time.
    """
    return frames > _RACE_FRAMES + _RACE_SECONDS / max(seconds, 1e-9)


def describe_device(device: torch.device, threads: int) -> str:
    """Name the GPU, or the processor with its threads."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else describe_processor(threads)


def surroundings(device: torch.device) -> str:
    """What the outcome of a race depends on beside the network: device, threads, versions of libraries."""
    packages = dict.fromkeys(["torch", *(package for engine in ENGINES for package in engine.packages)])
    versions = [f"{name} {found}" for name in packages if (found := _version(name))]
    return ", ".join([describe_device(device, torch.get_num_threads()), *versions])


def read_trials(path: Path, key: str) -> tuple[EngineTrial, ...]:
    """The trials of the race that was held in these surroundings; empty if there was none."""
    try:
        trials = tuple(EngineTrial(**each) for each in json.loads(path.read_text("utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return trials if any(trial.exact for trial in trials) else ()


def write_trials(path: Path, key: str, trials: Sequence[EngineTrial]) -> None:
    """Keep the trials of a race, beside those held in other surroundings."""
    try:
        known = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        known = {}
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps({**known, key: [asdict(each) for each in trials]}, indent=1), "utf-8")
    beside.replace(path)


def _contestants(device: str, bfloat16: bool) -> list[tuple[Engine, bool]]:
    """Engines of a race, each with whether it computes in bfloat16; eager float32 is always among them."""
    usable = [engine for engine in ENGINES if engine.automatic and not engine.hindrance(device)]
    both = [(ENGINES["eager"], False), *((engine, bfloat16 and engine.bfloat16) for engine in usable)]
    return list(dict.fromkeys(both))


def _prepare(engine: Engine, network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> PreparedEngine:
    score_crops = engine.prepare(network, crops, bfloat16)
    return PreparedEngine(engine.name, "bfloat16" if bfloat16 else "float32", score_crops)


def _milliseconds(engine: PreparedEngine, crops: Tensor, controls: Tensor) -> float:
    return time_calls(lambda: engine.score_crops(crops, controls).cpu(), _SECONDS, fewest=1).median


def _difference(answer: Tensor, expected: Tensor) -> float:
    """Largest difference; infinite where one is a finite number and the other is not."""
    if not torch.equal(answer.isfinite(), expected.isfinite()):
        return math.inf
    both = expected.isfinite()
    return float((answer[both] - expected[both]).abs().max()) if both.any() else 0.0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
