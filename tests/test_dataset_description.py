"""`dataset.yaml`: read back as written, and every fault named with its line."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from semtune.dataset.description import (
    DatasetDescription,
    inspect_description,
    read_description,
    write_description,
)
from semtune.errors import DatasetError

names = st.lists(st.text("abc_", min_size=1, max_size=8), max_size=5, unique=True)
numbers = st.floats(-1e6, 1e6)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=20)
@given(texts, numbers, st.floats(0.1, 1e6), names, st.none() | st.integers(), texts)
def test_a_description_reads_back_as_written(tmp_path_factory, name, low, width, controls, seed, profile):
    written = DatasetDescription(
        name=name, score_range=(low, low + width), control_parameters=controls, seed=seed, profile=profile
    )
    folder = tmp_path_factory.mktemp("description")
    write_description(folder, written)
    assert read_description(folder) == written


def test_a_folder_without_a_description_has_the_defaults(tmp_path):
    description = read_description(tmp_path)
    assert description.origin == "measured"
    assert description.score_range == (0, 10)
    assert description.control_parameters == ("brightness", "contrast", "focus")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no folder .*nowhere"):
        read_description(tmp_path / "nowhere")


def test_there_may_be_no_control_parameters(tmp_path):
    (tmp_path / "dataset.yaml").write_text("control_parameters: []\n")
    assert read_description(tmp_path).control_parameters == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("origin: measured\nscore_rnge: [0, 5]", r":2: unknown key 'score_rnge'; did you mean 'score_range'"),
        ("5: x", r"dataset\.yaml.*unknown key '5'; known: name"),
        ("score_range: [5, 5]", r"dataset\.yaml:1: score_range: `low < high` must hold, but got 5, 5"),
        ("score_range: [0, .inf]", r"dataset\.yaml:1: score_range: .*finite"),
        ("score_range: 5", r"dataset\.yaml:1: score_range: "),
        ("origin: guessed", r"dataset\.yaml:1: origin: .*'simulated' or 'measured'"),
        ("\nrater_noise: -1", r"dataset\.yaml:2: rater_noise: .*greater than or equal to 0"),
        ("control_parameters: [score]", r"'score' is a column of its own"),
        ("control_parameters: [a, a]", r"stands there twice"),
        ("control_parameters: ['working distance']", r"'working distance' is no name"),
        ("seed: 1\nseed: 2", r"dataset\.yaml:2: 'seed' is given twice"),
        ("- a\n- b", r"dataset\.yaml:1: this is not a YAML mapping"),
        ("origin: [measured", r"dataset\.yaml:\d: this is not a YAML mapping"),
        ("seed: !!python/object/apply:os.getcwd []", r"this is not a YAML mapping"),
        ("seed: !!bool perhaps", r"this is not a YAML mapping"),
        ("? [a, b]\n: 1", r"this is not a YAML mapping|unknown key"),
        ("[" * 1_000, r"this is not a YAML mapping"),
        ("x" * 70_000, r"larger than 65536 bytes"),
    ],
)  # fmt: skip
def test_a_faulty_description_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_description(tmp_path)


def test_every_faulty_key_is_named_and_the_sound_ones_are_kept(tmp_path):
    (tmp_path / "dataset.yaml").write_text("seed: x\nname: steel\norgin: measured\nscore_range: [1, 0]\n")
    description, faults = inspect_description(tmp_path)
    assert [fault.line for fault in faults] == [1, 3, 4]
    assert description.name == "steel"


def test_exponentially_many_aliases_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    (tmp_path / "dataset.yaml").write_text("\n".join([*lines, "profile: *a29"]))
    with pytest.raises(DatasetError, match=r"dataset\.yaml:1: unknown key"):
        read_description(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"origin: \x00", b"\x80"])
def test_bytes_that_are_no_text_are_refused(tmp_path, content):
    (tmp_path / "dataset.yaml").write_bytes(content)
    with pytest.raises(DatasetError, match=r"dataset\.yaml"):
        read_description(tmp_path)


@given(st.binary(max_size=200))
def test_only_a_dataset_error_comes_out_of_any_bytes(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "dataset.yaml").write_bytes(content)
    with suppress(DatasetError):
        assert isinstance(read_description(folder), DatasetDescription)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "dataset.yaml").mkdir()
    with pytest.raises(DatasetError, match=r"dataset\.yaml: this is not a regular file"):
        read_description(tmp_path)


def test_a_description_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        DatasetDescription().seed = 3
