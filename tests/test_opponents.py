"""The process that fits a search's opponents, and the clock that times them."""

import time
from pathlib import Path

import pytest
from small_search import write_small_table

from semtune.dataset.frames import open_frames
from semtune.errors import SearchError
from semtune.fitting import fit_opponents
from semtune.opponents import OPPONENTS, OpponentsAside, timed
from semtune.training.samples import write_samples


@pytest.fixture
def table(tmp_path):
    table = write_small_table(tmp_path)
    write_samples(table, tmp_path / "samples.npz")
    return table


@pytest.fixture
def store(table):
    return open_frames(Path(table.cache_folder), table.digest)


@pytest.fixture
def aside(table, tmp_path):
    aside = OpponentsAside(tmp_path / "samples.npz", tmp_path / "baselines")
    yield aside
    aside.stop()


def test_the_process_finds_what_is_found_here(aside, table, store, tmp_path):
    aside.start()
    aside.start()  # once is enough
    here = list(fit_opponents(table, store, tmp_path / "here"))
    found = [each.model_dump_json(exclude={"at"}) for each in aside.events]
    assert found == [each.model_dump_json(exclude={"at"}) for each in here]
    assert [each.name for each in here] == list(OPPONENTS)
    for name in OPPONENTS:
        ours, theirs = (tmp_path / part / f"{name}.csv" for part in ("here", "baselines"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_process_that_fails_says_why(aside, table, tmp_path):
    (tmp_path / "samples.npz").unlink()
    with pytest.raises(SearchError, match=r"(?s)opponents could not be fitted.*samples\.npz"):
        _ = aside.events


def test_a_stopped_process_is_gone(aside):
    aside.start()
    start = time.monotonic()
    aside.stop()
    assert time.monotonic() - start < 1
    with pytest.raises(SearchError, match="could not be fitted"):
        _ = aside.events


def test_every_opponent_that_looks_at_frames_is_timed(table, store, tmp_path):
    fitted = list(fit_opponents(table, store, tmp_path / "here"))
    clocked = timed(fitted, table, store)
    assert [each.name for each in clocked] == [each.name for each in fitted]
    for before, after in zip(fitted, clocked, strict=True):
        new = after.figures.keys() - before.figures.keys()
        assert before.figures.items() <= after.figures.items()
        assert ("milliseconds_per_image" in new) == (before.kind in ("autofocus", "joint"))
