"""How good a configuration a search finds for its epochs: replayed against recorded learning curves.

curves.csv holds every learning curve of a grid (`record_curves.py`): six architectures, eight learning rates,
three seeds. A replay is semtune's own Director (sampler, ASHA, finalists) whose orders are answered from that
table, by workers in simulated time. Each trial draws which of the three seeds it meets. A search, its
finalist included, has at most `BUDGET` of the grid's epochs: 48 configurations trained whole, once each.

The regret of a search is how much worse the configuration is that it returns than the grid's best, both by
their mean last validation RMSE over the three seeds. `whole grid` is the ceiling: every configuration trained
once, the best by its own validation RMSE returned.
"""

import heapq
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from semtune.journal import SearchRecord, TrialRecord
from semtune.results import EpochResult
from semtune.search.director import Director, Order
from semtune.search.space import SearchSpace, parse_space

TABLE = Path(__file__).with_name("curves.csv")
BUDGET = 0.4
WORKERS = 2
SEARCHES = 30
CLOSE = 0.02
"""Regret up to which a configuration counts as found."""
VARIANTS = {
    "TPE and ASHA": ("tpe", "asha"),
    "random and ASHA": ("random", "asha"),
    "TPE alone": ("tpe", "none"),
    "random alone": ("random", "none"),
}
BLOCKS = {"": (False, BUDGET), ", log": (True, BUDGET), ", log, half": (True, BUDGET / 2)}
"""Blocks of the table: whether the learning rate is a continuous range, and the share of the epochs."""
Configuration = tuple[str, float]
Curve = tuple[EpochResult, ...]
"""One training, epoch by epoch; shorter than the others where it diverged."""


@dataclass(frozen=True)
class Grid:
    """Recorded curves by configuration (architecture and learning rate), one a seed."""

    curves: Mapping[Configuration, tuple[Curve, ...]]
    epochs: int

    @property
    def architectures(self) -> list[str]:
        return list(dict.fromkeys(architecture for architecture, _ in self.curves))

    @property
    def learning_rates(self) -> list[float]:
        return sorted({rate for _, rate in self.curves})

    @property
    def all_epochs(self) -> int:
        """Epochs of every configuration trained once."""
        return len(self.curves) * self.epochs

    @property
    def all_seconds(self) -> float:
        """Seconds of every configuration trained once, the mean over the seeds."""
        return sum(
            result.seconds / len(seeds)
            for seeds in self.curves.values()
            for curve in seeds
            for result in curve
        )

    def last_rmse(self, curve: Curve) -> float:
        """Validation RMSE after the last epoch; infinite where the training diverged."""
        return curve[-1].validation_rmse if len(curve) == self.epochs else np.inf

    def mean_rmse(self, configuration: Configuration) -> float:
        """Mean over the seeds of the last validation RMSE."""
        return float(np.mean([self.last_rmse(curve) for curve in self.curves[configuration]]))

    @property
    def best(self) -> Configuration:
        return min(self.curves, key=self.mean_rmse)

    def regret(self, rmse: float) -> float:
        """How much worse than the best configuration, as a share of its RMSE."""
        return rmse / self.mean_rmse(self.best) - 1


@dataclass(frozen=True)
class Found:
    """What a replayed search returned, and what it used."""

    configuration: Configuration
    own_rmse: float
    """Last validation RMSE of the trial that was returned."""
    epochs: int
    seconds: float
    """Of the workers together, by the table."""
    trials: tuple[TrialRecord, ...] = ()


def run() -> dict[str, Any]:
    """Regret by variant and paired differences, in each block."""
    grid = read_grid(TABLE)
    figures: dict[str, Any] = {"best": "{} {:g}".format(*grid.best), "its RMSE": grid.mean_rmse(grid.best)}
    figures["whole grid"] = row(grid, [whole_grid(grid, seed) for seed in range(SEARCHES)])
    for name, (continuous, budget) in BLOCKS.items():
        start = time.perf_counter()
        found = {
            variant + name: [
                replay(grid, search_space(grid, *settings, continuous, budget), seed, budget)
                for seed in range(SEARCHES)
            ]
            for variant, settings in VARIANTS.items()
        }
        figures |= {variant: row(grid, searches) for variant, searches in found.items()}
        figures |= differences(grid, *found.values(), suffix=name)
        figures[f"seconds{name}"] = time.perf_counter() - start
    return figures


