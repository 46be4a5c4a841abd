"""A dataset of simulated frames: the same bytes from the same seed, whole or not at all."""

import hashlib
from dataclasses import asdict

import pytest

from semtune.dataset.checks import check
from semtune.dataset.description import read_description
from semtune.dataset.manifest import read_dataset
from semtune.errors import DatasetError, UnknownNameError
from semtune.simulated_dataset import write_simulated_dataset
from semtune.simulator import Disturbances, Variation


def bytes_of(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A dataset of 3 fields x 2 frames, and how far it was told to be on its way."""
    folder, told = tmp_path_factory.mktemp("simulated") / "frames", []
    count = write_simulated_dataset(folder, 3, 2, 5, "overall", processes=1, on_field=told.append)
    assert count == 6
    return folder, told


def test_it_is_a_dataset_without_errors(written):
    folder, told = written
    report = check(folder)
    assert (report.frames, report.fields) == (6, 3)
    assert report.is_clean
    assert told == [1, 2, 3]


def test_it_says_that_it_is_simulated_and_from_which_seed(written):
    description = read_dataset(written[0]).description
    assert (description.origin, description.seed, description.profile) == ("simulated", 5, "overall")
    assert description.control_parameters == ("brightness", "contrast", "focus")
    assert description.rater_noise == pytest.approx(0.35)


def test_it_says_who_scored_and_what_varied(tmp_path):
    write_simulated_dataset(tmp_path / "plain", 1, 1, 0, "focus", 1, disturbances=Disturbances(drift_px=0.3))
    write_simulated_dataset(tmp_path / "varied", 1, 1, 0, "overall", 1, variation=Variation())
    plain, varied = (read_description(tmp_path / name) for name in ("plain", "varied"))
    assert plain.weights == {"sharpness": 0.85, "contrast": 0.05, "brightness": 0.0, "noise": 0.1}
    assert plain.spoilers == ("sharpness",)
    assert plain.disturbances == {"drift_px": 0.3}
    assert plain.varied is None
    assert varied.disturbances is None
    assert varied.varied == asdict(Variation())


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_processes(written, tmp_path):
    (tmp_path / "again").mkdir()  # an empty folder is taken
    write_simulated_dataset(tmp_path / "again", 3, 2, 5, "overall", processes=2)
    assert bytes_of(tmp_path / "again") == bytes_of(written[0])
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_another_seed_gives_other_frames(written, tmp_path):
    write_simulated_dataset(tmp_path / "other", 1, 2, 6, "overall", processes=1)
    frames = {name: digest for name, digest in bytes_of(tmp_path / "other").items() if name.suffix == ".png"}
    assert len(frames) == 2
    assert not set(frames.values()) & set(bytes_of(written[0]).values())


def test_what_is_there_is_not_overwritten(written, tmp_path):
    before = bytes_of(written[0])
    (tmp_path / "file").write_text("mine")
    for taken in (written[0], tmp_path / "file"):
        with pytest.raises(DatasetError, match="not an empty folder; nothing is overwritten"):
            write_simulated_dataset(taken, 1, 1, 0, "overall", processes=1)
    assert bytes_of(written[0]) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(UnknownNameError, match="no specialist named 'focuss'; did you mean 'focus'"):
        write_simulated_dataset(tmp_path / "frames", 1, 1, 0, "focuss", processes=1)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match=r"cannot be written .*; choose another place"):
        write_simulated_dataset(tmp_path / "file" / "frames", 1, 1, 0, "overall", processes=1)
