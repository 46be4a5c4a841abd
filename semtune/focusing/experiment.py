"""The whole experiment: every scorer on every field, spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

from semtune.errors import ConfigError
from semtune.focusing.bench import BenchSettings, FieldOutcome, measure_field
from semtune.focusing.policies import LEAST_BUDGET, POLICIES
from semtune.focusing.scorers import FocusScorer


@dataclass(frozen=True, eq=False)
class Experiment:
    """What was measured, and with what."""

    settings: BenchSettings
    scorers: tuple[FocusScorer, ...]
    policies: tuple[str, ...]
    outcomes: tuple[FieldOutcome, ...]
    """In the order of the fields."""


def run_experiment(
    settings: BenchSettings,
    scorers: Sequence[FocusScorer],
    policies: Sequence[str] = POLICIES.names,
    processes: int = 1,
    on_field: Callable[[int], None] = lambda done: None,
) -> Experiment:
    """Sweep and focus; the same settings and scorers give the same figures, on however many processes.

    Args:
        settings: What fixes the experiment.
        scorers: At least one, no two of a name.
        policies: Names in `POLICIES`.
        processes: Processes to spread the fields over; with 1 it is this one.
        on_field: Called with the number of fields done so far.

    Raises:
        ConfigError: If a setting is out of range.
        UnknownNameError: If there is no policy of a name.
    """
    _check(settings)
    named = tuple(POLICIES[name].name for name in policies)
    measure = partial(measure_field, settings=settings, scorers=tuple(scorers), policies=named)
    outcomes = []
    for outcome in _in_order(measure, settings.fields, processes):
        outcomes.append(outcome)
        on_field(len(outcomes))
    return Experiment(settings, tuple(scorers), named, tuple(outcomes))


def _in_order(measure: Callable[[int], FieldOutcome], fields: int, processes: int) -> Iterator[FieldOutcome]:
    if processes == 1:
        yield from map(measure, range(fields))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(measure, range(fields))


def _check(settings: BenchSettings) -> None:
    for name, least in (("fields", 2), ("budget", LEAST_BUDGET), ("positions", 5), ("repeats", 2)):
        value = getattr(settings, name)
        if value < least:
            raise ConfigError(f"`{name} >= {least}` must hold, but got {name}={value}")
    if settings.runs < settings.fields:
        raise ConfigError(
            f"`runs >= fields` must hold, so that every field is focused on, but got runs={settings.runs}, "
            f"fields={settings.fields}"
        )
