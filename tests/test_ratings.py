"""Single ratings are read as they stand, and tell how raters agree and how exact their mean is."""

import math

import numpy as np
import pytest

from semtune.dataset.raters import intraclass_correlations, judge_raters, noise_of, raters_in_words
from semtune.dataset.ratings import (
    Rating,
    disagreeing,
    is_rater,
    read_ratings,
    reference_scores,
    write_ratings,
)


def given(*lines):
    return [Rating(image, rater, score, "2026-11-27T05:00:00Z") for image, rater, score in lines]


def text(folder, *lines):
    (folder / "ratings.csv").write_text("image,rater,score,rated\n" + "".join(f"{each}\n" for each in lines))
    return read_ratings(folder)


def test_ratings_read_back_as_they_were_written(tmp_path):
    ratings = given(("a, b.png", "ann", 7.25), ('"q".png', "bob", 0.1 + 0.2))
    write_ratings(tmp_path, ratings)
    assert read_ratings(tmp_path) == (tuple(ratings), ())


def test_no_ratings_leave_no_file(tmp_path):
    write_ratings(tmp_path, ())
    assert list(tmp_path.iterdir()) == []
    assert read_ratings(tmp_path) == ((), ())


def test_an_empty_score_takes_back_the_raters_last_rating_of_the_frame(tmp_path):
    found = text(tmp_path, "a,ann,1,t", "a,bob,2,t", "a,ann,3,t", "b,ann,4,t", "a,ann,,t")
    assert [(each.image, each.rater, each.score) for each in found.ratings] == [
        ("a", "ann", 1), ("a", "bob", 2), ("b", "ann", 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,ann,,t", "takes back a rating that is not there"),
        ("a,ann,many,t", "score is 'many', not a finite number"),
        ("a,ann,nan,t", "not a finite number"),
        ("a,ann,1", "3 cells, not 4"),
        (",ann,1,t", "names no image or no rater"),
        ("a,=cmd(),1,t", "names no image or no rater"),
        ('a,"ann,1,t', "cannot be parsed"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_and_left_out(tmp_path, line, message):
    found = text(tmp_path, "a,bob,5,t", line)
    assert len(found.ratings) == 1
    [fault] = found.faults
    assert message in str(fault)
    assert str(fault).startswith("ratings.csv:3: ")


def test_a_foreign_header_is_refused(tmp_path):
    (tmp_path / "ratings.csv").write_text("image,score\na,1\n")
    assert "restore it" in str(read_ratings(tmp_path).faults[0])


@pytest.mark.parametrize(
    ("name", "can"),
    [("ann", True), ("Dr. J.-P. O'Neill", True), ("李", True), ("", False), (" ann", False), ("ann ", False),
     ("=1+1", False), ("a\nb", False), ("a,b", False), ("x" * 41, False)],
)  # fmt: skip
def test_a_rater_has_a_name_that_no_table_misreads(name, can):
    assert is_rater(name) is can


def test_a_reference_score_is_the_mean_over_raters_of_their_means():
    ratings = given(("a", "ann", 4), ("a", "ann", 6), ("a", "bob", 8), ("b", "bob", 1))
    assert reference_scores(ratings) == {"a": 6.5, "b": 1}
    assert disagreeing(ratings, {"a": 6.5, "b": 1}) == []
    assert disagreeing(ratings, {"a": 6.4, "b": 1, "c": 2}) == ["a", "c"]


def test_the_noise_of_one_rating_is_pooled_over_repeats():
    noise, freedom = noise_of([[4, 6], [7, 7, 7], [3]])
    assert (noise, freedom) == (pytest.approx(math.sqrt(2 / 3)), 3)
    assert math.isnan(noise_of([[4], [5]])[0])


def simulated(raters, frames, repeats, noise, seed=0):
    """Ratings of known noise: the first `repeats` frames are rated twice by every rater."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0, 10, frames)
    for rater in range(raters):
        for frame in range(frames):
            for _ in range(2 if frame < repeats else 1):
                score = truth[frame] + 0.5 * rater + noise * random.standard_normal()
                yield f"{frame}", f"rater {rater}", score


def test_the_noise_of_the_reference_is_what_a_perfect_scorer_would_be_charged():
    """The floor that is told agrees with the RMSE, against the mean of the raters, of who knows the truth."""
    for raters in (1, 3):
        ratings = given(*simulated(raters, frames=4000, repeats=2000, noise=0.6))
        truth = np.random.default_rng(0).uniform(0, 10, 4000) + 0.5 * (raters - 1) / 2
        reference = reference_scores(ratings)
        charged = math.sqrt(np.mean([(reference[f"{i}"] - truth[i]) ** 2 for i in range(4000)]))
        assert judge_raters(ratings).reference_noise == pytest.approx(charged, rel=0.05)


def test_the_interval_of_a_noise_holds_the_truth_nineteen_times_in_twenty():
    held = 0
    for seed in range(200):
        [rater] = judge_raters(given(*simulated(1, 15, 12, 0.5, seed))).raters
        assert rater.repeats == 12
        held += rater.noise_low <= 0.5 <= rater.noise_high
    assert 180 <= held <= 199


def test_too_few_repeats_give_no_floor():
    report = judge_raters(given(*simulated(1, 20, 9, 0.5)))
    assert report.reference_noise is None
    assert "noise of the reference scores: unknown (9 repeats, 10 are needed)" in raters_in_words(report)


def test_the_intraclass_correlations_are_those_of_the_source():
    """Table 2 of Shrout and Fleiss (1979); ICC(2,1) 0.29 and ICC(2,4) 0.62 in their Table 4."""
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    single, mean = intraclass_correlations(np.array(table, np.float64))
    assert (round(single, 2), round(mean, 2)) == (0.29, 0.62)
    assert intraclass_correlations(np.array([[1.0, 2.0]])) == (None, None)
    assert intraclass_correlations(np.ones((4, 2))) == (None, None)


def test_raters_are_compared_on_the_frames_that_both_rated():
    ratings = given(*simulated(2, 50, 12, 0.1), ("extra", "rater 1", 3))
    report = judge_raters(ratings)
    [pair] = report.pairs
    assert (pair.first, pair.second, pair.frames) == ("rater 0", "rater 1", 50)
    assert pair.mean_difference == pytest.approx(-0.5, abs=0.1)
    assert min(pair.plcc, pair.srcc, report.icc) > 0.97
    assert (report.icc_frames, report.all_rated_all) == (50, False)
    words = "\n".join(raters_in_words(report))
    assert "rater 0 and rater 1: 50 frames in common, rater 0 scores -0.5" in words
    assert "ICC(2,2)" in words
    assert "not every rater rated every frame" in words


def test_raters_with_nothing_in_common_or_no_spread_are_told_as_such():
    report = judge_raters(given(("a", "ann", 5), ("b", "bob", 5), ("c", "ann", 5), ("c", "bob", 5)))
    assert "1 frame in common, too few to compare" in "\n".join(raters_in_words(report))
    flat = judge_raters(given(*((f"{i}", rater, 5) for i in range(4) for rater in ("ann", "bob"))))
    assert flat.pairs[0].plcc is None
    assert "sd 0.00" in "\n".join(raters_in_words(flat))
    assert judge_raters(()) is None
