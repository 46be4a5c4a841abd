"""`manifest.csv`: what is read, what is refused, and what the digest depends on."""

import csv
import dataclasses
import math
import os
import shutil

import numpy as np
import pytest
from conftest import write_small_dataset
from hypothesis import given
from hypothesis import strategies as st

from semtune.dataset import Sample
from semtune.dataset.description import DatasetDescription, read_description, write_description
from semtune.dataset.manifest import read_dataset, write_manifest
from semtune.dataset.rows import read_rows
from semtune.errors import DatasetError
from semtune.images import write_png

HEADER = "image,score,specimen,field,brightness,contrast,focus\n"


def edit(folder, line, text):
    """Replace one line (counted from 1) of the manifest."""
    lines = (folder / "manifest.csv").read_text().splitlines()
    lines[line - 1] = text
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


def cells_of(folder, line):
    return (folder / "manifest.csv").read_text().splitlines()[line - 1].split(",")


def edit_cell(folder, line, column, text):
    cells = cells_of(folder, line)
    cells[HEADER.strip().split(",").index(column)] = text
    edit(folder, line, ",".join(cells))


def shuffle_rows(folder):
    header, *rows = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join([header, *rows[::-1]]))


def rename_files(folder):
    for index, path in enumerate(sorted((folder / "frames").iterdir())):
        new = f"frames/Probe {index} (Zinn).png"
        text = (
            (folder / "manifest.csv").read_text(encoding="utf-8").replace(f"frames/{path.name},", f"{new},")
        )
        (folder / "manifest.csv").write_text(text, encoding="utf-8")
        path.rename(folder / new)


def test_a_sound_folder_gives_its_samples(small_dataset):
    dataset = read_dataset(small_dataset)
    assert len(dataset.samples) == 24
    assert {sample.field for sample in dataset.samples} == {f"field{i}" for i in range(6)}
    assert all(len(sample.controls) == 3 for sample in dataset.samples)
    assert dataset.folder == small_dataset


@pytest.mark.parametrize("change", [shuffle_rows, rename_files], ids=lambda f: f.__name__)
def test_the_digest_and_the_order_of_samples_do_not_depend_on(small_dataset, change):
    before = read_dataset(small_dataset)
    change(small_dataset)
    after = read_dataset(small_dataset)
    assert after.digest == before.digest
    nameless = [[dataclasses.replace(s, image="") for s in dataset.samples] for dataset in (before, after)]
    assert nameless[0] == nameless[1]


def test_the_digest_does_not_depend_on_the_folder_or_its_name_in_the_description(small_dataset, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(small_dataset, copy)
    write_description(copy, read_description(copy).model_copy(update={"name": "tin", "seed": 5}))
    assert read_dataset(copy).digest == read_dataset(small_dataset).digest


@pytest.mark.parametrize(
    ("column", "text"),
    [("score", "5.55"), ("field", "field1"), ("specimen", "tin"), ("focus", "0.123"), ("focus", "")],
)
def test_the_digest_depends_on_every_cell(small_dataset, column, text):
    before = read_dataset(small_dataset).digest
    for line in range(2, 6) if column == "specimen" else [2]:
        edit_cell(small_dataset, line, column, text)
    assert read_dataset(small_dataset).digest != before


def test_the_digest_depends_on_the_frames_and_on_the_score_range(small_dataset):
    digests = {read_dataset(small_dataset).digest}
    write_png(small_dataset / "frames/field0_0.png", np.eye(96, 128, dtype=np.uint8))
    digests.add(read_dataset(small_dataset).digest)
    write_description(small_dataset, DatasetDescription(score_range=(0, 100)))
    digests.add(read_dataset(small_dataset).digest)
    write_description(small_dataset, DatasetDescription(score_range=(0, 100), origin="simulated"))
    digests.add(read_dataset(small_dataset).digest)
    assert len(digests) == 4


def test_an_empty_control_cell_is_a_missing_value(small_dataset):
    edit_cell(small_dataset, 2, "contrast", " ")
    assert sum(math.isnan(sample.controls[1]) for sample in read_dataset(small_dataset).samples) == 1


@pytest.mark.parametrize("controls", [(), ("magnification",), tuple(f"knob_{i}" for i in range(40))])
def test_there_may_be_any_number_of_control_parameters(tmp_path, controls):
    write_png(tmp_path / "a.png", np.eye(64, dtype=np.uint8))
    write_description(tmp_path, DatasetDescription(control_parameters=controls))
    values = tuple(float(i) for i in range(len(controls)))
    write_manifest(tmp_path, [Sample("a.png", 5, "s", "f", values)], controls)
    assert read_dataset(tmp_path).samples == (Sample("a.png", 5, "s", "f", values),)


def test_columns_may_come_in_any_order_and_after_a_byte_order_mark(tmp_path):
    write_png(tmp_path / "a.png", np.eye(64, dtype=np.uint8))
    text = "focus,field,image,brightness,specimen,contrast,score\r\n3,f,a.png,1,s,2,9.5\r\n\r\n"
    (tmp_path / "manifest.csv").write_bytes(text.encode("utf-8-sig"))
    assert read_dataset(tmp_path).samples == (Sample("a.png", 9.5, "s", "f", (1, 2, 3)),)


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=20
)
words = names.filter(lambda name: name == name.strip())
values = st.floats(allow_infinity=False) | st.just(math.nan)


