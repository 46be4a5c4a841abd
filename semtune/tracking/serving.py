"""The champion as an MLflow model: what `mlflow models serve` and `mlflow.pyfunc.load_model` call.

MLflow finds this module by its name, which stands in the model's MLmodel file, and hands it the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ServedScorer:
    """Scores one frame a call.

    Args:
        weights: The safetensors file.
    """

    def __init__(self, weights: Path) -> None:
        from semtune.scoring import Scorer  # a higher layer: this class is called by MLflow, not by semtune

        self._scorer = Scorer.from_weights(weights)

    def predict(
        self, model_input: Mapping[str, NDArray[Any]], params: Mapping[str, object] | None = None
    ) -> NDArray[np.float64]:
        """Score a frame, shape (1,), score points; higher is better.

        Args:
            model_input: `frame`, grey levels 0..255 of shape (height, width), and `controls`, the control
                parameters in the order of the dataset, NaN where missing.
            params: None; MLflow passes it.
        """
        names = self._scorer.control_parameters
        values = np.asarray(model_input["controls"], np.float64)
        if len(values) != len(names):
            raise ValueError(
                f"`controls` must hold {len(names)} values ({', '.join(names)}), got {len(values)}"
            )
        known = {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}
        return np.array([self._scorer.score(np.asarray(model_input["frame"], np.uint8), known)])


def _load_pyfunc(data_path: str) -> ServedScorer:
    """Load the scorer; MLflow prescribes the name."""
    return ServedScorer(Path(data_path))
