"""Any image file becomes a grey frame; data bars are cropped; frames are cut into tiles.

A file is known by its first bytes, not by its suffix: microscopes and people misname files. Whatever the
bytes are, the only error that leaves this module is `DatasetError`.
"""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np

from semtune.errors import DatasetError, words_of
from semtune.images.bounds import MAX_FILE_BYTES, damaged, open_tiff
from semtune.images.decoding import decode
from semtune.images.geometry import Frame, crop_data_bar, find_data_bar, tiles, to_uint8

__all__ = [
    "MAX_FILE_BYTES",
    "Frame",
    "crop_data_bar",
    "find_data_bar",
    "open_tiff",
    "read_frame",
    "tiles",
    "to_uint8",
    "write_png",
]


def read_frame(path: Path) -> Frame:
    """Read the grey levels of a PNG, TIFF, JPEG or BMP file, shape (height, width), uint8 or uint16.

    Palette indices are mapped through the colour map; of a multi-page TIFF the first page is read; alpha is
    dropped; colour becomes luma (Rec. 601: 0.299 R + 0.587 G + 0.114 B, rounded), so three equal channels
    give that channel. Depths below 8 and between 8 and 16 bits are stretched to the full range of uint8
    and uint16.

    Raises:
        DatasetError: If the file is missing, damaged, too large, or no grey or colour image of 1 to 16 bits.
    """
    try:
        return decode(path)
    except DatasetError as fault:
        raise DatasetError(f"{path}: {fault}") from fault.__cause__
    except Exception as fault:  # decoders fail on damaged bytes in every way there is
        raise DatasetError(f"{path}: {damaged(words_of(fault))}") from fault


def write_png(path: Path, frame: Frame) -> None:
    """Write a frame as a lossless grey PNG of 8 or 16 bits; `read_frame` returns the same array."""
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(frame), level=6))
