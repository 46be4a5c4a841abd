"""`check` names every fault with its file and line, and nothing where nothing is wrong."""

import shutil

import numpy as np
import pytest
import tifffile
from conftest import write_small_dataset
from test_dataset_manifest import cells_of, edit, edit_cell

from semtune.dataset.checks import check
from semtune.dataset.description import DatasetDescription, write_description
from semtune.dataset.manifest import read_dataset
from semtune.images import read_frame, write_png


def found(folder):
    """Line, severity and text of every fault in the manifest."""
    return [(fault.line, fault.severity, fault.fault) for fault in check(folder).faults]


def test_a_sound_dataset_has_no_fault(small_dataset):
    report = check(small_dataset)
    assert report.faults == ()
    assert report.is_clean
    assert (report.frames, report.fields) == (24, 6)
    assert report.digest == read_dataset(small_dataset).digest


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("image", "absent.png", "the image 'absent.png' is missing"),
        ("score", "nan", "score is 'nan', not a finite number"),
        ("score", "", "score is '', not a finite number"),
        ("score", '"7,5"', "score is '7,5', not a finite number"),
        ("score", "1_0", "score is '1_0', not a finite number"),
        ("score", "10.1", "the score 10.1 is outside 0..10"),
        ("score", "-0.1", "the score -0.1 is outside 0..10"),
        ("specimen", " ", "the specimen is empty"),
        ("field", "", "the field is empty"),
        ("field", "a\x1b[2Jb", "the field 'a\\x1b[2Jb' holds a control character"),
        ("focus", "near", "focus is 'near', not a finite number"),
        ("focus", "inf", "focus is 'inf', not a finite number"),
        ("focus", "1e999", "focus is '1e999', not a finite number"),
        ("focus", "nan", "focus is 'nan', not a finite number"),
        ("focus", "1,2", "8 cells where the header has 7"),
    ],
)
def test_a_faulty_cell_is_named_with_its_line(small_dataset, column, text, message):
    edit_cell(small_dataset, 5, column, text)
    [(line, severity, fault)] = found(small_dataset)
    assert (line, severity) == (5, "error")
    assert fault.startswith(message)
    assert "; " in fault


def test_every_fault_is_named_not_only_the_first(small_dataset):
    edit_cell(small_dataset, 3, "score", "high")
    edit_cell(small_dataset, 3, "focus", "low")
    edit_cell(small_dataset, 3, "image", "absent.png")
    edit_cell(small_dataset, 9, "field", "")
    (small_dataset / "dataset.yaml").write_text("score_rnge: [0, 10]\n")
    faults = check(small_dataset).faults
    assert [(fault.file, fault.line) for fault in faults] == [
        ("dataset.yaml", 1),
        *[("manifest.csv", 3)] * 3,
        ("manifest.csv", 9),
    ]


def test_the_line_is_right_below_a_quoted_line_break_and_a_blank_line(small_dataset):
    edit(small_dataset, 2, '"a\nb.png",5,s,f,1,1,1')
    edit(small_dataset, 5, ",".join(cells_of(small_dataset, 5)) + "\n")
    edit_cell(small_dataset, 9, "score", "x")
    assert [line for line, _, fault in found(small_dataset) if fault.startswith("score")] == [9]


def test_columns_that_are_missing_or_unknown_are_named(small_dataset):
    text = (
        (small_dataset / "manifest.csv").read_text().replace("contrast", "contrats").replace("score", "skore")
    )
    (small_dataset / "manifest.csv").write_text(text)
    faults = [fault for _, _, fault in found(small_dataset)]
    assert faults[0].startswith("unknown column 'skore'; did you mean 'score'?")
    assert faults[1].startswith("unknown column 'contrats'; did you mean 'contrast'?")
    assert faults[2].startswith("there is no column 'score'")
    assert faults[3].startswith("there is no column 'contrast'")
    assert check(small_dataset).digest is None


