"""The focusing experiment: equal frames for all, figures that brute force confirms, and the command whole."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from conftest import write_small_dataset
from scipy import stats
from small_workspace import FINALIST, write_small_search

from semtune import cli, workflow
from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.errors import ConfigError, SearchError, UnknownNameError
from semtune.focusing.bench import WINDOW_UNITS, BenchSettings, draw_start, measure_field
from semtune.focusing.contestants import contestants
from semtune.focusing.experiment import run_experiment
from semtune.focusing.policies import POLICIES
from semtune.focusing.scorers import autofocus_scorers
from semtune.focusing.summary import share_interval, summarise
from semtune.focusing.words import headline, notes
from semtune.focusing.writers import FOCUS_WRITERS, check_suffixes, write_files
from semtune.networks import ARCHITECTURES
from semtune.simulator import VirtualMicroscope
from semtune.simulator.microscope import defocus_unit_um
from semtune.training.checkpoint import write_weights
from semtune.workspace import Workspace

SETTINGS = BenchSettings(fields=2, runs=4, positions=9, repeats=2)
PAIR = autofocus_scorers(("vollath_f5", "absolute_gradient"))


@pytest.fixture(scope="module")
def outcome():
    return measure_field(0, SETTINGS, PAIR, ("full_sweep", "peak_fit"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A finished search whose finalist has weights, untrained."""
    folder = tmp_path_factory.mktemp("focusing")
    place = Workspace(folder / "workspace")
    search = write_small_search(place, write_small_dataset(folder / "data"), "small")
    torch.manual_seed(0)
    facts = {
        "hyperparameters": {"architecture": "pacf", "crop": 64, "tiles": 1},
        "control_parameters": ["brightness", "contrast", "focus"],
        "score_range": [0.0, 10.0],
        "dataset_origin": "simulated",
    }
    write_weights(
        ARCHITECTURES["pacf"].build(3, None), facts, search.trials / FINALIST / "weights.safetensors"
    )
    return place


@pytest.fixture(scope="module")
def report(workspace):
    return workflow.focus(workspace, "small", SETTINGS, ("vollath_f5", "tenengrad", "pacf"), ("full_sweep",))


def chosen(workspace, *asked):
    folder = workspace.existing("small")
    return contestants(workspace, folder, workflow.report(workspace, "small"), asked)


# The bench


def test_a_start_lies_within_the_window_and_the_law():
    microscope = VirtualMicroscope(3, SETTINGS.microscope_seed)
    unit = defocus_unit_um(microscope.conditions.magnification)
    starts = [draw_start(microscope, np.random.default_rng(seed)) for seed in range(300)]
    defocus = np.array([each for _, each in starts]) / unit
    assert -5 <= defocus.min() < -4
    assert 4 < defocus.max() <= 5
    assert all(0.2 <= knobs.dwell <= 0.8 for knobs, _ in starts)
    spots = [microscope.spot(knobs) for knobs, _ in starts]
    residual = np.array([math.hypot(*spot.astigmatism_px) for spot in spots])
    assert residual.mean() == pytest.approx(4 * 0.15 * math.sqrt(2 / math.pi), rel=0.1)
    # Wherever a window about a start ends, no disc reaches over the 64 pixels beside the frame.
    assert 4 * (np.abs(defocus) + WINDOW_UNITS).max() + residual.max() < 64


def test_fields_are_none_of_a_dataset_and_other_for_another_seed():
    seeds = {BenchSettings(seed=seed).microscope_seed for seed in range(50)}
    assert len(seeds) == 50
    assert min(seeds) > 1000  # nobody gives such a number to `semtune simulate`


def test_every_run_has_its_field():
    settings = BenchSettings(fields=3, runs=8)
    assert sorted(run for field in range(3) for run in settings.runs_of(field)) == list(range(8))


