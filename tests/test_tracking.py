"""The journal in MLflow, and the champion in its registry, on a real embedded store."""

import json
import math
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semtune.errors import TrackingError
from semtune.journal import (
    BaselineFitted,
    EpochDone,
    NodeLost,
    RepeatAsked,
    SearchClosed,
    SearchOpened,
    SearchRecord,
    TrialAtWork,
    TrialDied,
    TrialEnded,
    TrialStarted,
    TrialTested,
    TrialTimed,
)
from semtune.results import EpochResult
from semtune.tracking.champion import (
    REGISTERED_MODEL,
    ChampionFacts,
    champion,
    download_weights,
    earlier_champions,
    register_champion,
    rollback,
    set_champion,
)
from semtune.tracking.layout import TrackedSearch, standings, updates
from semtune.tracking.progress import read_progress, run_ids, unsent
from semtune.tracking.sender import Sender, sync
from semtune.tracking.store import open_store, shown
from semtune.tracking.ui import places
from semtune.tracking.view import VIEW
from semtune.tracking.writer import TrackingWriter
from semtune.workspace import SearchFolder, Workspace

pytestmark = [
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    # mlflow.pyfunc on import, of its own classes.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
FACTS = ChampionFacts("s", "trial-0001", "pacf", "d" * 64, 0.9, "it beats all", "0.1.0")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One embedded store for all tests: its tables take seconds to make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_store(Workspace(tmp_path_factory.mktemp("a workspace")))


@pytest.fixture
def folder(tmp_path) -> SearchFolder:
    return folder_at(tmp_path / "searches" / tmp_path.name)


@pytest.fixture
def search(folder) -> TrackedSearch:
    return facts_of(folder)


def folder_at(path: Path) -> SearchFolder:
    path.mkdir(parents=True)
    return SearchFolder(path)


def facts_of(folder: SearchFolder, search_id: str = "") -> TrackedSearch:
    return TrackedSearch(
        name=folder.name,
        search_id=search_id or f"id-of-{folder.path.as_posix()}",
        parameters={"space": "table1", "trials": 3},
        dataset_name="tin balls",
        dataset_digest="0123456789abcdef" * 4,
        dataset_folder="data",
        dataset_profile={"frames": 24},
        device="cpu",
        version="0.1.0",
    )


def started(trial: str, at: float = 1000.0, architecture: str = "pacf") -> TrialStarted:
    hyperparameters = {"architecture": architecture, "learning_rate": 1.5e-4, "dropout": None}
    return TrialStarted(at=at, trial=trial, stratum="", hyperparameters=hyperparameters, seed=7)


def epoch(trial: str, number: int, validation_rmse: float = 1.0) -> EpochDone:
    result = EpochResult(number, 2.0, validation_rmse, frames=10, seconds=0.5)
    return EpochDone(at=1000.0 + number, trial=trial, result=result)


def write(folder: SearchFolder, *events) -> None:
    with folder.journal.open("a") as file:
        file.writelines(event.model_dump_json() + "\n" for event in events)


def whole_search(folder: SearchFolder) -> None:
    """Two trials, one of them tested and one failed, and a baseline."""
    files = folder.trials / "trial-0000"
    files.mkdir(parents=True)
    (files / "predictions.csv").write_text("frame\n")
    (files / "weights.safetensors").write_bytes(b"weights")
    folder.baselines.mkdir()
    (folder.baselines / "entropy.csv").write_text("frame,entropy\n")
    write(
        folder,
        SearchOpened(at=999.0, pid=1, host="h"),
        started("trial-0000"),
        started("trial-0001", architecture="vgg11"),
        epoch("trial-0000", 1, 1.5),
        epoch("trial-0001", 1, math.nan),
        epoch("trial-0000", 2, 1.25),
        TrialEnded(at=1010.0, trial="trial-0001", reason="diverged", message="Traceback: inf"),
        TrialEnded(at=1011.0, trial="trial-0000", reason="epochs"),
        TrialTested(
            at=1012.0,
            trial="trial-0000",
            validation_rmse=1.25,
            figures={"test_rmse": 1.1, "test_r2": math.nan},
        ),
        BaselineFitted(
            at=1013.0,
            name="entropy",
            kind="autofocus",
            figures={"test_rmse": 1.9},
            facts={"map": "affine"},
            device="4 threads",
        ),
        TrialTimed(at=1014.0, trial="trial-0000", figures={"milliseconds_per_image": 5.0}, device="H100"),
        SearchClosed(at=1015.0, state="finished"),
    )


def runs_of(store, search) -> dict:
    experiment = store.client.search_experiments(
        filter_string=f"tags.`semtune.search_id` = '{search.search_id}'"
    )[0]
    runs = store.client.search_runs([experiment.experiment_id])
    assert len({run.data.tags["semtune.trial"] for run in runs}) == len(runs)
    return {run.data.tags["semtune.trial"]: run for run in runs}


def artifacts_of(store, run) -> set[str]:
    return {file.path for file in store.client.list_artifacts(run.info.run_id)}


def points_of(store, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, metric)]


