"""The study is told the truth, survives its process, and spreads what it proposes."""

import math

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from semtune.search.sampler import Sampler
from semtune.search.space import parse_space
from semtune.search.study import StudyStorage

SPACE = """
architecture: {choice: [pacf, vgg11]}
learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}
batch_size: {int_uniform: [8, 64]}
weight_decay: {uniform: [0.0, 0.1]}
dropout: {uniform: [0.1, 0.5], when: {architecture: [vgg11]}, otherwise: 0.0}
tiles: {value: 2, when: {architecture: [vgg11]}}
crop: 96
first: {learning_rate: 1.5e-4, batch_size: 32}
"""


@pytest.fixture
def study_file(tmp_path):
    return tmp_path / "study.log"


def sampler_of(study_file, text=SPACE, study="pacf", seed=0, **fixed):
    storage = StudyStorage(study_file) if study_file else None
    return Sampler(parse_space(text, "space.yaml", "space"), storage, study, fixed, seed)


def told(study_file, study="pacf"):
    """What the file holds, as optuna-dashboard would read it."""
    storage = JournalStorage(JournalFileBackend(str(study_file)))
    return optuna.load_study(study_name=study, storage=storage).trials


# Proposals


def test_the_first_point_is_the_given_one(study_file):
    first = sampler_of(study_file).propose("trial-0000")
    assert (first["learning_rate"], first["batch_size"], first["crop"]) == (1.5e-4, 32, 96)


def test_without_a_first_point_the_sampler_chooses(study_file):
    proposed = sampler_of(study_file, SPACE.replace("first:", "# first:")).propose("trial-0000")
    assert proposed["learning_rate"] != 1.5e-4


def test_proposals_lie_in_the_space(study_file):
    sampler = sampler_of(study_file)
    proposals = [sampler.propose(f"trial-{i:04d}") for i in range(20)]
    assert {each["architecture"] for each in proposals} == {"pacf", "vgg11"}
    for each in proposals:
        assert 1e-5 <= each["learning_rate"] <= 1e-2
        assert each["batch_size"] in range(8, 65)
        if each["architecture"] == "vgg11":
            assert 0.1 <= each["dropout"] <= 0.5
            assert each["tiles"] == 2
        else:
            assert each["dropout"] == 0.0
            assert "tiles" not in each  # the documented default is the model's


def test_what_a_stratum_fixes_is_not_searched(study_file):
    sampler = sampler_of(study_file, architecture="vgg11")
    assert all(sampler.propose(f"t{i}")["architecture"] == "vgg11" for i in range(5))
    assert all("architecture" not in trial.params for trial in told(study_file))


def test_ten_proposals_at_once_are_spread(study_file):
    """Ten workers must not train ten times nearly the same, whatever was learnt before."""
    sampler = sampler_of(study_file, architecture="pacf")
    for number in range(12):
        rate = sampler.propose(f"told-{number}")["learning_rate"]
        sampler.tell(f"told-{number}", "epochs", abs(math.log10(rate) + 3))
    decades = sorted(math.log10(sampler.propose(f"open-{i}")["learning_rate"]) for i in range(10))
    assert len({round(decade, 3) for decade in decades}) == 10
    assert decades[-1] - decades[0] > 0.5


def test_the_same_seed_proposes_the_same(study_file, tmp_path):
    one, two = sampler_of(study_file, seed=3), sampler_of(tmp_path / "other.log", seed=3)
    assert [one.propose(f"t{i}") for i in range(6)] == [two.propose(f"t{i}") for i in range(6)]


def test_tpe_learns_where_it_is_good(study_file):
    sampler = sampler_of(study_file, architecture="pacf")
    rates = []
    for number in range(40):
        rates.append(math.log10(sampler.propose(f"t{number}")["learning_rate"]))
        sampler.tell(f"t{number}", "epochs", abs(rates[-1] + 3))
    early, late = rates[1:11], rates[-10:]
    assert sum(abs(rate + 3) for rate in late) < sum(abs(rate + 3) for rate in early)


def test_a_random_sampler_learns_nothing(tmp_path):
    """What was told to one of two samplers of the same seed does not move its proposals."""
    text = SPACE + "sampler: random\n"
    told_of, untold = (sampler_of(tmp_path / f"{name}.log", text) for name in ("told", "untold"))
    for number in range(20):
        name = f"t{number}"
        assert told_of.propose(name) == untold.propose(name)
        told_of.tell(name, "epochs", float(number))


def test_without_a_file_the_study_is_in_memory(study_file):
    kept, fleeting = sampler_of(study_file), sampler_of(None)
    assert [kept.propose(f"t{i}") for i in range(3)] == [fleeting.propose(f"t{i}") for i in range(3)]


