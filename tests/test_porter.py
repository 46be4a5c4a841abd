"""Trials whose files travel: two nodes that share nothing but a storage."""

import fcntl
import json
import time
from dataclasses import replace

import pytest
from small_search import write_small_table

from semtune.config import Hyperparameters, TrialTask
from semtune.dataset.frames import holds_frames
from semtune.dataset.shipping import FrameCache, send_frames
from semtune.errors import StorageError
from semtune.search.depot import TrialFiles
from semtune.search.porter import Porter
from semtune.search.worker import WarmWorker
from semtune.storage import Storage
from semtune.training.samples import write_samples
from semtune.workspace import CHECKPOINT, PREDICTIONS, WEIGHTS

SETTINGS = Hyperparameters(architecture="pacf", batch_size=4, crop=64, tiles=1, epochs=4)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_small_table(tmp_path_factory.mktemp("porter"))


@pytest.fixture
def files(table, tmp_path):
    """The driver's machine, which has sent what workers need."""
    samples = tmp_path / "search" / "samples.npz"
    samples.parent.mkdir()
    write_samples(table, samples)
    files = TrialFiles(tmp_path / "search" / "trials", Storage(str(tmp_path / "storage")), "id")
    files.send(samples, tmp_path / "search" / "start.safetensors")
    return files


@pytest.fixture
def node(monkeypatch, tmp_path):
    """Makes a worker on a node of its own."""

    def make(name, limit="1"):
        monkeypatch.setenv("SEMTUNE_CACHE", str(tmp_path / name))
        monkeypatch.setenv("SEMTUNE_CACHE_LIMIT", limit)
        return Porter(WarmWorker())

    return make


def task(files, role="search", settings=SETTINGS):
    """Names files of the driver's machine, which no worker may touch."""
    away = files.folder.parent / "away"
    return TrialTask(
        trial="trial-0000", role=role, hyperparameters=settings, seed=3, threads=1, precision="float32",
        trial_folder=str(away / "trial-0000"), samples_file=str(away / "samples.npz"),
        storage=files.storage.address, search="id",
    )  # fmt: skip


def run(worker, task, epochs=None):
    """Reports of a task, to its end or for so many epochs."""
    worker.start(task)
    reports = [worker.advance()]
    while not reports[-1]["done"] and len(reports) != epochs:
        reports.append(worker.advance())
    worker.stop()
    return reports


def curve(reports):
    return {r["epoch"]["epoch"]: r["epoch"]["validation_rmse"] for r in reports if "epoch" in r}


def test_a_trial_goes_on_where_another_node_left_it(files, node):
    first = curve(run(node("one"), task(files), epochs=2))
    second = curve(run(node("two"), task(files)))
    whole = curve(run(node("three"), task(files).model_copy(update={"trial": "trial-0001"})))
    assert list(first) == [1, 2]
    assert list(second) == [2, 3, 4]  # the last one known is told again
    assert first | second == pytest.approx(whole, rel=1e-6)


def test_what_a_tested_trial_left_comes_to_the_driver_and_goes_when_it_is_dropped(files, node, tmp_path):
    report = run(node("one"), task(files, "final"))[-1]
    files.fetch("trial-0000")
    here = files.folder / "trial-0000"
    assert report["tested"]
    assert (here / WEIGHTS).stat().st_size == (
        tmp_path / "storage/searches/id/trials/trial-0000" / WEIGHTS
    ).stat().st_size
    files.drop(["trial-0000"])
    files.settle()
    assert files.storage.list("searches/id/trials/trial-0000") == [PREDICTIONS]
    assert [file.name for file in here.iterdir()] == [PREDICTIONS]
    assert not list((tmp_path / "one" / "work").rglob(CHECKPOINT))  # nor does it stay on the node


def test_what_was_trained_without_a_storage_goes_along_into_one(files, tmp_path):
    kept = files.folder / "trial-0002" / CHECKPOINT
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"state")
    files.send(files.folder.parent / "samples.npz")
    assert files.storage.files("searches/id/trials") == [f"trial-0002/{CHECKPOINT}"]


def test_all_trials_are_dropped_by_one_question_and_those_at_work_anew_are_not(files, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"state")
    files.drop([f"trial-{number:04d}" for number in range(1000)])
    files.settle()
    files.want("trial-0000")
    for trial in ("trial-0000", "trial-0001"):  # a worker saves when its trial has ended
        for name in (CHECKPOINT, PREDICTIONS):
            files.storage.put(tmp_path / "file", f"searches/id/trials/{trial}/{name}")
    asked, ask = [], Storage.files
    monkeypatch.setattr(Storage, "files", lambda self, prefix: asked.append(prefix) or ask(self, prefix))
    files.settle()
    assert len(asked) == 1
    kept = [f"trial-0000/{CHECKPOINT}", f"trial-0000/{PREDICTIONS}", f"trial-0001/{PREDICTIONS}"]
    assert files.storage.files("searches/id/trials") == kept


