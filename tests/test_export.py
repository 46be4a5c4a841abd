"""An export: what is in it, that it scores as semtune does, and that it needs no semtune."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from champion_place import woken_network
from conftest import grain_texture
from small_search import write_small_table

from semtune.config import Hyperparameters
from semtune.dataset.frames import open_frames
from semtune.errors import SearchError
from semtune.export import export, score_frame
from semtune.export.evidence import Model
from semtune.export.papers import example_program
from semtune.images import read_frame, write_png
from semtune.scoring import Scorer
from semtune.training.checkpoint import write_weights

pytest.importorskip("onnxruntime")
NAMES = ("brightness", "contrast", "focus")
FILES = (
    "LICENSE.txt",
    "README.txt",
    "SHA256SUMS",
    "model.json",
    "model.onnx",
    "requirements.txt",
    "score_frame.py",
)
FORBIDDEN = ("semtune", "torch", "tifffile", "imagecodecs", "cv2", "onnx", "scipy")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    table = write_small_table(folder)
    network = woken_network()
    network.set_scales(torch.tensor(table.controls).float(), torch.tensor(table.scores).float())
    facts = {
        "hyperparameters": Hyperparameters(architecture="pacf", crop=64, tiles=4).model_dump(),
        "control_parameters": list(NAMES),
        "score_range": [0.0, 10.0],
        "dataset_origin": "simulated",
    }
    write_weights(network, facts, folder / "weights.safetensors")
    scorer = Scorer.from_weights(folder / "weights.safetensors").on_host()
    return Model(scorer, "tin/trial-0003", table, open_frames(Path(table.cache_folder), table.digest))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "scorer"
    return export(model, out, "float32", "0.1.0")


@pytest.fixture
def frames():
    generator = np.random.default_rng(3)
    return [grain_texture(generator, *size).astype(np.uint8) for size in ((64, 64), (96, 128), (200, 90))]


def in_a_bare_python(folder, *arguments):
    """Run the program where semtune and what it is made of cannot be imported."""
    code = (
        f"import sys, runpy\nfor name in {FORBIDDEN}: sys.modules[name] = None\n"
        f"runpy.run_path({str(folder / 'score_frame.py')!r}, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_the_folder_has_what_it_should_and_its_sums_are_right(exported):
    assert exported.files == FILES
    for line in (exported.out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split(" *")
        assert hashlib.sha256((exported.out / name).read_bytes()).hexdigest() == digest
    assert "Apache License" in (exported.out / "LICENSE.txt").read_text()
    assert not [path for path in exported.out.parent.iterdir() if path != exported.out]


def test_the_model_was_compared_with_torch_on_crops_with_gaps(exported, model):
    assert exported.parity.crops == len(model.samples.test)
    assert 0 < exported.parity.largest_difference < 1e-4
    facts = json.loads((exported.out / "model.json").read_text())
    assert facts["parity"]["allowed"] == pytest.approx(1e-3)
    assert facts["onnx_opset"] == 17
    assert facts["score_range"] == [0, 10]
    means = [each["mean"] for each in facts["control_parameters"]]
    assert means == pytest.approx(model.scorer.network.control_mean.tolist())


def test_the_readme_says_what_a_stranger_must_know(exported):
    text = (exported.out / "README.txt").read_text()
    for told in (
        "tin/trial-0003",
        "from 0 to 10",
        "brightness=",
        "64 x 64",
        "opset 17",
        "win_amd64",
    ):
        assert told in text, told
    assert max(map(len, text.splitlines())) <= 110


def test_the_program_scores_as_semtune_does_for_frames_of_any_size(exported, model, frames):
    scorer, named = score_frame.Scorer(exported.out), model.scorer.on("onnxruntime")
    scores = []
    for frame in (*frames, frames[1].astype(np.uint16) * 257):
        for controls in ({}, {"brightness": 50.0}, {"brightness": 50.0, "contrast": 40.0, "focus": -1.0}):
            scores.append(scorer.score(frame, controls))
            assert scores[-1] == pytest.approx(named.score(frame, controls), abs=1e-6)
            assert scores[-1] == pytest.approx(model.scorer.score(frame, controls), abs=1e-4)
    assert len({round(score, 3) for score in scores[:9]}) == 9
    assert all(0 <= score <= 10 for score in scores)


def test_the_program_takes_any_number_of_crops_at_once(exported):
    scorer = score_frame.Scorer(exported.out)
    crops = np.random.default_rng(0).integers(0, 256, (7, 1, 64, 64), dtype=np.uint8)
    controls = np.full((7, 3), np.nan, np.float32)
    together = scorer.score_crops(crops, controls)
    assert together.shape == (7,)
    alone = [scorer.score_crops(crops[i : i + 1], controls[:1])[0] for i in range(7)]
    assert together == pytest.approx(alone, abs=1e-4)


def test_the_program_needs_nothing_of_semtune(exported, model, frames, tmp_path):
    write_png(tmp_path / "frame.png", frames[1])
    done = in_a_bare_python(exported.out, tmp_path / "frame.png", "--controls", "brightness=50", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    scored = model.scorer.on("onnxruntime").score_file(tmp_path / "frame.png", {"brightness": 50.0})
    assert told == {
        "frame": str(tmp_path / "frame.png"), "score": scored.score, "missing": ["contrast", "focus"]
    }  # fmt: skip


def test_the_program_checks_itself(exported, model, tmp_path):
    assert "as they were exported" in in_a_bare_python(exported.out, "--check").stdout
    other = export(model, tmp_path / "other", "float32", "0.1.0").out
    (other / "README.txt").write_text("changed")
    facts = json.loads((other / "model.json").read_text())
    facts["check"]["score"] += 0.1
    (other / "model.json").write_text(json.dumps(facts))
    done = in_a_bare_python(other, "--check")
    assert done.returncode == 1
    assert "README.txt is not the file that was exported" in done.stderr
    assert "the made-up frame scores" in done.stderr


def test_the_program_says_in_a_line_what_it_cannot_score(exported, frames, tmp_path):
    write_png(tmp_path / "small.png", frames[1][:40])
    (tmp_path / "none.png").write_bytes(b"nothing")
    done = in_a_bare_python(exported.out, tmp_path / "small.png", tmp_path / "none.png")
    assert done.returncode == 1
    small, none = done.stderr.splitlines()
    assert "small.png: a frame of 128 x 40 pixels is smaller than a tile of 64" in small
    assert "none.png: no readable image" in none
    write_png(tmp_path / "good.png", frames[1])
    unknown = in_a_bare_python(exported.out, tmp_path / "good.png", "--controls", "light=3")
    assert "no control parameter named 'light'; known: brightness" in unknown.stderr


def test_the_one_file_holds_the_rules_of_semtune_and_no_import_of_it():
    text = example_program()
    assert "import semtune" not in text
    assert "from semtune" not in text
    compile(text, "score_frame.py", "exec")
    for rule in ("def tiles(", "def find_data_bar(", "def to_uint8("):
        assert text.count(rule) == 1


def test_pillow_reads_the_grey_levels_that_semtune_reads(frames, tmp_path):
    grey = frames[1]
    write_png(tmp_path / "grey.png", grey)
    write_png(tmp_path / "deep.png", grey.astype(np.uint16) * 251)
    tifffile.imwrite(tmp_path / "grey.tif", grey)
    tifffile.imwrite(tmp_path / "deep.tif", grey.astype(np.uint16) * 251)
    colours = np.stack([grey, 255 - grey, grey // 2], 2)
    tifffile.imwrite(tmp_path / "colours.tif", colours, photometric="rgb")
    palette = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "palette.tif", grey, photometric="palette", colormap=palette)
    for path in sorted(tmp_path.iterdir()):
        ours = read_frame(path)
        assert score_frame.read_frame(path).dtype == ours.dtype, path.name
        assert np.array_equal(score_frame.read_frame(path), ours), path.name


def test_pillow_reads_real_frames_as_semtune_does(sem_frames):
    for path in [*sem_frames.glob("*.tif"), *sem_frames.glob("*.png")]:
        assert np.array_equal(score_frame.read_frame(path), read_frame(path)), path.name


def test_a_zip_file_holds_the_same_bytes_each_time(model, tmp_path):
    first, second = (
        export(model, tmp_path / place / "scorer.zip", "float32", "0.1.0").out for place in ("a", "b")
    )
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == [f"scorer/{name}" for name in FILES]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["scorer.zip"]


def test_no_file_names_a_place_of_this_machine_or_holds_a_pickle(exported):
    for path in exported.out.iterdir():
        content = path.read_bytes()
        assert str(exported.out.parent).encode() not in content
        assert str(Path(torch.__file__).parents[1]).encode() not in content
        assert b"pickle" not in content or path.name == "LICENSE.txt"


def test_a_folder_that_is_there_is_left_alone(exported, model):
    before = (exported.out / "SHA256SUMS").read_bytes()
    with pytest.raises(SearchError, match="scorer: exists already; remove it or name another place"):
        export(model, exported.out, "float32", "0.1.0")
    assert (exported.out / "SHA256SUMS").read_bytes() == before


def test_a_model_that_disagrees_with_torch_is_not_exported(model, tmp_path, monkeypatch):
    right = score_frame.Scorer.score_crops
    monkeypatch.setattr(score_frame.Scorer, "score_crops", lambda *given: right(*given) + np.float32(0.002))
    with pytest.raises(SearchError, match=r"not exported.* differ from torch's by up to 0\.002 points"):
        export(model, tmp_path / "scorer", "float32", "0.1.0")
    monkeypatch.setattr(score_frame.Scorer, "score_crops", lambda *given: right(*given) * np.float32(np.nan))
    with pytest.raises(SearchError, match="not exported"):
        export(model, tmp_path / "scorer", "float32", "0.1.0")
    assert not list(tmp_path.iterdir())


def test_in_bfloat16_the_loss_on_the_test_frames_is_told(model, tmp_path):
    pytest.importorskip("openvino")
    done = export(model, tmp_path / "scorer", "bfloat16", "0.1.0")
    assert done.engine == "openvino"
    assert done.loss is not None
    assert done.loss.frames == len(model.samples.test)
    assert abs(done.loss.rmse - done.loss.rmse_float32) < 0.05
    assert f"{done.loss.rmse:.4f} points" in (done.out / "README.txt").read_text()
    assert "openvino" in (done.out / "requirements.txt").read_text()
    assert in_a_bare_python(done.out, "--check").returncode == 0
