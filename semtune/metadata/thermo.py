"""Thermo Fisher (FEI): TIFF tag 34682 or 34680, an INI text in SI units."""

from __future__ import annotations

from semtune.errors import MetadataError
from semtune.metadata.blocks import Blocks, parse_ini
from semtune.metadata.parameters import ControlParameters, Entry, label, quantity, rows, tabulate

_BARE = quantity({"": 1})
_MILLIMETRES = quantity({"": 1e3})
_NANOMETRES = quantity({"": 1e9})
_FRACTION = quantity({"": 100})

TABLE = (
    Entry("<detector>/Brightness", "brightness", _BARE),
    Entry("<detector>/Contrast", "contrast", _BARE),
    Entry("<beam>/WD", "working_distance_mm", _MILLIMETRES),
    Entry("Stage/WorkingDistance", "working_distance_mm", _MILLIMETRES),
    Entry("<beam>/StigmatorX", "stigmator_x_percent", _FRACTION),
    Entry("<beam>/StigmatorY", "stigmator_y_percent", _FRACTION),
    Entry("Beam/StigmatorX", "stigmator_x_percent", _FRACTION),
    Entry("Beam/StigmatorY", "stigmator_y_percent", _FRACTION),
    Entry("<scan>/PixelWidth", "pixel_size_nm", _NANOMETRES),
    Entry("Scan/PixelWidth", "pixel_size_nm", _NANOMETRES),
    Entry("<beam>/HV", "accelerating_voltage_kv", quantity({"": 1e-3})),
    Entry("Beam/HV", "accelerating_voltage_kv", quantity({"": 1e-3})),
    Entry("<scan>/Dwell", "dwell_time_us", quantity({"": 1e6})),
    Entry("Scan/Dwelltime", "dwell_time_us", quantity({"": 1e6})),
    Entry("Detectors/Name", "detector", label),
    Entry("PrivateFei/DatabarHeight", "data_bar_rows", rows),
)


def read(blocks: Blocks) -> ControlParameters | None:
    """Control parameters of a Thermo frame; None if the file is none.

    The detector's section is named by `[Detectors] Name`, the beam's and the scan's by `[Beam]`: an ion
    beam's frame has [IBeam] and [IScan]. Brightness and contrast are the detector's, in per cent, never the
    digital ones of [Image], which act after recording. Stigmators are fractions of -1..1. There is no
    magnification: it depends on the screen.
    """
    data = blocks.tags.get(34682, blocks.tags.get(34680))
    if data is None:
        return None
    values = parse_ini(data.decode("latin-1"))
    sections = {key.partition("/")[0] for key in values}
    if not sections & {"Beam", "EBeam", "IBeam"}:
        raise MetadataError("TIFF tag 34682 holds no Thermo block (no section [Beam], [EBeam] or [IBeam])")
    ion_only = "IBeam" in sections and "EBeam" not in sections
    named = {
        "<beam>": values.get("Beam/Beam") or ("IBeam" if ion_only else "EBeam"),
        "<scan>": values.get("Beam/Scan") or ("IScan" if ion_only else "EScan"),
        "<detector>": values.get("Detectors/Name"),
    }
    resolved = {
        f"{place}/{key.partition('/')[2]}": text
        for place, section in named.items()
        for key, text in values.items()
        if section and key.partition("/")[0] == section
    }
    return tabulate("thermo", TABLE, values | resolved, "percent")
