"""What a hostile referee looks for in a report: seeds, letters, leaks, use of the test frames, provenance."""

import csv
import io
import json
from dataclasses import replace

import pytest
from test_report import FACTS, FIELDS, VERSIONS, add_baseline, add_trial, predicted, written

from semtune.journal import SearchRecord, TrialEnded, TrialTested
from semtune.report import TABLE_WRITERS, UsesOfTest, build_table, columns, notes, title, warnings
from semtune.report.table import OrderCheck
from semtune.report.text import NOTHING, supplements
from semtune.results import EpochResult, judge, rmse

PLAIN = ("a field alone",)
SPREADS = {"trial-0002": 0.5, "trial-0003": 0.6, "trial-0004": 0.7}
"""Three fresh seeds of trial-0000; the second is the best by validation."""


def add_seed(record, name, origin, predictions, validation, reason="epochs"):
    first = record.trials[origin].started
    settings = {"trial": name, "seed": int(name[-4:]), "reseeds": origin}
    record.add(first.model_copy(update=settings))
    record.trials[name].epochs.append(EpochResult(30, validation, validation, 200, 1.0))
    record.add(TrialEnded(trial=name, reason=reason))
    if predictions is not None:
        record.add(TrialTested(trial=name, validation_rmse=validation, figures=judge(predictions)))


@pytest.fixture(scope="module")
def seeded():
    record, predictions = SearchRecord(), {}
    for place, (name, spread) in enumerate({"constant": 3.0, "joint": 1.5}.items()):
        predictions[name] = predicted(spread, place)
        add_baseline(record, name, name, predictions[name], {})
    predictions["trial-0000"] = predicted(0.3, 9)  # the lucky winner; an earlier session tested it
    add_trial(record, 0, "resnet50", 30, predictions["trial-0000"])
    predictions["trial-0001"] = predicted(1.4, 10)
    add_trial(record, 1, "pacf", 30, predictions["trial-0001"])
    for name, spread in SPREADS.items():
        predictions[name] = predicted(spread, int(name[-4:]) + 20)
        add_seed(record, name, "trial-0000", predictions[name], {"trial-0003": 0.7}.get(name, 0.75))
    return record, predictions


@pytest.fixture(scope="module")
def table(seeded):
    record, predictions = seeded
    built = build_table("deep", record, FACTS, VERSIONS, {}, predictions, "0123abc", "one GPU")
    return replace(built, uses=UsesOfTest(5, 17, 3))


@pytest.fixture(scope="module")
def leaking(table):
    cut = dict.fromkeys(FIELDS, FIELDS["train"])
    return replace(table, search="cut", dataset=replace(table.dataset, split=cut, split_kind="random"))


def row_of(table, name):
    return next(row for row in table.rows if row.name == name)


# Seeds


def test_a_row_is_the_best_seed_by_validation_and_tells_mean_and_spread(table, seeded):
    row, (_, predictions) = row_of(table, "resnet50"), seeded
    errors = [rmse(predictions[n].predicted_score, predictions[n].reference_score) for n in SPREADS]
    mean = sum(errors) / 3
    assert row.trial == "trial-0003"
    assert row.test_rmse == errors[1]
    assert row.details["seeds"] == 3
    assert row.details["test_rmse_mean"] == pytest.approx(mean, abs=1e-12)
    spread = (sum((error - mean) ** 2 for error in errors) / 2) ** 0.5
    assert row.details["test_rmse_sd"] == pytest.approx(spread, abs=1e-12)
    shown = dict(zip(columns(table).headers, columns(table).rows[table.rows.index(row)], strict=True))
    assert shown["RMSE over seeds"] == f"{mean:.3f} ± {spread:.3f} (3)"


def test_the_winner_of_the_search_stands_for_nothing_once_it_has_fresh_seeds(table):
    assert "trial-0000" not in table.predictions
    assert table.best_network is not None
    assert table.best_network.trial == "trial-0003"
    assert any("for its luck too" in note for note in notes(table))


def test_more_seeds_are_no_more_chances_to_be_the_best(table):
    pacf, resnet = row_of(table, "pacf"), row_of(table, "resnet50")
    unsteady = replace(resnet, details={**resnet.details, "validation_rmse_mean": pacf.validation_rmse + 0.1})
    rows = tuple(unsteady if row is resnet else row for row in table.rows)
    assert replace(table, rows=rows).best_network is pacf


def test_of_two_configurations_the_lower_mean_is_shown_not_the_luckiest_seed(seeded):
    record = SearchRecord()
    for number in (0, 1):
        add_trial(record, number, "resnet50", 30)
    figures = predicted(0.5)
    for name, origin, validation in [
        ("trial-0002", "trial-0000", 0.5), ("trial-0003", "trial-0000", 1.5),
        ("trial-0004", "trial-0001", 0.8), ("trial-0005", "trial-0001", 0.8),
    ]:  # fmt: skip
        add_seed(record, name, origin, figures, validation)
    row = row_of(build_table("s", record, FACTS, {}), "resnet50")
    assert row.details["seed_trials"] == "trial-0004 trial-0005"
    assert row.details["trials"] == 2


def test_a_single_seed_has_no_spread_and_the_column_goes_if_all_are_single(seeded):
    record = SearchRecord()
    add_trial(record, 0, "resnet50", 30, predicted(0.5))
    single = build_table("s", record, FACTS, {})
    assert "RMSE over seeds" not in columns(single).headers
    assert any("the luck of a seed is not shown" in note for note in notes(single))


