"""A search whose workers share nothing with the driver but a bucket, on a server that speaks S3."""

import os
import signal

import pytest
from place import Place, until
from s3_server import BUCKET, s3_server, why_no_s3

from semtune.errors import StorageError
from semtune.storage import Storage, probe

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_no_s3()), reason=why_no_s3())]

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
sampler: random
scheduler: none
epochs: 70
crop: 64
tiles: 1
trials: 2
"""


def test_a_search_through_a_bucket_comes_to_the_same_table(tmp_path, monkeypatch):
    place = Place(tmp_path, f"storage-{os.getpid()}")
    (tmp_path / "space.yaml").write_text(SPACE, "utf-8")
    place.run("simulate", "frames", "--fields", "12", "--settings", "4")
    asked = ("search", "space.yaml", "--data", "frames", "--precision", "float32", "--concurrent", "2")
    with s3_server(tmp_path / "s3") as environment:
        for name, value in {**environment, "SEMTUNE_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        address = f"s3://{BUCKET}/semtune"
        with place.started(*asked, "--name", "far", "--storage", address) as process:
            workers = []  # they bear another title between two pieces of work
            until(lambda: checkpoints(place, address) and (workers.extend(place.workers()) or workers), 150)
            os.kill(workers[0], signal.SIGKILL)
            assert process.wait(150) == 0, (tmp_path / "log").read_text("utf-8")
        journal = place.workspace.search("far").journal.read_text("utf-8")
        assert journal.count("the process of the trial died") == 1
        left = Storage(address).list(f"searches/{place_id(place)}/trials")
    place.run(*asked, "--name", "near")
    assert rows(place, "far") == rows(place, "near")
    assert len(left) >= 1
    assert len(list((tmp_path / "cache" / "frames").glob("*.u8"))) == 1
    place.run("promote", "far", "--force", "a test")
    assert list(
        (tmp_path / "semtune-workspace" / "searches" / "far" / "trials").glob("*/weights.safetensors")
    )


def checkpoints(place, address):
    """Checkpoints in the storage, once there is a search."""
    if not place.workspace.search("far").plan.exists():
        return []
    prefix, storage = f"searches/{place_id(place)}/trials", Storage(address)
    return [name for trial in storage.list(prefix) for name in storage.list(f"{prefix}/{trial}")]


def place_id(place):
    from semtune.planning import read_plan

    return read_plan(place.workspace.search("far").plan).search_id


def rows(place, name):
    """What of a table does not depend on clocks."""
    return [
        {key: row[key] for key in ("name", "trial", "test_rmse", "test_r2", "test_srcc")}
        for row in place.json("report", name)["rows"]
    ]


def test_objects_are_listed_dropped_and_probed_over_http(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(25 * 2**20))  # several parts
    with s3_server(tmp_path / "s3") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        storage = Storage(f"s3://{BUCKET}/semtune")
        for key in ("a/b", "a/c/d", "probes/one"):
            storage.put(file, key)
        assert (storage.list("a"), storage.files("a")) == (["b", "c"], ["b", "c/d"])
        assert (storage.list("none"), storage.files("none")) == ([], [])
        storage.get("a/b", tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == file.read_bytes()
        storage.delete("a/b")
        storage.delete("a/b")
        assert storage.files("a") == ["c/d"]
        assert probe(storage.address, "one") == ""
        assert "not the one" in probe(storage.address, "two")
        with pytest.raises(StorageError, match="check --storage") as caught:
            Storage("s3://nobody/x").put(file, "key")
        assert "\n" not in str(caught.value)
