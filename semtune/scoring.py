"""The promoted scorer in use: a frame and what is known of its control parameters in, a score out."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semtune.config import Hyperparameters
from semtune.engines.choice import (
    PreparedEngine,
    cheapest,
    choose_engine,
    prepare_engine,
    race_pays,
    read_trials,
    surroundings,
    write_trials,
)
from semtune.engines.exported import as_onnx
from semtune.errors import ConfigError, DatasetError, SearchError
from semtune.images import Frame, crop_data_bar, read_frame, to_uint8
from semtune.metadata import ControlParameters, read_control_parameters
from semtune.networks import ARCHITECTURES
from semtune.networks.head import ScoreNetwork
from semtune.registry import nearest_name
from semtune.results import Scores
from semtune.training.augmentation import FramePixels
from semtune.training.checkpoint import read_weights
from semtune.training.predict import cut_tiles, predict

AUTO = "auto"
"""In place of an engine's name: the one that is done first."""
_ENDLESS = 1_000_000
_RACES = "engines.json"
"""Beside the weights: how the engines did on the machines that used them."""


@dataclass(frozen=True)
class ScoredFrame:
    """A frame with its score and the control parameters that were known."""

    frame: str
    score: float
    """Score points; higher is better."""
    controls: dict[str, float]
    missing: tuple[str, ...]
    """Control parameters that the scorer was trained with and that nobody gave."""
    engine: str
    """What computed it, and in which precision."""


@dataclass(frozen=True)
class ReadFrame:
    """A frame without its data bar, and the control parameters that are known of it."""

    path: str
    frame: Frame
    controls: dict[str, float]


