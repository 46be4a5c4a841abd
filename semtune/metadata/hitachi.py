"""Hitachi: `<stem>.txt` beside the image, `Key=Value` with or without a section header."""

from __future__ import annotations

from semtune.metadata.blocks import Blocks, parse_ini
from semtune.metadata.parameters import ControlParameters, Entry, label, quantity, tabulate

_BARE = quantity({"": 1})
_KILOVOLTS = quantity({"": 1e-3, "Volt": 1e-3, "V": 1e-3, "kV": 1})

TABLE = (
    Entry("Brightness", "brightness", _BARE),
    Entry("Contrast", "contrast", _BARE),
    Entry("WorkingDistance", "working_distance_mm", quantity({"": 1e-3, "um": 1e-3, "µm": 1e-3, "mm": 1})),
    Entry("Magnification", "magnification", quantity({"": 1, "x": 1})),
    Entry("PixelSize", "pixel_size_nm", quantity({"": 1, "nm": 1})),
    Entry(
        "AcceleratingVoltage",
        "accelerating_voltage_kv",
        quantity({"": 1e-3, "Volt": 1e-3, "V": 1e-3, "kV": 1}),
    ),
    Entry("SignalName", "detector", label),
)


def read(blocks: Blocks) -> ControlParameters | None:
    """Control parameters of a Hitachi frame; None if there is no Hitachi text beside it.

    Without a unit WorkingDistance is in micrometres, PixelSize in nanometres and AcceleratingVoltage in
    volts. ScanSpeed is a name or a step, so there is no dwell time; the stigmators are not recorded.
    """
    keyed = parse_ini(blocks.text or "")
    values = {key.partition("/")[2]: value for key, value in reversed(keyed.items())}
    known = any(key.startswith("SemImageFile/") for key in keyed) or "InstructName" in values
    return tabulate("hitachi", TABLE, values, "counts") if known else None
