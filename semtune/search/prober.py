"""Measures how many trials should share a GPU: short trials side by side in processes of their own."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version
from typing import Any

import ray

from semtune.config import Hyperparameters, Precision
from semtune.search.packing import Probe, ProbeFile, best_company, probed

_SECONDS = 2.0
_TIMEOUT = 300.0


class Prober:
    """One of the processes: prepares a short trial, then trains for a while when told so."""

    def prepare(self, settings: dict[str, Any], precision: Precision) -> None:
        """Build and capture the step."""
        from semtune.training.probe import ShortTrial  # torch comes in here, in this process only

        self._trial = ShortTrial(Hyperparameters.model_validate(settings), precision)

    def measure(self, seconds: float) -> tuple[float, int, int]:
        """Frames a second, peak bytes of this process, bytes of the device."""
        return self._trial.measure(seconds)


def companies(
    trials: list[Hyperparameters], precision: Precision, file: ProbeFile, seconds: float = _SECONDS
) -> dict[str, int]:
    """How many trials of each architecture share a GPU; probed once, then read from the file.

    Args:
        trials: One of each architecture.
        precision: As in the search.
        file: Where probes are kept.
        seconds: How long to measure each company.
    """
    found = {}
    for settings in trials:
        name = f"{settings.architecture} batch {settings.batch_size} crop {settings.crop} {precision}"
        probes = file.find(name)
        if probes is None:
            probes = probed(lambda company, each=settings: side_by_side(each, precision, company, seconds))  # type: ignore[misc]
            file.keep(name, probes)
        found[settings.architecture] = best_company(probes)
    return found


def side_by_side(trial: Hyperparameters, precision: Precision, company: int, seconds: float) -> Probe | None:
    """Train so many equal short trials on one GPU at the same time; None where that fails."""
    kind = ray.remote(Prober).options(num_gpus=1 / company, num_cpus=0)
    actors = [kind.remote() for _ in range(company)]
    try:
        ray.get([each.prepare.remote(trial.model_dump(), precision) for each in actors], timeout=_TIMEOUT)
        told = ray.get([each.measure.remote(seconds) for each in actors], timeout=_TIMEOUT)
    except ray.exceptions.RayError:
        return None  # out of memory, in one way or another
    finally:
        for each in actors:
            with suppress(ray.exceptions.RayError):
                ray.kill(each)
    rates, peaks, memory = zip(*told, strict=True)
    return Probe(company, sum(rates), max(peaks), memory[0])


def surroundings() -> str:
    """What probes depend on: the kinds of GPU of the cluster, and the versions."""
    kinds = sorted(name for name in ray.cluster_resources() if name.startswith("accelerator_type:"))
    return ", ".join([*kinds, f"torch {version('torch')}", f"semtune {version('semtune')}"])
