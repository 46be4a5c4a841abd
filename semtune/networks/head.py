"""Joins a trunk's features with the control parameters and turns them into a score."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScoreNetwork(nn.Module):
    """A trunk for the frame, in parallel with a small fully connected network for the control parameters.

    Everything that scoring needs travels in the state dict: the scale of the control parameters and of
    the scores are buffers, set by `set_scales` from the training samples.

    Args:
        trunk: Maps frames (batch, 1, height, width) to features (batch, features).
        features: Width of the trunk's output.
        controls: Number of control parameters; with 0 the frame alone is scored.
        dropout: Probability of dropping an activation before the last layer, in [0, 1).
    """

    control_mean: Tensor
    control_sd: Tensor
    score_mean: Tensor
    score_sd: Tensor

    def __init__(self, trunk: nn.Module, features: int, controls: int, dropout: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.controls = _control_branch(controls) if controls else None
        joined = features + (64 if controls else 0)
        self.head = nn.Sequential(
            nn.Linear(joined, 256),
            nn.ReLU(),
            nn.Linear(256, 64),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(64, 1),
        )
        # The untrained scorer answers with the mean score: the last bias starts there.
        nn.init.zeros_(_last(self.head).bias)
        self.register_buffer("control_mean", torch.zeros(controls))
        self.register_buffer("control_sd", torch.ones(controls))
        self.register_buffer("score_mean", torch.zeros(()))
        self.register_buffer("score_sd", torch.ones(()))

    def set_scales(self, controls: Tensor, scores: Tensor) -> None:
        """Take the scale of the control parameters and of the scores from the training samples.

        Args:
            controls: Shape (samples, controls), NaN where missing.
            scores: Shape (samples,), score points.
        """
        present = ~controls.isnan()
        count = present.sum(0).clamp(min=1)
        mean = controls.nan_to_num(0).sum(0) / count
        variance = ((controls - mean).nan_to_num(0) ** 2).sum(0) / count
        self.control_mean.copy_(mean)
        self.control_sd.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))
        self.score_mean.copy_(scores.mean())
        self.score_sd.copy_(scores.std(unbiased=False).clamp(min=1e-3))

    def forward(self, frames: Tensor, controls: Tensor) -> Tensor:
        """Score a batch of frames.

        Args:
            frames: Grey levels in [0, 1], shape (batch, 1, height, width), 64 pixels a side or more.
            controls: Control parameters in the dataset's units, shape (batch, controls); NaN where missing.

        Returns:
            Predicted scores, shape (batch,); higher is better.
        """
        return self.join(self.features(frames), controls)

    def features(self, frames: Tensor) -> Tensor:
        """What the trunk sees in the frames, shape (batch, features): the costly part of `forward`."""
        features: Tensor = self.trunk((frames - 0.5) * 4.0)
        return features

    def join(self, features: Tensor, controls: Tensor) -> Tensor:
        """Score frames by their features and control parameters, shape (batch,)."""
        if self.controls is not None:
            missing = controls.isnan()
            scaled = torch.where(missing, 0.0, (controls - self.control_mean) / self.control_sd)
            branch = self.controls(torch.cat([scaled, missing.to(scaled.dtype)], 1))
            features = torch.cat([features, branch.to(features.dtype)], 1)
        score: Tensor = self.head(features).squeeze(1).float()
        return score * self.score_sd + self.score_mean


def _control_branch(controls: int) -> nn.Module:
    # Each control parameter comes with a flag that says whether it is missing.
    return nn.Sequential(nn.Linear(2 * controls, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())


def _last(layers: nn.Sequential) -> nn.Linear:
    last = layers[-1]
    if not isinstance(last, nn.Linear):
        raise TypeError("the head must end in a linear layer")
    return last