def test_seeds_that_failed_are_told():
    record = SearchRecord()
    add_trial(record, 0, "resnet50", 30)
    add_seed(record, "trial-0001", "trial-0000", predicted(0.5), 0.8)
    add_seed(record, "trial-0002", "trial-0000", None, 9.0, "diverged")
    lone = build_table("s", record, FACTS, {})
    assert row_of(lone, "resnet50").details["seeds_failed"] == 1
    assert any("failed, and are missing above: resnet50 1" in note for note in notes(lone))


def test_an_architecture_of_one_seed_beside_others_has_an_empty_cell(table):
    place = columns(table).headers.index("RMSE over seeds")
    assert {row[0]: row[place] for row in columns(table).rows}["pacf"] == NOTHING


# Letters


def test_letters_stand_in_the_table_and_differences_in_json(table):
    place = columns(table).headers.index("letters")
    shown = {row[0]: row[place] for row in columns(table).rows}
    assert shown == {"constant": "c", "joint": "b", "pacf": "b", "resnet50": "a", "rater_noise": NOTHING}
    content = json.loads(written(table, ".json"))
    assert content["letters"] == {"constant": "c", "joint": "b", "trial-0001": "b", "trial-0003": "a"}
    real = {(each["of"], each["minus"]): each["is_real"] for each in content["differences"]}
    assert len(real) == 6
    assert real["joint", "trial-0001"] is False


# Leaks, uses, honesty


@pytest.mark.parametrize("suffix", TABLE_WRITERS.names)
def test_a_split_that_leaks_is_labelled_in_every_format(suffix, leaking, table):
    assert "leaks" in written(leaking, suffix)
    assert "random split: leaks" in title(leaking)
    assert "random" not in written(table, suffix)


def test_every_heading_of_simulated_scores_says_so(leaking):
    headings = [title(leaking), *(heading for heading, _ in supplements(replace(leaking, beside=leaking)))]
    assert all("(simulated data, random split: leaks)" in heading for heading in headings)


@pytest.mark.parametrize("suffix", [".md", ".tex", ".json", ".html"])
def test_what_casts_doubt_stands_in_every_format_with_room_for_it(suffix, table):
    clear = OrderCheck("times", 0.66, (-0.7, -0.8, -0.6))
    doubtful = replace(
        table, order=clear, dataset=replace(table.dataset, near_copies=PLAIN, split={**FIELDS, "test": ["a"]})
    )
    text = written(doubtful, suffix)
    for said in ("order of acquisition gives scores away", "a field alone", "1 test fields"):
        assert said in text
    assert len(warnings(doubtful)) == 3


def test_an_order_that_is_no_better_than_the_constant_is_no_warning(table):
    for difference in ((0.3, 0.2, 0.4), (-0.1, -0.3, 0.01)):
        assert warnings(replace(table, order=OrderCheck("names", 2.0, difference))) == []


def test_the_use_of_the_test_frames_is_told(table):
    assert any("5 networks of this search met them, 17 of all searches" in note for note in notes(table))
    assert json.loads(written(table, ".json"))["test_uses"] == {"here": 5, "everywhere": 17, "searches": 3}


def test_the_text_says_what_was_not_shown(table, leaking):
    real = replace(table, dataset=replace(table.dataset, origin="measured"))
    [claims] = [note for note in notes(table) if note.startswith("Shown:")]
    assert "or on any real frame" in claims
    [claims] = [note for note in notes(real) if note.startswith("Shown:")]
    assert "any real frame" not in claims
    assert "fields that no training frame shows" in claims
    [claims] = [note for note in notes(leaking) if note.startswith("Shown:")]
    assert "frames of fields that also train" in claims
    assert not any("no training frame shows" in note for note in notes(leaking))


@pytest.mark.parametrize("suffix", TABLE_WRITERS.names)
def test_every_format_tells_where_its_figures_come_from(suffix, table):
    text = written(table, suffix)
    for said in (FACTS.digest, "0123abc", "one GPU", "2.9.0", "340", "34", "7"):
        assert said in text


def test_every_line_of_csv_has_its_provenance(leaking):
    for line in csv.DictReader(io.StringIO(written(leaking, ".csv"))):
        assert (line["split"], line["split_seed"], line["frames"]) == ("random (leaks)", "7", "340")
        assert line["versions"] == "semtune=0.1.0 torch=2.9.0"


# Beside another search


def test_two_searches_stand_side_by_side_with_the_gap(table, leaking):
    both = replace(leaking, beside=table)
    [(heading, cells)] = [each for each in supplements(both) if "Beside" in each[0]]
    assert heading.startswith("Beside the search deep")
    assert cells.headers[:4] == ("scorer", "RMSE of cut (at random: leaks)", "RMSE of deep (by field)", "gap")
    assert cells.headers[4] == "paired difference, 95 % interval"
    assert [row[0] for row in cells.rows] == ["constant", "joint", "pacf", "resnet50"]
    assert all(row[3] == "+0.000" for row in cells.rows)
    assert any("what the leak gives" in note for note in notes(both))
    assert json.loads(written(both, ".json"))["beside"]["search"] == "deep"
    for suffix in (".md", ".tex", ".html"):
        assert "RMSE of deep" in written(both, suffix)
