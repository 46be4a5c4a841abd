"""Reading, cropping and tiling of frames."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semtune.errors import DatasetError
from semtune.images import crop_data_bar, find_data_bar, read_frame, tiles, to_uint8, write_png

SEM_FRAMES = Path(__file__).parents[2] / "shared" / "sem_frames"
needs_sem_frames = pytest.mark.skipif(
    not SEM_FRAMES.is_dir(), reason="the folder of real SEM frames is not here"
)


def noise(height=48, width=64, mean=128.0, seed=0):
    values = np.random.default_rng(seed).normal(mean, 19, (height, width))
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


GREY = noise()
GREY16 = np.random.default_rng(1).integers(0, 65536, (48, 64), dtype=np.uint16)


# Formats


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_a_lossless_grey_file_gives_the_grey_levels_written(tmp_path, suffix):
    path = tmp_path / f"frame{suffix}"
    Image.fromarray(GREY).save(path)
    frame = read_frame(path)
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, GREY)


def test_a_jpeg_is_read_to_within_its_loss(tmp_path):
    path = tmp_path / "frame.jpg"
    Image.fromarray(GREY).save(path, quality=100)
    assert np.abs(read_frame(path).astype(int) - GREY).max() <= 2


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("grey", [GREY, GREY16], ids=["8 bits", "16 bits"])
def test_a_tiff_gives_the_grey_levels_written(tmp_path, grey, compression, byteorder):
    path = tmp_path / "frame.tif"
    tifffile.imwrite(path, grey, compression=compression, byteorder=byteorder, photometric="minisblack")
    frame = read_frame(path)
    assert frame.dtype == grey.dtype
    assert frame.dtype.isnative
    np.testing.assert_array_equal(frame, grey)


@pytest.mark.parametrize("grey", [GREY, GREY16], ids=["8 bits", "16 bits"])
def test_a_written_png_is_read_back_unchanged(tmp_path, grey):
    write_png(tmp_path / "frame.png", grey)
    np.testing.assert_array_equal(read_frame(tmp_path / "frame.png"), grey)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "frame.png"), cv2.IMREAD_UNCHANGED), grey)


@pytest.mark.parametrize("grey", [GREY, GREY16], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_equal_channels_give_that_channel_and_alpha_is_dropped(tmp_path, grey, channels):
    pixels = np.stack([grey] * channels, axis=-1)
    if channels in (2, 4):
        pixels[..., -1] = 7
    (tmp_path / "frame.png").write_bytes(imagecodecs.png_encode(pixels))
    frame = read_frame(tmp_path / "frame.png")
    assert frame.dtype == grey.dtype
    np.testing.assert_array_equal(frame, grey)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_becomes_the_luma_of_rec_601(tmp_path, planar):
    pixels = np.zeros((4, 3, 3), np.uint8)
    pixels[:, 0, 0] = pixels[:, 1, 1] = pixels[:, 2, 2] = 200
    written = np.moveaxis(pixels, -1, 0) if planar == "separate" else pixels
    tifffile.imwrite(tmp_path / "frame.tif", written, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_frame(tmp_path / "frame.tif")[0], [60, 117, 23])


@pytest.mark.parametrize("scale", [1, 256, 257], ids=["0..255", "0..65280", "0..65535"])
def test_palette_indices_are_mapped_through_the_colour_map(tmp_path, scale):
    levels = np.arange(255, -1, -1, dtype=np.uint16)  # index i shows the level 255 - i
    tifffile.imwrite(tmp_path / "f.tif", GREY, photometric="palette", colormap=np.stack([levels * scale] * 3))
    np.testing.assert_array_equal(read_frame(tmp_path / "f.tif"), 255 - GREY)


def test_an_inverted_tiff_is_turned_the_right_way_round(tmp_path):
    tifffile.imwrite(tmp_path / "f.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_frame(tmp_path / "f.tif"), 255 - GREY)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit_becomes_black_and_white(tmp_path, suffix):
    black_and_white = GREY > 128
    Image.fromarray(black_and_white).save(tmp_path / f"f{suffix}")
    np.testing.assert_array_equal(read_frame(tmp_path / f"f{suffix}"), np.uint8(255) * black_and_white)


def test_twelve_packed_bits_are_stretched_to_sixteen(tmp_path):
    packed = imagecodecs.packints_encode(np.array([[0, 4095, 2048, 1]], np.uint16), 12)
    tags = [
        (256, 4),
        (257, 1),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 200),
        (277, 1),
        (278, 1),
        (279, len(packed)),
    ]
    entries = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0"
    (tmp_path / "f.tif").write_bytes(data.ljust(200, b"\0") + packed)
    np.testing.assert_array_equal(read_frame(tmp_path / "f.tif"), [[0, 65535, 32776, 16]])


def test_the_first_page_is_read_of_many(tmp_path):
    tifffile.imwrite(tmp_path / "f.tif", np.stack([GREY, 255 - GREY]), photometric="minisblack")
    np.testing.assert_array_equal(read_frame(tmp_path / "f.tif"), GREY)


def test_a_file_is_known_by_its_content_not_by_its_suffix(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "frame.png", format="BMP")
    np.testing.assert_array_equal(read_frame(tmp_path / "frame.png"), GREY)


# Refusals


def png_of_size(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
    return data + b"\0" * 64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes"),
        (b"not an image", "is no PNG, TIFF, JPEG or BMP file"),
        (b"\x89PNG\r\n\x1a\n", "damaged or incomplete"),
        (b"II*\0\x08\0\0\0", "damaged or incomplete"),
        (b"BM", "damaged or incomplete"),
        (b"\xff\xd8\xff\xe0", "damaged or incomplete"),
        (png_of_size(0, 5), "has 0 x 5 pixels"),
        (png_of_size(65_536, 5), "65536 x 5 pixels, over 65535 a side"),
        (png_of_size(60_000, 60_000), "60000 x 60000 pixels, over"),
    ],
)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "frame.png"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"frame\.png: .*{message}.*; "):
        read_frame(path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DatasetError, match=r"pipe\.png: is not a regular file"):
        read_frame(tmp_path / "pipe.png")
    with pytest.raises(DatasetError, match="is not a regular file"):
        read_frame(tmp_path)
    with pytest.raises(DatasetError, match="No such file or directory"):
        read_frame(tmp_path / "missing.png")


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
def test_a_tiff_of_other_numbers_is_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "f.tif", GREY.astype(dtype), photometric="minisblack")
    with pytest.raises(DatasetError, match=r"not unsigned 1 to 16; save it again as a grey PNG or TIFF"):
        read_frame(tmp_path / "f.tif")


def test_other_colours_are_refused(tmp_path):
    Image.fromarray(GREY).convert("CMYK").save(tmp_path / "f.jpg")
    with pytest.raises(DatasetError, match="colours of kind CMYK; save it again"):
        read_frame(tmp_path / "f.jpg")
    Image.fromarray(GREY).convert("CMYK").save(tmp_path / "f.tif")
    with pytest.raises(DatasetError, match="has 4 channels of kind"):
        read_frame(tmp_path / "f.tif")


def encoded(kind):
    if kind == "png":
        return imagecodecs.png_encode(GREY)
    if kind == "jpg":
        return imagecodecs.jpeg8_encode(GREY)
    if kind == "bmp":
        return imagecodecs.bmp_encode(GREY)
    with tifffile.TiffWriter(buffer := io.BytesIO()) as writer:
        writer.write(
            GREY, compression=None if kind == "tif" else kind, rowsperstrip=16, photometric="minisblack"
        )
    return buffer.getvalue()


KINDS = ["png", "jpg", "bmp", "tif", "lzw", "deflate"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, kind):
    data = encoded(kind)
    path = tmp_path / "frame"
    for length in {*range(0, 64, 7), *range(64, len(data) - 32, 97)}:
        path.write_bytes(data[:length])
        with pytest.raises(DatasetError, match=r"frame: .*; "):
            read_frame(path)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_a_frame_or_our_error_and_no_noise(tmp_path, kind, capfd):
    @settings(max_examples=60, deadline=None)
    @given(st.dictionaries(st.integers(0, len(encoded(kind)) - 1), st.integers(0, 255), max_size=6))
    def read_damaged(changes):
        data = bytearray(encoded(kind))
        for position, value in changes.items():
            data[position % (256 if position % 2 else len(data))] = value
        path = tmp_path / "frame"
        path.write_bytes(data)
        try:
            frame = read_frame(path)
        except DatasetError:
            return
        assert frame.ndim == 2
        assert frame.dtype in (np.uint8, np.uint16)

    read_damaged()
    assert capfd.readouterr() == ("", "")


# Grey levels


def test_sixteen_bits_become_eight_over_the_full_range():
    np.testing.assert_array_equal(
        to_uint8(np.array([[0, 128, 129, 257, 65406, 65407, 65535]], np.uint16)),
        [[0, 0, 1, 1, 254, 255, 255]],
    )
    every_level = np.arange(256, dtype=np.uint16)[None]
    np.testing.assert_array_equal(to_uint8(every_level * 257), every_level)
    assert to_uint8(GREY) is GREY or np.array_equal(to_uint8(GREY), GREY)


# Data bars


def with_bar(frame, rows, paper, ink, below=0, jpeg=False):
    """A frame whose bottom shows a framed bar with writing, as vendors burn it in."""
    burned = frame.copy()
    end = frame.shape[0] - below
    burned[end - rows : end] = paper
    burned[end - rows] = ink
    text_size = rows / 70
    for column, text in ((4, "20.00 kV  WD 8.1 mm"), (frame.shape[1] // 2, "1 um  ETD")):
        cv2.putText(burned[: end - 2], text, (column, end - rows // 3), 0, text_size, int(ink), 1)
    return imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(burned, level=90)) if jpeg else burned


@pytest.mark.parametrize("jpeg", [False, True], ids=["lossless", "jpeg"])
@pytest.mark.parametrize("below", [0, 2], ids=["at the bottom", "two rows above it"])
@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (40, 220)])
@pytest.mark.parametrize("rows", [28, 60, 110])
def test_a_bar_with_writing_is_found_to_the_row(rows, paper, ink, below, jpeg):
    found = find_data_bar(with_bar(noise(480, 640), rows, paper, ink, below, jpeg))
    assert abs(found - rows - below) <= (1 if jpeg else 0)


def test_a_bar_is_found_in_sixteen_bits_and_cropped():
    frame = with_bar(noise(480, 640), 60, 0, 255).astype(np.uint16) * 257
    assert crop_data_bar(frame).shape == (420, 640)


@settings(max_examples=40, deadline=None)
@given(
    mean=st.floats(-80, 340),
    split=st.integers(0, 479),
    step=st.floats(-300, 300),
    ball=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_frame_without_a_bar_is_never_cropped(mean, split, step, ball, seed):
    """Noise with a horizontal edge anywhere, black and saturated bands, a bright ball low in the frame."""
    scene = np.full((480, 640), mean)
    scene[split:] += step
    if ball:
        y, x = np.mgrid[:480, :640]
        inside = (y - 430) ** 2 + (x - 300) ** 2 < 35**2
        scene[inside] = 60 + 195 * np.sqrt(((y - 430) ** 2 + (x - 300) ** 2)[inside]) / 35
    noisy = scene + np.random.default_rng(seed).normal(0, 19, scene.shape)
    assert find_data_bar(np.clip(np.round(noisy), 0, 255).astype(np.uint8)) == 0
    assert find_data_bar(np.clip(np.round(scene), 0, 255).astype(np.uint8)) == 0


def test_tiny_frames_have_no_bar():
    for height in range(1, 40):
        assert find_data_bar(np.zeros((height, 5), np.uint8)) == 0


def test_rows_of_a_bar_given_are_cropped_unseen():
    assert crop_data_bar(GREY, 8).shape == (40, 64)
    assert crop_data_bar(GREY, 0).shape == GREY.shape
    with pytest.raises(DatasetError, match=r"`0 <= height < 48` must hold for a data bar, but got height=48"):
        crop_data_bar(GREY, 48)


@needs_sem_frames
@pytest.mark.parametrize(
    ("name", "shape", "bar"),
    [
        ("zeiss_auriga60_inlens.tif", (768, 1024), 78),  # 76 rows of bar, and two rows of image below it
        ("zeiss_merlin_se2.tif", (768, 1024), 0),
        ("thermo_ion_beam.tif", (1024, 1536), 0),
        ("zeiss_merlin_defocus_-13324nm_base.png", (768, 1024), 0),  # a BMP file under the suffix .png
        ("zeiss_merlin_defocus_-13324nm_pert-5000.png", (768, 1024), 0),
        ("zeiss_merlin_defocus_-13324nm_pert5000.png", (768, 1024), 0),
    ],
)
def test_real_frames_are_read_and_their_bars_found(name, shape, bar):
    frame = read_frame(SEM_FRAMES / name)
    assert frame.shape == shape
    assert frame.dtype == np.uint8
    assert find_data_bar(frame) == bar
    assert find_data_bar(frame[: shape[0] - bar]) == 0


# Tiles


def test_one_tile_is_the_centre_and_more_form_a_grid_in_the_frames_aspect():
    assert tiles(480, 640, 224, 1) == [(128, 208)]
    assert tiles(480, 640, 224, 4) == [(0, 0), (0, 416), (256, 0), (256, 416)]
    twelve = tiles(480, 640, 224, 12)
    assert sorted({top for top, _ in twelve}) == [0, 128, 256]
    assert sorted({left for _, left in twelve}) == [0, 139, 277, 416]
    assert len(tiles(480, 640, 224, 5)) == 4


@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 300), st.integers(1, 40))
def test_tiles_lie_inside_differ_and_are_symmetric(height, width, size, count):
    if min(height, width) < size:
        with pytest.raises(
            DatasetError, match=f"smaller than a tile of {size} x {size}; leave the frame out"
        ):
            tiles(height, width, size, count)
        return
    positions = tiles(height, width, size, count)
    assert 1 <= len(positions) == len(set(positions)) <= count
    assert all(0 <= top <= height - size and 0 <= left <= width - size for top, left in positions)
    for room, values in (
        (height - size, {p[0] for p in positions}),
        (width - size, {p[1] for p in positions}),
    ):
        assert abs(min(values) + max(values) - room) <= 1


def test_tiles_refuse_a_count_of_none():
    with pytest.raises(ValueError, match="`count >= 1` must hold"):
        tiles(480, 640, 224, 0)
