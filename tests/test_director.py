"""What runs next, what stops, who is a finalist: played through without a worker."""

import math

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from semtune.journal import Journal, Noted, SearchRecord, TrialEnded, read_events, read_record
from semtune.results import EpochResult
from semtune.search.director import Director
from semtune.search.judgement import failures_again, finalists_longer
from semtune.search.space import parse_space

STRATIFIED = """
architecture: {choice: [pacf, vgg11]}
learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}
epochs: 9
stratify: architecture
first: {learning_rate: 1.5e-4}
trials: 6
"""
TOGETHER = STRATIFIED.replace("stratify: architecture\n", "")


class Play:
    """A director with its journal, and workers that are played; a trial's curve is a function."""

    def __init__(self, folder, text=TOGETHER, curve=lambda trial, epoch: 1.0, **settings):
        self.folder, self.text, self.curve, self.settings = folder, text, curve, settings
        self.failing = {}  # (trial, role) -> reason
        self.finished = []  # (role, trial) in the order in which they ended
        self.running = {}  # order -> epochs done
        self.take_up()

    def take_up(self, seconds=None):
        """A new process: only the journal and the study remain."""
        space = parse_space(self.text, "space.yaml", "space").overridden({}, self.settings)
        record = read_record(self.folder / "journal.jsonl")
        self.director = Director(space, record, self.folder / "study.log", self.write, seconds=seconds)
        self.running = {}

    def write(self, event):
        journal = Journal(self.folder / "journal.jsonl")
        journal.append(event)
        journal.close()

    def order(self):
        order = self.director.next_order()
        if order:
            trained = self.record.trials[order.trial].epochs
            self.running[order] = trained[-1].epoch if trained else 0
        return order

    def fill(self, workers=2):
        while len(self.running) < workers and self.order():
            pass

    def step(self, order):
        """One report of the worker that has this order."""
        name, epochs = order.trial, order.hyperparameters.epochs
        if reason := self.failing.get((name, order.role)):
            self.end(order, reason)
        elif order.role == "measure":
            self.director.timed(name, {"milliseconds_per_image": 1.0}, "a CPU")
            self.end(order, "epochs")
        elif self.running[order] >= epochs:
            self.finish(order)
        else:
            self.running[order] += 1
            number = self.running[order]
            result = EpochResult(number, 1.0, self.curve(name, number), 10, 0.1)
            verdict = self.director.epoch_done(name, result)
            if verdict:
                self.end(order, verdict)
            elif number >= epochs:
                self.finish(order)

    def finish(self, order):
        if order.role == "final":
            self.director.tested(order.trial, {"test_rmse": 1.0})
        self.end(order, "epochs")

    def end(self, order, reason):
        del self.running[order]
        self.finished.append((order.role, order.trial))
        self.director.ended(order.trial, reason, "")

    def through(self, workers=2, steps=10_000):
        """Play until nothing is left to do."""
        for _ in range(steps):
            self.fill(workers)
            if not self.running:
                self.director.close()
                return self
            for order in list(self.running):
                self.step(order)
        raise AssertionError("the search does not end")

    @property
    def record(self):
        return self.director.record

    def trials(self, stratum):
        return [trial for trial in self.record.trials.values() if trial.started.stratum == stratum]

    def done(self, role):
        return [trial for each, trial in self.finished if each == role]

    def study(self, stratum="all"):
        storage = JournalStorage(JournalFileBackend(str(self.folder / "study.log")))
        return optuna.load_study(study_name=stratum, storage=storage).trials


def by_number(trial, epoch):
    """Later trials are better; every trial gets better."""
    return 20 - int(trial[-4:]) - epoch / 100


def worse_by_number(trial, epoch):
    return 1 + int(trial[-4:]) - epoch / 100


# Trials


def test_trials_are_dealt_evenly_to_the_strata(tmp_path):
    play = Play(tmp_path, STRATIFIED).through()
    assert len(play.trials("pacf")) == len(play.trials("vgg11")) == 3
    for trial in play.record.trials.values():
        assert trial.architecture == trial.started.stratum


def test_an_odd_trial_goes_to_the_first_stratum(tmp_path):
    play = Play(tmp_path, STRATIFIED, trials=3).through()
    assert (len(play.trials("pacf")), len(play.trials("vgg11"))) == (2, 1)


def test_fewer_trials_than_strata_still_end(tmp_path):
    play = Play(tmp_path, STRATIFIED, trials=1).through()
    assert list(play.record.trials) == ["trial-0000"]
    assert play.done("final") == ["trial-0000"]


def test_the_first_trial_of_each_stratum_has_the_papers_setting(tmp_path):
    play = Play(tmp_path, STRATIFIED).through()
    for stratum in ("pacf", "vgg11"):
        first, *others = play.trials(stratum)
        assert first.started.hyperparameters["learning_rate"] == 1.5e-4
        assert all(each.started.hyperparameters["learning_rate"] != 1.5e-4 for each in others)