@pytest.fixture(scope="module")
def tracked(store, tmp_path_factory):
    """A whole search, sent once, to be looked at by many tests: (search, folder, runs by key)."""
    folder = folder_at(tmp_path_factory.mktemp("whole") / "demo")
    whole_search(folder)
    sync(store, folder, facts_of(folder))
    return facts_of(folder), folder, runs_of(store, facts_of(folder))


def test_a_trial_and_a_baseline_are_children_of_the_search(tracked):
    search, _, runs = tracked
    assert set(runs) == {"", "trial-0000", "trial-0001", "entropy"}
    parent = runs[""].info.run_id
    assert runs[""].data.tags["semtune.kind"] == "search"
    assert "mlflow.parentRunId" not in runs[""].data.tags
    for key in ("trial-0000", "trial-0001", "entropy"):
        tags = runs[key].data.tags
        assert tags["mlflow.parentRunId"] == parent
        assert tags["semtune.search"] == search.name
        assert tags["semtune.dataset_digest"] == search.dataset_digest
    assert runs["trial-0001"].info.run_name == "vgg11 trial-0001"
    assert runs["trial-0001"].data.tags["semtune.kind"] == "network"
    assert runs["entropy"].data.tags["semtune.kind"] == "autofocus"


def test_curves_have_one_point_an_epoch_at_the_time_of_the_event(store, tracked):
    run = tracked[2]["trial-0000"]
    assert points_of(store, run.info.run_id, "training_rmse") == [(1, 2.0), (2, 2.0)]
    history = store.client.get_metric_history(run.info.run_id, "validation_rmse")
    assert [(point.timestamp, point.value) for point in history][:2] == [(1001000, 1.5), (1002000, 1.25)]
    assert run.data.metrics["epoch_seconds"] == 0.5


def test_figures_of_networks_and_baselines_have_the_same_names(tracked):
    runs = tracked[2]
    assert runs["trial-0000"].data.metrics["test_rmse"] == 1.1
    assert runs["entropy"].data.metrics["test_rmse"] == 1.9
    assert runs["trial-0000"].data.metrics["milliseconds_per_image"] == 5.0
    assert runs["trial-0000"].data.tags["semtune.device"] == "H100"
    assert runs["trial-0000"].data.params["learning_rate"] == "0.00015"
    assert runs["entropy"].data.params == {"map": "affine"}


def test_what_is_not_finite_is_left_out(tracked):
    runs = tracked[2]
    assert "validation_rmse" not in runs["trial-0001"].data.metrics
    assert "test_r2" not in runs["trial-0000"].data.metrics


def test_states_and_ends_are_those_of_the_journal(tracked):
    runs = tracked[2]
    ends = {key: (run.info.status, run.info.end_time) for key, run in runs.items()}
    assert ends == {
        "": ("FINISHED", 1015000),
        "trial-0000": ("FINISHED", 1012000),
        "trial-0001": ("FAILED", 1010000),
        "entropy": ("FINISHED", 1013000),
    }
    assert runs["trial-0001"].data.tags["semtune.stop_reason"] == "diverged"


def test_finalists_baselines_and_failures_have_their_files(store, tracked):
    runs = tracked[2]
    assert artifacts_of(store, runs["trial-0000"]) == {"predictions.csv", "weights.safetensors"}
    assert artifacts_of(store, runs["trial-0001"]) == {"traceback.txt"}
    assert artifacts_of(store, runs["entropy"]) == {"predictions.csv"}


def test_the_search_names_its_plan_and_its_dataset(tracked):
    search, _, runs = tracked
    assert runs[""].data.params == {"space": "table1", "trials": "3"}
    [used] = runs[""].inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("tin balls", search.dataset_digest[:32])
    assert json.loads(used.dataset.profile) == {"frames": 24}


