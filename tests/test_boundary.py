"""Nothing outside a dataset's folder and the workspace is opened or changed, whatever the dataset says."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path

import pytest
import tifffile
from conftest import write_small_dataset
from PIL import Image

from semtune.dataset.checks import check
from semtune.dataset.importing import import_frames
from semtune.dataset.manifest import read_dataset
from semtune.errors import DatasetError, SemtuneError
from semtune.images import read_frame
from semtune.metadata import read_control_parameters
from semtune.planning import SearchRequest, check_request, plan_search

SECRET = "the secret of the house"
SPACE = "architecture: pacf\ncrop: 64\ntrials: 2\n"
INTERPRETER = [
    Path(place).resolve()
    for place in (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), Path(__file__).parents[1])
]
"""What Python and our own package are made of: a module may be imported when it is first needed."""
ODD = ["a b.png", "'.png", '".png', "$(touch x).png", "-rf.png", "Ω 😀.png", "%s%n.png", "..png", "a;b.png"]

watched: list[tuple[str, str]] | None = None


def _hook(event, arguments):
    if watched is not None and (event == "open" or event.startswith(("os.", "shutil.", "subprocess."))):
        places = (os.fsdecode(each) for each in arguments[:2] if isinstance(each, str | bytes | os.PathLike))
        watched.extend((event, place) for place in places if os.sep in place or event != "open")


@contextmanager
def inside(*folders):
    """Fail if what happens meanwhile touches a file outside the folders and the interpreter's own."""
    global watched
    allowed = [Path(folder).resolve() for folder in folders]
    watched = []
    try:
        yield
    finally:
        seen, watched = watched, None
    own = [*allowed, *INTERPRETER]
    foreign = {
        (event, place)
        for event, place in seen
        if not any(Path(place).resolve().is_relative_to(folder) for folder in own)
    }
    assert foreign == set()


@pytest.fixture(scope="module", autouse=True)
def _hook_is_there():
    sys.addaudithook(_hook)  # for good: Python takes none away, so it does nothing unless asked


def image(path, seed, **more):
    """A frame whose description sends readers of OME-TIFF to a file next door."""
    levels = read_frame(write_small_dataset(path.with_suffix(".d"), 1, 1, seed=seed) / "frames/field0_0.png")
    shutil.rmtree(path.with_suffix(".d"))
    if path.suffix == ".tif":
        tifffile.imwrite(path, levels, photometric="minisblack", metadata=None, **more)
    else:
        Image.fromarray(levels).save(path, format="PNG")


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="128" SizeY="96" SizeC="1" SizeZ="1"'
    ' SizeT="1"><TiffData IFD="0" PlaneCount="1"><UUID FileName="../secret.tif">urn:uuid:1</UUID></TiffData>'
    "</Pixels></Image></OME>"
)


@pytest.fixture
def hostile(tmp_path):
    """Beside a secret: a dataset of sound rows, odd names, and links, paths and texts that lead out."""
    (tmp_path / "secret").write_text(f"{SECRET}\n$CM_BRIGHTNESS 77\n")
    image(tmp_path / "secret.tif", 99)
    folder = write_small_dataset(tmp_path / "dataset")
    rows = (folder / "manifest.csv").read_text().splitlines()
    for seed, name in enumerate(ODD):
        image(folder / name, 100 + seed)
    image(folder / "ome.tif", 200, description=OME)
    image(folder / "beside.tif", 201)
    (folder / "beside.txt").symlink_to("../secret")
    (folder / "link.png").symlink_to("../secret.tif")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    (folder / "etc").symlink_to("/etc", target_is_directory=True)
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    ways_out = [
        "../secret.tif", "frames/../../secret.tif", str(tmp_path / "secret.tif"), "link.png",
        "linked/secret.tif", "etc/passwd", "/etc/passwd", "/dev/zero", "/proc/self/mem", "loop.png",
        "pipe.png", "~/secret", "file:///etc/passwd", "http://127.0.0.1/x.png", "..\\secret.tif", "C:\\x.png",
    ]  # fmt: skip
    for number, name in enumerate([*ODD, "ome.tif", "beside.tif", *ways_out]):
        quoted = '"' + name.replace('"', '""') + '"'
        rows.append(f"{quoted},5,tin_balls,odd{number % 3},50,50,0")
    (folder / "manifest.csv").write_text("\n".join([*rows, ""]))
    table = [f"{row.rsplit(',', 6)[0]},{number % 9}" for number, row in enumerate(rows[1:])]
    (folder / "scores.csv").write_text("\n".join(["image,score", *table, ""]))
    return folder