def test_every_trial_has_a_seed_and_a_name_of_its_own(tmp_path):
    play = Play(tmp_path, STRATIFIED, seed=100).through()
    assert list(play.record.trials) == [f"trial-{i:04d}" for i in range(6)]
    assert [trial.started.seed for trial in play.record.trials.values()] == list(range(100, 106))


def test_a_search_repeats_itself_for_the_same_seed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = (Play(tmp_path / each, curve=by_number).through() for each in "ab")
    asked = [[t.started.hyperparameters for t in play.record.trials.values()] for play in (one, two)]
    assert asked[0] == asked[1]


def test_the_journal_says_what_the_director_knows(tmp_path):
    play = Play(tmp_path, curve=by_number).through()
    assert read_record(tmp_path / "journal.jsonl").trials == play.record.trials


def test_every_ended_trial_has_a_reason_and_the_study_agrees(tmp_path):
    play = Play(tmp_path, curve=worse_by_number)
    play.failing = {("trial-0003", "search"): "diverged"}
    play.through()
    reasons = [trial.reason for trial in play.record.trials.values()]
    assert set(reasons) == {"epochs", "asha", "diverged"}
    states = {"epochs": "COMPLETE", "asha": "PRUNED", "diverged": "FAIL"}
    assert [trial.state.name for trial in play.study()] == [states[reason] for reason in reasons]


# ASHA


def test_a_trial_worse_than_those_before_is_stopped_at_a_rung(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=3).through(workers=1)
    first, *others = play.record.trials.values()
    assert first.reason == "epochs"
    assert {trial.reason for trial in others} == {"asha"}
    assert {trial.searched.epoch for trial in others} == {3}


def test_without_a_scheduler_no_trial_is_stopped(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=3, scheduler="none").through(workers=1)
    assert {trial.reason for trial in play.record.trials.values()} == {"epochs"}


def test_trials_are_compared_within_their_stratum_only(tmp_path):
    """One architecture is far worse than the other; it must still get its whole trials."""

    def curve(trial, epoch):
        return (100.0 if int(trial[-4:]) % 2 else 1.0) - int(trial[-4:]) - epoch / 100

    play = Play(tmp_path, STRATIFIED, curve=curve).through(workers=1)
    assert {trial.reason for trial in play.record.trials.values()} == {"epochs"}


def test_a_trial_is_not_stopped_at_its_last_epoch(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=9).through(workers=1)
    assert {trial.reason for trial in play.record.trials.values()} == {"epochs"}


# Finals


def test_the_best_of_each_stratum_meets_the_test_and_is_timed(tmp_path):
    play = Play(tmp_path, STRATIFIED, curve=by_number).through()
    assert sorted(play.done("final")) == ["trial-0004", "trial-0005"]
    assert sorted(play.done("measure")) == ["trial-0004", "trial-0005"]
    for trial in play.done("final"):
        assert play.record.trials[trial].tested
        assert play.record.trials[trial].timed


def test_as_many_finalists_as_asked_for_meet_the_test(tmp_path):
    play = Play(tmp_path, curve=by_number, finalists=3).through()
    assert sorted(play.done("final")) == ["trial-0003", "trial-0004", "trial-0005"]


def test_a_whole_trial_goes_before_a_stopped_one_that_looked_better(tmp_path):
    def curve(trial, epoch):  # trial 1 is stopped at epoch 3 while still better than trial 0 ends
        return {"trial-0000": 5.0 if epoch > 3 else 1.0, "trial-0001": 1.5}.get(trial, 9.0)

    play = Play(tmp_path, curve=curve, trials=2, grace_epochs=3).through(workers=1)
    assert play.record.trials["trial-0001"].reason == "asha"
    assert play.done("final") == ["trial-0000"]


def test_a_stopped_trial_is_trained_to_the_end_before_it_is_tested(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=3, finalists=2).through(workers=1)
    assert len(play.record.trials["trial-0001"].epochs) == 9
    assert play.record.trials["trial-0001"].tested


def test_a_finalist_that_gets_worse_keeps_its_place(tmp_path):
    """Else its rival would be trained to the end too, and one of them for nothing."""

    def curve(trial, epoch):
        return {"trial-0000": 1.0, "trial-0001": 2.0 if epoch <= 3 else 7.0}.get(trial, 3.0)

    play = Play(tmp_path, curve=curve, trials=5, grace_epochs=3, finalists=2).through(workers=2)
    assert {trial.reason for trial in play.record.trials.values()} == {"epochs", "asha"}
    assert sorted(play.done("final")) == ["trial-0000", "trial-0001"]


