"""What figures show is gathered from the search and its dataset; what is gone is left out."""

import shutil

import numpy as np
import pytest
from conftest import write_small_dataset
from small_workspace import plan_of, write_small_search

from semtune.dataset.conditions import CONDITIONS_FILE, read_conditions, write_conditions
from semtune.exhibits import material_of
from semtune.training.samples import read_samples
from semtune.workspace import Workspace


@pytest.fixture
def place(tmp_path):
    data = write_small_dataset(tmp_path / "dataset")
    return data, write_small_search(Workspace(tmp_path / "workspace"), data, "demo")


def gathered(folder):
    return material_of(folder, plan_of(folder), read_samples(folder.samples))


def test_test_frames_are_shown_with_all_that_is_known_of_them(place):
    data, folder = place
    samples = read_samples(folder.samples)
    names = samples.frames[samples.test].tolist()
    write_conditions(data, ("magnification", "note"), [(name, 1000, "") for name in samples.frames.tolist()])
    material = gathered(folder)
    assert set(material.conditions) == {"specimen", "magnification", "brightness", "contrast", "focus"}
    assert material.conditions["magnification"] == dict.fromkeys(names, 1000.0)
    assert set(material.conditions["specimen"].values()) <= {"tin_balls", "grid"}
    assert material.conditions["brightness"][names[0]] == samples.controls[samples.test[0], 0]
    assert material.frame(names[0]).shape == (96, 128)
    assert material.frame(names[0]).dtype == np.uint8
    assert material.space.architectures == ("pacf",)
    assert material.foreign == ()


def test_without_the_dataset_only_its_control_parameters_are_known(place):
    data, folder = place
    shutil.rmtree(data)
    assert set(gathered(folder).conditions) == {"brightness", "contrast", "focus"}


def test_damaged_conditions_are_left_out(place):
    data, _ = place
    (data / CONDITIONS_FILE).write_bytes(b"image,a\nx.png,\xff\n")
    assert set(read_conditions(data)) == {"specimen"}


def test_the_figure_that_focus_left_is_taken_up_with_its_caption(place):
    _, folder = place
    folder.focus_figure.write_text("<svg/>")
    assert gathered(folder).foreign == ()
    folder.focus_figure.with_suffix(".txt").write_text("Simulated focus curves of 50 fields.")
    (figure,) = gathered(folder).foreign
    assert (figure.media_type, figure.content) == ("image/svg+xml", b"<svg/>")
    assert figure.caption == "Simulated focus curves of 50 fields."