@given(st.lists(st.tuples(names, st.floats(0, 10), words, words, values), min_size=1, max_size=5))
def test_what_is_written_is_parsed_back_exactly(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("manifest")
    samples = [Sample(image, score, *named, (value,)) for image, score, *named, value in cells]
    write_manifest(folder, samples, ["knob"])
    rows = read_rows(folder, DatasetDescription(control_parameters=("knob",))).rows
    assert repr([row.sample for row in rows]) == repr(samples).replace("-0.0,", "0.0,")


@pytest.mark.parametrize(
    "name", ['a "b".png', "Zinnkügelchen 1.png", "a,b.png", " lead.png", "粒.png", "a\u202fb.png"]
)
def test_odd_file_names_can_be_used(small_dataset, name):
    (small_dataset / "frames/field0_0.png").rename(small_dataset / name)
    rows = list(csv.reader((small_dataset / "manifest.csv").read_text().splitlines()))
    rows[1][0] = name
    with (small_dataset / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert name in {sample.image for sample in read_dataset(small_dataset).samples}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("../secret.png", r"manifest\.csv:3: the image '\.\./secret\.png' leaves the dataset's folder"),
        ("frames/../../secret.png", r"leaves the dataset's folder"),
        ("/etc/hostname", r"leaves the dataset's folder"),
        ("link.png", r"links to a place outside"),
        ("linked/secret.png", r"links to a place outside"),
        ("loop.png", r"the image 'loop\.png'"),
        ("frames", r"'frames' is not a regular file"),
        ("absent.png", r"manifest\.csv:3: the image 'absent\.png' is missing; put the file there"),
        ("", r"the image '' names no file"),
        ("a\\b.png", r"backslash"),
        ("a\x00b.png", r"control character"),
        ("a\x1b[2Jb.png", r"control character"),
        ('"a\nb.png"', r"manifest\.csv:3: .*control character"),
        ("n" * 5000, r"the image 'nnn.*\.\.\.' "),
    ],
)
def test_an_image_outside_the_folder_or_missing_is_refused(small_dataset, tmp_path, image, message):
    (tmp_path / "secret.png").write_bytes((small_dataset / "frames/field0_0.png").read_bytes())
    (small_dataset / "link.png").symlink_to(tmp_path / "secret.png")
    (small_dataset / "linked").symlink_to(tmp_path)
    (small_dataset / "loop.png").symlink_to(small_dataset / "loop.png")
    edit_cell(small_dataset, 3, "image", image)
    with pytest.raises(DatasetError, match=message):
        read_dataset(small_dataset)