@dataclass(frozen=True)
class Scorer:
    """A trained network with all that is needed to score frames; made by `Scorer.from_weights`."""

    network: ScoreNetwork
    settings: Hyperparameters
    control_parameters: tuple[str, ...]
    score_range: tuple[float, float]
    dataset_origin: str
    bfloat16: bool
    """Whether the network was validated and tested in bfloat16, so that it may score in it."""
    races: Path
    """Where it is kept how the engines did."""
    engine: PreparedEngine

    @classmethod
    def from_weights(cls, path: Path) -> Scorer:
        """Load a scorer from its safetensors file; no pickle is involved.

        Raises:
            SearchError: If the file is not a whole safetensors file, or no scorer.
        """
        try:
            return cls._rebuilt(path.with_name(_RACES), *read_weights(path))
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            what = str(error).splitlines()[0][:120]
            raise SearchError(f"{path}: no scorer's weights ({what}); promote a trial anew") from None

    @classmethod
    def _rebuilt(cls, races: Path, tensors: dict[str, Tensor], facts: Mapping[str, Any]) -> Scorer:
        settings = Hyperparameters.model_validate(facts["hyperparameters"])
        names = tuple(facts["control_parameters"])
        network = ARCHITECTURES[settings.architecture].build(len(names), settings.dropout)
        network.load_state_dict(tensors)
        low, high = facts["score_range"]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.to(device).to(memory_format=torch.channels_last)
        example = torch.zeros(1, 1, settings.crop, settings.crop, dtype=torch.uint8, device=device)
        return cls(
            network,
            settings,
            names,
            (float(low), float(high)),
            facts["dataset_origin"],
            bfloat16=facts.get("precision") == "bfloat16",
            races=races,
            engine=prepare_engine("eager", network, example, bfloat16=False),
        )

    def on(self, engine: str) -> Scorer:
        """The same scorer on another engine, in bfloat16 if the network was tested in it and the engine can.

        Raises:
            UnknownNameError: If there is no such engine.
            ConfigError: If it cannot be used here.
        """
        return replace(
            self, engine=prepare_engine(engine, self.network, self._example_crops(), self.bfloat16)
        )

    def for_frames(self, count: int) -> Scorer | None:
        """The same scorer on the engine that scores so many frames soonest; None if no race was held here."""
        trials = read_trials(self.races, self._surroundings)
        if not trials:
            return None
        best = cheapest(trials, count)
        bfloat16 = best.precision == "bfloat16"
        return replace(
            self, engine=prepare_engine(best.engine, self.network, self._example_crops(), bfloat16)
        )

    def lasting(self, engine: str = AUTO) -> Scorer | None:
        """The same scorer for frames without end, on an engine by name or on the fastest; None as above."""
        return self.for_frames(_ENDLESS) if engine == AUTO else self.on(engine)

    def on_fastest(self, frame: Frame) -> Scorer:
        """The same scorer on the engine that wins a race over one frame; the outcome is kept."""
        pixels = FramePixels.stacked([to_uint8(frame)]).to(self._device)
        crops = cut_tiles(pixels, 0, self.settings.crop, self.settings.tiles)
        controls = self.network.control_mean.expand(len(crops), -1)
        low, high = self.score_range
        race = choose_engine(self.network, crops, controls, bfloat16=self.bfloat16, score_span=high - low)
        write_trials(self.races, self._surroundings, race.trials)
        return replace(self, engine=race.winner)

    def score(self, frame: Frame, controls: Mapping[str, float] | None = None) -> float:
        """Score one frame.

        Args:
            frame: Grey levels without data bar, shape (height, width), at least as large as a crop.
            controls: Known control parameters by name, in the units of the training data; others count as
                missing.

        Returns:
            Score points; higher is better.

        Raises:
            ConfigError: If a control parameter is unknown.
            DatasetError: If the frame is smaller than the crops that the network was trained on.
        """
        return float(self.score_all([frame], [controls or {}])[0])

    def score_all(self, frames: Sequence[Frame], controls: Sequence[Mapping[str, float]]) -> Scores:
        """Score several frames at once, shape (frames,)."""
        known = np.array([self._known(each) for each in controls], np.float32).reshape(len(frames), -1)
        return predict(
            self.network,
            FramePixels.stacked([to_uint8(frame) for frame in frames]).to(self._device),
            np.arange(len(frames)),
            torch.from_numpy(known).to(self._device),
            crop=self.settings.crop,
            tiles_per_frame=self.settings.tiles,
            score_range=self.score_range,
            score_crops=self.engine.score_crops,
        )

    def score_crops(self, crops: NDArray[np.uint8], controls: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score crops as the network does, not clipped, shape (batch,).

        Args:
            crops: Grey levels, shape (batch, 1, crop, crop).
            controls: Control parameters, NaN where missing, shape (batch, controls).
        """
        given = (torch.from_numpy(each).to(self._device) for each in (crops, controls))
        return self.engine.score_crops(*given).float().cpu().numpy()

    def on_host(self) -> Scorer:
        """The same scorer on the processor, eagerly in float32: what others are compared with."""
        return replace(self, network=copy.deepcopy(self.network).cpu(), bfloat16=False).on("eager")

    def as_onnx(self) -> bytes:
        """The network of a scorer on the host as an ONNX model: `crops` and `controls` in, any batch."""
        return as_onnx(self.network, self._example_crops())

    def score_file(self, path: Path, given: Mapping[str, float]) -> ScoredFrame:
        """Score an image file; control parameters that are not given are read from the vendor's metadata.

        Raises:
            DatasetError: If the image cannot be read.
            MetadataError: If its metadata are damaged.
        """
        return self.score_read(self.read_file(path, given))

    def read_file(self, path: Path, given: Mapping[str, float]) -> ReadFrame:
        """Read what `score_file` scores; errors as there."""
        found = read_control_parameters(path)
        frame = crop_data_bar(read_frame(path), found.data_bar_rows)
        return ReadFrame(str(path), frame, {**self._recorded(found), **given})

    def score_read(self, read: ReadFrame) -> ScoredFrame:
        """Score a frame that `read_file` read."""
        try:
            score = self.score(read.frame, read.controls)
        except DatasetError as error:
            raise DatasetError(f"{read.path}: {error}") from None
        missing = tuple(name for name in self.control_parameters if name not in read.controls)
        engine = f"{self.engine.name}, {self.engine.precision}"
        return ScoredFrame(read.path, round(score, 3), read.controls, missing, engine)

    @property
    def _device(self) -> torch.device:
        return self.network.control_mean.device

    @property
    def _surroundings(self) -> str:
        return surroundings(self._device)

    def _example_crops(self) -> Tensor:
        shape = (1, 1, self.settings.crop, self.settings.crop)
        return torch.zeros(shape, dtype=torch.uint8, device=self._device)

    def _recorded(self, found: ControlParameters) -> dict[str, float]:
        """Control parameters from the vendor's metadata, as far as they mean what the scorer was trained on.

        Simulated frames have brightness and contrast in per cent, as Zeiss and Thermo do, but a focus reading
        that is no working distance.
        """
        recorded = {
            "brightness": found.brightness,
            "contrast": found.contrast,
            "focus": found.working_distance_mm,
        }
        if self.dataset_origin == "simulated":
            del recorded["focus"]
            if found.brightness_unit != "percent":
                recorded.clear()
        return {
            name: value
            for name, value in recorded.items()
            if value is not None and name in self.control_parameters
        }

    def _known(self, controls: Mapping[str, float]) -> list[float]:
        for name in controls:
            if name not in self.control_parameters:
                hint = nearest_name(name, self.control_parameters)
                raise ConfigError(f"the scorer knows no control parameter named {name!r}; {hint}")
        return [controls.get(name, np.nan) for name in self.control_parameters]


def score_files(
    scorer: Scorer, paths: Sequence[Path], given: Mapping[str, float], engine: str = AUTO
) -> list[ScoredFrame]:
    """Score image files on the engine that is done first, or on one by name.

    A few frames are scored at once, eagerly: libraries would take longer to load. Where the first frame tells
    that the others are worth it, the engines are raced; what they did is kept beside the weights, and the
    next call, on this machine with these libraries, reckons with it.

    Args:
        scorer: The champion.
        paths: At least one image file.
        given: Known control parameters, for all of them.
        engine: Its name, or `auto`.

    Raises:
        ConfigError: If the engine cannot be used here.
        DatasetError: If an image cannot be read.
    """
    known = scorer.for_frames(len(paths)) if engine == AUTO else scorer.on(engine)
    scorer = known or scorer
    start = time.perf_counter()
    scored = [scorer.score_file(paths[0], given)]
    if known is None and race_pays(len(paths) - 1, time.perf_counter() - start):
        scorer = scorer.on_fastest(scorer.read_file(paths[0], given).frame)
    return scored + [scorer.score_file(path, given) for path in paths[1:]]


def on_one_thread() -> None:
    """Let torch compute on one thread from now on, where processes share the cores."""
    torch.set_num_threads(1)
