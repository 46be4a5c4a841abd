"""The training step: crop, forward, backward and optimiser, captured once as a CUDA graph.

On a CPU the same code runs eagerly: the captured step's twin. The step of a network is kept for the next
trial of the same shape, which only resets weights and optimiser state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from semtune.config import Hyperparameters
from semtune.networks import ARCHITECTURES
from semtune.networks.head import ScoreNetwork
from semtune.training.augmentation import EpochPlan, FramePixels
from semtune.training.optimizer import Optimizer, OptimizerName


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
    """

    def __init__(self, key: StepKey, frames: FramePixels, controls: Tensor, scores: Tensor) -> None:
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
        self._frames, self._controls, self._scores = frames, controls, scores
        self._position = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._squared_error = torch.zeros((), device=self.device)
        self._plan: EpochPlan | None = None
        self._host_batches: Iterator[Tensor] = iter(())
        self._rates = torch.zeros(1, device=self.device)
        self._replay: Callable[[], None] | None = None

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

    def run_epoch(self, plan: EpochPlan, rates: Tensor, seed: int) -> float:
        """Train on every full batch of the plan.

        Args:
            plan: The crops, in their order; a last batch that is not full is left out.
            rates: Learning rate of each step, shape (steps,).
            seed: Seed of this epoch's dropout.

        Returns:
            RMSE of the crops in score points; NaN or infinite if the training diverged.
        """
        steps = len(plan.geometry) // self.key.batch_size
        self._load_plan(plan, rates)
        torch.manual_seed(seed)
        self.network.train()
        run = self._replay or self._prepare()
        for _ in range(steps):
            run()
        return float((self._squared_error / (steps * self.key.batch_size)).sqrt())

    def _load_plan(self, plan: EpochPlan, rates: Tensor) -> None:
        """Bring an epoch's plan to the device, into the buffers that a captured step reads."""
        if self._plan is None or self._plan.geometry.shape != plan.geometry.shape:
            geometry, bare = (
                torch.empty_like(part, device=self.device) for part in (plan.geometry, plan.without_controls)
            )
            self._plan = EpochPlan(geometry, bare)
            self._rates = torch.empty_like(rates, device=self.device)
            self._replay = None
        self._plan.geometry.copy_(plan.geometry, non_blocking=True)
        self._plan.without_controls.copy_(plan.without_controls, non_blocking=True)
        self._rates.copy_(rates)
        self._host_batches = iter(plan.geometry.split(self.key.batch_size))  # type: ignore[no-untyped-call]
        self._position.zero_()
        self._squared_error.zero_()

    def _prepare(self) -> Callable[[], None]:
        """Return what runs one step: itself on a CPU, a captured graph on CUDA."""
        if self.device.type != "cuda":
            # Not kept: a step that refers to itself would stay in memory until Python looks for cycles.
            return self._step
        if self._frames.pixels.device == self.device:
            self._replay = _captured(self._step, self._snapshot())
        else:
            self._replay = self._step_from_host()
        return self._replay

    def _snapshot(self) -> list[Tensor]:
        """All tensors that a step changes, for undoing the warm-up before a capture."""
        return [
            *self.state().values(),
            self.learning_rate,
            self._position,
            self._squared_error,
        ]

    def _step(self) -> None:
        crop, rows, bare = self._batch()
        size = self.key.crop
        self._train(self._frames.cut(rows, crop[:, 1], crop[:, 2], crop[:, 3], size), rows, bare)

    def _step_from_host(self) -> Callable[[], None]:
        """Frames that do not fit on the device: crops are cut on the host and copied while it trains."""
        size, batch = self.key.crop, self.key.batch_size
        staged = torch.empty((batch, 1, size, size), dtype=torch.uint8, pin_memory=True)
        crops = staged.to(self.device)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        train = _captured(lambda: self._train(crops, *self._batch()[1:]), self._snapshot())

        def step() -> None:
            crop = next(self._host_batches)
            cut = self._frames.cut(crop[:, 0], crop[:, 1], crop[:, 2], crop[:, 3], size)
            copied.synchronize()
            staged.copy_(cut)
            crops.copy_(staged, non_blocking=True)
            copied.record()
            train()

        return step

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """The current batch: geometry (batch, 4), rows (batch,), shown without controls (batch,)."""
        plan = self._plan
        if plan is None:
            raise RuntimeError("a plan must be loaded before a step")
        batch = self.key.batch_size
        window = self._position * batch + torch.arange(batch, device=self.device)
        geometry = plan.geometry[window]
        return geometry, geometry[:, 0], plan.without_controls[window]

    def _train(self, crops: Tensor, rows: Tensor, bare: Tensor) -> None:
        """Forward, backward and optimiser step on one batch of uint8 crops; advances the position."""
        self.learning_rate.copy_(self._rates[self._position].squeeze())
        controls = self._controls[rows].masked_fill(bare.unsqueeze(1), torch.nan)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.key.bfloat16):
            predicted = self.network(as_grey_levels(crops), controls)
        errors = (predicted - self._scores[rows]) ** 2
        self.optimizer.zero_grad()
        errors.mean().backward()
        self.optimizer.step()
        self._squared_error += errors.detach().sum()
        self._position += 1


def as_grey_levels(crops: Tensor) -> Tensor:
    """Turn uint8 crops (batch, 1, height, width) into float grey levels in [0, 1]."""
    return crops.float().div_(255).contiguous(memory_format=torch.channels_last)


def _to_device(network: ScoreNetwork, device: torch.device) -> ScoreNetwork:
    return network.to(device).to(memory_format=torch.channels_last)


def _captured(step: Callable[[], None], changed: list[Tensor]) -> Callable[[], None]:
    """Capture a step as a CUDA graph; the warm-up that a capture needs leaves no trace in `changed`."""
    before = [tensor.clone() for tensor in changed]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
            _copy_into(changed, before)  # each time: a short plan has no steps to spare
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


@torch.no_grad()
def _copy_into(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