def read_grid(table: Path) -> Grid:
    """Read recorded curves; a row whose RMSE is NaN ends a curve that diverged."""
    curves: dict[Configuration, dict[str, list[EpochResult]]] = {}
    lines = [line for line in table.read_text("utf-8").splitlines() if not line.startswith("#")]
    for line in lines[1:]:
        architecture, rate, seed, epoch, validation, training, frames, seconds = line.split(",")
        curve = curves.setdefault((architecture, float(rate)), {}).setdefault(seed, [])
        result = EpochResult(int(epoch), float(training), float(validation), int(frames), float(seconds))
        if np.isfinite(result.validation_rmse):
            curve.append(result)
    listed = {key: tuple(tuple(curve) for curve in seeds.values()) for key, seeds in curves.items()}
    return Grid(listed, max(len(curve) for seeds in listed.values() for curve in seeds))


def search_space(
    grid: Grid, sampler: str, scheduler: str, continuous: bool, budget: float = BUDGET
) -> SearchSpace:
    """The grid as a search space: its learning rates as a choice, or as a range that is rounded to them."""
    rates = np.array(grid.learning_rates)
    half = (rates[1] / rates[0]) ** 0.5
    learning_rate = (
        f"{{log_uniform: [{rates[0] / half:.6e}, {rates[-1] * half:.6e}]}}"
        if continuous
        else f"{{choice: [{', '.join(f'{rate:.6e}' for rate in rates)}]}}"
    )
    # More trials than the budget affords under ASHA, some three epochs each; as many as it affords without.
    trials = int(budget * grid.all_epochs / (2 if scheduler == "asha" else grid.epochs))
    text = f"""
architecture: {{choice: [{", ".join(grid.architectures)}]}}
learning_rate: {learning_rate}
epochs: {grid.epochs}
trials: {trials}
sampler: {sampler}
scheduler: {scheduler}
"""
    return parse_space(text, "replay", "replay")


def replay(grid: Grid, space: SearchSpace, seed: int, budget: float = BUDGET) -> Found:
    """Play one search; `seed` is its own and that of the curves it meets."""
    record = SearchRecord()
    director = Director(space.overridden({}, {"seed": seed}), record, None, lambda event: None)
    workers = Workers(grid, director, np.random.default_rng(seed), int(budget * grid.all_epochs))
    workers.work()
    winner = director.finals.finalists("")[0]
    return Found(
        nearest(grid, winner.started.hyperparameters),
        winner.epochs[-1].validation_rmse if len(winner.epochs) == grid.epochs else np.inf,
        workers.epochs,
        workers.seconds,
        tuple(record.trials.values()),
    )


def nearest(grid: Grid, hyperparameters: Mapping[str, Any]) -> Configuration:
    """The grid's configuration that answers for a trial."""
    wanted = np.log(float(hyperparameters["learning_rate"]))
    rate = min(grid.learning_rates, key=lambda rate: abs(np.log(rate) - wanted))
    return str(hyperparameters["architecture"]), rate


