"""Frames in an order of the rater's own, scores that are on the disk, and a page for its own rater alone."""

import csv
import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pytest
import tifffile
from asgi import ask

from semtune.dataset.checks import check
from semtune.dataset.importing import import_frames
from semtune.dataset.manifest import read_dataset
from semtune.dataset.ratings import read_ratings
from semtune.errors import ConfigError, DatasetError
from semtune.images import write_png
from semtune.labelling.book import open_book
from semtune.labelling.order import Showing, showings
from semtune.labelling.server import application
from semtune.labelling.session import Labelling, list_images

IMAGES = tuple(f"{number:03}.png" for number in range(200))
SECRET = "s3cret"


def frame(seed, height=96, width=128):
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@pytest.fixture
def raw(tmp_path):
    """A folder of 30 frames in two subfolders."""
    for number in range(30):
        folder = tmp_path / "raw" / f"day {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"{number:02}.png", frame(number))
    return tmp_path / "raw"


@pytest.fixture
def labelling(raw):
    images, _ = list_images(raw)
    with open_book(raw, images, (0, 10)) as book:
        yield Labelling(raw, images, book, (0, 10), 0.2)


def rows(folder):
    with (folder / "scores.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def label_all(labelling, rater, score):
    """Score everything that is shown; `score` gets the image and how often it was seen before."""
    state = labelling.state(rater)
    while state.next:
        number, earlier = state.next
        state = labelling.rate(rater, number, earlier, score(labelling.images[number], earlier))
    return state


# Order


def test_every_frame_is_shown_once_and_a_share_of_them_once_more():
    shown = showings(IMAGES, "ann", 0.05)
    assert sorted(each.image for each in shown if each.earlier == 0) == list(IMAGES)
    again = [each for each in shown if each.earlier]
    assert len({each.image for each in again}) == len(again) == 10
    assert list(showings(IMAGES, "ann", 0.0)) == [each for each in shown if not each.earlier]


def test_a_repeat_comes_a_quarter_of_the_frames_later_and_not_as_a_block_at_the_end():
    for rater in ("ann", "bob", "eve"):
        shown = showings(IMAGES, rater, 0.1)
        places = [
            (shown.index(Showing(each.image, 0)), place) for place, each in enumerate(shown) if each.earlier
        ]
        assert min(later - first for first, later in places) >= 50
        assert sum(later < 0.8 * len(shown) for _, later in places) >= 5


def test_orders_are_random_their_raters_own_and_the_same_each_time():
    ann, bob = (showings(IMAGES, rater, 0.05) for rater in ("ann", "bob"))
    assert ann == showings(tuple(reversed(IMAGES)), "ann", 0.05)
    assert ann != bob
    order = [IMAGES.index(each.image) for each in ann if not each.earlier]
    assert abs(np.corrcoef(order, range(200))[0, 1]) < 0.2


def test_frames_that_come_later_leave_the_order_of_the_others():
    before = [each.image for each in showings(IMAGES[:150], "ann", 0) if each.earlier == 0]
    after = [each.image for each in showings(IMAGES, "ann", 0) if each.image in IMAGES[:150]]
    assert before == after


# Scores


def test_scores_are_on_the_disk_when_the_page_hears_of_them(labelling, raw):
    state = labelling.state("ann")
    assert (state.done, state.total) == (0, 36)
    number, earlier = state.next
    state = labelling.rate("ann", number, earlier, 7.5)
    assert state.done == 1
    assert state.next.frame != number
    [rating] = read_ratings(raw).ratings
    assert (rating.image, rating.rater, rating.score) == (labelling.images[number], "ann", 7.5)
    assert rows(raw)[rating.image]["score"] == "7.5"
    assert sum(bool(row["score"]) for row in rows(raw).values()) == 1


def test_undo_shows_the_frame_again_and_goes_back_to_the_first(labelling, raw):
    first = labelling.state("ann").next
    second = labelling.rate("ann", *first, 3).next
    labelling.rate("ann", *second, 4)
    state = labelling.take_back("ann")
    assert (state.next, state.taken_back, state.done) == (second, 4, 1)
    state = labelling.take_back("ann")
    assert (state.next, state.taken_back, state.done) == (first, 3, 0)
    with pytest.raises(ConfigError, match="nothing to undo"):
        labelling.take_back("ann")
    assert read_ratings(raw) == ((), ())
    assert not any(row["score"] for row in rows(raw).values())


def test_a_score_counts_once_however_often_it_is_sent(labelling):
    number, earlier = labelling.state("ann").next
    labelling.rate("ann", number, earlier, 5)
    with pytest.raises(ConfigError, match="scored elsewhere meanwhile"):
        labelling.rate("ann", number, earlier, 5)
    assert labelling.state("ann").done == 1


def test_of_a_score_that_is_sent_twice_at_once_one_is_kept(labelling, raw):
    waiting = labelling.state("ann").next

    def send(score):
        try:
            labelling.rate("ann", *waiting, score)
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(8))) == 1
    assert len(read_ratings(raw).ratings) == 1


