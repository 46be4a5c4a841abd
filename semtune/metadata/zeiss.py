"""Zeiss SmartSEM: TIFF tag 34118, a line with the key, then a line `label = value unit`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from semtune.errors import MetadataError
from semtune.metadata.blocks import Blocks
from semtune.metadata.parameters import ControlParameters, Entry, label, quantity, ratio, tabulate

_PERCENT = quantity({"%": 1})
_LENGTH = {"pm": 1e-3, "nm": 1, "µm": 1e3, "um": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9}
_NANOMETRES = quantity(_LENGTH)
_MILLIMETRES = quantity({unit: factor * 1e-6 for unit, factor in _LENGTH.items()})
_MICROSECONDS = quantity(
    {"ns": 1e-3, "µs": 1, "us": 1, "ms": 1e3, "Sec": 1e6, "Secs": 1e6, "s": 1e6, "Min": 6e7, "Mins": 6e7}
)
_TIMES = quantity({"X": 1, "x": 1, "K X": 1e3, "KX": 1e3, "k X": 1e3, "M X": 1e6, "MX": 1e6})

TABLE = (
    Entry("AP_BRIGHTNESS", "brightness", _PERCENT),
    Entry("AP_CONTRAST", "contrast", _PERCENT),
    Entry("AP_WD", "working_distance_mm", _MILLIMETRES),
    Entry("AP_STIG_X", "stigmator_x_percent", _PERCENT),
    Entry("AP_STIG_Y", "stigmator_y_percent", _PERCENT),
    Entry("AP_MAG", "magnification", _TIMES),
    Entry("AP_IMAGE_PIXEL_SIZE", "pixel_size_nm", _NANOMETRES),
    Entry("AP_PIXEL_SIZE", "pixel_size_nm", _NANOMETRES),
    Entry("AP_ACTUALKV", "accelerating_voltage_kv", quantity({"kV": 1, "V": 1e-3})),
    Entry("AP_LINE_TIME / DP_IMAGE_STORE", "dwell_time_us", ratio(_MICROSECONDS, quantity({"": 1}))),
    Entry("DP_DETECTOR_CHANNEL", "detector", label),
    Entry("DP_DETECTOR_TYPE", "detector", label),
)


def read(blocks: Blocks) -> ControlParameters | None:
    """Control parameters of a Zeiss frame; None if the file is none.

    The working distance is that in metres among the numbers at the block's head where it agrees with AP_WD,
    which is rounded to as little as 0.1 mm. The dwell time is AP_LINE_TIME over the pixels of a line, flyback
    and line averaging included; DP_DWELL_TIME is not used: it disagrees with the frame time by factors of
    up to hundreds. Brightness and contrast are per cent.
    """
    if 34118 not in blocks.tags:
        return None
    lines = [line.strip(" \t\0\r") for line in blocks.tags[34118].decode("latin-1").split("\n")]
    if not any(line[:3] in ("AP_", "DP_", "SV_") for line in lines):
        raise MetadataError("TIFF tag 34118 holds no Zeiss block")
    values = _values(lines)
    values["AP_WD"] = _unrounded(values.get("AP_WD", ""), lines)
    time, width = values.get("AP_LINE_TIME"), values.get("DP_IMAGE_STORE", "").partition("*")[0]
    joined = {"AP_LINE_TIME / DP_IMAGE_STORE": f"{time} / {width}"} if time and width else {}
    return tabulate("zeiss", TABLE, values | joined, "percent")


def _values(lines: Sequence[str]) -> dict[str, str]:
    wanted = {"AP_LINE_TIME", "DP_IMAGE_STORE", *(entry.key for entry in TABLE)}
    values: dict[str, str] = {}
    for key, line in zip(lines, [*lines[1:], ""], strict=True):
        if key in wanted and key not in values:
            if "=" not in line:
                raise MetadataError(f"{key} is followed by {line[:60]!r}, not by `label = value`")
            values[key] = line.partition("=")[2].strip()
    return values


def _unrounded(shown: str, lines: Sequence[str]) -> str:
    """AP_WD with all digits: line 10 is the working distance in metres, in the files seen; else as shown."""
    digits = re.fullmatch(r"\d{1,4}(?:\.(\d{1,6}))? mm", shown)
    exact = re.fullmatch(r"\d\.\d{1,9}e[+-]0{0,2}\d", lines[9]) if len(lines) > 9 else None
    if not digits or not exact:
        return shown
    millimetres = float(lines[9]) * 1e3
    half_a_digit = 0.5 * 10.0 ** -len(digits[1] or "")
    agrees = abs(millimetres - float(shown.removesuffix(" mm"))) <= half_a_digit * 1.001
    return f"{millimetres:.6f} mm" if agrees else shown
