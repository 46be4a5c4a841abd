"""What `explain` says: why trials stopped, and whether more would help."""

from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_workspace import append, epoch, plan_small_search, started, write_small_search

from semtune.explanation import explain_search, facts, notes, tables
from semtune.journal import EpochDone, SearchOpened, SearchRecord, TrialEnded, TrialStarted
from semtune.results import EpochResult
from semtune.search.outlook import expected_best, outlook
from semtune.workspace import Workspace


def trials(errors, reseeds=()):
    """Whole trials with these validation errors, then fresh seeds of the first with others."""
    record = SearchRecord()
    origins = [None] * len(errors) + ["trial-0000"] * len(reseeds)
    for number, (error, origin) in enumerate(zip([*errors, *reseeds], origins, strict=True)):
        name = f"trial-{number:04d}"
        settings = {"architecture": "pacf", "epochs": 1}
        record.add(TrialStarted(trial=name, stratum="", hyperparameters=settings, seed=0, reseeds=origin))
        record.add(EpochDone(trial=name, result=EpochResult(1, error, error, 1, 1.0)))
        record.add(TrialEnded(trial=name, reason="epochs"))
    return list(record.trials.values())


@given(st.lists(st.floats(0, 10), min_size=2, max_size=8), st.data())
def test_the_expected_best_is_the_mean_over_all_choices(errors, data):
    count = data.draw(st.integers(1, len(errors)))
    expected = fmean(min(chosen) for chosen in combinations(errors, count))
    assert expected_best(errors, count) == pytest.approx(expected)


def test_a_search_that_has_found_the_bottom_is_told_so():
    found = outlook(trials([1.0, 1.001, 1.002, 1.0005, 1.3, 1.001, 1.0001, 1.4, 1.002, 1.001]))
    assert found.helps is False
    assert (found.best, found.best_place, found.noise_from_seeds) == (1.0, 1, False)
    assert found.chance == pytest.approx(1 / 11)


def test_a_search_that_still_falls_is_told_to_go_on():
    assert outlook(trials(np.linspace(3, 1, 20).tolist())).helps is True


def test_one_lucky_trial_leaves_the_question_open():
    assert outlook(trials([2.0, 2.001, 2.002, 2.001, 2.0, 2.001, 2.002, 2.001, 2.0, 1.0])).helps is None


def test_the_luck_of_seeds_is_the_yardstick_where_it_is_known():
    found = outlook(trials(np.linspace(3, 1, 20).tolist(), reseeds=(1.0, 2.0, 3.0)))
    assert (found.noise, found.noise_from_seeds, found.trials) == (1.0, True, 20)
    assert found.helps is False


def test_few_trials_say_nothing():
    assert outlook(trials([1.0] * 7)) == "that needs 8 trials; 7 have trained an epoch"


@pytest.mark.parametrize("seed", range(3))
def test_among_evenly_drawn_errors_the_next_doubling_brings_half_of_the_last(seed):
    """There the truth is known: the best of n is 1/(n+1), so that each doubling halves the gap to 0."""
    errors = np.random.default_rng(seed).uniform(size=(300, 32))
    told = fmean(outlook(trials(row[:16].tolist())).gain for row in errors)
    came = fmean(row[:16].min() - row.min() for row in errors)
    assert came == pytest.approx(told / 2, rel=0.35)


def test_each_stopped_trial_is_told_where_it_stood(tmp_path, small_dataset):
    folder, _ = plan_small_search(Workspace(tmp_path / "w"), small_dataset, "s")
    append(
        folder,
        SearchOpened(pid=1, host="h"),
        *(started(number) for number in range(4)),
        epoch(0, 1, 1.0),
        epoch(1, 1, 2.0),
        epoch(2, 1, 1.5),
        TrialEnded(trial="trial-0001", reason="asha"),
        TrialEnded(trial="trial-0002", reason="error", message="Traceback\nValueError: no"),
    )
    stops = {stop.trial: stop for stop in explain_search(folder).stops}
    assert stops["trial-0001"].why.startswith(
        "number 3 of the 3 that had got to epoch 1 by then; the best 1/3"
    )
    assert stops["trial-0002"].why == "ValueError: no"
    assert stops["trial-0000"].reason == "running"
    assert "semtune resume" in stops["trial-0000"].why


def test_an_explanation_says_what_it_cannot(tmp_path, small_dataset):
    found = explain_search(write_small_search(Workspace(tmp_path / "w"), small_dataset, "s"))
    assert found.reasons == {"epochs": 1, "asha": 1, "diverged": 1}
    told = " ".join(notes(found))
    assert "What mattered is not known: importance needs two hyperparameters" in told
    assert "Would more trials help? Not known: that needs 8 trials; 2 have trained an epoch." in told
    assert [len(cells.rows) for _, cells in tables(found)] == [3]
    assert facts(found)["more_trials"]["all architectures"]["unknown"].startswith("that needs 8")


def test_an_outlook_is_words_and_numbers(tmp_path, small_dataset):
    folder, _ = plan_small_search(Workspace(tmp_path / "w"), small_dataset, "s")
    events = [event for n in range(9) for event in (started(n), epoch(n, 1, 2.0 - 0.1 * n))]
    append(folder, SearchOpened(pid=1, host="h"), *events)
    found = explain_search(folder)
    told = " ".join(notes(found))
    assert "From 4 to 9 trials the best RMSE fell by" in told
    assert "TPE's later trials are better ones" in told
    assert facts(found)["more_trials"]["all architectures"]["helps"] is True
