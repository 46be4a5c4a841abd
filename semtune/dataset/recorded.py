"""What the vendors recorded of the frames of a dataset, and in which units: kept in `conditions.csv`.

Vendors count brightness and contrast on scales of their own: per cent of a range, or raw counts. Numbers of
two scales in one column would teach a network nonsense.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from semtune.dataset.conditions import CONDITIONS_FILE, read_conditions, write_conditions
from semtune.dataset.faults import Fault
from semtune.dataset.ratings import counted
from semtune.errors import words_of
from semtune.images import Frame, to_uint8
from semtune.metadata import ControlParameters

SCALED = ("brightness", "contrast")
"""The control parameters whose numbers mean something else with every vendor."""
FEWEST_LEVELS = 64
_KEPT = ("magnification", "pixel_size_nm", "accelerating_voltage_kv", "dwell_time_us", "detector")


def is_faint(frame: Frame) -> bool:
    """Whether a frame of 16 bits uses so little of them that few grey levels are left of 8."""
    return frame.dtype.itemsize > 1 and levels_left(frame) < FEWEST_LEVELS


def levels_left(frame: Frame) -> int:
    """How many of 256 grey levels a frame spans once it is reduced to 8 bits."""
    reduced = to_uint8(frame)
    return int(reduced.max()) - int(reduced.min()) + 1


def mixed_scales(metadata: Sequence[ControlParameters], name: str) -> list[str]:
    """The scales of one control parameter that cannot stand in one column; empty where all can."""
    units = {(unit, item.vendor) for item in metadata if (unit := getattr(item, f"{name}_unit"))}
    if len(units) < 2 or all(unit == "percent" for unit, _ in units):
        return []
    return [f"{unit} of {vendor}" for unit, vendor in sorted(units)]


def recorded_in_words(metadata: Sequence[ControlParameters], from_metadata: Sequence[str]) -> Iterator[str]:
    """What vendors recorded, a line each vendor, for whoever imports.

    Args:
        metadata: Of each frame.
        from_metadata: The control parameters that were taken from it.
    """
    vendors = Counter(item.vendor for item in metadata) if from_metadata else Counter()
    for vendor, count in sorted(vendors.items(), key=lambda each: str(each[0])):
        if vendor is None:
            yield f"{counted(count, 'frame')} without any vendor's metadata."
            continue
        units = {
            f"{name} in {unit}"
            for item in metadata
            if item.vendor == vendor
            for name in SCALED
            if name in from_metadata and (unit := getattr(item, f"{name}_unit"))
        }
        focus = ["focus (the working distance) in mm"] if "focus" in from_metadata else []
        taken = ", ".join([*sorted(units), *focus])
        yield f"{counted(count, 'frame')} of {vendor}{': ' if taken else ''}{taken}."


def write_recorded(
    folder: Path, images: Sequence[str], metadata: Sequence[ControlParameters], from_metadata: Sequence[str]
) -> None:
    """Write `conditions.csv`: vendor, units, what else networks do not see; no file if nothing is known."""
    rows = [_row(item, from_metadata) for item in metadata]
    names = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    if names:
        cells = [[image, *(row[name] for name in names)] for image, row in zip(images, rows, strict=True)]
        write_conditions(folder, names, cells)


def scales(folder: Path) -> dict[str, dict[str, int]]:
    """On which scales brightness and contrast of a dataset's frames were recorded, with numbers of frames."""
    conditions = read_conditions(folder)
    vendors = conditions.get("vendor", {})
    return {
        name: dict(
            Counter(
                words_of(ValueError(f"{unit} of {vendors.get(image, 'an unknown vendor')}"), 60)
                for image, unit in conditions.get(f"{name}_unit", {}).items()
            )
        )
        for name in SCALED
    }


def scale_faults(folder: Path) -> Iterator[Fault]:
    """Warn of control parameters that several vendors recorded, each on a scale of its own."""
    for name, frames in scales(folder).items():
        if len(frames) > 1:
            several = f"{name} comes on several scales: {_listed(frames)}"
            remedy = (
                "a network takes them for one; search each vendor's frames apart, or give your own column"
            )
            yield Fault(CONDITIONS_FILE, None, f"{several}; {remedy}", "warning")


def scales_in_words(found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The scales of brightness and contrast, a line each, where they are known."""
    return [f"{name}: {_listed(frames)}" for name, frames in found.items() if frames]


def _listed(frames: Mapping[str, int]) -> str:
    return ", ".join(f"{scale} ({counted(count, 'frame')})" for scale, count in sorted(frames.items()))


def _row(item: ControlParameters, from_metadata: Sequence[str]) -> dict[str, str]:
    units = {
        f"{name}_unit": getattr(item, f"{name}_unit") if name in from_metadata else None for name in SCALED
    }
    kept = {name: getattr(item, name) for name in _KEPT}
    facts = {"vendor": item.vendor, **units, **kept}
    return {name: "" if value is None else str(value) for name, value in facts.items()}
