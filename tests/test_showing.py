"""What `semtune show` prints of a frame: vendor, units, size, data bar, focus values, or why not."""

import numpy as np
import pytest
import tifffile
from test_cli import semtune  # noqa: F401 - a fixture
from test_importing import grey, jeol, zeiss

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.images import write_png
from semtune.showing import facts_of_frames, in_words
from semtune.workspace import Workspace


def shown(tmp_path, path):
    [found] = facts_of_frames(Workspace(tmp_path / "none"), [path], None)
    return found, " ".join(in_words(found).split())


def test_units_stand_beside_every_number(tmp_path):
    zeiss(tmp_path / "z.tif", 1)
    _, text = shown(tmp_path, tmp_path / "z.tif")
    for line in ("vendor zeiss", "brightness 50 percent (of zeiss)", "working distance (focus) 7.7 mm",
                 "size 128 x 96 pixels, no data bar", "grey levels 0 to 255, 8 bits"):  # fmt: skip
        assert line in text
    write_png(tmp_path / "j.png", grey(2))
    jeol(tmp_path / "j.png")
    _, text = shown(tmp_path, tmp_path / "j.png")
    assert "brightness 418 counts (of jeol)" in text
    assert "magnification 500" in text


def test_focus_values_are_those_of_the_frame_that_networks_see(tmp_path):
    deep = grey(3).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep.tif", deep)
    found, text = shown(tmp_path, tmp_path / "deep.tif")
    assert found.focus_values == {each.name: each.focus_value(grey(3)) for each in AUTOFOCUS_FUNCTIONS}
    assert "0 to 65535, 16 bits; reduced to 8 by round(g / 257), which leaves 256 levels" in text
    tifffile.imwrite(tmp_path / "dark.tif", grey(3).astype(np.uint16) * 16)
    assert "which leaves 17 levels; stretch it before" in shown(tmp_path, tmp_path / "dark.tif")[1]


def test_a_data_bar_is_told_and_measured_without(tmp_path):
    bar = np.full((24, 128), 255, np.uint8)
    bar[4:14, 10:100:3] = 0
    write_png(tmp_path / "barred.png", np.vstack([grey(4), bar]))
    found, text = shown(tmp_path, tmp_path / "barred.png")
    assert "size 128 x 120 pixels; data bar of 24 rows cropped: 128 x 96" in text
    assert found.focus_values["entropy"] == AUTOFOCUS_FUNCTIONS["entropy"].focus_value(grey(4))


def test_a_damaged_block_is_refused_and_the_frame_still_shown(tmp_path):
    zeiss(tmp_path / "z.tif", 1, working_distance="nan mm")
    found, text = shown(tmp_path, tmp_path / "z.tif")
    assert "metadata refused: AP_WD is 'nan mm', which is no number" in text
    assert found.recorded.brightness is None
    assert "squared_gradient" in text


def test_without_a_champion_no_workspace_is_made(semtune, tmp_path):  # noqa: F811
    write_png(tmp_path / "a.png", grey(1))
    answer = semtune("show", "a.png", "--json")
    assert answer.code == 0
    [facts] = answer.json
    assert facts["champion"] == {
        "score": None,
        "said": "there is no champion; `semtune promote NAME` makes one",
    }
    assert facts["recorded"]["vendor"] is None
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
    assert "vendor" in semtune("show", tmp_path).out
    assert semtune("show", "nowhere").code == 1


def test_scales_and_raters_are_told_to_machines_too(semtune, tmp_path):  # noqa: F811
    (tmp_path / "raw").mkdir()
    for seed in range(3):
        zeiss(tmp_path / "raw" / f"{seed}.tif", seed)
    scores = "image,score\n0.tif,5\n1.tif,6\n2.tif,7\n"
    (tmp_path / "raw" / "scores.csv").write_text(scores)
    rated = "".join(f"{seed}.tif,Ann,{5 + seed},2026-11-27T05:00:00Z\n" for seed in range(3))
    (tmp_path / "raw" / "ratings.csv").write_text(f"image,rater,score,rated\n{rated}")
    assert semtune("import", "raw", "data", "--scores", "raw/scores.csv", "--json").json["frames"] == 3
    found = semtune("check", "data", "--json").json
    assert found["scales"]["brightness"] == {"percent of zeiss": 3}
    assert found["raters"]["raters"][0]["rater"] == "Ann"
    text = semtune("check", "data").out
    assert "brightness: percent of zeiss (3 frames)" in text
    assert "rater Ann: 3 ratings of 3 frames, noise unknown (no frame was rated twice)" in text


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_what_is_no_image_is_refused_in_one_line(semtune, tmp_path, content):  # noqa: F811
    (tmp_path / "a.png").write_bytes(content)
    answer = semtune("show", "a.png")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