@pytest.mark.parametrize("score", [-0.1, 10.1, math.nan, math.inf])
def test_a_score_outside_the_range_is_refused(labelling, score):
    with pytest.raises(ConfigError, match="from 0 to 10"):
        labelling.rate("ann", *labelling.state("ann").next, score)


def test_no_frame_follows_itself_even_where_there_are_few(tmp_path):
    for number in range(3):
        write_png(tmp_path / f"{number}.png", frame(number))
    images, _ = list_images(tmp_path)
    with open_book(tmp_path, images, (0, 10)) as book:
        for rater in ("ann", "bob", "eve", "joe"):
            label_all(Labelling(tmp_path, images, book, (0, 10), 0.4), rater, lambda image, earlier: 1)
        for rater in ("ann", "bob", "eve", "joe"):
            seen = [each.image for each in book.ratings if each.rater == rater]
            assert len(seen) == 4 + 1
            assert all(one != other for one, other in itertools.pairwise(seen))


def test_a_book_is_taken_up_where_a_death_left_it(labelling, raw):
    before = label_all(labelling, "ann", lambda image, earlier: 6)
    with (raw / "ratings.csv").open("ab") as file:
        file.write(b"day 0/00.png,bob,1")  # and no more: the machine died
    (raw / "scores.csv").unlink()
    labelling.book.folder.joinpath(".ratings.lock").unlink()
    with open_book(raw, labelling.images, (0, 10)) as book:
        again = Labelling(raw, labelling.images, book, (0, 10), 0.2)
        assert again.state("ann") == before
        assert again.state("bob").done == 0
    assert {row["score"] for row in rows(raw).values()} == {"6"}


def test_two_processes_do_not_share_a_book(labelling, raw):
    with pytest.raises(DatasetError, match="labelled by another process"), open_book(raw, IMAGES, (0, 10)):
        pass


def test_scores_of_another_origin_are_not_overwritten(tmp_path):
    (tmp_path / "scores.csv").write_text("image,score\na.png,4\n")
    with pytest.raises(DatasetError, match="not given on the page"), open_book(tmp_path, IMAGES, (0, 10)):
        pass
    assert "a.png,4" in (tmp_path / "scores.csv").read_text()


def test_a_book_that_links_elsewhere_is_left_alone(tmp_path):
    (tmp_path / "secret").write_text("no line end")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ratings.csv").symlink_to(tmp_path / "secret")
    with (
        pytest.raises(DatasetError, match="outside its folder"),
        open_book(tmp_path / "raw", IMAGES, (0, 10)),
    ):
        pass
    assert (tmp_path / "secret").read_text() == "no line end"


def test_ratings_outside_the_range_ask_for_the_range_of_before(labelling, raw):
    labelling.rate("ann", *labelling.state("ann").next, 9)
    labelling.book.folder.joinpath(".ratings.lock").unlink()
    with (
        pytest.raises(DatasetError, match=r"was given 9, outside 1\.\.5; .*--score-range"),
        open_book(raw, labelling.images, (1, 5)),
    ):
        pass


def test_columns_that_somebody_added_to_the_table_stay(labelling, raw):
    table = "image,score,field\n" + "".join(f"{image},,place {image[-6]}\n" for image in labelling.images)
    (raw / "scores.csv").write_text(table)
    label_all(labelling, "ann", lambda image, earlier: 2)
    assert {row["field"] for row in rows(raw).values()} == {"place 0", "place 1", "place 2"}
    assert {row["score"] for row in rows(raw).values()} == {"2"}
    (raw / "scores.csv").write_text("image;score\n")  # broken while the page runs: the ratings are safe
    labelling.take_back("ann")
    assert (raw / "scores.csv").read_text() == "image;score\n"
    assert labelling.state("ann").done == 35


# Frames


def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path):
    write_png(tmp_path / "good.png", frame(1))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "out.png").symlink_to("/etc/hostname")
    images, others = list_images(tmp_path)
    assert (images, others) == (("bad.png", "good.png"), ("out.png",))
    with open_book(tmp_path, images, (0, 10)) as book:
        state = label_all(Labelling(tmp_path, images, book, (0, 10), 0), "ann", lambda image, earlier: 1)
    assert (state.done, state.total) == (1, 1)
    assert state.unreadable[0].startswith("bad.png: damaged or incomplete image")


def test_a_rater_sees_the_grey_levels_that_networks_see(tmp_path):
    deep = (frame(3).astype(np.uint16) * 257).astype(np.uint16)
    barred = np.vstack([deep, np.full((24, 128), 65535, np.uint16)])
    barred[100:110, 10:100:3] = 0  # writing in a data bar
    tifffile.imwrite(tmp_path / "deep.tif", barred)
    with open_book(tmp_path, ("deep.tif",), (0, 10)) as book:
        labelling = Labelling(tmp_path, ("deep.tif",), book, (0, 10), 0)
        shown = imagecodecs.png_decode(labelling.picture(0))
    np.testing.assert_array_equal(shown, frame(3))
    assert shown.dtype == np.uint8