def test_a_field_is_the_same_however_often_and_with_whom_it_is_measured(outcome):
    alone = measure_field(0, SETTINGS, PAIR[:1], ("peak_fit",))
    assert np.array_equal(alone.sweep.curves["vollath_f5"], outcome.sweep.curves["vollath_f5"])
    assert list(alone.runs) == [
        run for run in outcome.runs if (run.scorer, run.policy) == ("vollath_f5", "peak_fit")
    ]


def test_a_sweep_agrees_with_frames_taken_by_hand(outcome):
    microscope = VirtualMicroscope(0, SETTINGS.microscope_seed)
    depth = microscope.depth_of_field_um(microscope.conditions.magnification)
    assert outcome.depth_of_field_um == depth
    curves = outcome.sweep.curves["vollath_f5"]
    assert curves.shape == (2, 9)
    assert not np.array_equal(*curves)  # other noise
    top = outcome.sweep.defocus_um[curves.mean(axis=0).argmax()]
    assert abs(top) <= np.diff(outcome.sweep.defocus_um)[0]
    span = np.ptp(outcome.sweep.defocus_um)
    assert span == pytest.approx(2 * WINDOW_UNITS * defocus_unit_um(microscope.conditions.magnification))


def test_runs_keep_to_the_budget_and_share_their_starts(outcome):
    assert all(run.frames <= SETTINGS.budget for run in outcome.runs)
    starts = {run.run: run.start_um for run in outcome.runs}
    assert all(run.start_um == starts[run.run] for run in outcome.runs)
    assert len(outcome.runs) == 2 * 2 * 2


def test_processes_change_nothing(report):
    scorers = PAIR[:1]
    one, two = (run_experiment(SETTINGS, scorers, ("hill_climb",), processes) for processes in (1, 2))
    assert [each.runs for each in one.outcomes] == [each.runs for each in two.outcomes]
    assert [each.field for each in two.outcomes] == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": 1}, "`fields >= 2` must hold"),
        ({"budget": 4}, "`budget >= 5` must hold"),
        ({"runs": 1}, "`runs >= fields` must hold"),
    ],
)
def test_settings_out_of_range_are_told(change, message):
    with pytest.raises(ConfigError, match=message):
        run_experiment(BenchSettings(**{"fields": 2, **change}), PAIR)


def test_an_unknown_policy_is_told():
    with pytest.raises(UnknownNameError, match="did you mean 'hill_climb'"):
        run_experiment(SETTINGS, PAIR, ("hill_clim",))


# The summary


def test_the_interval_of_independent_runs_is_that_of_clopper_and_pearson():
    hits = np.arange(400) % 10 > 0
    low, high = share_interval(hits, range(400))
    exact = stats.binomtest(360, 400).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.001)


def test_runs_of_a_field_that_are_alike_widen_the_interval():
    fields = np.repeat(np.arange(50), 4)
    hits = fields % 10 > 0
    alike, independent = share_interval(hits, fields), share_interval(hits, range(200))
    assert alike[1] - alike[0] > 1.5 * (independent[1] - independent[0])


@pytest.mark.parametrize("hit", [True, False])
def test_unanimous_runs_have_an_interval_with_a_width(hit):
    low, high = share_interval([hit] * 200, np.repeat(np.arange(50), 4))
    assert 0.015 < high - low < 0.03
    assert (high == 1) is hit
    assert (low == 0) is not hit


def test_the_summary_agrees_with_brute_force(report):
    row = next(each for each in report.loops if each.scorer.name == "vollath_f5")
    runs = [run for each in report.experiment.outcomes for run in each.runs if run.scorer == "vollath_f5"]
    off = [abs(run.defocus_um) / run.depth_of_field_um for run in runs]
    assert row.within == np.mean([each <= 1 for each in off])
    assert row.within_half == np.mean([each <= 0.5 for each in off])
    assert row.defocus_dof == np.median(off)
    assert row.frames == row.most_frames == 12
    assert row.rival == ""


