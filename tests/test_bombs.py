"""Small files that ask for much: each is answered within a second and 500 MB, by a frame or by one line."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from hostile import bounded
from PIL import Image

from semtune.errors import DatasetError
from semtune.images import read_frame
from semtune.metadata import read_control_parameters

MANY = 2**32 - 1
LARGER = "tags larger than any frame needs"
SWELLING = zlib.compress(bytes(2**26), 1)


def tiff(payload=bytes(4096), height=64, width=64, big=False, **tags):
    """A grey TIFF of one strip; tags by number, e.g. `t273=(type, count, value)`, replace its own or add."""
    entries = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, 4096), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, len(payload)),
        **{int(name[1:]): value for name, value in tags.items()},
    }  # fmt: skip
    head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(entries))
    if not big:
        head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    entry = "<HHQQ" if big else "<HHII"
    body = b"".join(struct.pack(entry, tag, *value) for tag, value in sorted(entries.items()))
    return (head + body).ljust(4096, b"\0") + payload


def tiled(side, payload, **tags):
    return tiff(
        payload, t322=(4, 1, side), t323=(4, 1, side), t324=(4, 1, 4096), t325=(4, 1, len(payload)), **tags
    )


def bmp(width, height, bits, compression, data):
    palette = b"".join(bytes((level, level, level, 0)) for level in range(2**bits)) if bits <= 8 else b""
    offset = 54 + len(palette)
    facts = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + facts + palette + data


def png(*before, side=64):
    def chunk(kind, content):
        head = struct.pack(">I", len(content)) + kind + content
        return head + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes((side + 1) * side)))
    return (
        b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*each) for each in before) + data + chunk(b"IEND", b"")
    )


def progressive(side, scans):
    """A JPEG whose last scan stands there again and again."""
    Image.fromarray(np.zeros((side, side), np.uint8)).save(buffer := io.BytesIO(), "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data[data.rfind(b"\xff\xc4") : -2]
    return data[:-2] + (scans - data.count(b"\xff\xda")) * last + data[-2:]


REFUSED = {
    "a TIFF of over 65535 a side": (lambda: tiff(height=65_536), "over 65535 a side"),
    "deflate that outgrows its strip": (lambda: tiff(SWELLING, t259=(3, 1, 8)), "INSUFFICIENT_SPACE"),
    "Zstandard that outgrows its strip": (
        lambda: tiff(imagecodecs.zstd_encode(bytes(2**26)), t259=(3, 1, 50_000)),
        "buffer is too small",
    ),
    "a tile of a gigabyte": (lambda: tiled(2**15, SWELLING, t259=(3, 1, 8)), "tiles of 32768 x 32768 pixels"),
    "a tile of all numbers": (lambda: tiled(MANY - 15, SWELLING, t259=(3, 1, 8)), "tiles of 4294967280"),
    "sixty-four million strips": (lambda: tiff(t273=(4, 2**26, 8)), LARGER),
    "as many of their sizes": (lambda: tiff(t279=(4, 2**26, 8)), LARGER),
    "a description of four gigabytes": (lambda: tiff(t270=(2, MANY, 8)), LARGER),
    "numbers of ImageJ": (lambda: tiff(t50838=(4, 2**26, 8)), LARGER),
    "a BigTIFF of as many strips": (lambda: tiff(big=True, t273=(16, 2**40, 8)), LARGER),
    "a directory of 65535 tags": (
        lambda: struct.pack("<2sHIH", b"II", 42, 8, 65_535) + bytes(2**20),
        "65535 tags",
    ),
    "strips that are all of the file": (
        lambda: tiff(
            struct.pack("<I", 8) * 2048 + struct.pack("<I", 2**22) * 2048 + bytes(2**22),
            2048, t273=(4, 2048, 4096), t279=(4, 2048, 4096 + 4 * 2048), t278=(4, 1, 1),
        ),
        "strips that lie over each other",
    ),
    "a JPEG of as many scans inside a TIFF": (
        lambda: tiff(progressive(64, 500), t259=(3, 1, 7)),
        "is a JPEG of 500 scans",
    ),
    "a JPEG of too many scans": (lambda: progressive(64, 500), "is a JPEG of 500 scans"),
    "a large JPEG of many scans": (lambda: progressive(3000, 90), "is a JPEG of 90 scans"),
    "a JPEG of over 65000 a side": (
        lambda: progressive(64, 6).replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65_500, 65_500), 1),
        "damaged or incomplete image|over 65535 a side",
    ),
    "a BMP of all numbers": (lambda: bmp(2**31 - 1, 2**31 - 1, 24, 0, b""), "damaged or incomplete image"),
    "a BMP upside down of all numbers": (lambda: bmp(64, -(2**31), 8, 0, b""), "damaged or incomplete image"),
    "a BMP of one bit": (lambda: bmp(65_535, 2049, 1, 0, b""), "over 65535 a side or 134217728 bytes"),
    "a BMP of short run lengths": (lambda: bmp(11_585, 11_585, 8, 1, b"\1\5\0\0" * 11_585), "by run lengths"),
    "a BMP of long run lengths": (lambda: bmp(11_585, 11_585, 4, 2, b"\xff\5" * 600_000), "by run lengths"),
    "a PNG of empty chunks": (lambda: png(*[(b"teSt", b"")] * 200_000), "over 131072 chunks"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_is_refused_in_one_line(tmp_path, name):
    make, message = REFUSED[name]
    (tmp_path / "frame").write_bytes(make())
    with bounded(), pytest.raises(DatasetError, match=message) as refused:
        read_frame(tmp_path / "frame")
    assert len(str(refused.value).splitlines()) == 1
    assert "; " in str(refused.value)
    with bounded():
        read_control_parameters(tmp_path / "frame")


TEXT = zlib.compress(b"a" * 7_900_000, 9)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"k\0\0" + TEXT),
        (b"iTXt", b"k\0\1\0\0\0" + TEXT),
        (b"iCCP", b"k\0\0" + TEXT),
        (b"sPLT", b"k\0\x08"),
    ],
    ids=lambda chunk: chunk[0].decode(),
)
def test_a_png_is_read_without_the_texts_that_swell(tmp_path, capfd, chunk):
    (tmp_path / "frame").write_bytes(png(*[chunk] * 900))
    with bounded():
        assert read_frame(tmp_path / "frame").shape == (64, 64)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: tiff(imagecodecs.deflate_encode(bytes(2**27)), 11_585, 11_585, t259=(3, 1, 8)),
        lambda: bmp(5792, 5792, 24, 0, bytes(3 * 5792**2)),
    ],
    ids=["deflate", "bmp"],
)
def test_the_largest_frames_are_read(tmp_path, make):
    (tmp_path / "frame").write_bytes(make())
    with bounded():
        read_frame(tmp_path / "frame")
