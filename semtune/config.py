"""The settings of a trial and of a search: names, ranges and defaults, checked once, at the door."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["auto", "float32", "bfloat16"]
Compilation = Literal["auto", "on", "off"]
SplitKind = Literal["field", "random"]
"""`field` keeps the frames of a field together; `random` does not, for comparison: it leaks."""
SPLIT_LABELS: dict[SplitKind, str] = {"field": "field", "random": "random (leaks)"}
"""What lists, tags and tables call a split."""
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Hyperparameters(BaseModel):
    """What one trial is trained with; each field can stand in a search space.

    Attributes:
        architecture: Name in `semtune.networks.ARCHITECTURES`.
        learning_rate: Peak learning rate; the paper's is 0.00015.
        batch_size: Crops a training step.
        optimizer: `adam` (the paper's time), `adamw` (decoupled weight decay) or `sgd` (momentum 0.9).
        weight_decay: Decay of the weights; 0 for none.
        schedule: `constant`, or `cosine` from the peak to 0 over all epochs.
        warmup_epochs: Epochs over which the learning rate rises linearly to its peak.
        dropout: Probability of dropping an activation; by default the architecture's own (VGG 0.5, others 0).
        control_dropout: Share of the training crops that are shown without control parameters, so that
            frames without any can be scored.
        epochs: Passes over the training frames.
        frames_per_epoch: Training frames that one epoch draws, anew each time; by default all.
        crop: Side of the square crops, in pixels.
        tiles: Crops whose scores are averaged when a whole frame is scored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    learning_rate: float = Field(1.5e-4, gt=0, le=10)
    batch_size: int = Field(32, ge=1, le=4096)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = Field(0.0, ge=0, le=10)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = Field(0.0, ge=0, le=1000)
    dropout: Fraction | None = None
    control_dropout: Annotated[float, Field(ge=0, le=1)] = 0.2
    epochs: int = Field(100, ge=1, le=100_000)
    frames_per_epoch: Annotated[int, Field(ge=1)] | None = None
    crop: int = Field(224, ge=64, le=480)
    tiles: int = Field(4, ge=1, le=64)


class SearchSettings(BaseModel):
    """How a search is run; what a search space may fix beside the hyperparameters.

    Attributes:
        trials: Number of trials, all strata together.
        stratify: Hyperparameter whose values are searched apart, each with its own share of the trials,
            its own sampler and its own scheduler; none by default.
        first: Hyperparameters of the first trial of each stratum (the paper's setting, say).
        sampler: Proposes trials: `tpe` learns from those before, `random` does not.
        scheduler: `asha` stops weak trials early, `none` trains every trial to its last epoch.
        grace_epochs: Epochs before the scheduler may stop a trial; by default a ninth of the epochs.
        reduction_factor: ASHA keeps the best 1/reduction_factor at each rung.
        finalists: Best trials, of each stratum, that are trained to the last epoch and meet the test frames.
        seeds: Above 1, each finalist is trained anew with so many fresh seeds; of each architecture, those of
            the lowest mean validation RMSE meet the test frames instead of the finalists.
        seed: Seed of the split, the sampler and the trials.
        max_failures: Failed trials after which the search gives up; by default a quarter of the trials.
        gpu_hours: GPU-hours of all trials over all sessions, after which no new trial starts; finals come
            after them. No limit by default.
        cost_per_gpu_hour: What a GPU-hour costs, in any currency; shown, nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(24, ge=1, le=1_000_000)
    stratify: Literal["architecture"] | None = None
    first: dict[str, str | int | float] = Field(default_factory=dict)
    sampler: Literal["tpe", "random"] = "tpe"
    scheduler: Literal["asha", "none"] = "asha"
    grace_epochs: int | None = Field(None, ge=1)
    reduction_factor: float = Field(3.0, gt=1, le=100)
    finalists: int = Field(1, ge=1)
    seeds: int = Field(1, ge=1, le=100)
    seed: int = Field(0, ge=0, lt=2**32)
    max_failures: int | None = Field(None, ge=0)
    gpu_hours: float | None = Field(None, ge=0, le=1e9)
    cost_per_gpu_hour: float | None = Field(None, ge=0, le=1e9)


class TrialTask(BaseModel):
    """What a worker needs to train one trial: names, numbers and paths, so that it can travel.

    Attributes:
        trial: Name of the trial, unique in its search.
        role: `search` trains under the scheduler, `reseed` trains to the end, `final` completes the training
            and meets the test frames, `measure` times the scorer on a quiet machine.
        hyperparameters: The trial's.
        seed: Seed of weights, order, crops and dropout.
        trial_folder: Where the trial's checkpoint and results are written.
        samples_file: File of the samples, their split and where their decoded frames are.
        threads: CPU threads of the worker.
        precision: `float32`, `bfloat16`, or `auto` for bfloat16 where the device has it.
        compilation: Whether the network goes through torch.compile: `on`, `off`, or `auto` where the trial
            is long enough to pay for it.
        gpu_share: Share of a GPU's memory that the worker may take.
        start: File of the weights that the trial starts from; None for weights from its seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: str
    role: Literal["search", "reseed", "final", "measure"]
    hyperparameters: Hyperparameters
    seed: int
    trial_folder: str
    samples_file: str
    threads: int
    precision: Precision = "auto"
    compilation: Compilation = "off"
    gpu_share: float = Field(1.0, gt=0, le=1)
    start: str | None = None
