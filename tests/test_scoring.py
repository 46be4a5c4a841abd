"""The promoted scorer in use."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import grain_texture
from small_search import placed, write_small_table

from semtune import scoring
from semtune.config import Hyperparameters
from semtune.dataset.frames import open_frames
from semtune.engines import choice
from semtune.engines.choice import EngineTrial, surroundings, write_trials
from semtune.errors import ConfigError, DatasetError, SearchError, UnknownNameError
from semtune.images import write_png
from semtune.images.listing import image_files
from semtune.scoring import Scorer, score_files
from semtune.training.checkpoint import read_weights, write_tensors, write_weights
from semtune.training.fit import fit, prepare_step, score_with_and_without_controls

SETTINGS = Hyperparameters(architecture="pacf", learning_rate=1e-3, batch_size=4, crop=64, epochs=1)
NAMES = ("brightness", "contrast", "focus")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained trial: its samples, its weights, its predictions with and without control parameters."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("scoring")
    table = write_small_table(folder)
    data = placed(table)
    step = prepare_step(SETTINGS, data, 0, "float32", None)
    assert len(list(fit(SETTINGS, data, step, 0, 0))) == 1
    predicted = score_with_and_without_controls(step, data, data.test, SETTINGS)
    weights = {origin: folder / f"{origin}.safetensors" for origin in ("simulated", "measured")}
    for origin, path in weights.items():
        facts = {
            "hyperparameters": SETTINGS.model_dump(),
            "control_parameters": list(NAMES),
            "score_range": [0.0, 10.0],
            "dataset_origin": origin,
        }
        write_weights(step.network, facts, path)
    return table, weights, predicted


@pytest.fixture(scope="module")
def scorer(trained):
    return Scorer.from_weights(trained[1]["measured"])


@pytest.fixture(scope="module")
def on_simulation(trained):
    return Scorer.from_weights(trained[1]["simulated"])


@pytest.fixture
def frame():
    return grain_texture(np.random.default_rng(3), 96, 128).astype(np.uint8)


def frames_to_score(table):
    """The test frames of a table as the command line would meet them, with their control parameters."""
    store = open_frames(Path(table.cache_folder), table.digest)
    controls = [dict(zip(NAMES, row, strict=True)) for row in table.controls[table.test].tolist()]
    return [store.frame(index) for index in table.test], controls


def test_weights_score_as_the_training_did(trained, scorer):
    table, _, (known, bare) = trained
    frames, controls = frames_to_score(table)
    assert scorer.score_all(frames, controls) == pytest.approx(known, abs=1e-4)
    assert scorer.score_all(frames, [{}] * len(frames)) == pytest.approx(bare, abs=1e-4)
    assert np.ptp(known) > 0
    assert not np.allclose(known, bare)


def test_one_frame_scores_as_among_others(trained, scorer):
    frames, controls = frames_to_score(trained[0])
    together = scorer.score_all(frames, controls)
    assert [scorer.score(*each) for each in zip(frames, controls, strict=True)] == pytest.approx(
        together, abs=1e-4
    )


def test_a_missing_control_parameter_changes_no_other(scorer, frame):
    some = scorer.score(frame, {"brightness": 50.0})
    assert some == scorer.score(frame, {"brightness": 50.0, "focus": float("nan")})
    assert len({some, scorer.score(frame), scorer.score(frame, {"brightness": 50.0, "focus": 1.0})}) == 3


def test_scores_are_within_the_range(scorer, frame):
    for brightness in (-1e6, 0.0, 1e6):
        assert 0 <= scorer.score(frame, {"brightness": brightness}) <= 10


def test_sixteen_bits_score_as_the_eight_that_they_hold(scorer, frame):
    assert scorer.score(frame.astype(np.uint16) * 257) == scorer.score(frame)


def test_an_unknown_control_parameter_is_refused_with_the_nearest(scorer, frame):
    with pytest.raises(
        ConfigError, match="no control parameter named 'brigthness'; did you mean 'brightness'"
    ):
        scorer.score(frame, {"brigthness": 50.0})


def test_a_frame_smaller_than_the_crop_is_refused_by_name(scorer, frame, tmp_path):
    with pytest.raises(DatasetError, match="128 x 63 pixels is smaller than a tile of 64"):
        scorer.score(frame[:63])
    write_png(tmp_path / "small.png", frame[:63])
    with pytest.raises(DatasetError, match=r"small\.png.*128 x 63 pixels is smaller"):
        scorer.score_file(tmp_path / "small.png", {})


def test_what_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"no tensors")
    for name in ("weights.safetensors", "nowhere.safetensors"):
        with pytest.raises(SearchError, match=f"{name}: not a readable safetensors file"):
            Scorer.from_weights(tmp_path / name)


# Files and their metadata


def zeiss(path, frame):
    """A Zeiss TIFF: brightness and contrast in per cent, working distance in mm."""
    lines = ("AP_BRIGHTNESS", "= 50 %", "AP_CONTRAST", "= 30 %", "AP_WD", "= 7.7 mm")
    block = "\r\n".join(lines).encode("latin-1")
    tifffile.imwrite(
        path, frame, photometric="minisblack", metadata=None, extratags=[(34118, 7, len(block), block, True)]
    )


def jeol(path, frame):
    """A JEOL frame: brightness and contrast are the vendor's own counts, in a text beside."""
    tifffile.imwrite(path, frame)
    lines = ["$CM_FORMAT JEOL/EO", "$SM_MICROSCOPE JSM", "$CM_BRIGHTNESS 120", "$CM_CONTRAST 900"]
    path.with_suffix(".txt").write_text("\r\n".join(lines))


