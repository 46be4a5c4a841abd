"""TESCAN: TIFF tag 50431 in chunks, or a .hdr text beside the image; `Key=Value` in SI units."""

from __future__ import annotations

from semtune.errors import MetadataError
from semtune.metadata.blocks import Blocks, parse_ini
from semtune.metadata.parameters import ControlParameters, Entry, label, quantity, rows, tabulate

_BARE = quantity({"": 1})

TABLE = (
    Entry("PrimaryDetectorOffset", "brightness", _BARE),
    Entry("PrimaryDetectorGain", "contrast", _BARE),
    Entry("Detector0Offset", "brightness", _BARE),
    Entry("Detector0Gain", "contrast", _BARE),
    Entry("WD", "working_distance_mm", quantity({"": 1e3})),
    Entry("Magnification", "magnification", _BARE),
    Entry("PixelSizeX", "pixel_size_nm", quantity({"": 1e9})),
    Entry("HV", "accelerating_voltage_kv", quantity({"": 1e-3})),
    Entry("AcceleratorVoltage", "accelerating_voltage_kv", quantity({"": 1e-3})),
    Entry("DwellTime", "dwell_time_us", quantity({"": 1e6})),
    Entry("Detector0", "detector", label),
    Entry("Detector", "detector", label),
    Entry("ImageStripSize", "data_bar_rows", rows),
)


def read(blocks: Blocks) -> ControlParameters | None:
    """Control parameters of a TESCAN frame; None if the file is none.

    Brightness and contrast are the offset and the gain of the primary detector. The stigmators stay None:
    the files do not say their unit.
    """
    if 50431 in blocks.tags:
        text = _chunks(blocks.tags[50431])
    elif blocks.header is not None:
        text = blocks.header
    else:
        return None
    values = {key.partition("/")[2]: value for key, value in reversed(parse_ini(text).items())}
    if not any(entry.key in values for entry in TABLE):
        raise MetadataError("TIFF tag 50431 or the .hdr file beside it holds no TESCAN block")
    return tabulate("tescan", TABLE, values, "counts")


def _chunks(data: bytes) -> str:
    """The texts (types 2 and 3) of the chunks [u32 length, counting the type][u16 type][data]."""
    texts, start = [], 0
    while start + 6 <= len(data):
        length = int.from_bytes(data[start : start + 4], "little")
        end = start + 4 + length
        if length < 2 or end > len(data):
            raise MetadataError(f"TIFF tag 50431 has a chunk of {length} bytes at {start} of {len(data)}")
        if int.from_bytes(data[start + 4 : start + 6], "little") in (2, 3):
            texts.append(data[start + 6 : end].decode("latin-1").replace("\0", ""))
        start = end
    return "\n".join(texts)
