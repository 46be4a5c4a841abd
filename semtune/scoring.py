"""The promoted scorer in use: a frame and what is known of its control parameters in, a score out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semtune.config import Hyperparameters
from semtune.errors import ConfigError, DatasetError, SearchError
from semtune.images import Frame, crop_data_bar, read_frame, to_uint8
from semtune.metadata import ControlParameters, read_control_parameters
from semtune.networks import ARCHITECTURES
from semtune.networks.head import ScoreNetwork
from semtune.registry import nearest_name
from semtune.results import Scores
from semtune.training.augmentation import FramePixels
from semtune.training.checkpoint import read_weights
from semtune.training.predict import predict

_SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"}


@dataclass(frozen=True)
class ScoredFrame:
    """A frame with its score and the control parameters that were known."""

    frame: str
    score: float
    """Score points; higher is better."""
    controls: dict[str, float]
    missing: tuple[str, ...]
    """Control parameters that the scorer was trained with and that nobody gave."""


@dataclass(frozen=True)
class Scorer:
    """A trained network with all that is needed to score frames; made by `Scorer.from_weights`."""

    network: ScoreNetwork
    settings: Hyperparameters
    control_parameters: tuple[str, ...]
    score_range: tuple[float, float]
    dataset_origin: str

    @classmethod
    def from_weights(cls, path: Path) -> Scorer:
        """Load a scorer from its safetensors file; no pickle is involved.

        Raises:
            SearchError: If the file is not a whole safetensors file, or no scorer.
        """
        try:
            return cls._rebuilt(*read_weights(path))
        except (ValueError, LookupError, TypeError, RuntimeError) as error:
            what = str(error).splitlines()[0][:120]
            raise SearchError(f"{path}: no scorer's weights ({what}); promote a trial anew") from None

    @classmethod
    def _rebuilt(cls, tensors: dict[str, torch.Tensor], facts: Mapping[str, Any]) -> Scorer:
        settings = Hyperparameters.model_validate(facts["hyperparameters"])
        names = tuple(facts["control_parameters"])
        network = ARCHITECTURES[settings.architecture].build(len(names), settings.dropout)
        network.load_state_dict(tensors)
        low, high = facts["score_range"]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.to(device).to(memory_format=torch.channels_last)
        return cls(network, settings, names, (float(low), float(high)), facts["dataset_origin"])

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
        device = next(self.network.parameters()).device
        known = np.array([self._known(each) for each in controls], np.float32).reshape(len(frames), -1)
        return predict(
            self.network,
            _pixels([to_uint8(frame) for frame in frames]).to(device),
            np.arange(len(frames)),
            torch.from_numpy(known).to(device),
            crop=self.settings.crop,
            tiles_per_frame=self.settings.tiles,
            score_range=self.score_range,
        )

    def score_file(self, path: Path, given: Mapping[str, float]) -> ScoredFrame:
        """Score an image file; control parameters that are not given are read from the vendor's metadata.

        Raises:
            DatasetError: If the image cannot be read.
            MetadataError: If its metadata are damaged.
        """
        found = read_control_parameters(path)
        known = {**self._recorded(found), **given}
        frame = crop_data_bar(read_frame(path), found.data_bar_rows)
        try:
            score = self.score(frame, known)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
        missing = tuple(name for name in self.control_parameters if name not in known)
        return ScoredFrame(str(path), round(score, 3), known, missing)

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


def image_files(paths: Sequence[Path]) -> list[Path]:
    """List the images among files and folders, folders searched through, in order of name.

    Raises:
        DatasetError: If a path does not exist, or no image is found.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DatasetError(f"{path}: no such file or folder")
        images = (each for each in path.rglob("*") if each.suffix.lower() in _SUFFIXES and each.is_file())
        found += sorted(images) if path.is_dir() else [path]
    if not found:
        raise DatasetError(f"{', '.join(map(str, paths))}: no images there ({', '.join(sorted(_SUFFIXES))})")
    return found


def _pixels(frames: Sequence[np.ndarray]) -> FramePixels:
    sizes = np.array([frame.shape for frame in frames], np.int64)
    ends = np.cumsum(sizes[:, 0] * sizes[:, 1])
    return FramePixels(
        torch.from_numpy(np.concatenate([frame.reshape(-1) for frame in frames])),
        torch.from_numpy(ends - sizes[:, 0] * sizes[:, 1]),
        torch.from_numpy(sizes[:, 0].copy()),
        torch.from_numpy(sizes[:, 1].copy()),
    )
