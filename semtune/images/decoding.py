"""The decoders behind `read_frame`: everything is checked from a file's header before anything is decoded."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from semtune.errors import DatasetError
from semtune.images.bounds import (
    RESAVE,
    check_file,
    check_scans,
    check_segments,
    check_size,
    critical_chunks,
    damaged,
    open_tiff,
)
from semtune.images.geometry import Frame

_STRIP = 64
"""Rows that are turned grey at a time: bounds the memory."""
_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000)
"""Of TIFF: none, fax, LZW, JPEG, deflate, PackBits, LZMA, Zstandard; decoded into no more than a strip."""
_RUN_LENGTHS = (1, 2)
"""Compressions of a BMP that Pillow undoes byte by byte in Python: many seconds for a small file."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WARNINGS = Lock()
"""Held while Python's warnings are changed, which all threads share."""


def decode(path: Path) -> Frame:
    """Decode the grey levels of an image file, shape (height, width).

    Raises:
        DatasetError: If the file is missing, too large or of a kind that is not read.
        Exception: Whatever a decoder raises on damaged bytes.
    """
    check_file(path)
    return _decoder(path)(path)


def _pixel_bytes(channels: int, bits: int) -> int:
    """Bytes of a decoded pixel; three channels take the room of four."""
    return (4 if channels > 2 else channels) * (2 if bits > 8 else 1)


def _decoder(path: Path) -> Callable[[Path], Frame]:
    with path.open("rb") as file:
        head = file.read(8)
    for magic, reader in _DECODERS:
        if head.startswith(magic):
            return reader
    raise DatasetError(f"is no PNG, TIFF, JPEG or BMP file (it begins with {head!r}); {RESAVE}")


def _read_png(path: Path) -> Frame:
    data = critical_chunks(path)
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise damaged("no PNG header")
    channels = {0: 1, 4: 2}.get(data[25], 4)  # 2, 3 and 6 are colours, palette indices, colours with alpha
    size = int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    check_size(*size, _pixel_bytes(channels, data[24]))
    return _grey(imagecodecs.png_decode(data))  # unlike Pillow, keeps 16 bits of colour and checks every CRC


def _read_jpeg_or_bmp(path: Path) -> Frame:
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = Image.open(path, formats=("JPEG", "BMP"))
    with opened as picture:
        grey = picture.mode in ("1", "L")
        check_size(picture.height, picture.width, 1 if grey else 4)
        if not grey and picture.mode not in ("P", "RGB", "RGBA"):
            raise DatasetError(f"has colours of kind {picture.mode}; {RESAVE}")
        if picture.info.get("compression") in _RUN_LENGTHS:
            raise DatasetError(f"is a BMP compressed by run lengths; {RESAVE}")
        if picture.format != "BMP":
            check_scans(path.read_bytes(), picture.height * picture.width)
        frame = np.empty((picture.height, picture.width), np.uint8)
        for top in range(0, picture.height, _STRIP):  # Pillow copies at each step: of a strip, not of all
            strip = picture.crop((0, top, picture.width, min(top + _STRIP, picture.height)))
            frame[top : top + _STRIP] = _grey(np.asarray(strip.convert("L" if grey else "RGB")))
        return frame


def _read_tiff(path: Path) -> Frame:
    with open_tiff(path) as file:
        page = file.pages[0].aspage()
        bits = _check_page(page, path.stat().st_size)
        _check_jpegs(file, page)
        pixels = page.asarray(maxworkers=1)
        if page.photometric.name == "PALETTE":
            return _frame(_palette(page.colormap, bits)[pixels])
        grey = _grey(np.moveaxis(pixels, 0, -1) if page.axes[:1] == "S" else pixels)
        stretched = _stretch(grey, bits)
        return np.invert(stretched) if page.photometric.name == "MINISWHITE" else stretched