def test_a_final_that_fails_lets_the_next_best_in(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.failing = {("trial-0005", "final"): "out_of_memory"}
    play.through()
    assert play.done("final") == ["trial-0005", "trial-0005", "trial-0004"]  # the second time alone
    assert play.record.trials["trial-0005"].reason == "out_of_memory"
    assert play.done("measure") == ["trial-0004"]


def test_a_failed_trial_is_no_finalist(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.failing = {("trial-0005", "search"): "diverged"}
    play.through()
    assert play.done("final") == ["trial-0004"]


def test_one_trial_is_measured_at_a_time_when_nothing_else_runs(tmp_path):
    play = Play(tmp_path, STRATIFIED, curve=by_number)
    for _ in range(2000):
        play.fill(workers=4)
        if any(order.role == "measure" for order in play.running):
            assert len(play.running) == 1
        if not play.running:
            break
        play.step(next(iter(play.running)))
    assert len(play.done("measure")) == 2


def test_a_final_starts_while_another_stratum_still_trains(tmp_path):
    play = Play(tmp_path, STRATIFIED, trials=2)
    play.fill(workers=2)
    first, second = play.running
    while first in play.running:
        play.step(first)
    play.fill(workers=2)
    assert {order.role for order in play.running} == {"search", "final"}
    assert second in play.running


def test_files_are_kept_of_finalists_and_of_what_runs(tmp_path):
    play = Play(tmp_path, curve=by_number).through()
    assert sorted(play.director.unneeded()) == [f"trial-{i:04d}" for i in range(5)]


def test_nothing_is_unneeded_that_may_still_go_on(tmp_path):
    play = Play(tmp_path, curve=worse_by_number)
    play.fill(workers=2)
    assert play.director.unneeded() == []
    play.director.interrupt()
    for order in list(play.running):
        play.step(order)
    assert play.director.unneeded() == []


def test_an_epoch_that_is_told_again_is_recorded_once(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=1).through()
    before = (tmp_path / "journal.jsonl").read_bytes()
    play.director.epoch_done("trial-0000", play.record.trials["trial-0000"].epochs[-1])
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_the_test_goes_with_the_validation_error_of_the_last_epoch(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=3, finalists=2).through(workers=1)
    trial = play.record.trials["trial-0001"]
    assert trial.tested.validation_rmse == worse_by_number("trial-0001", 9)


# Failures


@pytest.mark.parametrize(
    ("trials", "max_failures", "limit"), [(6, None, 1), (16, None, 4), (6, 3, 3), (6, 0, 0)]
)
def test_a_search_gives_up_after_too_many_failures(tmp_path, trials, max_failures, limit):
    play = Play(tmp_path, curve=by_number, trials=trials, max_failures=max_failures)
    play.failing = {(f"trial-{i:04d}", "search"): "error" for i in range(trials)}
    play.through(workers=1)
    assert len(play.done("search")) == limit + 1
    assert play.director.failure == (
        f"{limit + 1} of {limit + 1} trials failed, the last (trial-{limit:04d}) with 'error'"
    )
    assert play.done("final") == []


def test_a_search_bears_a_few_failures(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.failing = {("trial-0002", "search"): "lost"}
    play.through()
    assert play.director.failure is None
    assert len(play.record.trials) == 6
    assert play.done("final") == ["trial-0005"]


# Interruption


def test_an_interrupted_search_starts_nothing_and_stops_at_the_next_epochs(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=2)
    for order in list(play.running):
        play.step(order)
    play.director.interrupt()
    play.through()
    assert play.director.interrupted
    assert len(play.record.trials) == 2
    assert [trial.reason for trial in play.record.trials.values()] == ["interrupted"] * 2
    assert [len(trial.epochs) for trial in play.record.trials.values()] == [2, 2]


def test_an_interrupted_search_ends_as_one_that_was_not(tmp_path):
    whole = tmp_path / "whole"
    parts = tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = Play(whole, STRATIFIED, curve=by_number).through(workers=1)
    play = Play(parts, STRATIFIED, curve=by_number)
    for stop_after in (3, 5, 14):
        for _ in range(stop_after):
            play.fill(workers=1)
            play.step(next(iter(play.running)))
        play.director.interrupt()
        play.through(workers=1)
        play.take_up()
    play.through(workers=1)
    assert play.done("final") == expected.done("final")
    for name, trial in play.record.trials.items():
        assert trial.reason == expected.record.trials[name].reason
        assert len(trial.epochs) == len(expected.record.trials[name].epochs)


def test_a_search_that_died_takes_up_what_ran(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=2)
    for order in list(play.running):
        play.step(order)
    play.take_up()  # no goodbye
    play.fill(workers=2)
    assert [order.trial for order in play.running] == ["trial-0000", "trial-0001"]
    assert {order.role for order in play.running} == {"search"}
    play.through()
    assert len(play.record.trials) == 6
    assert all(trial.reason for trial in play.record.trials.values())


def test_a_death_in_the_finals_repeats_only_what_is_missing(tmp_path):
    play = Play(tmp_path, curve=by_number, finalists=2)
    while not any(trial.tested for trial in play.record.trials.values()):
        play.fill(workers=1)
        play.step(next(iter(play.running)))
    play.finished.clear()
    play.take_up()
    play.through(workers=1)
    assert len(play.done("final")) == 1
    assert len(play.done("measure")) == 2
    assert play.done("search") == []


def test_a_finished_search_has_no_more_orders(tmp_path):
    play = Play(tmp_path, curve=by_number).through()
    play.take_up()
    assert play.order() is None
    assert play.director.busy == 0


def test_the_rungs_survive_a_death(tmp_path):
    """A trial after the death is compared with those before."""
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=3)
    for _ in range(9):
        play.fill(workers=1)
        play.step(next(iter(play.running)))
    play.take_up()
    play.through(workers=1)
    assert [trial.reason for trial in play.record.trials.values()] == ["epochs", *["asha"] * 5]


def test_the_study_learns_of_an_ending_that_it_missed(tmp_path):
    """The process died between the journal and the study."""
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=1)
    play.step(next(iter(play.running)))
    play.write(TrialEnded(trial="trial-0000", reason="asha"))
    play.take_up()
    (trial,) = play.study()
    assert trial.state.name == "PRUNED"
    assert trial.intermediate_values == {1: by_number("trial-0000", 1)}


# Time budget


def test_when_the_time_is_up_trials_stop_and_finals_still_run(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=2)
    for order in list(play.running):
        play.step(order)
    play.director.circumstances.limits.seconds = 0.0
    assert play.director.circumstances.over_budget
    play.through()
    assert [trial.reason for trial in play.record.trials.values()] == ["budget", "budget"]
    assert play.done("final") == ["trial-0001"]
    assert len(play.record.trials["trial-0001"].epochs) == 9
    assert play.done("measure") == ["trial-0001"]


def test_no_trial_is_left_open_when_the_time_is_up(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=2)
    for order in list(play.running):
        play.step(order)
    play.director.interrupt()
    play.through()
    play.take_up(seconds=0.0)
    play.through()
    assert [trial.reason for trial in play.record.trials.values()] == ["budget", "budget"]
    assert [trial.state.name for trial in play.study()] == ["PRUNED", "PRUNED"]


def test_a_search_without_a_budget_is_never_over_it(tmp_path):
    assert not Play(tmp_path).director.circumstances.over_budget


def test_a_director_without_a_past_starts_with_the_first_trial(tmp_path):
    events = []
    space = parse_space(TOGETHER, "space.yaml", "space")
    director = Director(space, SearchRecord(), tmp_path / "study.log", events.append)
    order = director.next_order()
    assert (order.trial, order.role, order.seed) == ("trial-0000", "search", 0)
    assert order.hyperparameters.learning_rate == 1.5e-4
    assert [event.event for event in events] == ["trial_started"]
    assert director.busy == 1
    assert math.isfinite(events[0].at)


# Processes that die


def test_a_trial_whose_process_died_is_ordered_again(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=2)
    first = next(iter(play.running))
    play.step(first)
    play.director.died(first.trial, "lost", "killed")
    del play.running[first]
    assert play.director.busy == 1
    play.through()
    assert {trial.reason for trial in play.record.trials.values()} == {"epochs"}
    assert len(play.record.trials) == 6


@pytest.mark.parametrize("reason", ["lost", "out_of_memory"])
def test_a_trial_that_dies_thrice_without_an_epoch_is_given_up(tmp_path, reason):
    play = Play(tmp_path, curve=by_number)
    play.order()
    for _ in range(3):
        assert play.record.trials["trial-0000"].reason is None
        play.director.died("trial-0000", reason, "killed")
        play.running.clear()
        play.order()
    assert play.record.trials["trial-0000"].reason == reason
    assert play.study()[0].state.name == "FAIL"
    assert next(iter(play.running)).trial == "trial-0001"


def test_deaths_with_an_epoch_between_are_borne_for_ever(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=1)
    for _ in range(8):
        order = play.order()
        play.step(order)
        play.director.died(order.trial, "lost", "the machine was taken away")
        play.running.clear()
    play.through()
    assert play.record.trials["trial-0000"].reason == "epochs"


def test_a_final_whose_process_died_is_ordered_again(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=1)
    play.fill(workers=1)
    while not any(order.role == "final" for order in play.running):
        play.step(next(iter(play.running)))
        play.fill(workers=1)
    play.director.died("trial-0000", "lost", "killed")
    play.running.clear()
    play.through()
    assert play.record.trials["trial-0000"].tested
    assert play.record.trials["trial-0000"].reason == "epochs"


def test_deaths_after_the_search_was_asked_to_stop_are_interruptions(tmp_path):
    """A scheduler's signal reaches the trials' processes too."""
    play = Play(tmp_path, curve=by_number)
    play.fill(workers=2)
    play.director.interrupt()
    play.director.all_died("lost", "killed")
    assert [trial.reason for trial in play.record.trials.values()] == ["interrupted"] * 2


def test_an_epoch_trained_again_after_a_death_is_told_once(tmp_path):
    """It has the same errors and took another time; one with other errors is told, for it is another."""
    play = Play(tmp_path, curve=by_number, trials=1)
    order = play.order()
    play.step(order)
    play.step(order)
    before = (tmp_path / "journal.jsonl").read_bytes()
    play.director.died("trial-0000", "lost", "killed")
    play.order()
    told = play.record.trials["trial-0000"].epochs
    died = (tmp_path / "journal.jsonl").read_bytes()
    play.director.epoch_done("trial-0000", EpochResult(1, 1.0, told[0].validation_rmse, 10, 0.7))
    assert (tmp_path / "journal.jsonl").read_bytes() == died != before
    play.director.epoch_done("trial-0000", EpochResult(2, 1.0, 3.0, 10, 0.7))
    assert play.record.trials["trial-0000"].epochs[-1].validation_rmse == 3.0


# Trials that stall


def test_a_trial_with_the_same_error_for_ten_epochs_has_stalled(tmp_path):
    play = Play(tmp_path, TOGETHER.replace("epochs: 9", "epochs: 20"), grace_epochs=20, trials=2)
    play.curve = lambda trial, epoch: 1.0 if trial == "trial-0000" and epoch > 4 else 2.0 + epoch / 100
    play.through(workers=1)
    first, second = play.record.trials.values()
    assert (first.reason, len(first.epochs)) == ("stalled", 14)
    assert "to the last bit in 10 epochs" in first.ended.message
    assert second.reason == "epochs"


@pytest.mark.parametrize("same_from", [12, 11])
def test_a_trial_whose_last_epochs_change_nothing_is_whole(tmp_path, same_from):
    """The last steps of a cosine schedule are too small to show."""
    play = Play(tmp_path, TOGETHER.replace("epochs: 9", "epochs: 20"), grace_epochs=20, trials=1)
    play.curve = lambda trial, epoch: 1.0 + max(0, same_from - epoch) / 100
    assert play.through().record.trials["trial-0000"].reason == "epochs"


# Repeats: more epochs, and failed trials again


def again(play, retry_failed=False, **settings):
    """A new session with other settings, as `resume` and `retry` make it."""
    play.settings |= settings
    if "epochs" in settings:
        play.text = play.text.replace("epochs: 9", f"epochs: {play.settings.pop('epochs')}")
    play.take_up()
    asked = [
        *finalists_longer(play.record, play.director.space),
        *(failures_again(play.record) if retry_failed else ()),
    ]
    for event in asked:
        play.write(event)
    play.finished.clear()
    play.take_up()
    return play


def test_more_trials_follow_those_that_are_finished(tmp_path):
    play = Play(tmp_path, STRATIFIED, curve=by_number).through()
    before = (tmp_path / "journal.jsonl").read_bytes()
    again(play, trials=10).through()
    assert (tmp_path / "journal.jsonl").read_bytes().startswith(before)
    assert play.done("search") == [f"trial-{i:04d}" for i in range(6, 10)]
    assert len(play.study("pacf")) == len(play.study("vgg11")) == 5


def test_new_trials_of_an_extended_search_meet_the_rungs_of_the_old_ones(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, grace_epochs=3, trials=4).through(workers=1)
    again(play, trials=6).through(workers=1)
    assert [trial.reason for trial in play.record.trials.values()] == ["epochs", *["asha"] * 5]
    assert all(len(play.record.trials[name].epochs) == 3 for name in play.done("search"))


def test_more_epochs_train_the_best_of_each_stratum_anew_and_leave_the_finished_as_they_are(tmp_path):
    play = Play(tmp_path, STRATIFIED, curve=by_number).through()
    old = read_record(tmp_path / "journal.jsonl").trials
    again(play, epochs=12).through()
    assert {name: play.record.trials[name] for name in old} == old
    new = {name: trial for name, trial in play.record.trials.items() if name not in old}
    assert [trial.started.repeats for trial in new.values()] == ["trial-0004", "trial-0005"]
    for trial in new.values():
        first = old[trial.started.repeats].started
        assert trial.started.seed == first.seed
        assert trial.started.hyperparameters == first.hyperparameters | {"epochs": 12}
        assert len(trial.epochs) == 12
    told = [trial for trial in play.study("pacf") if trial.params.get("learning_rate")]
    assert told[-1].params["learning_rate"] == old["trial-0004"].started.hyperparameters["learning_rate"]
    before = (tmp_path / "journal.jsonl").read_bytes()
    again(play).through()  # nothing is wanted twice
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_an_interrupted_trial_goes_on_to_its_own_last_epoch(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=2)
    play.fill(workers=2)
    play.director.interrupt()
    play.through()
    again(play, epochs=12, trials=3).through()
    assert [len(trial.epochs) for trial in play.record.trials.values()] == [9, 9, 12]


def test_trials_of_unequal_length_are_not_compared(tmp_path):
    """The longer ones are worse at each rung of the shorter ones, and still none of them is stopped."""
    play = Play(tmp_path, curve=by_number, grace_epochs=3).through()
    play.curve = lambda trial, epoch: by_number(trial, epoch) + 50
    again(play, epochs=12, trials=8).through(workers=1)
    assert {play.record.trials[name].reason for name in play.done("search")} == {"epochs"}


def test_failed_trials_run_again_under_new_names_and_count_no_more(tmp_path):
    play = Play(tmp_path, curve=by_number, max_failures=1)
    play.failing = {("trial-0001", "search"): "lost", ("trial-0002", "search"): "error"}
    play.through()
    assert play.director.failure
    before = read_record(tmp_path / "journal.jsonl").trials["trial-0001"]
    play.failing = {}
    again(play, retry_failed=True).through()
    assert play.director.failure is None
    assert play.record.trials["trial-0001"] == before
    repeats = {t.started.repeats: t for t in play.record.trials.values() if t.started.repeats}
    assert set(repeats) == {"trial-0001", "trial-0002"}
    for name, repeat in repeats.items():
        first = play.record.trials[name].started
        assert (repeat.started.hyperparameters, repeat.started.seed) == (first.hyperparameters, first.seed)
        assert repeat.reason == "epochs"
    assert len(play.record.trials) == 8


def test_a_repeat_that_was_wanted_before_a_death_is_started_after_it(tmp_path):
    play = Play(tmp_path, curve=by_number)
    play.failing = {("trial-0002", "search"): "lost"}
    play.through()
    play.failing = {}
    again(play, retry_failed=True)  # and the process dies here
    play.take_up()
    play.through()
    assert [t.started.repeats for t in play.record.trials.values()].count("trial-0002") == 1
    assert play.record.pending == []


# Memory


def test_a_trial_without_memory_goes_on_alone(tmp_path):
    """In company it is put back, which is no failure; others wait until it has its place."""
    play = Play(tmp_path)
    first, second = play.order(), play.order()
    play.director.ended(first.trial, "out_of_memory", "CUDA out of memory")
    assert play.record.trials[first.trial].reason is None
    again = play.director.next_order()
    assert (again.trial, again.alone) == (first.trial, True)
    assert play.director.next_order() is None
    play.director.epoch_done(again.trial, EpochResult(1, 1.0, 1.0, 10, 1.0))
    assert not play.director.next_order().alone
    assert not second.alone


def test_a_trial_without_memory_even_alone_has_failed(tmp_path):
    play = Play(tmp_path)
    first = play.order()
    for _ in range(2):
        play.director.ended(first.trial, "out_of_memory", "CUDA out of memory")
        first = play.director.next_order()
    assert play.record.trials["trial-0000"].reason == "out_of_memory"
    assert first.trial == "trial-0001"


def test_a_resumed_search_remembers_who_must_be_alone(tmp_path):
    play = Play(tmp_path)
    first = play.order()
    play.director.ended(first.trial, "out_of_memory")
    play.take_up()
    assert play.director.next_order().alone


def test_a_note_is_made_once(tmp_path):
    play = Play(tmp_path)
    for _ in range(2):
        play.director.noted(Noted(text="31 GB of frames: read from disk as they are needed"))
        play.take_up()
    assert play.record.notes == ["31 GB of frames: read from disk as they are needed"]


# Fresh seeds


def reseeds(play, stratum=""):
    return [t for t in play.record.trials.values() if t.started.reseeds and t.started.stratum == stratum]


def test_the_best_is_trained_anew_with_fresh_seeds_which_meet_the_test_in_its_place(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=3).through()
    fresh = reseeds(play)
    assert len(fresh) == 3
    best = play.record.trials["trial-0005"]
    assert {trial.started.reseeds for trial in fresh} == {"trial-0005"}
    assert all(trial.started.hyperparameters == best.started.hyperparameters for trial in fresh)
    assert len({trial.started.seed for trial in play.record.trials.values()}) == 9
    assert all(trial.reason == "epochs" and len(trial.epochs) == 9 for trial in fresh)
    assert best.tested is None
    assert [t.name for t in play.record.trials.values() if t.tested] == [t.name for t in fresh]
    assert [t.name for t in play.record.trials.values() if t.timed] == [
        fresh[-1].name
    ]  # the best; all are as fast


def test_no_test_frame_is_touched_before_every_fresh_seed_has_been_trained(tmp_path):
    play = Play(tmp_path, STRATIFIED, curve=by_number, seeds=2).through(workers=3)
    for stratum in ("pacf", "vgg11"):
        own = {trial.name for trial in reseeds(play, stratum)}
        roles = [role for role, trial in play.finished if trial in own]
        assert roles == ["reseed"] * 2 + ["final"] * 2 + ["measure"]


def test_fresh_seeds_are_neither_asha_s_nor_optuna_s_nor_of_the_trials_asked_for(tmp_path):
    def curve(trial, epoch):
        return 1.0 if int(trial[-4:]) < 6 else 9.0  # ASHA would stop them all

    play = Play(tmp_path, curve=curve, seeds=3, grace_epochs=3).through()
    assert len(play.record.trials) == 9
    assert len(play.study()) == 6
    assert {trial.reason for trial in reseeds(play)} == {"epochs"}
    play.take_up()
    assert play.order() is None


def test_the_mean_over_fresh_seeds_chooses_among_finalists_and_the_lucky_one_loses(tmp_path):
    """The winner of the search was lucky: with fresh seeds the second is better."""

    def curve(trial, epoch):
        number = int(trial[-4:])
        if number < 6:
            return by_number(trial, epoch)
        origin = play.record.trials[trial].started.reseeds
        return 18.0 if origin == "trial-0005" else 16.0

    play = Play(tmp_path, seeds=2, finalists=2)
    play.curve = curve
    play.through()
    fresh = reseeds(play)
    assert sorted(trial.started.reseeds for trial in fresh) == ["trial-0004"] * 2 + ["trial-0005"] * 2
    assert {t.started.reseeds for t in play.record.trials.values() if t.tested} == {"trial-0004"}


def test_finalists_of_two_architectures_both_have_their_seeds_tested(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=2, finalists=6).through()
    tested = {trial.architecture for trial in play.record.trials.values() if trial.tested}
    assert tested == {trial.architecture for trial in play.record.trials.values()}
    assert sum(trial.tested is not None for trial in play.record.trials.values()) == 2 * len(tested)


@pytest.mark.parametrize("steps", range(1, 20, 3))
def test_a_death_among_fresh_seeds_doubles_and_loses_none(tmp_path, steps):
    play = Play(tmp_path, curve=by_number, seeds=3, trials=1)
    for _ in range(10 + steps):
        play.fill(workers=2)
        play.step(next(iter(play.running)))
    play.take_up()
    play.through()
    assert list(play.record.trials) == [f"trial-{i:04d}" for i in range(4)]
    assert [len(trial.epochs) for trial in play.record.trials.values()] == [9] * 4
    assert [trial.tested is not None for trial in play.record.trials.values()] == [False, True, True, True]
    assert read_record(tmp_path / "journal.jsonl").trials == play.record.trials


def test_an_interrupted_fresh_seed_goes_on(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=2, trials=1)
    while not any(order.role == "reseed" for order in play.running):
        play.fill()
        play.step(next(iter(play.running)))
    play.director.interrupt()
    for order in list(play.running):
        play.step(order)
    assert reseeds(play)[0].reason == "interrupted"
    play.take_up()
    play.through()
    assert [trial.reason for trial in play.record.trials.values()] == ["epochs"] * 3


def test_a_seed_that_fails_is_left_out_and_can_be_tried_again(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=2, max_failures=2)
    play.failing = {("trial-0006", "reseed"): "error"}
    play.through()
    assert [t.name for t in play.record.trials.values() if t.tested] == ["trial-0007"]
    play.failing = {}
    for asked in failures_again(play.record):
        play.write(asked)
    play.take_up()
    play.through()
    again = play.record.trials["trial-0008"].started
    assert (again.repeats, again.reseeds) == ("trial-0006", "trial-0005")
    assert again.seed == play.record.trials["trial-0006"].started.seed
    assert [t.name for t in play.record.trials.values() if t.tested] == ["trial-0007", "trial-0008"]


def test_a_finalist_that_fails_with_every_seed_makes_way(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=2, max_failures=4)
    play.failing = {("trial-0006", "reseed"): "diverged", ("trial-0007", "reseed"): "diverged"}
    play.through()
    assert {t.started.reseeds for t in play.record.trials.values() if t.tested} == {"trial-0004"}


def test_a_finished_search_takes_more_seeds(tmp_path):
    play = Play(tmp_path, curve=by_number).through()
    assert play.record.trials["trial-0005"].tested
    play.settings["seeds"] = 2
    play.take_up()
    play.through()
    assert [trial.tested is not None for trial in reseeds(play)] == [True, True]


def test_fresh_seeds_come_after_the_time_is_up_as_finals_do(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=2)
    play.take_up(seconds=0.0)
    play.through()
    assert play.record.trials == {}
    play.take_up()
    play.fill()
    play.step(next(iter(play.running)))
    play.director.circumstances.limits.seconds = 0.0
    play.through()
    assert all(trial.tested for trial in reseeds(play))


def test_files_of_fresh_seeds_are_kept(tmp_path):
    play = Play(tmp_path, curve=by_number, seeds=2).through()
    assert sorted(play.director.unneeded()) == [f"trial-{i:04d}" for i in range(5)]


# Nodes, GPU-hours, and what the user stops


def at_work(play, order, node="n1", gpus=0.0):
    play.director.circumstances.at_work(order.trial, node, "host", 1.0, gpus)


def test_a_trial_of_a_lost_node_is_preempted_whichever_is_told_first(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=2)
    play.fill(workers=2)
    first, second = list(play.running)
    for order in (first, second):
        at_work(play, order)
    play.director.died(first.trial, "lost", "connection lost", "n1")
    assert play.record.trials[first.trial].deaths == 1
    play.director.circumstances.node_lost("n1", "host")
    play.director.died(second.trial, "lost", "node gone", "n1")
    for trial in play.record.trials.values():
        assert (trial.deaths, trial.preempted, trial.reason) == (0, 1, None)
    play.running = {}
    play.through()
    assert [trial.reason for trial in play.record.trials.values()] == ["epochs", "epochs"]


def test_preemptions_never_end_a_trial_but_three_deaths_do(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=1, max_failures=0)
    for number in range(5):
        order = play.order()
        at_work(play, order, f"n{number}")
        play.director.circumstances.node_lost(f"n{number}", "host")
        play.director.died(order.trial, "lost", "gone", f"n{number}")
    (trial,) = play.record.trials.values()
    assert (trial.preempted, trial.reason, play.director.failure) == (5, None, None)
    for _ in range(3):
        order = play.order()
        at_work(play, order, "n9")
        play.director.died(order.trial, "lost", "killed", "n9")
    assert trial.reason == "lost"


def test_a_death_long_before_its_node_went_was_none_of_the_nodes(tmp_path, monkeypatch):
    play = Play(tmp_path, curve=by_number, trials=1)
    order = play.order()
    at_work(play, order)
    play.director.died(order.trial, "lost", "killed", "n1")
    later = play.record.trials[order.trial].died.at + 120
    monkeypatch.setattr("semtune.search.circumstances.time.time", lambda: later)
    play.director.circumstances.node_lost("n1", "host")
    assert (play.record.trials[order.trial].deaths, play.record.trials[order.trial].preempted) == (1, 0)


def test_preemptions_are_remembered_by_the_next_session(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=1)
    order = play.order()
    at_work(play, order)
    play.director.died(order.trial, "lost", "connection lost", "n1")
    play.director.circumstances.node_lost("n1", "host")
    play.take_up()
    assert (play.record.trials[order.trial].deaths, play.record.trials[order.trial].preempted) == (0, 1)


def test_when_the_gpu_hours_are_used_up_trials_stop_and_finals_still_run(tmp_path):
    play = Play(tmp_path, curve=by_number, gpu_hours=1e-9)
    play.fill(workers=1)
    (order,) = play.running
    play.step(order)
    assert order in play.running
    at_work(play, order, gpus=1.0)
    play.step(order)
    play.through()
    assert [trial.reason for trial in play.record.trials.values()] == ["budget"]
    assert play.done("final") == [order.trial]


def test_gpu_hours_of_earlier_sessions_count(tmp_path):
    play = Play(tmp_path, curve=by_number, gpu_hours=1e-9)
    at_work(play, play.order(), gpus=1.0)
    play.director.interrupt()
    play.step(next(iter(play.running)))
    play.take_up()
    assert play.director.circumstances.over_budget
    play.through()
    assert len(play.record.trials) == 1


def test_a_stopped_trial_ends_at_its_next_epoch_as_pruned_and_is_no_finalist(tmp_path):
    play = Play(tmp_path, curve=worse_by_number, trials=3, scheduler="none")
    play.fill(workers=2)
    play.director.stop("trial-0000")
    play.through()
    stopped, *others = play.record.trials.values()
    assert (stopped.reason, len(stopped.epochs), stopped.failed) == ("stopped", 1, False)
    assert [trial.reason for trial in others] == ["epochs", "epochs"]
    assert play.done("final") == ["trial-0001"]
    assert play.study()[0].state.name == "PRUNED"


def test_a_trial_that_waits_is_stopped_at_once(tmp_path):
    play = Play(tmp_path, curve=by_number, trials=1)
    play.fill()
    play.director.died("trial-0000", "lost", "killed")
    play.director.stop("trial-0000")
    assert play.record.trials["trial-0000"].reason == "stopped"


def test_a_trial_that_has_ended_or_that_nobody_knows_is_not_stopped(tmp_path):
    play = Play(tmp_path, curve=by_number).through()
    before = (tmp_path / "journal.jsonl").read_bytes()
    play.director.stop("trial-0000")
    play.director.stop("nonsense")
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_orders_that_no_worker_took_up_are_given_again(tmp_path):
    play = Play(tmp_path, curve=by_number)
    orders = [play.order(), play.order()]
    play.director.withdraw()
    assert play.director.busy == 0
    assert [play.order(), play.order()] == orders


def waited(play):
    return [
        event.seconds
        for event, _ in read_events(play.folder / "journal.jsonl")
        if event.event == "nothing_runs"
    ]


def test_waiting_is_told_at_once_without_nodes_then_every_minute_and_ends_the_session(tmp_path):
    play = Play(tmp_path)
    play.order()
    for _ in range(180):
        play.director.circumstances.waits(1.0, nodes=0)
    assert waited(play) == [1.0, 61.0, 121.0]
    assert not play.director.interrupted
    for _ in range(1620):
        play.director.circumstances.waits(1.0, nodes=0)
    assert play.director.interrupted
    assert play.director.trouble == "there has been no node to train on for 30 min (--wait); add nodes"


def test_nodes_without_room_are_told_after_a_minute_and_a_trial_that_runs_ends_the_wait(tmp_path):
    play = Play(tmp_path)
    for _ in range(59):
        play.director.circumstances.waits(1.0, nodes=3)
    assert waited(play) == []
    play.director.circumstances.waits(1.0, nodes=3)
    assert waited(play) == [60.0]
    play.director.circumstances.runs()
    play.director.circumstances.waits(1.0, nodes=3)
    assert waited(play) == [60.0]