def test_the_watch_sees_what_lies_elsewhere(tmp_path):
    with pytest.raises(AssertionError, match="/etc/passwd"), inside(tmp_path):
        Path("/etc/passwd").read_bytes()


def test_a_check_stays_inside_and_names_every_way_out(hostile):
    with inside(hostile):
        report = check(hostile)
    assert report.frames == 24 + len(ODD) + 2 + 16
    assert len({fault.line for fault in report.faults if fault.severity == "error"}) == 16
    for fault in report.faults:
        assert SECRET not in str(fault)
        assert len(str(fault).splitlines()) == 1
        assert "; " in fault.fault


def test_a_search_of_what_is_sound_stays_inside_up_to_its_plan(hostile, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    request = SearchRequest(str(tmp_path / "space.yaml"), hostile, "small", leave_out_faulty=True)
    with inside(hostile, tmp_path / "workspace", tmp_path / "space.yaml", "/proc/cpuinfo"):
        plan, _ = plan_search(check_request(request), tmp_path / "workspace" / "frames")
        with pytest.raises(DatasetError, match="leaves the dataset's folder"):
            read_dataset(hostile)
    assert plan.frames == 24 + len(ODD) + 2


def test_an_import_stays_inside_and_writes_nothing_it_refuses(hostile, tmp_path):
    before = sorted(tmp_path.iterdir())
    target = tmp_path / "target"
    draft = tmp_path / f".target.importing-{os.getpid()}"
    with inside(hostile, target, draft), pytest.raises(DatasetError) as refused:
        import_frames(hostile, target, hostile / "scores.csv")
    lines = str(refused.value).splitlines()
    assert len({line.split(":")[1] for line in lines}) == 17  # also the frame whose text beside it leads out
    assert "beside.txt beside it links to a place outside its folder; give its control" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert all("; " in line for line in lines)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("file", ["manifest.csv", "dataset.yaml"])
@pytest.mark.parametrize("to", ["../secret", "/etc/passwd"])
def test_a_text_of_the_dataset_that_links_elsewhere_is_not_read(hostile, file, to):
    (hostile / file).unlink()
    (hostile / file).symlink_to(to)
    with inside(hostile):
        faults = [fault for fault in check(hostile).faults if fault.file == file]
        with pytest.raises(
            DatasetError, match="links to a place outside its folder; copy it into the folder"
        ):
            read_dataset(hostile)
    assert [fault.fault.partition(";")[0] for fault in faults] == [
        "the file links to a place outside its folder"
    ]


def test_a_table_of_scores_that_links_elsewhere_is_not_read(hostile, tmp_path):
    (hostile / "scores.csv").unlink()
    (hostile / "scores.csv").symlink_to("/etc/passwd")
    with inside(hostile, tmp_path / "target"), pytest.raises(DatasetError, match="outside its folder; copy"):
        import_frames(hostile, tmp_path / "target", hostile / "scores.csv")


@pytest.mark.parametrize("suffix", [".txt", "-tif.hdr"])
def test_metadata_beside_a_frame_are_not_read_from_elsewhere(hostile, suffix):
    (hostile / "beside.txt").unlink()
    (hostile / f"beside{suffix}").symlink_to("../secret")
    with inside(hostile), pytest.raises(SemtuneError, match="links to a place outside its folder; give"):
        read_control_parameters(hostile / "beside.tif")


def test_texts_and_frames_that_link_to_a_place_inside_are_read(hostile):
    (hostile / "store").mkdir()
    for name in ("manifest.csv", "dataset.yaml", "beside.tif"):
        (hostile / name).rename(hostile / "store" / name)
        (hostile / name).symlink_to(f"store/{name}")
    assert len(read_dataset(hostile, leave_out_faulty=True).samples) == 24 + len(ODD) + 2
