"""Weights that a search starts from: what they are, whether they fit, and which fields they have seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from semtune.dataset import Dataset, Split
from semtune.dataset.frames import FrameStore
from semtune.errors import ConfigError


class StartedFrom(BaseModel):
    """Where the weights come from, for the plan, the journal, MLflow and the report.

    Attributes:
        source: `champion version 3`, or a trial as `tin/trial-0003`.
        digest: SHA-256 of the weights file.
        architecture: The only one whose trials start from them.
        dataset_digest: Of the frames that they were trained on.
        dataset_origin: `simulated` or `measured`.
        fields_moved: Fields that moved to the training part because the weights had seen their frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    digest: str
    architecture: str
    dataset_digest: str
    dataset_origin: str
    fields_moved: int = 0

    def __str__(self) -> str:
        """One line for people and tags."""
        return f"{self.source} ({self.architecture}), sha256:{self.digest}"

    @property
    def sentence(self) -> str:
        """What a report says of it."""
        moved = (
            f" {self.fields_moved} fields that those weights had seen were moved to the training part."
            if self.fields_moved
            else ""
        )
        return (
            f"Trials of {self.architecture} started from the weights of {self.source} (trained on "
            f"{self.dataset_origin} frames, dataset {self.dataset_digest[:12]}; SHA-256 {self.digest[:12]}), "
            f"all others from scratch.{moved}"
        )


@dataclass(frozen=True)
class Start:
    """Weights on disk, read and known."""

    weights: Path
    origin: StartedFrom
    control_parameters: tuple[str, ...]
    trained: frozenset[int]
    """Checksums of the frames that trained them."""
    validated: frozenset[int]
    """Checksums of the frames that chose them."""

    def check(self, architectures: Sequence[str], controls: Sequence[str]) -> None:
        """Refuse a search in which the weights fit no network.

        Args:
            architectures: That the search can choose.
            controls: Names of the dataset's control parameters, in order.

        Raises:
            ConfigError: If no trial could start from the weights.
        """
        if self.origin.architecture not in architectures:
            raise ConfigError(
                f"--from: {self.origin.source} is a {self.origin.architecture}, the search space has only "
                f"{', '.join(architectures)}; choose a space that has it, or leave --from out"
            )
        if self.control_parameters != tuple(controls):
            raise ConfigError(
                f"--from: {self.origin.source} knows the control parameters "
                f"{', '.join(self.control_parameters) or 'none'}, the dataset has "
                f"{', '.join(controls) or 'none'}; give the dataset the same, or leave --from out"
            )

    def kept_apart(self, dataset: Dataset, store: FrameStore, split: Split) -> tuple[Start, Split]:
        """Move fields that the weights have seen out of the parts that judge them.

        A test frame must be new to the weights, and a validation frame must not have trained them: else the
        trials that start from them would be praised for what they remember. Such fields train instead.

        Returns:
            The start, with the number of fields moved, and the split.

        Raises:
            ConfigError: If nothing is left to validate or to test on.
        """
        known = {**dict.fromkeys(split.validation, self.trained)}
        known |= dict.fromkeys(split.test, self.trained | self.validated)
        names = [sample.field for sample in dataset.samples]
        seen = {names[row] for row, checksums in known.items() if store.checksum(row) in checksums}
        moved = tuple(row for row in known if names[row] in seen)
        parts = Split(
            tuple(sorted((*split.train, *moved))),
            tuple(row for row in split.validation if names[row] not in seen),
            tuple(row for row in split.test if names[row] not in seen),
        )
        if not parts.validation or not parts.test:
            raise ConfigError(
                f"--from: {self.origin.source} has seen every field that this split would judge it on; give "
                "--seed as in its own search, or frames that it has not seen"
            )
        origin = self.origin.model_copy(update={"fields_moved": len(seen)})
        return replace(self, origin=origin), parts