def test_an_image_that_cannot_be_decoded_is_named(small_dataset):
    image = small_dataset / cells_of(small_dataset, 4)[0]
    image.write_bytes(image.read_bytes()[:200])
    [(line, severity, fault)] = found(small_dataset)
    assert (line, severity) == (4, "error")
    assert fault.startswith("the image cannot be used: ")
    assert str(small_dataset) not in fault


def test_a_frame_below_64_pixels_is_named(small_dataset):
    write_png(small_dataset / cells_of(small_dataset, 4)[0], np.eye(63, 200, dtype=np.uint8))
    [(line, _, fault)] = found(small_dataset)
    assert line == 4
    assert fault.startswith("the frame has 63 x 200 pixels; each side needs 64")


def test_a_copied_frame_is_named_with_the_line_of_the_other(small_dataset):
    shutil.copy(small_dataset / cells_of(small_dataset, 3)[0], small_dataset / "copy.png")
    edit_cell(small_dataset, 20, "image", "copy.png")
    [(line, severity, fault)] = found(small_dataset)
    assert (line, severity) == (20, "error")
    assert fault.startswith("the same frame as in line 3;")


def test_a_copy_in_another_file_format_is_found(small_dataset):
    frame = read_frame(small_dataset / cells_of(small_dataset, 3)[0])
    tifffile.imwrite(small_dataset / "copy.tif", frame)
    edit_cell(small_dataset, 20, "image", "copy.tif")
    assert [line for line, _, fault in found(small_dataset) if "the same frame as in line 3" in fault] == [20]


def test_blank_frames_are_no_copies_of_each_other(small_dataset):
    for line in (3, 20):
        write_png(small_dataset / cells_of(small_dataset, line)[0], np.full((96, 128), 255, np.uint8))
    [(line, severity, fault)] = found(small_dataset)
    assert (line, severity) == (20, "warning")
    assert "blank" in fault
    assert len(read_dataset(small_dataset).samples) == 24


def test_a_field_on_two_specimens_is_named(small_dataset):
    edit_cell(small_dataset, 4, "specimen", "steel")
    [(line, severity, fault)] = found(small_dataset)
    assert (line, severity) == (4, "error")
    assert fault.startswith("field 'field0' lies on specimen 'tin_balls' in line 2, here on 'steel'")


def test_a_field_alone_on_its_specimen_is_a_warning(small_dataset):
    for line in range(2, 6):
        edit_cell(small_dataset, line, "specimen", "steel")
    report = check(small_dataset)
    assert [(fault.line, fault.severity) for fault in report.faults] == [(2, "warning")]
    assert report.is_clean
    assert report.digest is not None


def test_fewer_than_three_fields_are_too_few(tmp_path):
    folder = write_small_dataset(tmp_path / "two", fields=2)
    assert [fault for _, severity, fault in found(folder) if severity == "error"] == [
        "2 fields; a split needs 3: one each to train, validate and test; record more places"
    ]


def test_the_score_range_is_that_of_the_description(small_dataset):
    write_description(small_dataset, DatasetDescription(score_range=(0, 5)))
    scores = [float(cells_of(small_dataset, line)[1]) for line in range(2, 26)]
    assert len(found(small_dataset)) == sum(score > 5 for score in scores)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff\xfe", b'"', b"image,score,specimen,field\n,,,\n"])
def test_whatever_the_bytes_faults_are_reported_and_not_raised(small_dataset, content):
    (small_dataset / "manifest.csv").write_bytes(content)
    (small_dataset / "dataset.yaml").write_bytes(content)
    report = check(small_dataset)
    assert not report.is_clean
    assert report.digest is None


def test_nothing_at_all_is_one_fault(tmp_path):
    [fault] = check(tmp_path).faults
    assert str(fault).startswith("manifest.csv: the file is missing; ")
    [fault] = check(tmp_path / "nowhere").faults
    assert "there is no folder" in fault.fault