def test_a_link_inside_the_folder_can_be_used(small_dataset):
    (small_dataset / "store").mkdir()
    (small_dataset / "frames/field0_0.png").rename(small_dataset / "store/a.png")
    (small_dataset / "frames/field0_0.png").symlink_to("../store/a.png")
    assert len(read_dataset(small_dataset).samples) == 24


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting(small_dataset):
    os.mkfifo(small_dataset / "pipe.png")
    edit_cell(small_dataset, 2, "image", "pipe.png")
    with pytest.raises(DatasetError, match="is not a regular file"):
        read_dataset(small_dataset)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"manifest\.csv:1: there is no column 'image'"),
        (b"\n\n", r"there is no column 'image'"),
        (HEADER.encode(), r"there is no row below the header"),
        (b"image;score;specimen;field\n", r"separated by semicolons"),
        (HEADER.encode() + b"\xff", r"manifest\.csv:2: the text is not UTF-8"),
        (HEADER.encode() + b'"a"b,1', r"manifest\.csv:2: the row cannot be parsed"),
        (HEADER.encode() + b'"a,1\n2\n', r"manifest\.csv:2: the row cannot be parsed"),
        (HEADER.encode() + b"a" * 200_000, r"manifest\.csv:2: the row cannot be parsed .*field larger"),
        (HEADER.encode() + b"\x00,\x00", r"2 cells where the header has 7"),
        (b"," * 20_000, r"more than 10000 columns"),
        (HEADER.replace("focus", "focus,image").encode() + b"a,1,s,f,1,1,1,b", r"'image' is there twice"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path)


@given(st.binary(max_size=150), st.booleans())
def test_only_a_dataset_error_comes_out_of_any_bytes(tmp_path_factory, content, under_header):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "manifest.csv").write_bytes(HEADER.encode() * under_header + content)
    with pytest.raises(DatasetError, match=r"manifest\.csv"):
        read_dataset(folder)


def test_a_directory_or_nothing_in_place_of_the_manifest_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"manifest\.csv: the file is missing"):
        read_dataset(tmp_path)
    (tmp_path / "manifest.csv").mkdir()
    with pytest.raises(DatasetError, match=r"manifest\.csv: this is not a regular file"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("folder", ["nowhere", "nul\x00"])
def test_a_missing_folder_is_named_once(tmp_path, folder):
    with pytest.raises(DatasetError, match="there is no folder") as caught:
        read_dataset(tmp_path / folder)
    assert len(str(caught.value).splitlines()) == 2


def test_the_message_names_the_first_faults_and_the_command_that_names_all(small_dataset):
    for line in range(2, 9):
        edit_cell(small_dataset, line, "score", "ten")
    with pytest.raises(DatasetError, match=r"manifest\.csv:2: score is 'ten'") as caught:
        read_dataset(small_dataset)
    lines = str(caught.value).splitlines()
    assert lines[3] == "and 4 more faults"
    assert lines[4] == f"`semtune check {small_dataset}` names every fault"


def test_leaving_out_the_faulty_rows_gives_the_digest_of_the_rest(small_dataset, tmp_path):
    rest = write_small_dataset(tmp_path / "rest")
    lines = (rest / "manifest.csv").read_text().splitlines()
    (rest / "manifest.csv").write_text("\n".join(lines[:1] + lines[4:]))
    edit_cell(small_dataset, 2, "score", "nan")
    (small_dataset / cells_of(small_dataset, 3)[0]).write_bytes(b"\x89PNG damaged")
    edit_cell(small_dataset, 4, "field", "")
    assert read_dataset(small_dataset, leave_out_faulty=True).digest == read_dataset(rest).digest


def test_faults_of_the_whole_table_cannot_be_left_out(small_dataset):
    text = (small_dataset / "manifest.csv").read_text().replace("brightness", "brigthness")
    (small_dataset / "manifest.csv").write_text(text)
    with pytest.raises(
        DatasetError, match=r"manifest\.csv:1: unknown column 'brigthness'; did you mean 'brightness'"
    ):
        read_dataset(small_dataset, leave_out_faulty=True)


def test_a_dataset_of_nothing_but_faults_is_refused(small_dataset):
    for line in range(2, 26):
        edit_cell(small_dataset, line, "score", "")
    with pytest.raises(DatasetError, match="every row has an error"):
        read_dataset(small_dataset, leave_out_faulty=True)
