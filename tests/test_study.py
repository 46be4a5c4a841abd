"""The studies' file is in Optuna's own format; samplers see a bounded part, which holds what TPE needs."""

import math
import random

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from semtune.search import study as part
from semtune.search.study import StudyStorage

RATE = {"rate": optuna.distributions.FloatDistribution(0.0, 1.0)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.log"


def study_at(path, name="all"):
    return optuna.create_study(study_name=name, storage=StudyStorage(path), load_if_exists=True)


def told(path, name="all"):
    """What a reader with a storage of Optuna's own finds."""
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(path)))).trials


def past(number, seed=0):
    """Finished trials of all kinds."""
    chance = random.Random(seed)
    for _ in range(number):
        state = chance.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        values = {epoch: chance.choice([chance.random(), math.nan]) for epoch in range(chance.randint(0, 3))}
        value = chance.random() if state == TrialState.COMPLETE else None
        yield create_trial(
            state=state,
            value=value,
            params={"rate": chance.random()},
            distributions=RATE,
            intermediate_values=values if state == TrialState.PRUNED else {},
        )


def test_another_process_reads_what_was_written(path):
    study = study_at(path)
    asked = study.ask(RATE)
    asked.report(0.5, 1)
    asked.set_user_attr("name", "trial-0000")
    study.tell(asked, 0.25)
    study.enqueue_trial({"rate": 0.5})
    first, second = told(path)
    assert (first.state, first.value, first.intermediate_values) == (TrialState.COMPLETE, 0.25, {1: 0.5})
    assert first.params == asked.params
    assert second.state == TrialState.WAITING
    assert [trial.state for trial in study_at(path).trials] == [TrialState.COMPLETE, TrialState.WAITING]


def test_studies_of_one_file_keep_apart(path):
    storage = StudyStorage(path)
    one, two = (optuna.create_study(study_name=name, storage=storage) for name in ("one", "two"))
    one.add_trials(list(past(5)))
    two.ask()
    assert [trial.state for trial in two.trials] == [TrialState.RUNNING]
    assert (len(told(path, "one")), len(told(path, "two"))) == (5, 1)


def test_samplers_see_what_is_unfinished_the_best_and_the_latest(path, monkeypatch):
    monkeypatch.setattr(part, "BEST", 3)
    monkeypatch.setattr(part, "LATEST", 40)
    storage = StudyStorage(path)
    study = optuna.create_study(study_name="all", storage=storage)
    for value in (5.0, 1.0, 2.0, 3.0):
        study.tell(study.ask(RATE), value)
    open_trial = study.ask(RATE)
    for value in range(part.LATEST):
        study.tell(study.ask(RATE), 10.0 + value)
    study.tell(study.ask(RATE), state=TrialState.FAIL)
    numbers = [trial.number for trial in study.trials]
    assert numbers == [1, 2, 3, open_trial.number, *range(5, 5 + part.LATEST)]
    assert storage.get_n_trials(study._study_id) == len(told(path)) == 6 + part.LATEST
    assert [trial.number for trial in study_at(path).trials] == numbers  # and so after a death


@pytest.mark.parametrize("seed", range(5))
def test_the_best_are_those_that_tpe_takes_for_good(path, seed):
    """TPE splits all trials into good ones and others; the good ones must be the same of the part."""
    study = study_at(path)
    study.add_trials(list(past(2500, seed)))
    everything = told(path)
    learnable = [trial for trial in everything if trial.state != TrialState.FAIL]
    good, _ = optuna.samplers._tpe.sampler._split_trials(study, learnable, part.BEST)
    assert {trial.number for trial in good} <= {trial.number for trial in study.trials}
    assert len(study.trials) <= part.BEST + part.LATEST
    found, _ = optuna.samplers._tpe.sampler._split_trials(study, study.trials, part.BEST)
    assert [trial.number for trial in found] == [trial.number for trial in good]


def test_names_and_ends_are_flushed_to_the_disk_and_epochs_are_not(path, monkeypatch):
    study, flushed = study_at(path), []
    monkeypatch.setattr(part.os, "fsync", flushed.append)
    asked = study.ask(RATE)
    for epoch in range(1, 9):
        asked.report(1.0, epoch)
    assert not flushed
    asked.set_user_attr("name", "trial-0000")
    study.tell(asked, 1.0)
    assert len(flushed) == 2
