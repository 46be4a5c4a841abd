"""Seeds for every test, and a small dataset made in code."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from semtune.dataset import Sample
from semtune.dataset.description import DatasetDescription, write_description
from semtune.dataset.manifest import write_manifest
from semtune.images import write_png

# A gate must not fail by chance or on a busy machine.
settings.register_profile("semtune", deadline=None, derandomize=True, max_examples=50)
settings.register_profile(
    "fuzz", deadline=None, derandomize=False, max_examples=10_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("semtune")


@pytest.fixture(autouse=True)
def _fixed_seeds():
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def small_dataset(tmp_path) -> Path:
    """The folder of a sound dataset: 2 specimens x 3 fields x 4 frames of 96 x 128 pixels."""
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture(scope="session")
def sem_frames() -> Path:
    """The folder of real SEM frames beside the checkout."""
    folder = Path(__file__).parents[2] / "shared" / "sem_frames"
    if not folder.is_dir():
        pytest.skip("the real SEM frames (../shared/sem_frames) are not on this machine")
    return folder


def write_small_dataset(
    folder: Path, fields: int = 6, frames: int = 4, height: int = 96, width: int = 128, seed: int = 0
) -> Path:
    """Write frames of random grains; the score falls linearly with their blur, so it can be learnt."""
    generator = np.random.default_rng(seed)
    samples = []
    (folder / "frames").mkdir(parents=True)
    for field in range(fields):
        grains = grain_texture(generator, height, width)
        for frame in range(frames):
            sigma = 4 * frame / max(1, frames - 1)
            image = f"frames/field{field}_{frame}.png"
            write_png(folder / image, noisy_frame(generator, grains, sigma))
            score = round(float(np.clip(9 - 2 * sigma + generator.normal(0, 0.1), 0, 10)), 1)
            controls = (*np.round(generator.uniform(30, 70, 2), 1).tolist(), round(sigma * (-1) ** field, 2))
            specimen = "tin_balls" if field < fields / 2 else "grid"
            samples.append(Sample(image, score, specimen, f"field{field}", controls))
    write_manifest(folder, samples, ("brightness", "contrast", "focus"))
    write_description(folder, DatasetDescription(origin="measured"))
    return folder


def grain_texture(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Bright grains of a few pixels on a dark ground, float32 grey levels, shape (height, width)."""
    noise = cv2.GaussianBlur(generator.standard_normal((height, width)).astype(np.float32), None, 2.0)
    return np.where(noise > 0, 190, 60).astype(np.float32)


def noisy_frame(generator: np.random.Generator, texture: np.ndarray, sigma: float) -> np.ndarray:
    """The texture blurred by `sigma` pixels, with white noise of 3 grey levels, as uint8."""
    blurred = cv2.GaussianBlur(texture, None, sigma) if sigma else texture
    return np.clip(np.rint(blurred + generator.normal(0, 3, texture.shape)), 0, 255).astype(np.uint8)