def test_the_way_into_a_dataset_is_as_printed(labelling, raw, tmp_path):
    for rater, bias in (("ann", 0), ("bob", 1)):
        label_all(
            labelling, rater, lambda image, earlier, bias=bias: int(image[-6:-4]) / 5 + bias + earlier / 4
        )
    summary = import_frames(raw, tmp_path / "dataset", raw / "scores.csv")
    assert summary.frames == 30
    assert any(note.startswith("72 single ratings; noise of the scores: 0.1") for note in summary.notes)
    dataset = read_dataset(tmp_path / "dataset")
    report = check(tmp_path / "dataset")
    assert dataset.description.rater_noise == pytest.approx(report.raters.reference_noise)
    assert [each.noise for each in report.raters.raters] == pytest.approx([math.sqrt(0.25**2 / 2)] * 2)
    assert report.raters.pairs[0].mean_difference == pytest.approx(-1)
    assert not [fault for fault in report.faults if fault.file == "ratings.csv"]


def test_an_import_before_all_is_scored_takes_what_there_is(labelling, raw, tmp_path):
    state = labelling.state("ann")
    for score in range(5):
        state = labelling.rate("ann", *state.next, score)
    summary = import_frames(raw, tmp_path / "dataset", raw / "scores.csv")
    assert summary.frames == 5
    assert "Left out, having no score: 25 rows." in summary.notes
    assert "5 single ratings; noise of the scores: unknown, 10 repeats are needed." in summary.notes


def test_scores_that_were_edited_leave_their_ratings_behind(labelling, raw, tmp_path):
    label_all(labelling, "ann", lambda image, earlier: 5)
    (raw / "scores.csv").write_text((raw / "scores.csv").read_text().replace("00.png,5", "00.png,6"))
    summary = import_frames(raw, tmp_path / "dataset", raw / "scores.csv")
    assert any("is not the mean of its ratings (1 frame in all)" in note for note in summary.notes)
    assert check(tmp_path / "dataset").raters is None


# The page


def talk(labelling, method, path, facts=None, secret=SECRET, headers=None):
    body = b"" if facts is None else json.dumps(facts).encode()
    return ask(application(labelling, SECRET, ""), method, f"/{secret}/{path}", body, headers)


def test_the_page_comes_from_here_alone(labelling):
    for path, kind in (("", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")):
        answer = talk(labelling, "GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert b"http" not in answer.body.replace(b"http-equiv", b"")


def test_who_does_not_know_the_secret_sees_nothing(labelling):
    for path in ("", "page.js", "frames/0", "begin"):
        answer = talk(labelling, "GET", path, secret="guess")
        assert answer.status == 404
        assert b"open the address that `semtune label` printed" in answer.body
    assert talk(labelling, "POST", "state", {"rater": "ann"}, secret="guess").status == 404


@pytest.mark.parametrize(
    "path",
    ["../raw/ratings.csv", "..%2f..%2fetc/passwd", "frames/../../x", "frames/-1", "frames/a", "frames/99999",
     "page/page.html", "/etc/passwd", "frames/0/../../ratings.csv"],
)  # fmt: skip
def test_no_path_leads_to_another_file(labelling, path):
    assert talk(labelling, "GET", path).status == 404


def test_a_score_goes_the_whole_way_through_the_page(labelling):
    state = json.loads(talk(labelling, "POST", "state", {"rater": "ann"}).body)
    shown = talk(labelling, "GET", f"frames/{state['next']['frame']}")
    assert shown.headers["content-type"] == "image/png"
    assert imagecodecs.png_decode(shown.body).shape == (96, 128)
    state = json.loads(talk(labelling, "POST", "rate", {"rater": "ann", "score": 3.25, **state["next"]}).body)
    assert (state["done"], state["total"]) == (1, 36)
    state = json.loads(talk(labelling, "POST", "undo", {"rater": "ann"}).body)
    assert (state["done"], state["taken_back"]) == (0, 3.25)


@pytest.mark.parametrize(
    ("path", "facts", "why"),
    [
        ("state", {"rater": "=x"}, "a rater's name has"),
        ("state", {"rater": 3}, "malformed"),
        ("rate", {"rater": "ann"}, "malformed"),
        ("rate", {"rater": "ann", "frame": 0, "earlier": 0, "score": "NaN"}, "malformed"),
        ("rate", {"rater": "ann", "frame": 0, "earlier": 7, "score": 1}, "scored elsewhere"),
        ("rate", {"rater": "ann", "frame": -1, "earlier": 0, "score": 1}, "scored elsewhere"),
        ("undo", {"rater": "ann"}, "nothing to undo"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(labelling, path, facts, why):
    answer = talk(labelling, "POST", path, facts)
    assert answer.status == 422
    assert why in json.loads(answer.body)["refused"]


def test_a_foreign_page_can_neither_read_nor_score(labelling):
    evil = {"host": "evil.example"}
    assert talk(labelling, "GET", "begin", headers=evil).status == 400
    cross = {"origin": "https://evil.example"}
    assert talk(labelling, "POST", "undo", {"rater": "ann"}, headers=cross).status == 403
    assert talk(labelling, "POST", "state", {"rater": "x" * 5000}).status == 413
