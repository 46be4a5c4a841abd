"""JEOL: `<stem>.txt` beside the image, lines `$KEY value`."""

from __future__ import annotations

from semtune.metadata.blocks import Blocks
from semtune.metadata.parameters import ControlParameters, Entry, label, quantity, ratio, tabulate

_BARE = quantity({"": 1})
_MARKER = quantity({"nm": 1, "µm": 1e3, "um": 1e3, "mm": 1e6})

TABLE = (
    Entry("$CM_BRIGHTNESS", "brightness", _BARE),
    Entry("$CM_CONTRAST", "contrast", _BARE),
    Entry("$$SM_WD", "working_distance_mm", quantity({"": 1, "mm": 1})),
    Entry("$CM_MAG", "magnification", _BARE),
    Entry("$$SM_MICRON_MARKER / $$SM_MICRON_BAR", "pixel_size_nm", ratio(_MARKER, _BARE)),
    Entry("$CM_ACCEL_VOLT", "accelerating_voltage_kv", quantity({"": 1, "kV": 1})),
    Entry("$CM_SIGNAL_NAME", "detector", label),
    Entry("$CM_SIGNAL", "detector", label),
)


def read(blocks: Blocks) -> ControlParameters | None:
    """Control parameters of a JEOL frame; None if there is no JEOL text beside it.

    The size of a pixel is $$SM_MICRON_MARKER, the length that the scale bar stands for, over
    $$SM_MICRON_BAR, its pixels. Stigmators ($$SM_OL_STIG, raw counts) and scan speed ($$CM_SCAN_SPEED, a
    step) have no per cent and no seconds, so they stay None.
    """
    lines = (line.strip().split(maxsplit=1) for line in (blocks.text or "").splitlines())
    values = {line[0]: line[1] if len(line) > 1 else "" for line in lines if line and line[0].startswith("$")}
    if not any(key.startswith(("$CM_", "$$SM_")) for key in values):
        return None
    marker, bar = values.get("$$SM_MICRON_MARKER"), values.get("$$SM_MICRON_BAR")
    joined = {"$$SM_MICRON_MARKER / $$SM_MICRON_BAR": f"{marker} / {bar}"} if marker and bar else {}
    return tabulate("jeol", TABLE, values | joined, "counts")
