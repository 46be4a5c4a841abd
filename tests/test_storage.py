"""Files under one address: whole or not at all, and no credentials in it."""

from pathlib import Path

import pytest

from semtune.errors import ConfigError, StorageError
from semtune.mounts import network_file_system
from semtune.storage import Storage, check_storage, patiently, probe


@pytest.fixture
def storage(tmp_path):
    return Storage(str(tmp_path / "shared"))


def write(path, text):
    path.write_text(text, "utf-8")
    return path


def test_what_was_put_is_got_listed_and_deleted(storage, tmp_path):
    storage.put(write(tmp_path / "a", "first"), "x/y/a")
    storage.put(write(tmp_path / "a", "second"), "x/y/a")
    storage.get("x/y/a", tmp_path / "deep" / "got")
    assert (tmp_path / "deep" / "got").read_text("utf-8") == "second"
    assert (storage.list("x/y"), storage.list("x"), storage.list("nothing")) == (["a"], ["y"], [])
    storage.delete("x/y/a")
    storage.delete("x/y/a")
    assert storage.list("x/y") == []


def test_nothing_half_written_is_left_or_listed(storage, tmp_path):
    with pytest.raises(StorageError, match="missing"):
        storage.get("missing", tmp_path / "got")
    with pytest.raises(StorageError, match="check --storage"):
        storage.put(tmp_path / "no such file", "x/a")
    assert storage.list("x") == []
    assert not list(tmp_path.rglob("*.part*"))
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://key:secret@bucket/x", "takes no credentials"),
        ("s3://key@bucket/x", "takes no credentials"),
        ("http://host/x", "takes a shared folder"),
        ("s3:///x", "takes a shared folder"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(given, told):
    with pytest.raises(ConfigError, match=told) as refused:
        check_storage(given)
    assert "secret" not in str(refused.value)


def test_a_folder_becomes_absolute_and_a_bucket_loses_its_slash():
    assert check_storage("shared") == str(Path.cwd() / "shared")
    assert check_storage("s3://bucket/x/") == "s3://bucket/x"
    assert check_storage("gs://anonymous@bucket") == "gs://anonymous@bucket"


def test_a_probe_knows_the_storage_that_another_machine_wrote_to(storage, tmp_path):
    storage.put(write(tmp_path / "a", ""), "probes/1")
    assert probe(storage.address, "1") == ""
    assert storage.list("probes") == ["1"]
    assert "not the one" in probe(str(tmp_path / "another"), "1")


def test_a_storage_that_cannot_be_written_is_told_by_the_probe(storage, tmp_path):
    storage.put(write(tmp_path / "a", ""), "probes/1")
    (tmp_path / "shared" / "probes").rename(tmp_path / "shared" / "aside")
    write(tmp_path / "shared" / "probes", "a file in the way")
    assert storage.address in probe(storage.address, "1")


def test_work_is_tried_again_until_the_patience_is_over():
    calls = []

    def work():
        calls.append(1)
        if len(calls) < 2:
            raise StorageError("away")
        return "done"

    assert patiently(work) == "done"
    calls.clear()
    with pytest.raises(StorageError, match="away"):
        patiently(work, patience=0.5)


MOUNTS = r"""
proc /proc proc rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/export /data nfs4 rw 0 0
server:/other /data/with\040space lustre rw 0 0
/dev/sdb /data/local xfs rw 0 0
user@host: /remote fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/x/y", "nfs4"),
        ("/data/with space/x", "lustre"),
        ("/data/local/x", None),
        ("/database", None),
        ("/remote/x", "fuse.sshfs"),
        ("/tmp", None),
    ],
)
def test_the_deepest_mount_says_whether_a_path_is_on_a_network(tmp_path, path, kind):
    assert network_file_system(Path(path), write(tmp_path / "mounts", MOUNTS)) == kind


def test_where_there_is_no_table_of_mounts_nothing_is_known(tmp_path):
    assert network_file_system(Path("/data"), tmp_path / "none") is None