# The truth


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("epochs", TrialState.COMPLETE),
        ("asha", TrialState.PRUNED),
        ("budget", TrialState.PRUNED),
        ("diverged", TrialState.FAIL),
        ("error", TrialState.FAIL),
        ("out_of_memory", TrialState.FAIL),
        ("lost", TrialState.FAIL),
        ("interrupted", TrialState.RUNNING),
    ],
)
def test_every_ending_is_told_as_it_was(study_file, reason, state):
    sampler = sampler_of(study_file)
    sampler.propose("trial-0000")
    sampler.report("trial-0000", 1, 3.0)
    sampler.report("trial-0000", 2, 2.5)
    sampler.tell("trial-0000", reason, 2.5)
    (trial,) = told(study_file)
    assert trial.state == state
    assert trial.intermediate_values == {1: 3.0, 2: 2.5}
    # Optuna shows a stopped trial's last intermediate value as its value.
    expected = {TrialState.COMPLETE: 2.5, TrialState.PRUNED: 2.5}
    assert trial.value == expected.get(state)


def test_a_trial_stopped_before_its_first_epoch_is_told_too(study_file):
    sampler = sampler_of(study_file)
    sampler.propose("trial-0000")
    sampler.tell("trial-0000", "budget", None)
    assert told(study_file)[0].state == TrialState.PRUNED


def test_an_epoch_that_is_repeated_is_left_as_it_was_told(study_file):
    sampler = sampler_of(study_file)
    sampler.propose("trial-0000")
    for value in (3.0, 2.0):
        sampler.report("trial-0000", 1, value)
    assert told(study_file)[0].intermediate_values == {1: 3.0}


def test_a_trial_that_ended_is_not_told_again(study_file):
    sampler = sampler_of(study_file)
    sampler.propose("trial-0000")
    sampler.tell("trial-0000", "asha", 2.0)
    sampler.report("trial-0000", 5, 1.0)  # its final epochs
    sampler.tell("trial-0000", "epochs", 1.0)
    (trial,) = told(study_file)
    assert trial.state == TrialState.PRUNED
    assert 5 not in trial.intermediate_values


def test_an_unknown_trial_is_told_nothing(study_file):
    sampler = sampler_of(study_file)
    sampler.tell("trial-0007", "epochs", 1.0)
    assert [trial.state for trial in told(study_file)] == [TrialState.WAITING]


# Another process


def test_a_study_taken_up_again_goes_on_with_its_running_trials(study_file):
    before = sampler_of(study_file)
    for number in range(3):
        before.propose(f"trial-{number:04d}")
    before.report("trial-0001", 1, 4.0)
    before.tell("trial-0000", "epochs", 1.0)

    after = sampler_of(study_file)
    after.report("trial-0001", 1, 9.0)
    after.report("trial-0001", 2, 3.0)
    after.tell("trial-0001", "epochs", 3.0)
    states = [trial.state for trial in told(study_file)]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    assert told(study_file)[1].intermediate_values == {1: 4.0, 2: 3.0}


def test_a_study_taken_up_again_does_not_propose_the_same_points_again(study_file):
    points = set()
    for session in range(4):
        proposed = sampler_of(study_file).propose(f"trial-{session:04d}")
        points.add(round(math.log10(proposed["learning_rate"]), 6))
    assert len(points) == 4


def test_the_first_point_is_proposed_once(study_file):
    sampler_of(study_file).propose("trial-0000")
    assert sampler_of(study_file).propose("trial-0001")["learning_rate"] != 1.5e-4


def test_a_trial_whose_proposal_was_lost_is_proposed_anew(study_file):
    """The process died after Optuna had been asked and before the journal knew of the trial."""
    sampler_of(study_file).propose("trial-0000")
    after = sampler_of(study_file)
    after.propose("trial-0000")
    after.tell("trial-0000", "epochs", 1.0)
    assert [trial.state for trial in told(study_file)].count(TrialState.RUNNING) == 0


def test_strata_share_a_file_and_keep_apart(study_file):
    space, storage = parse_space(SPACE, "space.yaml", "space"), StudyStorage(study_file)
    one, two = (Sampler(space, storage, study, {}, 0) for study in ("pacf", "vgg11"))
    one.propose("trial-0000")
    two.propose("trial-0001")
    one.tell("trial-0000", "epochs", 1.0)
    assert [trial.state for trial in told(study_file, "pacf")] == [TrialState.COMPLETE]
    assert [trial.state for trial in told(study_file, "vgg11")] == [TrialState.RUNNING]