def test_the_experiment_has_the_view_that_lists_finalists_and_baselines(store, tracked):
    _, _, runs = tracked
    experiment = store.client.get_experiment(runs[""].info.experiment_id)
    saved = json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW}"])
    shown = json.loads(saved["state"])
    assert shown["orderByKey"] == "metrics.`test_rmse`"
    found = store.client.search_runs([experiment.experiment_id], shown["searchFilter"])
    assert {run.data.tags["semtune.trial"] for run in found} == {"trial-0000", "entropy"}


def test_a_report_is_sent_once_and_again_when_it_is_written_anew(store, folder, search):
    whole_search(folder)
    sync(store, folder, search)
    page = folder.report / "report.html"
    (page.parent / "figures").mkdir(parents=True)
    (page.parent / "figures" / "time.png").write_bytes(b"image")
    page.write_text("first")
    assert sync(store, folder, search).events == 0
    run = runs_of(store, search)[""]
    assert {"report.html", "figures"} <= artifacts_of(store, run)
    sent = read_progress(folder.tracked).report
    store.client.log_text(run.info.run_id, "touched", "report.html")
    sync(store, folder, search)
    assert text_of(store, run) == "touched"
    page.write_text("second")
    os.utime(page, ns=(sent + 1, sent + 1))
    sync(store, folder, search)
    assert text_of(store, run) == "second"


def text_of(store, run):
    return Path(store.client.download_artifacts(run.info.run_id, "report.html")).read_text()


def test_a_server_says_where_each_search_and_the_champions_are(store, tracked):
    experiment = tracked[2][""].info.experiment_id
    lines = places(store, "http://h:1")
    assert lines[0] == "MLflow on http://h:1"
    assert any(f"/#/experiments/{experiment}/runs?" in line and VIEW in line for line in lines)


def test_run_ids_are_kept_beside_the_journal(tracked):
    _, folder, runs = tracked
    assert run_ids(folder) == {key: run.info.run_id for key, run in runs.items()}
    assert unsent(folder) == 0


def test_sending_again_without_a_memory_adds_no_run_and_no_point(store, folder, search):
    whole_search(folder)
    sync(store, folder, search)
    before = runs_of(store, search)
    folder.tracked.unlink()
    assert sync(store, folder, search).events == 12
    after = runs_of(store, search)
    assert {key: run.to_dictionary() for key, run in after.items()} == {
        key: run.to_dictionary() for key, run in before.items()
    }
    assert points_of(store, after["trial-0000"].info.run_id, "training_rmse") == [(1, 2.0), (2, 2.0)]
    assert len(after[""].inputs.dataset_inputs) == 1