def test_a_slow_storage_is_sent_to_seldom(files, node, monkeypatch):
    sent, put = [], Storage.put

    def slowly(self, file, key):
        sent.append(key)
        time.sleep(0.05)
        put(self, file, key)

    monkeypatch.setattr("semtune.search.worker._CHECKPOINT_SHARE", 1e9)  # a checkpoint each epoch
    monkeypatch.setattr(Storage, "put", slowly)
    run(node("one"), task(files, settings=SETTINGS.model_copy(update={"epochs": 12})))
    assert (
        sum(key.endswith(CHECKPOINT) for key in sent) <= 3
    )  # 0.05 s of 2 % are 2.5 s; the last is sent at the end


def test_a_dead_workers_files_leave_the_node_and_a_living_ones_stay(files, node, tmp_path):
    work = tmp_path / "one" / "work"
    for name in ("dead", "living"):
        (work / name).mkdir(parents=True)
        (work / f"{name}.lock").touch()
    with (work / "living.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(node("one"), task(files), epochs=1)
    assert not (work / "dead").exists()
    assert (work / "living").exists()


def test_half_fetched_frames_of_a_killed_process_are_fetched_anew(files, table, tmp_path):
    left = tmp_path / "cache" / f".{table.digest}.part"
    left.mkdir(parents=True)
    (left / "rest").write_bytes(b"x")
    FrameCache(tmp_path / "cache", 10**9).hold(table.digest, files.storage)
    assert not left.exists()


def test_a_storage_that_is_away_ends_the_search_resumable(files, node, monkeypatch):
    worker = node("one")
    asked = task(files).model_copy(update={"search": "another"})
    monkeypatch.setattr("semtune.search.porter.patiently", lambda work, patience=0: work())
    [report] = run(worker, asked)
    assert report["reason"] == "interrupted"
    assert "samples.npz" in report["message"]


def test_frames_are_fetched_once_a_node(files, table, tmp_path):
    cache = FrameCache(tmp_path / "cache", 10**9)
    cache.hold(table.digest, files.storage)
    (tmp_path / "storage" / "frames").rename(tmp_path / "gone")
    FrameCache(tmp_path / "cache", 10**9).hold(table.digest, files.storage)
    assert holds_frames(tmp_path / "cache", table.digest)


def test_damaged_frames_are_not_taken(files, table, tmp_path):
    pixels = tmp_path / "storage" / "frames" / f"{table.digest}.u8"
    content = bytearray(pixels.read_bytes())
    content[100] ^= 1
    pixels.write_bytes(content)
    with pytest.raises(StorageError, match="not the frames that were sent"):
        FrameCache(tmp_path / "cache", 10**9).hold(table.digest, files.storage)
    assert not holds_frames(tmp_path / "cache", table.digest)
    assert not [file for file in (tmp_path / "cache").iterdir() if file.suffix != ".lock"]


def test_the_least_recently_used_frames_go_first_and_never_those_in_use(files, table, tmp_path):
    other = send_a_copy(files, table, tmp_path, "b" * 64)
    third = send_a_copy(files, table, tmp_path, "c" * 64)
    size = (tmp_path / "storage" / "frames" / f"{table.digest}.u8").stat().st_size
    folder, storage = tmp_path / "cache", files.storage
    in_use = FrameCache(folder, 2 * size)
    in_use.hold(table.digest, storage)
    passing = FrameCache(folder, 2 * size)
    passing.hold(other, storage)
    passing.release()
    FrameCache(folder, 2 * size).hold(third, storage)
    assert [holds_frames(folder, each) for each in (table.digest, other, third)] == [True, False, True]
    with (folder / f"{third}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(StorageError, match="SEMTUNE_CACHE_LIMIT"):
            FrameCache(folder, 2 * size).hold(other, storage)


def send_a_copy(files, table, tmp_path, digest):
    """The same frames as if they were another dataset's."""
    there = tmp_path / "storage" / "frames"
    for suffix in (".u8", ".json"):
        (there / f"{digest}{suffix}").write_bytes((there / f"{table.digest}{suffix}").read_bytes())
    return digest


def test_frames_are_sent_once_and_with_their_sum(files, table, tmp_path):
    index = tmp_path / "storage" / "frames" / f"{table.digest}.json"
    assert len(json.loads(index.read_text("utf-8"))["sha256"]) == 64
    before = index.stat().st_mtime_ns
    send_frames(tmp_path, table.digest, files.storage)  # where no frames are: nothing is read
    assert index.stat().st_mtime_ns == before


def test_a_task_without_a_storage_uses_the_paths_as_they_are(table, tmp_path, node):
    samples = tmp_path / "samples.npz"
    write_samples(replace(table), samples)
    plain = TrialTask(
        trial="trial-0000", role="search", hyperparameters=SETTINGS, seed=3, threads=1,
        trial_folder=str(tmp_path / "trial-0000"), samples_file=str(samples),
    )  # fmt: skip
    run(node("one"), plain, epochs=2)
    assert (tmp_path / "trial-0000" / CHECKPOINT).exists()
    assert not (tmp_path / "one").exists()
