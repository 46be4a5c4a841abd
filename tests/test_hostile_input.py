"""Whatever somebody sends: only our errors come out, within a second and 500 MB (see hostile.py)."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import write_small_dataset
from hostile import FUZZ, bounded, damaged, odd_text
from hypothesis import given
from hypothesis import strategies as st
from small_search import write_small_table
from small_workspace import write_small_search
from test_metadata import JEOL, TESCAN_MAIN, TESCAN_SEM, beside, tescan_block, thermo_block, tiff, zeiss_block

from semtune.cli_options import parse_controls, parse_seconds
from semtune.dataset.description import read_description
from semtune.dataset.importing import import_frames
from semtune.dataset.manifest import read_dataset
from semtune.dataset.raters import judge_raters, raters_in_words
from semtune.dataset.ratings import read_ratings
from semtune.dataset.recorded import scale_faults, scales, scales_in_words
from semtune.errors import DatasetError
from semtune.images import read_frame
from semtune.journal import read_record
from semtune.metadata import read_control_parameters
from semtune.planning import read_plan
from semtune.predictions import read_predictions
from semtune.search.space import parse_space
from semtune.tracking.progress import read_progress
from semtune.training.checkpoint import read_weights, write_weights
from semtune.training.samples import read_samples, write_samples
from semtune.workspace import PREDICTIONS, Workspace

GREY = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
SPACE = (
    b"architecture: {choice: [pacf, vgg11]}\nlearning_rate: {log_uniform: [1.0e-5, 1.0e-2]}\n"
    b"dropout: {uniform: [0.0, 0.5], when: {architecture: [vgg11]}, otherwise: 0.1}\nepochs: 6\ncrop: 96\n"
    b"stratify: architecture\nfirst: {learning_rate: 1.0e-3}\ntrials: 4\nseed: 7\n"
)
HITACHI = (
    "[SemImageFile]\r\nInstructName=TM3000\r\nSignalName=BSE\r\nMagnification=1000\r\nPixelSize=99.2\r\n"
    "Brightness=1411\r\nContrast=2223\r\nWorkingDistance=7400 um\r\nAcceleratingVoltage=15000 Volt\r\n"
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_small_dataset(tmp_path_factory.mktemp("hostile") / "dataset", fields=3, frames=1)


def fuzz(folder, name, whole, read):
    """Damage a valid file in every way, and read what is left."""

    @FUZZ
    @given(damaged(whole))
    def run(data):
        (folder / name).write_bytes(data)
        with bounded():
            read(folder / name)

    run()


# Datasets


def test_a_damaged_manifest(dataset):
    whole = (dataset / "manifest.csv").read_bytes()
    try:
        fuzz(dataset, "manifest.csv", whole, lambda path: read_dataset(path.parent))
    finally:
        (dataset / "manifest.csv").write_bytes(whole)


def test_a_manifest_of_odd_cells(dataset):
    whole = (dataset / "manifest.csv").read_text()
    header, *rows = whole.splitlines()

    @FUZZ
    @given(st.integers(0, 6), odd_text)
    def run(column, text):
        cells = rows[0].split(",")
        cells[column] = '"' + text.replace('"', '""') + '"'
        content = "\n".join([header, ",".join(cells), *rows[1:], ""])
        (dataset / "manifest.csv").write_bytes(content.encode("utf-8", "surrogatepass"))
        with bounded():
            read_dataset(dataset)

    try:
        run()
    finally:
        (dataset / "manifest.csv").write_text(whole)


def test_a_damaged_description(tmp_path):
    whole = b"name: tin\nscore_range: [0, 10]\ncontrol_parameters: [brightness, focus]\norigin: simulated\n"
    fuzz(
        tmp_path,
        "dataset.yaml",
        whole + b"rater_noise: 0.3\nprofile: overall\n",
        lambda path: read_description(path.parent),
    )


def test_a_damaged_table_of_scores(dataset, tmp_path):
    whole = b"image,score,field,focus,extra\nframes/field0_0.png,3.5,a,4.5,1\nframes/field1_0.png,4,b,,2\n"
    fuzz(tmp_path, "scores.csv", whole, lambda path: import_into_nowhere(dataset, path))


def import_into_nowhere(dataset, path):
    """Import, but onto a folder that is taken at the end: what is read is read, nothing piles up."""
    target = path.parent / "target"
    try:
        import_frames(dataset, target, path)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def test_damaged_ratings(tmp_path):
    whole = b"image,rater,score,rated\n" + b"".join(
        b"frames/%d.png,%s,%d.5,2026-11-27T05:00:00Z\n" % (frame, rater, frame)
        for rater in (b"Ann", b"Bob", b"Ann")
        for frame in range(4)
    )

    def read(path):
        found = read_ratings(path.parent)
        report = judge_raters(found.ratings)
        raise DatasetError("; ".join([*map(str, found.faults), *(raters_in_words(report) if report else ())]))

    fuzz(tmp_path, "ratings.csv", whole, read)


def test_damaged_conditions(tmp_path):
    whole = b"image,vendor,brightness_unit,contrast_unit,magnification\na.png,zeiss,percent,percent,1000\n"
    whole += b"b.png,jeol,counts,counts,\n"

    def read(path):
        said = [*map(str, scale_faults(path.parent)), *scales_in_words(scales(path.parent))]
        raise DatasetError("; ".join(["scales", *said, "correct it"]))

    fuzz(tmp_path, "conditions.csv", whole, read)


def test_a_damaged_search_space():
    @FUZZ
    @given(damaged(SPACE))
    def run(data):
        with bounded():
            parse_space(data.decode("utf-8", "replace"), "space.yaml", "space")

    run()


@FUZZ
@given(
    st.one_of(
        odd_text,
        damaged(b"brightness=50,contrast=45.5, focus = -1e3").map(lambda data: data.decode("latin-1")),
    )
)
def test_control_parameters_of_the_command_line(text):
    with bounded():
        assert all(np.isfinite(list(parse_controls(text).values())))
    with bounded():
        parse_seconds(text)


# Metadata


@pytest.mark.parametrize(
    ("tag", "block"),
    [(34118, zeiss_block().encode("latin-1")), (34682, thermo_block().encode()), (50431, tescan_block())],
    ids=["zeiss", "thermo", "tescan"],
)
def test_a_damaged_block_inside_a_tiff(tmp_path, tag, block):
    @FUZZ
    @given(damaged(block))
    def run(data):
        path = tiff(tmp_path, tag, data or b" ")
        with bounded():
            read_control_parameters(path)

    run()


@pytest.mark.parametrize(
    ("text", "suffix"),
    [(JEOL, ".txt"), (HITACHI, ".txt"), (TESCAN_MAIN + TESCAN_SEM, "-tif.hdr")],
    ids=["jeol", "hitachi", "tescan"],
)
def test_a_damaged_text_beside_a_tiff(tmp_path, text, suffix):
    path = beside(tmp_path, text, suffix=suffix)
    fuzz(tmp_path, f"frame{suffix}", text.encode(), lambda _: read_control_parameters(path))


# Images


def encoded(kind):
    if kind == "png":
        return imagecodecs.png_encode(GREY)
    if kind == "jpeg":
        return imagecodecs.jpeg8_encode(GREY)
    if kind == "bmp":
        return imagecodecs.bmp_encode(GREY)
    with tifffile.TiffWriter(buffer := io.BytesIO()) as writer:
        compression = None if kind == "tiff" else kind.removeprefix("tiff-")
        writer.write(GREY, compression=compression, rowsperstrip=16, photometric="minisblack", metadata=None)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", ["png", "jpeg", "bmp", "tiff", "tiff-deflate", "tiff-lzw", "tiff-jpeg", "tiff-zstd"]
)
def test_a_damaged_image(tmp_path, kind):
    fuzz(tmp_path, "frame", encoded(kind), read_frame)


def png(width, height, depth, colour, data=b"", before=b""):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bomb(width, height, channels, depth):
    """A PNG of zeros, whole and small."""
    squeeze = zlib.compressobj(1)
    row = bytes(1 + width * channels * depth // 8)
    rows = b"".join(squeeze.compress(row) for _ in range(height))
    return rows + squeeze.flush()


@FUZZ
@given(
    st.sampled_from([0, 1, 2, 64, 46_341, 65_535, 65_536, 2**31 - 1, 2**32 - 1]),
    st.sampled_from([0, 1, 2, 64, 46_341, 65_535, 65_536, 2**31 - 1, 2**32 - 1]),
    st.sampled_from([0, 1, 2, 4, 8, 16, 255]),
    st.integers(0, 7),
    st.binary(max_size=20).map(zlib.compress),
)
def test_a_png_header_of_any_size(tmp_path_factory, width, height, depth, colour, data):
    path = tmp_path_factory.getbasetemp() / "header.png"
    path.write_bytes(png(width, height, depth, colour, data))
    with bounded():
        read_frame(path)


@pytest.mark.parametrize(
    ("width", "height", "channels", "depth", "colour", "fits"),
    [
        (50_000, 50_000, 1, 8, 0, False),
        (11_585, 11_585, 4, 16, 6, False),
        (11_585, 11_585, 1, 8, 0, True),
        (4096, 4096, 4, 16, 6, True),
        (5792, 5792, 3, 8, 2, True),
        (65_535, 64, 1, 16, 0, True),
    ],
)
def test_the_largest_frames_are_read_and_larger_ones_refused(
    tmp_path, width, height, channels, depth, colour, fits
):
    data = bomb(width, height if fits else 100, channels, depth)
    (tmp_path / "frame.png").write_bytes(png(width, height, depth, colour, data))
    with bounded():
        assert read_frame(tmp_path / "frame.png").shape == (height, width)
        assert fits


def test_a_jpeg_inside_a_tiff_is_no_larger_than_its_strip(tmp_path):
    strip = imagecodecs.jpeg8_encode(np.zeros((8000, 8000), np.uint8))
    data = bytearray(encoded("tiff-jpeg"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tags = file.pages[0].tags
        assert tags[273].count == 4
        for tag, value in ((273, len(data)), (279, len(strip))):
            at = tags[tag].valueoffset
            data[at : at + 4] = struct.pack("<I", value)
    (tmp_path / "frame.tif").write_bytes(bytes(data) + strip)
    with pytest.raises(DatasetError, match="JPEG of another size"):
        read_frame(tmp_path / "frame.tif")


# A workspace that somebody damaged


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    data = write_small_dataset(folder / "data")
    return write_small_search(Workspace(folder / "workspace"), data, "small")


def test_a_damaged_plan(searched, tmp_path):
    fuzz(tmp_path, "search.json", searched.plan.read_bytes(), lambda path: read_plan(path).space())


def test_a_damaged_journal(searched, tmp_path):
    fuzz(tmp_path, "journal.jsonl", searched.journal.read_bytes(), summarise)


def summarise(path):
    record = read_record(path)
    for trial in record.trials.values():
        assert trial.architecture
    return record.seconds, record.frames_trained, record.best_trial


def test_damaged_samples(tmp_path):
    write_samples(write_small_table(tmp_path), tmp_path / "whole.npz")
    fuzz(tmp_path, "samples.npz", (tmp_path / "whole.npz").read_bytes(), read_samples)


def test_damaged_progress(tmp_path):
    whole = json.dumps({"position": 12, "experiment_id": "1", "runs": {"": "a", "trial-0000": "b"}}).encode()
    fuzz(tmp_path, "tracked.json", whole, lambda path: read_progress(path).position)


def test_damaged_weights(tmp_path):
    import torch

    facts = {
        "hyperparameters": {"architecture": "pacf"},
        "control_parameters": ["focus"],
        "score_range": [0, 10],
    }
    write_weights(torch.nn.Linear(3, 2), facts, tmp_path / "whole")
    fuzz(tmp_path, "weights.safetensors", (tmp_path / "whole").read_bytes(), read_weights)


def test_damaged_predictions(searched, tmp_path):
    whole = (searched.trials / "trial-0000" / PREDICTIONS).read_bytes()
    fuzz(tmp_path, PREDICTIONS, whole, read_predictions)
