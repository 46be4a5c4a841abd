"""The way to the champion on a real embedded store: promoted, refused, rolled back, and put to use."""

import warnings

import numpy as np
import pytest
import torch
from conftest import write_small_dataset
from small_workspace import FINALIST, append, plan_of, plan_small_search, started, write_small_search

from semtune import deployment, workflow
from semtune.candidacy import find_start
from semtune.errors import SearchError, TrackingError
from semtune.images import write_png
from semtune.journal import SearchOpened
from semtune.networks import ARCHITECTURES
from semtune.planning import write_plan
from semtune.promotion import CHAMPION
from semtune.report import UsesOfTest
from semtune.tracking.champion import champion
from semtune.training.checkpoint import write_weights
from semtune.workspace import Workspace

pytestmark = [
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    # mlflow.pyfunc on import, of its own classes.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_dataset(tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An empty store: its tables take seconds to make."""
    workspace = Workspace(tmp_path_factory.mktemp("template"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workflow.open_store(workspace)
    return workspace.database.read_bytes()


@pytest.fixture
def workspace(tmp_path, template):
    place = Workspace(tmp_path / "workspace")
    place.path.mkdir()
    place.database.write_bytes(template)
    return place


def finish(workspace, data, name, network_error, baseline_error=9.0, answer=5.0):
    """A finished search whose finalist answers every frame with `answer`, whatever its table says."""
    folder = write_small_search(workspace, data, name, network_error, baseline_error)
    torch.manual_seed(0)
    network = ARCHITECTURES["pacf"].build(3, None)
    with torch.no_grad():
        last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.weight.zero_()
        last.bias.fill_(answer)
    facts = {
        "hyperparameters": {"architecture": "pacf", "crop": 64},
        "control_parameters": ["brightness", "contrast", "focus"],
        "score_range": [0.0, 10.0],
        "dataset_digest": plan_of(folder).dataset_digest,
        "dataset_origin": "measured",
        "trial": FINALIST,
        "trained": [1, 2],
        "validated": [3],
    }
    write_weights(network, facts, folder.trials / FINALIST / "weights.safetensors")
    return folder


def promoted(workspace, name):
    result = workflow.promote(workspace, name, None)
    assert result.decision.reason.endswith(".")
    assert "\n" not in result.decision.reason
    return result


def test_the_first_that_beats_all_baselines_is_promoted_and_scores(workspace, data, tmp_path):
    finish(workspace, data, "first", 0.5, 1.5, answer=6.5)
    result = promoted(workspace, "first")
    assert result.decision.promote
    assert (result.trial, result.architecture, result.version) == (FINALIST, "pacf", 1)
    assert "there was no champion" in result.decision.reason
    frame = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    write_png(tmp_path / "frame.png", frame)
    version, [scored] = deployment.score(workspace, [tmp_path / "frame.png"], {"focus": 0.3}, None)
    assert version == 1
    assert scored.score == pytest.approx(6.5)
    assert (scored.controls, scored.missing) == ({"focus": 0.3}, ("brightness", "contrast"))


def test_the_report_names_the_runs_once_they_are_sent(workspace, data):
    finish(workspace, data, "first", 0.5, 1.5)
    promoted(workspace, "first")
    rows = {row.name: row for row in workflow.report(workspace, "first").rows}
    assert all(rows[name].run_id for name in ("pacf", "joint", "constant", "entropy"))
    assert len({row.run_id for row in rows.values()}) == len(rows)


def test_a_better_baseline_refuses_the_promotion(workspace, data):
    finish(workspace, data, "weak", 1.5, 0.5)
    result = promoted(workspace, "weak")
    assert (result.decision.promote, result.version) == (False, None)
    assert "has a test RMSE of 1.5000, which is not lower than 0.5000 of" in result.decision.reason
    with pytest.raises(TrackingError, match="there is no champion yet; `semtune promote NAME` makes"):
        deployment.score(workspace, [data / "frames" / "field0_0.png"], {}, None)


def test_the_champion_meets_the_frames_of_its_challenger(workspace, data, tmp_path):
    finish(workspace, data, "first", 0.5)
    promoted(workspace, "first")
    # The champion's constant answer, not the 0.5 of its own table, is what counts from now on.
    finish(workspace, write_small_dataset(tmp_path / "other", seed=1), "worse", 8.0)
    worse = promoted(workspace, "worse")
    assert not worse.decision.promote
    assert "of the champion pacf (version 1)" in worse.decision.reason
    finish(workspace, data, "better", 0.25)
    better = promoted(workspace, "better")
    assert (better.decision.promote, better.version) == (True, 2)
    assert "of the champion pacf (version 1)" in better.decision.reason


def test_force_overrules_and_is_recorded_with_the_use_of_the_test_frames(workspace, data):
    finish(workspace, data, "other", 1.5, 0.5)
    finish(workspace, data, "weak", 1.5, 0.5)
    result = workflow.promote(workspace, "weak", None, force="a trial of the new detector")
    assert result.decision.promote
    assert result.decision.reason.startswith("Forced (a trial of the new detector) although pacf")
    assert result.uses == UsesOfTest(here=1, everywhere=2, searches=2)
    tags = champion(workflow.open_store(workspace)).tags
    assert tags["semtune.forced"] == "a trial of the new detector"
    assert "not lower than" in tags["semtune.reason"]
    assert (tags["semtune.test_uses"], tags["semtune.dataset_origin"]) == ("2", "measured")


def test_a_reason_to_force_is_not_recorded_where_none_was_needed(workspace, data):
    finish(workspace, data, "first", 0.5, 1.5)
    assert workflow.promote(workspace, "first", None, force="to be sure").decision.promote
    assert "semtune.forced" not in champion(workflow.open_store(workspace)).tags


def test_a_search_that_leaks_is_not_promoted(workspace, data):
    folder = finish(workspace, data, "cut", 0.5, 1.5)
    write_plan(plan_of(folder).model_copy(update={"split_kind": "random"}), folder.plan)
    result = promoted(workspace, "cut")
    assert not result.decision.promote
    assert "was split at random, which leaks" in result.decision.reason


def test_the_champion_does_not_challenge_itself(workspace, data):
    finish(workspace, data, "first", 0.5)
    promoted(workspace, "first")
    again = promoted(workspace, "first")
    assert "it is the champion already" in again.decision.reason
    assert not again.decision.promote


def test_a_rollback_brings_the_champion_before_back_into_use(workspace, data):
    frame = [data / "frames" / "field0_0.png"]
    finish(workspace, data, "first", 0.5, answer=3.0)
    finish(workspace, data, "second", 0.4, answer=7.0)
    for name in ("first", "second"):
        assert promoted(workspace, name).decision.promote
    assert [each.score for each in deployment.score(workspace, frame, {}, None)[1]] == [pytest.approx(7.0)]
    assert workflow.rollback(workspace, None) == (2, 1)
    version, [scored] = deployment.score(workspace, frame, {}, None)
    assert (version, scored.score) == (1, pytest.approx(3.0))
    with pytest.raises(TrackingError, match="no version was champion before version 1"):
        workflow.rollback(workspace, None)


def test_a_search_whose_trials_met_no_test_frames_has_no_challenger(workspace, data):
    folder, _ = plan_small_search(workspace, data, "young")
    append(folder, SearchOpened(pid=1, host="h"), started(0))
    with pytest.raises(
        SearchError, match="no trial of 'young' has met the test frames; `semtune resume young`"
    ):
        workflow.promote(workspace, "young", None)


def test_a_search_can_start_from_the_champion(workspace, data):
    folder = finish(workspace, data, "first", 0.5)
    assert promoted(workspace, "first").decision.promote
    start = find_start(workspace, CHAMPION, lambda: workflow.open_store(workspace))
    assert start.origin.source == "champion version 1"
    weights = folder.trials / FINALIST / "weights.safetensors"
    assert start.weights.read_bytes() == weights.read_bytes()
    assert (start.trained, start.validated) == ({1, 2}, {3})


def test_without_a_champion_there_is_nothing_to_start_from(workspace):
    with pytest.raises(TrackingError, match="there is no champion yet"):
        find_start(workspace, CHAMPION, lambda: workflow.open_store(workspace))