def _check_page(page: Any, file_bytes: int) -> int:  # noqa: ANN401 - tifffile ships no types
    """Refuse what cannot become a frame before decoding; return the bits of a grey level."""
    bits, kind, photometric = page.bitspersample, page.sampleformat, page.photometric
    pixel_bytes = _pixel_bytes(page.samplesperpixel, bits if isinstance(bits, int) else 16)
    check_size(page.imagelength, page.imagewidth, pixel_bytes)
    if kind != tifffile.SAMPLEFORMAT.UINT or not isinstance(bits, int) or not 1 <= bits <= 16:
        raise DatasetError(f"has pixels of {bits} bits, format {kind!r}, not unsigned 1 to 16; {RESAVE}")
    readable = ("MINISBLACK", "MINISWHITE", "PALETTE", "RGB") + ("YCBCR",) * (page.compression == 7)
    if getattr(photometric, "name", "") not in readable or page.imagedepth != 1 or page.samplesperpixel > 4:
        raise DatasetError(f"has {page.samplesperpixel} channels of kind {photometric!r}; {RESAVE}")
    check_segments(page, pixel_bytes, file_bytes)
    if page.compression not in _COMPRESSIONS:
        raise DatasetError(f"is compressed by {page.compression!r}; {RESAVE}")
    return bits


def _check_jpegs(file: tifffile.TiffFile, page: Any) -> None:  # noqa: ANN401 - tifffile ships no types
    """Refuse a JPEG inside a TIFF that asks for more than the strip or tile that it fills."""
    if page.compression != tifffile.COMPRESSION.JPEG:
        return
    height, width = (
        (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    )
    room = max(height, 16) * max(width, 16)  # JPEG pads to its blocks
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.filehandle.seek(start)
        data = file.filehandle.read(size)
        found = _jpeg_size(data)
        if found is None or math.prod(found) > room:
            raise damaged("a JPEG of another size inside")
        check_scans(data, room * math.prod(page.chunked))


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width in the frame header of a JPEG; None if none is found."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        if data[place + 1] in _JPEG_FRAMES:
            return int.from_bytes(data[place + 5 : place + 7], "big"), int.from_bytes(
                data[place + 7 : place + 9], "big"
            )
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _grey(pixels: NDArray[Any]) -> Frame:
    """Luma of (height, width) or (height, width, 1 to 4); alpha dropped."""
    if pixels.ndim == 2:
        return _frame(pixels)
    if pixels.shape[2] <= 2:
        return _frame(pixels[..., 0])
    luma = np.empty(pixels.shape[:2], pixels.dtype.newbyteorder("="))
    for top in range(0, len(pixels), _STRIP):
        red, green, blue = (pixels[top : top + _STRIP, :, channel].astype(np.uint32) for channel in range(3))
        luma[top : top + _STRIP] = (299 * red + 587 * green + 114 * blue + 500) // 1000
    return _frame(luma)


def _frame(levels: NDArray[Any]) -> Frame:
    if levels.dtype.itemsize == 2:
        return np.ascontiguousarray(levels, np.uint16)  # also in this machine's byte order
    return np.ascontiguousarray(levels, np.uint8)


def _stretch(grey: Frame, bits: int) -> Frame:
    if bits in (8, 16):
        return grey
    top, full = 2**bits - 1, 255 if bits < 8 else 65_535
    return _frame(((grey.astype(np.uint32) * full + top // 2) // top).astype(grey.dtype))


def _palette(colours: NDArray[np.uint16], bits: int) -> Frame:
    """Grey level of each index; `colours` has shape (3, 2**bits), 16 bits, though some writers use but 8."""
    if bits > 8:
        return _frame(_grey(colours.T[None])[0])
    eight_bits = colours if colours.max() < 256 else colours >> 8
    return _frame(_grey(eight_bits.T[None].astype(np.uint8))[0])


_DECODERS: tuple[tuple[bytes, Callable[[Path], Frame]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _read_png),
    (b"\xff\xd8\xff", _read_jpeg_or_bmp),
    (b"BM", _read_jpeg_or_bmp),
    (b"II*\0", _read_tiff),
    (b"MM\0*", _read_tiff),
    (b"II+\0", _read_tiff),
    (b"MM\0+", _read_tiff),
)
