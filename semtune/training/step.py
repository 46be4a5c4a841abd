"""The training step: crop, forward, backward and optimiser, captured once as a CUDA graph.

On a CPU the same code runs eagerly: the captured step's twin. The step of a network is kept for the next
trial of the same shape, which only resets weights and optimiser state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from semtune.config import Hyperparameters
from semtune.networks import ARCHITECTURES
from semtune.networks.head import ScoreNetwork
from semtune.training.augmentation import EpochPlan, FramePixels, as_grey_levels
from semtune.training.capture import Capture, Run, capture_on, captured, run_once
from semtune.training.feed import feed_of
from semtune.training.optimizer import Optimizer, OptimizerName
from semtune.training.validation import Validation


@dataclass(frozen=True)
class StepKey:
    """What a step is built for; a trial of the same key can take over the step of another."""

    architecture: str
    optimizer: OptimizerName
    batch_size: int
    crop: int
    dropout: float | None
    controls: int
    decays: bool
    bfloat16: bool

    @classmethod
    def of(cls, settings: Hyperparameters, controls: int, batch_size: int, bfloat16: bool) -> StepKey:
        """Derive the key of a trial."""
        return cls(
            settings.architecture,
            settings.optimizer,
            batch_size,
            settings.crop,
            settings.dropout,
            controls,
            settings.weight_decay > 0,
            bfloat16,
        )


class TrainingStep:
    """A network with its optimiser and the buffers from which one captured step works.

    Args:
        key: What to build.
        frames: All frames; on the training device, or on the host if they do not fit there.
        controls: Control parameters of all frames, shape (frames, controls), on the training device.
        scores: Reference scores of all frames, shape (frames,), on the training device.
        capture: How to capture; by default as a CUDA graph on CUDA, not at all elsewhere.
    """

    def __init__(
        self,
        key: StepKey,
        frames: FramePixels,
        controls: Tensor,
        scores: Tensor,
        capture: Capture | None = None,
    ) -> None:
        self.key = key
        self.device = scores.device
        self.network: ScoreNetwork = _to_device(
            ARCHITECTURES[key.architecture].build(key.controls, key.dropout), self.device
        )
        self.learning_rate = torch.zeros((), device=self.device)
        self.weight_decay = torch.zeros((), device=self.device)
        self.optimizer = Optimizer(
            key.optimizer, self.network.parameters(), self.learning_rate, self.weight_decay, key.decays
        )
        self.capture = capture or capture_on(self.device)
        self.notes: list[str] = []
        """What a user should know: that something runs eagerly, and why. Whoever reads them clears them."""
        self.validation: Validation | None = None
        """Of the trial before, with what was captured for it."""
        self._controls, self._scores = controls, scores
        self._feed = feed_of(frames, key.batch_size, key.crop, self.device)
        self._position = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._squared_error = torch.zeros((), device=self.device)
        self._plan: EpochPlan | None = None
        self._rates = torch.zeros(1, device=self.device)
        self._forward: Callable[[Tensor, Tensor], Tensor] = self.network
        self._replay: Run | None = None
        self._tried = self._compile_tried = False

    def reset(self, seed: int, weight_decay: float) -> None:
        """Start anew: fresh weights from the seed, empty optimiser state, in place."""
        torch.manual_seed(seed)
        fresh = ARCHITECTURES[self.key.architecture].build(self.key.controls, self.key.dropout)
        self.network.load_state_dict(fresh.state_dict())
        self.optimizer.reset()
        self.weight_decay.fill_(weight_decay)

    def state(self) -> dict[str, Tensor]:
        """All tensors that a trial must keep to go on later, by name: weights, buffers, optimiser state.

        The tensors are the step's own: copy into them to restore a trial.
        """
        network = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        return network | {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}

    @property
    def nbytes(self) -> int:
        """Memory of weights, gradients and optimiser state."""
        gradients = sum(parameter.nbytes for parameter in self.network.parameters())
        return sum(tensor.nbytes for tensor in self.state().values()) + gradients

    def compile(self) -> None:
        """Train through torch.compile from the next epoch on; where that fails, as before. Tried once."""
        if not self._compile_tried:
            self._forward = torch.compile(self.network)
            self._replay, self._tried, self._compile_tried = None, False, True

    def run_epoch(self, plan: EpochPlan, rates: Tensor, seed: int) -> Tensor:
        """Train on every full batch of the plan.

        Args:
            plan: The crops, in their order; a last batch that is not full is left out.
            rates: Learning rate of each step, shape (steps,).
            seed: Seed of this epoch's dropout.

        Returns:
            RMSE of the crops in score points, shape (), on the device, which may still be at work; NaN or
            infinite if the training diverged.
        """
        steps = len(plan.geometry) // self.key.batch_size
        self._load_plan(plan, rates)
        self.network.train()
        run = self._replay or self._prepare(plan)
        torch.manual_seed(seed)
        self._feed.start(plan.geometry)
        for _ in range(steps):
            self._feed.fetch()
            run()
        return (self._squared_error / (steps * self.key.batch_size)).sqrt()

    def _load_plan(self, plan: EpochPlan, rates: Tensor) -> None:
        """Bring an epoch's plan to the device, into the buffers that a captured step reads."""
        if self._plan is None or self._plan.geometry.shape != plan.geometry.shape:
            geometry, bare = (
                torch.empty_like(part, device=self.device) for part in (plan.geometry, plan.without_controls)
            )
            self._plan = EpochPlan(geometry, bare)
            self._rates = torch.empty_like(rates, device=self.device)
            self._replay, self._tried = None, False
        self._plan.geometry.copy_(plan.geometry, non_blocking=True)
        self._plan.without_controls.copy_(plan.without_controls, non_blocking=True)
        self._rates.copy_(rates)
        self._position.zero_()
        self._squared_error.zero_()

    def _prepare(self, plan: EpochPlan) -> Run:
        """Return what runs one step: a captured graph where there is one, else the step itself.

        The step itself is not kept: it refers to its object, which would then stay in memory until Python
        looks for cycles.
        """
        if self._tried:
            return self._step
        self._tried = True
        if self._forward is not self.network and (reason := self._failure(plan, run_once)):
            self.notes.append(f"{self.key.architecture} is not compiled: {reason}")
            self._forward = self.network
        if self.capture and (reason := self._failure(plan, self.capture)):
            self.notes.append(f"{self.key.architecture} cannot be captured and runs eagerly: {reason}")
        return self._replay or self._step

    def _failure(self, plan: EpochPlan, capture: Capture) -> str:
        """Capture the step and leave no trace of it; returns why that failed."""
        changed = [*self.state().values(), self.learning_rate, self._position, self._squared_error]
        self._feed.start(plan.geometry)
        self._feed.fetch()
        replay, reason = captured(self._step, changed, capture)
        self._replay = None if capture is run_once else replay
        if reason:
            self.optimizer.zero_grad()
        return reason

    def _step(self) -> None:
        """Train on the current batch and advance the position."""
        geometry, bare = self._batch()
        rows = geometry[:, 0]
        crops = self._feed.crops(geometry)
        self.learning_rate.copy_(self._rates[self._position].squeeze())
        controls = self._controls[rows].masked_fill(bare.unsqueeze(1), torch.nan)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.key.bfloat16):
            predicted = self._forward(as_grey_levels(crops), controls)
        errors = (predicted - self._scores[rows]) ** 2
        self.optimizer.zero_grad()
        errors.mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._squared_error += errors.detach().sum()
        self._position += 1

    def _batch(self) -> tuple[Tensor, Tensor]:
        """The current batch: geometry (batch, 4), shown without controls (batch,)."""
        plan = self._plan
        if plan is None:
            raise RuntimeError("a plan must be loaded before a step")
        batch = self.key.batch_size
        window = self._position * batch + torch.arange(batch, device=self.device)
        return plan.geometry[window], plan.without_controls[window]


def _to_device(network: ScoreNetwork, device: torch.device) -> ScoreNetwork:
    return network.to(device).to(memory_format=torch.channels_last)
