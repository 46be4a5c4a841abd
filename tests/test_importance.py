"""Importance of hyperparameters: what matters is found, what is noise is not, and too little says nothing."""

import math

import numpy as np
import pytest

from semtune.journal import EpochDone, SearchRecord, TrialEnded, TrialStarted
from semtune.results import EpochResult
from semtune.search.importance import CHANCE, importance, ranked
from semtune.search.space import parse_space

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-5, 1.0e-1]}
optimizer: {choice: [adam, adamw]}
weight_decay: {log_uniform: [1.0e-5, 1.0e-1], when: {optimizer: [adamw]}, otherwise: 0.0}
batch_size: {choice: [8, 16, 32]}
"""


def space():
    return parse_space(SPACE, "space.yaml", "space")


def searched(count, error=lambda rate: abs(math.log10(rate) + 3)):
    """Trials whose error is decided by the learning rate alone."""
    generator = np.random.default_rng(0)
    record = SearchRecord()
    for number in range(count):
        settings = {
            "architecture": "pacf",
            "learning_rate": float(10 ** generator.uniform(-5, -1)),
            "optimizer": str(generator.choice(["adam", "adamw"])),
            "batch_size": int(generator.choice([8, 16, 32])),
        }
        settings["weight_decay"] = 1e-3 if settings["optimizer"] == "adamw" else 0.0
        name, value = f"trial-{number:04d}", error(settings["learning_rate"])
        record.add(TrialStarted(trial=name, stratum="", hyperparameters=settings, seed=number))
        record.add(EpochDone(trial=name, result=EpochResult(1, value, value, 1, 1.0)))
        record.add(TrialEnded(trial=name, reason="epochs"))
    return list(record.trials.values())


def test_what_decides_is_found_and_the_rest_is_like_chance():
    found = importance(space(), searched(30))
    assert found.shares["learning_rate"] > 0.7
    assert found.shares["batch_size"] < found.shares[CHANCE] + 0.1
    assert sum(found.shares.values()) == pytest.approx(1)
    assert (found.trials, found.partial) == (30, ("weight_decay",))


def test_the_same_trials_give_the_same_answer():
    assert importance(space(), searched(12)) == importance(space(), searched(12))


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        (searched(7), "importance needs 8 trials; 7"),
        (searched(9, lambda rate: 1.0), "all trials reached the same"),
    ],
)
def test_too_little_says_nothing(trials, reason):
    assert reason in importance(space(), trials)


def test_failed_and_repeated_trials_do_not_count():
    first, second, third = searched(3)
    first.ended = TrialEnded(trial=first.name, reason="diverged")
    second.started = second.started.model_copy(update={"repeats": "trial-0000"})
    assert ranked([first, second, third]) == [third]