def test_metadata_fill_in_what_is_not_given(scorer, frame, tmp_path):
    zeiss(tmp_path / "zeiss.tif", frame)
    scored = scorer.score_file(tmp_path / "zeiss.tif", {"contrast": 45.0})
    assert scored.controls == {"brightness": 50.0, "contrast": 45.0, "focus": pytest.approx(7.7)}
    assert scored.missing == ()
    assert scored.score == round(scorer.score(frame, scored.controls), 3)
    assert scored.frame == str(tmp_path / "zeiss.tif")


def test_a_working_distance_is_no_simulated_focus(on_simulation, frame, tmp_path):
    zeiss(tmp_path / "zeiss.tif", frame)
    scored = on_simulation.score_file(tmp_path / "zeiss.tif", {})
    assert scored.controls == {"brightness": 50.0, "contrast": 30.0}
    assert scored.missing == ("focus",)
    given = on_simulation.score_file(tmp_path / "zeiss.tif", {"focus": 0.3})
    assert given.controls["focus"] == 0.3


def test_counts_are_no_simulated_per_cent(scorer, on_simulation, frame, tmp_path):
    jeol(tmp_path / "jeol.tif", frame)
    assert set(scorer.score_file(tmp_path / "jeol.tif", {}).controls) >= {"brightness", "contrast"}
    scored = on_simulation.score_file(tmp_path / "jeol.tif", {})
    assert (scored.controls, scored.missing) == ({}, NAMES)


def test_a_plain_image_has_no_control_parameters(scorer, frame, tmp_path):
    write_png(tmp_path / "plain.png", frame)
    scored = scorer.score_file(tmp_path / "plain.png", {})
    assert (scored.controls, scored.missing) == ({}, NAMES)
    assert scored.score == round(scorer.score(frame), 3)


# Which engine


FOLDED = EngineTrial("folded", "float32", 1.0, 1.0, 0.0, True)
EAGER = EngineTrial("eager", "float32", 0.0, 100.0, 0.0, True)


@pytest.fixture
def champion(trained, tmp_path):
    """A scorer whose weights have a folder of their own, where races are kept; and a frame to score."""
    path = tmp_path / "champion" / "weights.safetensors"
    path.parent.mkdir()
    shutil.copy(trained[1]["measured"], path)
    return Scorer.from_weights(path)