def test_only_what_is_new_is_sent(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"))
    assert sync(store, folder, search).events == 2
    write(folder, epoch("trial-0000", 1))
    assert sync(store, folder, search).events == 1
    assert sync(store, folder, search).events == 0


def test_small_batches_give_what_one_batch_gives(store, folder, search):
    whole_search(folder)
    sender = Sender(store, folder, search)
    while sender.send(most=1):
        pass
    sender.close()
    run = runs_of(store, search)["trial-0000"]
    assert run.info.status == "FINISHED"
    assert points_of(store, run.info.run_id, "training_rmse") == [(1, 2.0), (2, 2.0)]


def test_a_run_left_running_by_a_death_is_set_right(store, folder, search):
    whole_search(folder)
    sync(store, folder, search)
    zombie = run_ids(folder)["trial-0001"]
    store.client.update_run(zombie, "RUNNING")
    sync(store, folder, search)
    assert store.client.get_run(zombie).info.status == "FAILED"


def test_an_interrupted_trial_is_killed_and_runs_again_when_it_is_resumed(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"), epoch("trial-0000", 1))
    write(folder, SearchClosed(state="interrupted"))
    sync(store, folder, search)
    assert {run.info.status for run in runs_of(store, search).values()} == {"KILLED"}
    write(folder, SearchOpened(pid=2, host="h"), epoch("trial-0000", 2))
    sync(store, folder, search)
    assert {run.info.status for run in runs_of(store, search).values()} == {"RUNNING"}


def test_a_run_deleted_by_the_user_does_not_hold_up_the_others(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"), started("trial-0001"))
    sync(store, folder, search)
    store.client.delete_run(run_ids(folder)["trial-0000"])
    write(folder, epoch("trial-0000", 1), epoch("trial-0001", 1))
    sent = sync(store, folder, search)
    assert "trial-0000" in sent.refusals[0]
    runs = runs_of(store, search)
    assert set(runs) == {"", "trial-0001"}
    assert runs["trial-0001"].data.metrics["validation_rmse"] == 1.0


def test_a_deleted_experiment_is_replaced_by_a_new_one(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"))
    sync(store, folder, search)
    store.client.delete_experiment(read_progress(folder.tracked).experiment_id)
    assert sync(store, folder, search).events == 2
    assert set(runs_of(store, search)) == {"", "trial-0000"}


def test_another_search_of_the_same_name_gets_an_experiment_of_its_own(store, folder, search, tmp_path):
    write(folder, SearchOpened(pid=1, host="h"))
    sync(store, folder, search)
    twin = folder_at(tmp_path / "twin" / folder.name)
    write(twin, SearchOpened(pid=1, host="h"))
    sync(store, twin, facts_of(twin))
    experiment = store.client.get_experiment(read_progress(twin.tracked).experiment_id)
    assert experiment.name == f"{folder.name}-01234567"


def test_more_points_than_a_call_takes_all_arrive(store, folder, search):
    epochs = [epoch("trial-0000", number) for number in range(1, 1001)]
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"), *epochs)
    sync(store, folder, search)
    assert len(points_of(store, run_ids(folder)["trial-0000"], "epoch_seconds")) == 1000


def test_a_second_sender_waits_for_the_first(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"))
    first = Sender(store, folder, search)
    first.send()
    with pytest.raises(TrackingError, match="another process sends search"):
        sync(store, folder, search)
    first.close()
    assert sync(store, folder, search).events == 0


def test_the_writer_sends_while_the_search_goes_on(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"))
    writer = TrackingWriter(lambda: store, folder, search)
    for number in range(1, 4):
        write(folder, epoch("trial-0000", number))
        writer.notify()
    deadline = time.monotonic() + 10
    while not run_ids(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert run_ids(folder)
    write(folder, TrialEnded(trial="trial-0000", reason="asha"))
    assert writer.close(20) == 0
    run = runs_of(store, search)["trial-0000"]
    assert (run.info.status, len(points_of(store, run.info.run_id, "validation_rmse"))) == ("FINISHED", 3)


def test_a_writer_without_a_store_leaves_the_events_in_the_journal(tmp_path, folder, search):
    away = open_store(Workspace(tmp_path), "http://someone:secret@127.0.0.1:9")
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"))
    writer = TrackingWriter(lambda: away, folder, search)
    start = time.monotonic()
    assert writer.close(1.0) == 2
    assert time.monotonic() - start < 3
    assert "secret" not in str(writer.problem)
    assert "127.0.0.1" in str(writer.problem)


def test_a_store_that_cannot_be_opened_is_tried_again(store, folder, search):
    refusals = iter([OSError("locked"), OSError("locked")])

    def opened():
        for refusal in refusals:
            raise refusal
        return store

    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"))
    writer = TrackingWriter(opened, folder, search)
    assert writer.close(20) == 0
    assert runs_of(store, search).keys() >= {"trial-0000"}


def test_the_writer_leaves_the_store_alone_until_there_is_news(store, folder, search):
    asked = []
    writer = TrackingWriter(lambda: asked.append("opened") or store, folder, search)
    time.sleep(0.1)
    assert asked == []
    writer.close()
    assert asked == ["opened"]


def test_an_address_without_a_scheme_is_refused(tmp_path):
    with pytest.raises(TrackingError, match="write http://HOST:PORT"):
        open_store(Workspace(tmp_path), "localhost:5000")


def test_no_message_shows_the_password(tmp_path, folder, search):
    away = open_store(Workspace(tmp_path), "http://someone:secret@127.0.0.1:9")
    write(folder, SearchOpened(pid=1, host="h"))
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9 cannot be used") as caught:
        sync(away, folder, search)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    with pytest.raises(TrackingError, match="cannot be used"):
        champion(away)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://me:pa@ss@host/x", "https://host/x"),
        ("postgresql://me:pass@host/db", "postgresql://host/db"),
        ("mysql://host/db?user=me&password=pass&x=1", "mysql://host/db?user=me&password=&x=1"),
        ("sqlite:////a/b@c.db", "sqlite:////a/b@c.db"),
        ("http://host:5000", "http://host:5000"),
    ],
)
def test_a_uri_is_shown_without_credentials(uri, expected):
    assert shown(uri) == expected


def test_a_uri_that_names_no_store_is_refused(tmp_path):
    with pytest.raises(TrackingError, match="correct --tracking-uri"):
        open_store(Workspace(tmp_path), "gopher://host")


def test_a_database_that_is_none_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(TrackingError, match="cannot be used"):
        open_store(Workspace(tmp_path))


def test_updates_are_sorted_by_run():
    events = [SearchOpened(pid=1, host="h"), started("trial-0000"), epoch("trial-0000", 1)]
    record = SearchRecord()
    for event in events:
        record.add(event)
    folder = SearchFolder(Path("s"))
    found = updates(events, record, facts_of(folder), folder)
    assert list(found) == ["", "trial-0000"]
    assert {point.metric for point in found["trial-0000"].points} == {
        "validation_rmse",
        "training_rmse",
        "epoch_seconds",
    }


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("epochs", "FINISHED"),
        ("asha", "FINISHED"),
        ("budget", "FINISHED"),
        ("diverged", "FAILED"),
        ("error", "FAILED"),
        ("out_of_memory", "FAILED"),
        ("lost", "FAILED"),
        ("interrupted", "KILLED"),
    ],
)
def test_every_reason_has_a_status(reason, status):
    record = SearchRecord()
    record.add(started("trial-0000"))
    record.add(TrialEnded(trial="trial-0000", reason=reason))
    assert standings(record)["trial-0000"].status == status


@pytest.fixture
def finalists(store, folder, search) -> list[str]:
    """Runs of three finalists."""
    trials = [f"trial-{number:04d}" for number in range(3)]
    write(folder, SearchOpened(pid=1, host="h"), *map(started, trials))
    sync(store, folder, search)
    return [run_ids(folder)[trial] for trial in trials]


def promote(store, tmp_path, run_id: str) -> int:
    weights = tmp_path / run_id / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(run_id.encode())
    return register_champion(store, run_id, weights, FACTS)


def test_the_champion_says_where_it_comes_from(store, tmp_path, finalists):
    version = promote(store, tmp_path, finalists[0])
    now = champion(store)
    assert (now.version, now.run_id) == (version, finalists[0])
    assert now.tags["semtune.architecture"] == "pacf"
    assert now.tags["semtune.test_rmse"] == "0.9"
    assert now.tags["semtune.promoted_at"].endswith("Z")
    found = store.client.get_model_version(REGISTERED_MODEL, str(version))
    assert found.description == FACTS.reason


def test_the_weights_of_a_version_are_downloaded_once(store, tmp_path, finalists):
    version = promote(store, tmp_path, finalists[0])
    path = download_weights(store, version, tmp_path / "cache")
    assert path.read_bytes() == finalists[0].encode()
    inode = path.stat().st_ino
    assert download_weights(store, version, tmp_path / "cache").stat().st_ino == inode
    with pytest.raises(TrackingError, match="there is no version 99999"):
        download_weights(store, 99999, tmp_path / "cache")


def test_rollback_goes_back_promotion_by_promotion(store, tmp_path, finalists):
    first, second, third = (promote(store, tmp_path, run_id) for run_id in finalists)
    assert rollback(store) == (third, second)
    assert rollback(store) == (second, first)
    set_champion(store, third)
    assert rollback(store) == (third, first)
    assert champion(store).version == first


def test_rollback_passes_over_a_version_that_was_deleted(store, tmp_path, finalists):
    first, second, third = (promote(store, tmp_path, run_id) for run_id in finalists)
    store.client.delete_model_version("semtune-scorer", str(second))
    assert rollback(store) == (third, first)


def test_without_a_champion_there_is_nothing_to_roll_back(tmp_path, store):
    template = Path(store.uri.removeprefix("sqlite:///"))
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    fresh = open_store(Workspace(tmp_path))
    if champion(fresh) is not None:
        fresh.client.delete_registered_model("semtune-scorer")
    assert champion(fresh) is None
    assert not (tmp_path / "mlruns").exists()
    with pytest.raises(TrackingError, match="no champion to roll back"):
        rollback(fresh)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 8))
def test_rolling_back_undoes_promotions_in_their_order(promotions, rollbacks):
    champions = [each for each, before in zip(promotions, [0, *promotions], strict=False) if each != before]
    history = list(promotions)
    for _ in range(rollbacks):
        earlier = earlier_champions(history, champions.pop())
        assert earlier == champions[::-1]
        if not earlier:
            return
        history.append(-earlier[0])


def test_promotions_that_the_alias_did_not_follow_do_not_count():
    assert earlier_champions([1, 2, 3], now=2) == [1]
    assert earlier_champions([1, 2, -1], now=2) == [1]
    assert earlier_champions([1, 2], now=9) == [2, 1]


# What a death leaves in MLflow


def test_runs_of_a_killed_search_are_set_right_by_a_sync_before_it_is_resumed(store, folder, search):
    write(folder, SearchOpened(at=999.0, pid=1, host="h"), started("trial-0000"), epoch("trial-0000", 1))
    sync(store, folder, search)
    assert {run.info.status for run in runs_of(store, search).values()} == {"RUNNING"}
    assert sync(store, folder, search, alive=False).events == 0
    ends = {(run.info.status, run.info.end_time) for run in runs_of(store, search).values()}
    assert ends == {("KILLED", 1001000)}
    write(folder, SearchOpened(pid=2, host="h"), epoch("trial-0000", 2))
    sync(store, folder, search)
    assert {run.info.status for run in runs_of(store, search).values()} == {"RUNNING"}


def test_a_run_that_a_slow_server_made_twice_is_not_left_running(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"), started("trial-0000"))
    sync(store, folder, search)
    [experiment] = store.client.search_experiments(
        filter_string=f"tags.`semtune.search_id` = '{search.search_id}'"
    )
    tags = store.client.get_run(run_ids(folder)["trial-0000"]).data.tags
    twin = store.client.create_run(experiment.experiment_id, tags=tags).info.run_id
    write(folder, epoch("trial-0000", 1))
    sync(store, folder, search)
    assert store.client.get_run(twin).info.status == "KILLED"
    assert store.client.get_run(run_ids(folder)["trial-0000"]).data.metrics["validation_rmse"] == 1.0


def test_a_repeated_trial_names_the_first_and_a_death_is_told(store, folder, search):
    write(
        folder,
        SearchOpened(pid=1, host="h"),
        started("trial-0000"),
        TrialEnded(trial="trial-0000", reason="hung", message="no epoch for 600 s"),
        RepeatAsked(trial="trial-0000", epochs=9),
        started("trial-0001").model_copy(update={"repeats": "trial-0000"}),
        TrialDied(trial="trial-0001", message="killed by a signal"),
        started("trial-0002").model_copy(update={"reseeds": "trial-0001", "seed": 8}),
        TrialAtWork(trial="trial-0002", node="n", host="10.0.0.7", cpus=1, gpus=1),
        NodeLost(node="n", host="10.0.0.7", trials=("trial-0002",)),
    )
    sync(store, folder, search)
    runs = runs_of(store, search)
    assert set(runs) == {"", "trial-0000", "trial-0001", "trial-0002"}
    assert runs["trial-0002"].data.tags["semtune.reseeds"] == "trial-0001"
    assert runs["trial-0000"].info.status == "FAILED"
    assert runs["trial-0000"].data.tags["semtune.stop_reason"] == "hung"
    assert artifacts_of(store, runs["trial-0000"]) == {"traceback.txt"}
    assert runs["trial-0001"].data.tags["semtune.repeats"] == "trial-0000"
    assert runs["trial-0001"].data.tags["semtune.last_death"] == "killed by a signal"
    tags = runs["trial-0002"].data.tags
    assert (tags["semtune.host"], tags["semtune.preempted"]) == ("10.0.0.7", "1")
    assert "semtune.last_death" not in tags


def test_settings_that_a_later_session_changes_are_tags(store, folder, search):
    write(folder, SearchOpened(pid=1, host="h"))
    sync(store, folder, replace(search, changeable={"trials": 3}))
    write(folder, SearchOpened(pid=2, host="h"))
    sent = sync(store, folder, replace(search, changeable={"trials": 6}))
    assert sent.refusals == ()
    assert runs_of(store, search)[""].data.tags["semtune.trials"] == "6"


@pytest.mark.parametrize("uri", [None, "sqlite:////data/mlflow.db"])
def test_a_database_file_on_a_network_file_system_is_refused(tmp_path, monkeypatch, uri):
    monkeypatch.setattr("semtune.tracking.store.network_file_system", lambda path: "nfs4")
    with pytest.raises(TrackingError, match=r"mlflow.db would be .*\(nfs4\).*--tracking-uri http"):
        open_store(Workspace(tmp_path), uri)
    assert not (tmp_path / "mlflow.db").exists()
    open_store(Workspace(tmp_path), "http://127.0.0.1:9")  # a server keeps its database where it likes
