"""Searches that start from weights: they are used, they must fit, and no frame that they saw judges them."""

from dataclasses import replace

import pytest
import torch
from conftest import write_small_dataset
from small_search import placed

from semtune import workflow
from semtune.candidacy import find_start
from semtune.config import Hyperparameters, TrialTask
from semtune.dataset.frames import open_frames
from semtune.errors import ConfigError, SearchError
from semtune.planning import SearchRequest, check_request, plan_search, write_plan
from semtune.results import rmse
from semtune.search.worker import WarmWorker
from semtune.training.checkpoint import read_weights
from semtune.training.fit import prepare_step, score_samples
from semtune.training.samples import write_samples
from semtune.workspace import Workspace

SPACE = "architecture: {choice: [pacf, vgg11]}\ncrop: 64\nepochs: 6\ntrials: 2\nseed: 0\n"
SETTINGS = Hyperparameters(architecture="pacf", learning_rate=3e-3, batch_size=4, crop=64, epochs=6)
TRIAL = "first/trial-0000"


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


def reports_of(folder, settings=SETTINGS, start=None, trial="trial-0000"):
    """Train a trial of a search in this process, as its workers would."""
    worker = WarmWorker()
    worker.start(
        TrialTask(
            trial=trial,
            role="search",
            hyperparameters=settings,
            seed=1,
            trial_folder=str(folder.trials / trial),
            samples_file=str(folder.samples),
            threads=1,
            precision="float32",
            start=start and str(start),
        )
    )
    reports = [worker.advance()]
    while not reports[-1]["done"]:
        reports.append(worker.advance())
    return reports


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace with a search, one trial of which left weights; its dataset; its search space."""
    root = tmp_path_factory.mktemp("start")
    workspace, space = Workspace(root / "workspace"), root / "space.yaml"
    space.write_text(SPACE)
    data = write_small_dataset(root / "dataset", fields=9)
    folder = workspace.search("first")
    folder.path.mkdir(parents=True)
    plan, table = plan_search(check_request(SearchRequest(str(space), data, "first")), workspace.frames)
    write_samples(table, folder.samples)
    write_plan(plan, folder.plan)
    last = reports_of(folder)[-1]["epoch"]["validation_rmse"]
    return workspace, data, str(space), last


@pytest.fixture(scope="module")
def start(place):
    return find_start(place[0], TRIAL, lambda: pytest.fail("no store is needed"))


def planned(place, start, name="second", **settings):
    workspace, data, space, _ = place
    checked = check_request(SearchRequest(space, data, name, settings=settings), start)
    return plan_search(checked, workspace.frames)


def test_a_start_knows_whose_weights_it_has(place, start):
    assert (start.origin.source, start.origin.architecture) == (TRIAL, "pacf")
    assert len(start.origin.digest) == 64
    assert str(start.origin).startswith("first/trial-0000 (pacf), sha256:")
    assert start.control_parameters == ("brightness", "contrast", "focus")


def test_an_untrained_trial_scores_as_the_weights_that_it_starts_from(place, start):
    _, table = planned(place, start)
    data = placed(table)
    step = prepare_step(SETTINGS, data, 5, "float32", None, read_weights(start.weights)[0])
    predicted = score_samples(step, data, data.validation, SETTINGS)
    assert rmse(predicted, table.scores[table.validation]) == pytest.approx(place[-1], abs=1e-6)


def test_trials_train_on_from_the_weights(place, start):
    folder, careful = place[0].search("first"), SETTINGS.model_copy(update={"learning_rate": 1e-7})
    begun = reports_of(folder, careful, start.weights, "warm")[0]
    fresh = reports_of(folder, careful, None, "cold")[0]
    assert begun["placed"]["started_from"] == start.origin.digest
    assert begun["epoch"]["validation_rmse"] < fresh["epoch"]["validation_rmse"] - 0.2


def test_scales_are_those_of_the_new_training_samples(place, start):
    _, table = planned(place, start)
    other = placed(replace(table, scores=table.scores / 2, controls=table.controls + 100))
    step = prepare_step(SETTINGS, other, 0, "float32", None, read_weights(start.weights)[0])
    assert step.network.control_mean.min() > 90
    assert float(step.network.score_mean) == pytest.approx(table.scores[table.train].mean() / 2, rel=1e-4)


def test_the_same_split_stays_as_it_is(place, start):
    plan, table = planned(place, start)
    plain, _ = planned(place, None)
    assert plan.split == plain.split
    assert plan.started_from.fields_moved == 0
    assert plain.started_from is None
    assert len(table.test) > 0


def test_no_frame_that_the_weights_saw_judges_them(place, start):
    workspace, *_ = place
    moved = 0
    for seed in range(1, 6):
        try:
            plan, table = planned(place, start, seed=seed)
        except ConfigError:
            continue
        store = open_frames(workspace.frames, plan.dataset_digest)
        test, validation = (set(map(store.checksum, part)) for part in (table.test, table.validation))
        assert not test & (start.trained | start.validated)
        assert not validation & start.trained
        assert {field for part in plan.split.values() for field in part} == set(table.fields)
        moved += plan.started_from.fields_moved
    assert moved > 0


def test_a_space_without_the_architecture_is_refused(place, start, tmp_path):
    (tmp_path / "vgg.yaml").write_text("architecture: vgg11\ncrop: 64\n")
    request = SearchRequest(str(tmp_path / "vgg.yaml"), place[1], "n")
    with pytest.raises(ConfigError, match="is a pacf, the search space has only vgg11; choose"):
        check_request(request, start)


def test_a_dataset_of_other_control_parameters_is_refused(place, start):
    other = replace(start, control_parameters=("brightness", "stigmator"))
    with pytest.raises(
        ConfigError, match="knows the control parameters brightness, stigmator, the dataset has"
    ):
        check_request(SearchRequest(place[2], place[1], "n"), other)


@pytest.mark.parametrize("asked", ["first/trial-0009", "first"])
def test_a_trial_without_weights_is_refused(place, asked):
    with pytest.raises(SearchError, match=r"those of finalists are kept: .*first/trial-0000"):
        find_start(place[0], asked, lambda: pytest.fail("no store is needed"))


def test_weights_that_have_seen_all_frames_are_refused(place, start):
    workspace, *_ = place
    store = open_frames(workspace.frames, start.origin.dataset_digest)
    everything = replace(start, trained=frozenset(map(store.checksum, range(len(store)))))
    with pytest.raises(ConfigError, match="has seen every field that this split would judge it on"):
        planned(place, everything)


def test_a_dry_run_says_what_starts_from_where(place):
    workspace, data, space, _ = place
    facts = workflow.explain(workspace, SearchRequest(space, data, "dry", start=TRIAL))
    assert facts["started_from"]["source"] == TRIAL