def test_a_network_is_set_against_the_best_autofocus_function(report):
    rows = {row.scorer.name: row for row in report.loops}
    best = max(rows["vollath_f5"].within, rows["tenengrad"].within)
    assert rows["pacf"].rival in ("vollath_f5", "tenengrad")
    assert rows[rows["pacf"].rival].within == best
    assert rows["pacf"].lead == pytest.approx(rows["pacf"].within - best)
    assert rows["pacf"].lead_low <= rows["pacf"].lead <= rows["pacf"].lead_high
    assert any(note.startswith("pacf by full sweep:") for note in notes(report))


# Who takes part


def test_by_default_every_function_and_the_best_network_take_part(workspace):
    names = [scorer.name for scorer in chosen(workspace)]
    assert names == [*AUTOFOCUS_FUNCTIONS.names, "pacf"]


def test_scorers_are_named_by_function_architecture_trial_or_file(workspace):
    weights = workspace.existing("small").trials / FINALIST / "weights.safetensors"
    found = chosen(workspace, "tenengrad", "pacf", FINALIST, str(weights))
    assert [each.name for each in found] == ["tenengrad", "pacf", FINALIST, "weights"]
    assert {each.weights for each in found[1:]} == {weights}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tenengrat", ConfigError, "did you mean 'tenengrad'"),
        ("trial-0001", SearchError, "trial-0001 of search 'small' has no weights"),
        ("champion", ConfigError, "there is none yet"),
    ],
)
def test_a_scorer_that_cannot_be_had_is_told(workspace, name, error, message):
    with pytest.raises(error, match=message):
        chosen(workspace, name)


# What is written


def test_every_format_says_simulated_and_names_the_scorers(report, tmp_path):
    files = [tmp_path / "deep" / f"focus{name}" for name in FOCUS_WRITERS.names]
    write_files(report, files)
    for path in files:
        content = path.read_bytes()
        assert len(content) > 1000
        if path.suffix not in (".png", ".pdf"):
            assert b"imulated" in content
            assert b"vollath" in content
    assert FOCUS_WRITERS[".svg"].write(report) == files[FOCUS_WRITERS.names.index(".svg")].read_bytes()


def test_the_json_holds_every_run_and_no_nan(report):
    content = json.loads(FOCUS_WRITERS[".json"].write(report))
    assert content["origin"] == "simulated"
    assert sum(len(field["runs"]) for field in content["fields"]) == 4 * 3
    assert {row["scorer"] for row in content["focus_curves"]} == {"vollath_f5", "tenengrad", "pacf"}


def test_the_headline_names_the_best_of_both_kinds(report):
    assert "the best network, pacf by full sweep" in headline(report)
    assert "the best autofocus function" in headline(report)


def test_a_report_without_networks_has_a_headline():
    experiment = run_experiment(SETTINGS, PAIR[:1], ("full_sweep",))
    told = headline(summarise("none", experiment, 1.0))
    assert told.startswith("With 12 acquisitions the best autofocus function, vollath_f5 by full sweep")


def test_an_unknown_suffix_is_refused_before_the_work(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no format of the focus report named '\.xlsx'"):
        check_suffixes([tmp_path / "table.xlsx"])


def test_the_command_writes_and_prints(workspace, monkeypatch, capsys, tmp_path):
    out = tmp_path / "focus.csv"
    arguments = "focus small --fields 2 --runs 2 --positions 5 --repeats 2 --scorer brenner --policy peak_fit"
    monkeypatch.setattr(sys, "argv", ["semtune", *arguments.split(), "--out", str(out)])
    monkeypatch.setenv("SEMTUNE_WORKSPACE", str(workspace.path))
    with pytest.raises(SystemExit, match="0"):
        cli.run()
    printed = capsys.readouterr().out
    assert "Closed loop: share of runs within one depth of field (simulated)" in printed
    assert POLICIES["peak_fit"].label in printed
    assert len(out.read_text().splitlines()) == 2