@pytest.fixture
def files(frame, tmp_path):
    for number in range(12):
        write_png(tmp_path / f"{number:02}.png", np.roll(frame, number, 1))
    return sorted(tmp_path.glob("*.png"))


def engines_of(scored):
    return [each.engine for each in scored]


def test_a_few_frames_are_scored_eagerly_and_no_race_is_held(champion, files):
    assert engines_of(score_files(champion, files, {})) == ["eager, float32"] * 12
    assert not champion.races.exists()


def test_a_race_is_held_where_it_pays_and_kept(champion, files, monkeypatch):
    monkeypatch.setattr(scoring, "race_pays", lambda frames, seconds: frames == 11)
    scored = score_files(champion, files, {})
    kept = json.loads(champion.races.read_text())
    (trials,) = kept.values()
    best = min((each for each in trials if each["exact"]), key=lambda each: each["milliseconds"])
    assert engines_of(scored) == ["eager, float32"] + [f"{best['engine']}, float32"] * 11
    assert list(kept) == [surroundings(torch.device("cpu"))] or torch.cuda.is_available()
    eager = score_files(champion, files, {}, "eager")
    assert [each.score for each in scored] == pytest.approx([each.score for each in eager], abs=2e-3)


def test_what_a_race_told_is_reckoned_with(champion, files):
    write_trials(champion.races, surroundings(champion.network.control_mean.device), [EAGER, FOLDED])
    assert engines_of(score_files(champion, files, {})) == ["folded, float32"] * 12
    assert engines_of(score_files(champion, files[:3], {})) == ["eager, float32"] * 3


def test_a_race_with_other_libraries_does_not_count(champion, files, monkeypatch):
    write_trials(champion.races, surroundings(champion.network.control_mean.device), [EAGER, FOLDED])
    monkeypatch.setattr(choice, "version", lambda package: "0.1")
    assert engines_of(score_files(champion, files, {})) == ["eager, float32"] * 12


def test_an_engine_can_be_named(champion, files):
    named = score_files(champion, files[:2], {"brightness": 50.0}, "folded")
    assert engines_of(named) == ["folded, float32"] * 2
    plain = score_files(champion, files[:2], {"brightness": 50.0})
    assert [each.score for each in named] == pytest.approx([each.score for each in plain], abs=2e-3)
    with pytest.raises(UnknownNameError, match="no engine named 'foldet'; did you mean 'folded'"):
        score_files(champion, files[:2], {}, "foldet")


def test_bfloat16_is_used_if_the_network_was_tested_in_it(trained, tmp_path, files):
    tensors, facts = read_weights(trained[1]["measured"])
    write_tensors(tensors, {**facts, "precision": "bfloat16"}, tmp_path / "low.safetensors")
    low = Scorer.from_weights(tmp_path / "low.safetensors")
    scored = score_files(low, files[:2], {}, "folded")
    assert engines_of(scored) == ["folded, bfloat16"] * 2
    plain = score_files(low, files[:2], {})
    assert engines_of(plain) == ["eager, float32"] * 2
    assert [each.score for each in scored] == pytest.approx([each.score for each in plain], abs=0.05)


# Which files


def test_folders_are_searched_through_in_order_of_name(tmp_path):
    for name in ("b.PNG", "a/z.tif", "a/y.jpeg", "c.txt", "a.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in image_files([tmp_path])]
    assert found == ["a/y.jpeg", "a/z.tif", "a.bmp", "b.PNG"]
    assert image_files([tmp_path / "c.txt", tmp_path / "b.PNG"]) == [tmp_path / "c.txt", tmp_path / "b.PNG"]


def test_a_folder_with_the_name_of_an_image_is_no_image(tmp_path):
    (tmp_path / "sweep.tif").mkdir()
    (tmp_path / "sweep.tif" / "a.png").touch()
    assert image_files([tmp_path]) == [tmp_path / "sweep.tif" / "a.png"]


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.png: no such file or folder"):
        image_files([tmp_path, tmp_path / "nowhere.png"])
    with pytest.raises(DatasetError, match=r"no images there; give \.bmp, \.jpeg"):
        image_files([tmp_path])
