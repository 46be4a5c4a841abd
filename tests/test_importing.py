"""Building a dataset's folder from a laboratory's."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from semtune.dataset.checks import check
from semtune.dataset.importing import import_frames
from semtune.dataset.manifest import read_dataset
from semtune.errors import ConfigError, DatasetError
from semtune.images import read_frame, write_png

SEM_FRAMES = Path(__file__).parents[2] / "shared" / "sem_frames"
needs_sem_frames = pytest.mark.skipif(
    not SEM_FRAMES.is_dir(), reason="the folder of real SEM frames is not here"
)


def grey(seed, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (96, 128), dtype, endpoint=True)


def zeiss(path, seed, working_distance="7.7 mm"):
    values = {"AP_BRIGHTNESS": "= 50 %", "AP_CONTRAST": "= 30 %", "AP_WD": f"= {working_distance}"}
    block = "\r\n".join(part for pair in values.items() for part in pair).encode("latin-1")
    extra = [(34118, 7, len(block), block, True)]
    tifffile.imwrite(path, grey(seed), photometric="minisblack", metadata=None, extratags=extra)


@pytest.fixture
def frames(tmp_path):
    """Three plain frames, one of them in a subfolder with a name of its own kind."""
    folder = tmp_path / "lab"
    (folder / "zinn kugeln").mkdir(parents=True)
    write_png(folder / "a.png", grey(0))
    write_png(folder / "b.png", grey(1, np.uint16))
    Image.fromarray(grey(2)).save(folder / "zinn kugeln" / "Übersicht 1.bmp")
    return folder


THREE = ["a.png", "b.png", "zinn kugeln/Übersicht 1.bmp"]


def table(tmp_path, *rows, header="image,score"):
    path = tmp_path / "scores.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def faults_of(tmp_path, frames, *rows, header="image,score"):
    with pytest.raises(DatasetError, match=r"scores\.csv") as refused:
        import_frames(frames, tmp_path / "dataset", table(tmp_path, *rows, header=header))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "scores.csv"], (
        "something was left behind"
    )
    return str(refused.value).replace(str(tmp_path) + "/", "").splitlines()


def test_frames_and_scores_become_a_dataset_without_faults(tmp_path, frames):
    rows = [f"{name},{score},tin,place {score},50,30,4.2" for score, name in enumerate(THREE)]
    scores = table(tmp_path, *rows, header="image,score,specimen,field,brightness,contrast,focus")
    summary = import_frames(frames, tmp_path / "dataset", scores)
    assert (summary.frames, summary.fields, summary.data_bars_cropped, summary.notes) == (3, 3, 0, ())
    assert check(tmp_path / "dataset").is_clean
    dataset = read_dataset(tmp_path / "dataset")
    assert dataset.description.origin == "measured"
    assert {sample.controls for sample in dataset.samples} == {(50, 30, 4.2)}
    assert {sample.field: sample.reference_score for sample in dataset.samples} == {
        "place 0": 0,
        "place 1": 1,
        "place 2": 2,
    }
    for sample in dataset.samples:
        frame = read_frame(tmp_path / "dataset" / sample.image)
        np.testing.assert_array_equal(frame, read_frame(frames / THREE[int(sample.reference_score)]))


def test_without_field_and_specimen_the_summary_says_what_was_assumed(tmp_path, frames):
    summary = import_frames(frames, tmp_path / "d", table(tmp_path, *(f"{name},5" for name in THREE)))
    assert summary.fields == 3
    notes = " ".join(summary.notes)
    assert "no column field: every frame counts as a field of its own" in notes
    assert "no column specimen" in notes
    assert "focus is missing for 3 of 3 frames." in summary.notes
    sample = read_dataset(tmp_path / "d").samples[0]
    assert sample.specimen == "unknown"
    assert all(map(math.isnan, sample.controls))


def test_control_parameters_come_from_the_metadata_unless_the_table_has_the_column(tmp_path, frames):
    zeiss(frames / "z.tif", 7)
    import_frames(frames, tmp_path / "d", table(tmp_path, "z.tif,5,1.5", header="image,score,focus"))
    assert read_dataset(tmp_path / "d").samples[0].controls == (50, 30, 1.5)
    import_frames(frames, tmp_path / "e", table(tmp_path, "z.tif,5"))
    assert read_dataset(tmp_path / "e").samples[0].controls == (50, 30, 7.7)


def test_further_columns_are_control_parameters_unless_they_are_named(tmp_path, frames):
    scores = table(
        tmp_path, *(f"{name},5,1000,7" for name in THREE), header="image,score,magnification,number"
    )
    summary = import_frames(frames, tmp_path / "d", scores)
    assert read_dataset(tmp_path / "d").description.control_parameters[3:] == ("magnification", "number")
    assert "Taken as control parameters: magnification, number; networks will see them." in summary.notes
    summary = import_frames(frames, tmp_path / "e", scores, control_parameters=["magnification"])
    assert read_dataset(tmp_path / "e").samples[0].controls == (1000,)
    assert "Left out: number." in summary.notes


def test_namesakes_stay_apart(tmp_path, frames):
    for seed, name in enumerate(["a.bmp", "sub/A.bmp", "sub/a.png", "sub-a.png"], start=20):
        (frames / name).parent.mkdir(exist_ok=True)
        Image.fromarray(grey(seed)).save(frames / name)
    names = [*THREE, "a.bmp", "sub/A.bmp", "sub\\a.png", "sub-a.png"]
    import_frames(frames, tmp_path / "d", table(tmp_path, *(f"{name},5" for name in names)))
    with (tmp_path / "d" / "manifest.csv").open(encoding="utf-8") as file:
        images = [row["image"] for row in csv.DictReader(file)]
    assert len({image.casefold() for image in images}) == 7
    for image, name in zip(images, names, strict=True):
        original = read_frame(frames / name.replace("\\", "/"))
        np.testing.assert_array_equal(read_frame(tmp_path / "d" / image), original)


def test_every_fault_is_named_with_its_line(tmp_path, frames):
    (tmp_path / "lab" / "link.png").symlink_to(Path(__file__))
    (frames / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    zeiss(frames / "z.tif", 3, working_distance="nan mm")
    faults = faults_of(
        tmp_path,
        frames,
        "a.png,eight",
        "missing.png,5",
        "",
        "../secret.png,5",
        "/etc/passwd,5",
        "C:\\a.png,5",
        "link.png,5",
        "broken.png,5",
        "z.tif,5",
        "b.png",
        "b.png,11",
        "b.png,5",
        ",5",
    )
    expected = [
        "scores.csv:2: score is 'eight', not a finite number; write digits",
        "scores.csv:3: the image 'missing.png' is no file in",
        "scores.csv:5: the image '../secret.png' leaves the folder",
        "scores.csv:6: the image '/etc/passwd' leaves the folder",
        "scores.csv:7: the image 'C:\\\\a.png' leaves the folder",
        "scores.csv:8: the image 'link.png' links to a place outside",
        "scores.csv:9: lab/broken.png: damaged or incomplete image",
        "scores.csv:10: lab/z.tif: AP_WD is 'nan mm', which is no number",
        "scores.csv:11: 1 cells where the header has 2",
        "scores.csv:12: the score 11 is outside 0..10",
        "scores.csv:13: the same frame as in line 12; keep one of the two",
        "scores.csv:14: the image '' is no usable name",
    ]
    assert len(faults) == len(expected)
    for fault, start in zip(faults, expected, strict=True):
        assert fault.startswith(start)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("picture,score", "scores.csv:1: there is no column 'image'"),
        ("image;score", "separate the columns by commas"),
        ("image,score,score", "the column 'score' is there twice"),
        ("image,score,beam current", "'beam current' is no name"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path, frames, header, message):
    assert message in "\n".join(faults_of(tmp_path, frames, "a.png,5,5", header=header))


def test_frames_of_two_vendors_need_brightness_and_contrast_in_one_unit(tmp_path, frames):
    zeiss(frames / "z.tif", 3)
    (frames / "a.txt").write_text("$CM_BRIGHTNESS 418\n$CM_CONTRAST 1479\n$$SM_WD 10\n", encoding="ascii")
    faults = faults_of(tmp_path, frames, "a.png,5", "z.tif,5")
    assert faults[0].startswith(
        "scores.csv:1: brightness is recorded in counts of jeol and in percent of zeiss; add a column"
    )
    scores = table(tmp_path, "a.png,5,1,1", "z.tif,5,2,2", header="image,score,brightness,contrast")
    assert import_frames(frames, tmp_path / "dataset", scores).frames == 2


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path, frames):
    scores = table(tmp_path, "a.png,5")
    with pytest.raises(DatasetError, match="is there and not an empty folder"):
        import_frames(frames, frames, scores)
    (tmp_path / "empty").mkdir()
    assert import_frames(frames, tmp_path / "empty", scores).frames == 1
    with pytest.raises(DatasetError, match="there is no such folder"):
        import_frames(tmp_path / "nowhere", tmp_path / "d", scores)
    with pytest.raises(DatasetError, match=r"`low < high` must hold, but got 10, 0"):
        import_frames(frames, tmp_path / "d", scores, score_range=(10, 0))


@needs_sem_frames
def test_real_frames_are_imported_without_their_bar(tmp_path):
    names = ["zeiss_auriga60_inlens.tif", "zeiss_merlin_se2.tif", "thermo_ion_beam.tif"]
    summary = import_frames(SEM_FRAMES, tmp_path / "d", table(tmp_path, *(f"{name},5" for name in names)))
    assert (summary.frames, summary.data_bars_cropped) == (3, 1)
    controls = {sample.field: sample.controls for sample in read_dataset(tmp_path / "d").samples}
    assert controls["zeiss_auriga60_inlens.tif"] == (48.7, 24.9, 4.967394)
    assert read_frame(tmp_path / "d" / "frames" / "zeiss_auriga60_inlens.png").shape == (690, 1024)


def test_fields_are_read_off_the_paths(tmp_path, frames):
    for seed, name in enumerate(("tin_7_01.png", "tin_7_02.png", "tin_8_01.png"), start=10):
        write_png(frames / name, grey(seed))
    names = ["tin_7_01.png", "tin_7_02.png", "tin_8_01.png", "a.png"]
    scores = table(tmp_path, *(f"{name},5" for name in names))
    for number, pattern in enumerate((r"(tin_\d)_\d+", r"^tin_\d(?=_)")):
        target = tmp_path / f"dataset {number}"
        assert import_frames(frames, target, scores, field_pattern=pattern).fields == 3
        fields = {sample.field for sample in read_dataset(target).samples}
        assert fields == {"tin_7", "tin_8", "a.png"}
    with pytest.raises(ConfigError, match=r"--field: '\(' is no regular expression"):
        import_frames(frames, tmp_path / "e", scores, field_pattern="(")
    scores = table(tmp_path, "a.png,5,x", header="image,score,field")
    with pytest.raises(DatasetError, match="there is a column 'field'"):
        import_frames(frames, tmp_path / "e", scores, field_pattern="a")


# What the vendors recorded


def jeol(path, brightness=418):
    text = f"$CM_BRIGHTNESS {brightness}\n$CM_CONTRAST 1479\n$$SM_WD 10\n$CM_MAG 500\n"
    path.with_suffix(".txt").write_text(text, encoding="ascii")


def hitachi(path):
    text = "[SemImageFile]\nInstructName=TM3000\nBrightness=2223\nContrast=1411\n"
    path.with_suffix(".txt").write_text(text, encoding="ascii")


def test_counts_of_two_vendors_do_not_stand_in_one_column(tmp_path, frames):
    jeol(frames / "a.png")
    hitachi(frames / "b.png")
    faults = faults_of(tmp_path, frames, "a.png,5", "b.png,5")
    assert "brightness is recorded in counts of hitachi and in counts of jeol; add a column" in faults[0]
    scores = table(tmp_path, "a.png,5,418,", "b.png,5,,", header="image,score,brightness,contrast")
    assert import_frames(frames, tmp_path / "dataset", scores).frames == 2
    assert check(tmp_path / "dataset").scales == {"brightness": {}, "contrast": {}}


def test_the_units_of_the_vendors_are_told_and_kept(tmp_path, frames):
    zeiss(frames / "z.tif", 3)
    summary = import_frames(frames, tmp_path / "d", table(tmp_path, "z.tif,5", "a.png,6"))
    assert (
        "1 frame of zeiss: brightness in percent, contrast in percent, focus (the working distance) in mm."
        in summary.notes
    )
    assert "1 frame without any vendor's metadata." in summary.notes
    report = check(tmp_path / "d")
    assert report.scales == {"brightness": {"percent of zeiss": 1}, "contrast": {"percent of zeiss": 1}}
    assert not [fault for fault in report.faults if fault.file == "conditions.csv"]


def test_per_cent_of_two_vendors_is_a_warning_of_check(tmp_path, frames):
    zeiss(frames / "z.tif", 3)
    block = b"[Beam]\nBeam=EBeam\n[Detectors]\nName=ETD\n[ETD]\nBrightness=40\nContrast=60\n"
    extra = [(34682, 7, len(block), block, True)]
    tifffile.imwrite(frames / "t.tif", grey(4), photometric="minisblack", metadata=None, extratags=extra)
    import_frames(frames, tmp_path / "d", table(tmp_path, "z.tif,5", "t.tif,6"))
    report = check(tmp_path / "d")
    warned = [fault for fault in report.faults if fault.file == "conditions.csv"]
    assert [fault.severity for fault in warned] == ["warning", "warning"]
    assert (
        "brightness comes on several scales: percent of thermo (1 frame), percent of zeiss (1 frame)"
        in warned[0].fault
    )


def test_frames_of_16_bits_that_are_nearly_black_are_told(tmp_path, frames):
    write_png(frames / "dark.png", grey(5, np.uint16) // 16)
    summary = import_frames(frames, tmp_path / "d", table(tmp_path, "dark.png,5", "b.png,6"))
    assert summary.notes[-1].startswith("1 frame of 16 bits would turn nearly black")
