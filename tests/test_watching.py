"""Frames are scored as they are saved: once, whole, and whatever else lies in the folder."""

import csv
import os

import numpy as np
import pytest
from conftest import grain_texture

from semtune import watching
from semtune.errors import SearchError
from semtune.images import write_png
from semtune.score_rows import open_rows
from semtune.scoring import ScoredFrame
from semtune.watching import PATIENCE, Unreadable, Watch, scored_as_saved


class FakeScorer:
    """Reads frames as the champion does; the score is the mean grey level."""

    def __init__(self):
        self.raced = 0

    def lasting(self, engine):
        return None

    def read_file(self, path, given):
        from semtune.images import read_frame
        from semtune.scoring import ReadFrame

        return ReadFrame(str(path), read_frame(path), dict(given))

    def score_read(self, read):
        return ScoredFrame(read.path, float(read.frame.mean()), read.controls, (), "fake")

    def on_fastest(self, frame):
        self.raced += 1
        return self


@pytest.fixture
def frame():
    return grain_texture(np.random.default_rng(3), 64, 64).astype(np.uint8)


@pytest.fixture
def looks(monkeypatch):
    """A clock that stands still but for the pauses between two looks, and what happens in them."""
    state = {"now": 0.0, "between": []}

    def sleep(seconds):
        state["now"] += seconds
        if not state["between"]:
            raise KeyboardInterrupt
        state["between"].pop(0)()

    monkeypatch.setattr(watching.time, "sleep", sleep)
    monkeypatch.setattr(watching.time, "monotonic", lambda: state["now"])
    return state


def nothing():
    pass


def told_in(folder, looks, *between, existing=False):
    """What is told of a folder in which things happen between looks, until Ctrl-C."""
    looks["between"] = [*between, nothing, nothing]
    told, scorer = [], FakeScorer()
    with pytest.raises(KeyboardInterrupt):
        told.extend(scored_as_saved(scorer, Watch(folder, existing), {"brightness": 5.0}))
    assert scorer.raced == min(1, sum(isinstance(each, ScoredFrame) for each in told))
    return told


def test_a_new_frame_is_scored_once_and_older_ones_are_not(tmp_path, frame, looks):
    write_png(tmp_path / "old.png", frame)
    told = told_in(tmp_path, looks, lambda: write_png(tmp_path / "new.png", frame), nothing, nothing)
    assert [each.frame for each in told] == [str(tmp_path / "new.png")]
    assert told[0].controls == {"brightness": 5.0}


def test_frames_that_are_there_are_scored_if_asked_for_oldest_first(tmp_path, frame, looks):
    for number, name in enumerate(("b.png", "a.png")):
        write_png(tmp_path / name, frame)
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    told = told_in(tmp_path, looks, nothing, existing=True)
    assert [each.frame for each in told] == [str(tmp_path / name) for name in ("b.png", "a.png")]


def test_a_frame_saved_anew_is_scored_again(tmp_path, frame, looks):
    def save(level):
        write_png(tmp_path / "live.png", np.full_like(frame, level))
        os.utime(tmp_path / "live.png", (1000 + level, 1000 + level))

    told = told_in(tmp_path, looks, lambda: save(10), nothing, nothing, lambda: save(20), nothing)
    assert [each.score for each in told] == [10, 20]


def test_a_half_written_frame_is_waited_for(tmp_path, frame, looks):
    write_png(tmp_path / "whole.png", frame)
    content = (tmp_path / "whole.png").read_bytes()
    path = tmp_path / "sub" / "growing.png"
    path.parent.mkdir()
    parts = [lambda n=n: path.write_bytes(content[: n * len(content) // 4]) for n in (0, 1, 1, 2, 3)]
    pause = [nothing] * int(PATIENCE / 2)  # it stays half a while
    told = told_in(tmp_path, looks, *parts, *pause, lambda: path.write_bytes(content), nothing, nothing)
    assert [each.frame for each in told] == [str(path)]
    assert told[0].score == frame.mean()


def test_a_frame_that_changes_while_it_is_read_is_not_scored_as_it_was(tmp_path, frame, looks, monkeypatch):
    path = tmp_path / "new.png"
    levels = iter([10, 20])

    def save(level):
        write_png(path, np.full_like(frame, level))
        os.utime(path, (1000 + level, 1000 + level))

    right = FakeScorer.score_read

    def changed_meanwhile(self, read):
        if (level := next(levels, None)) is not None:
            save(level + 1)
        return right(self, read)

    monkeypatch.setattr(FakeScorer, "score_read", changed_meanwhile)
    told = told_in(tmp_path, looks, lambda: save(10), *[nothing] * 8)
    assert [each.score for each in told] == [21]


def test_a_damaged_file_is_told_once_and_stops_nothing(tmp_path, frame, looks):
    (tmp_path / "sub.png").mkdir()

    def save():
        (tmp_path / "bad.tif").write_text("no frame")
        (tmp_path / "notes.txt").write_text("no frame")
        (tmp_path / ".hidden.png").write_text("no frame")
        write_png(tmp_path / "good.png", frame)

    told = told_in(tmp_path, looks, save, *[nothing] * int(2 * PATIENCE))
    good, bad = told
    assert good.frame == str(tmp_path / "good.png")
    assert isinstance(bad, Unreadable)
    assert "bad.tif: is no PNG, TIFF, JPEG or BMP file" in bad.reason


def test_a_file_that_goes_away_is_forgotten(tmp_path, frame, looks):
    path = tmp_path / "brief.png"
    assert not told_in(tmp_path, looks, lambda: write_png(path, frame), path.unlink, *[nothing] * 15)


def test_frames_with_a_row_are_left_out_after_a_restart(tmp_path, frame, looks):
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, frame)
    frames = Watch(tmp_path, existing=True)
    frames.leave_out({str(tmp_path / "a.png")})
    looks["between"] = [nothing] * 3
    told = []
    with pytest.raises(KeyboardInterrupt):
        told.extend(scored_as_saved(FakeScorer(), frames, {}))
    assert [each.frame for each in told] == [str(tmp_path / "b.png")]


# The table


def scored(name, score, **controls):
    return ScoredFrame(name, score, controls, (), "eager, float32")


def test_rows_are_added_to_those_that_are_there(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    open_rows(path, 1, ("brightness", "contrast")).add([scored('a "b", c.png', 5.5, contrast=40.0)])
    again = open_rows(path, 2, ("brightness", "contrast"))
    assert again.known == {'a "b", c.png'}
    again.add([scored("d.png", 6.0)])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["score"], row["model_version"]) for row in rows] == [
        ('a "b", c.png', "5.5", "1"), ("d.png", "6.0", "2"),
    ]  # fmt: skip
    assert (rows[0]["brightness"], rows[0]["contrast"]) == ("", "40.0")
    assert rows[0]["scored_at"].endswith("Z")


def test_another_table_is_left_alone(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("image,score\na.png,3\n")
    with pytest.raises(SearchError, match=r"scores\.csv: its columns are not frame, score"):
        open_rows(path, 1, ())
    assert path.read_text() == "image,score\na.png,3\n"
    with pytest.raises(SearchError, match="cannot be read as CSV"):
        open_rows(tmp_path, 1, ())