@dataclass
class Workers:
    """Simulated workers: they carry out orders by the table, and never more epochs than the budget."""

    grid: Grid
    director: Director
    random: np.random.Generator
    budget: int
    epochs: int = 0
    seconds: float = 0.0
    _curves: dict[str, Curve] = field(default_factory=dict)
    _agenda: list[tuple[float, int, Order]] = field(default_factory=list)
    _ticket: Iterator[int] = field(default_factory=count)

    def work(self) -> None:
        """Carry out orders, in simulated time, until there are no more."""
        now = 0.0
        while self._take_orders(now):
            now, _, order = heapq.heappop(self._agenda)
            if self._report(order):
                self._begin_epoch(order, now)

    def _take_orders(self, now: float) -> bool:
        while len(self._agenda) < WORKERS and (order := self.director.next_order()):
            if order.role == "measure":
                return False
            curves = self.grid.curves[nearest(self.grid, order.hyperparameters.model_dump())]
            self._curves.setdefault(order.trial, curves[self.random.integers(len(curves))])
            self._begin_epoch(order, now)
        return bool(self._agenda)

    def _done(self, order: Order) -> int:
        return len(self.director.record.trials[order.trial].epochs)

    def _begin_epoch(self, order: Order, now: float) -> None:
        done, curve = self._done(order), self._curves[order.trial]
        seconds = curve[done].seconds if done < len(curve) else 0.0
        heapq.heappush(self._agenda, (now + seconds, next(self._ticket), order))

    def _report(self, order: Order) -> bool:
        """Tell the director what an epoch gave; returns whether the order goes on."""
        done, curve = self._done(order), self._curves[order.trial]
        if done < self.grid.epochs:
            self.epochs += 1
            self._watch_budget()
            if done >= len(curve):
                self.director.ended(order.trial, "diverged")
                return False
            self.seconds += curve[done].seconds
            reason = self.director.epoch_done(order.trial, curve[done])
            if done + 1 < self.grid.epochs:
                if reason:
                    self.director.ended(order.trial, reason)
                return reason is None
        if order.role == "final":
            self.director.tested(order.trial, {})
        self.director.ended(order.trial, "epochs")
        return False

    def _watch_budget(self) -> None:
        """Close the trials while what runs still fits, and a finalist if none has trained to the end."""
        trials = self.director.record.trials.values()
        kept = 0 if any(len(trial.epochs) == self.grid.epochs for trial in trials) else self.grid.epochs - 1
        if self.epochs + len(self._agenda) + 1 + kept > self.budget:
            self.director.circumstances.limits.seconds = 0.0


def whole_grid(grid: Grid, seed: int) -> Found:
    """Every configuration trained once, to its last epoch."""
    random = np.random.default_rng(seed)
    drawn = {key: curves[random.integers(len(curves))] for key, curves in grid.curves.items()}
    best = min(drawn, key=lambda key: grid.last_rmse(drawn[key]))
    seconds = sum(result.seconds for curve in drawn.values() for result in curve)
    return Found(best, grid.last_rmse(drawn[best]), grid.all_epochs, seconds)


def row(grid: Grid, found: list[Found]) -> dict[str, Any]:
    """A variant's line of the table."""
    regrets = regrets_of(grid, found)
    own = np.array([grid.regret(each.own_rmse) for each in found])
    return {
        **interval(regrets, "regret %", 100),
        "within 2 %": f"{np.sum(regrets <= CLOSE)}/{len(found)}",
        "own regret %": 100 * interquartile_mean(own),
        "epochs %": 100 * max(each.epochs for each in found) / grid.all_epochs,
        "seconds %": 100 * float(np.mean([each.seconds for each in found]) / grid.all_seconds),
        "trials": float(np.mean([len(each.trials) for each in found])),
    }


def regrets_of(grid: Grid, found: list[Found]) -> NDArray[np.float64]:
    return np.array([grid.regret(grid.mean_rmse(each.configuration)) for each in found])


def differences(
    grid: Grid,
    both: list[Found],
    asha: list[Found],
    tpe: list[Found],
    neither: list[Found],
    suffix: str,
) -> dict[str, Any]:
    """Paired differences of regret, seed by seed: negative where the first is better."""
    pairs = {
        "TPE - random, ASHA": (both, asha),
        "TPE - random, alone": (tpe, neither),
        "ASHA - none, TPE": (both, tpe),
        "ASHA - none, random": (asha, neither),
    }
    return {
        name + suffix: interval(regrets_of(grid, first) - regrets_of(grid, second), "difference %", 100)
        for name, (first, second) in pairs.items()
    }


def interquartile_mean(values: NDArray[np.float64]) -> float:
    """Mean of the middle half."""
    return float(trim_mean(values, 0.25))


def interval(
    values: NDArray[np.float64],
    name: str,
    scale: float,
    statistic: Callable[[NDArray[np.float64]], float] = interquartile_mean,
) -> dict[str, float]:
    """Interquartile mean with its bootstrap 95 % interval over the searches."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(trim_mean(drawn, 0.25, axis=1), [0.025, 0.975])
    return {name: scale * statistic(values), "low": scale * float(low), "high": scale * float(high)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
