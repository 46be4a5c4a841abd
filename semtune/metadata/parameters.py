"""What the operator sets at the microscope, and the table by which a vendor's keys become it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from semtune.errors import MetadataError


@dataclass(frozen=True)
class ControlParameters:
    """Control parameters of one frame as its vendor recorded them; None where absent."""

    vendor: str | None = None
    brightness: float | None = None
    brightness_unit: str | None = None
    """`percent` or `counts`: vendors' numbers cannot be compared without it."""
    contrast: float | None = None
    contrast_unit: str | None = None
    working_distance_mm: float | None = None
    """The focus: the distance at which the beam is sharp, not the distance to the specimen."""
    stigmator_x_percent: float | None = None
    """Of its range to either side, -100..100."""
    stigmator_y_percent: float | None = None
    magnification: float | None = None
    pixel_size_nm: float | None = None
    accelerating_voltage_kv: float | None = None
    dwell_time_us: float | None = None
    detector: str | None = None
    data_bar_rows: int | None = None
    """Rows of the burned-in data bar; None where the metadata does not say, which is not none at all."""


class Entry(NamedTuple):
    """One line of a vendor's table: where it stands in the file, our field, how its text is read."""

    key: str
    field: str
    parse: Callable[[str], float | int | str | None]


def tabulate(vendor: str, table: Sequence[Entry], values: Mapping[str, str], unit: str) -> ControlParameters:
    """Control parameters from a vendor's texts; of several entries for one field the first non-empty counts.

    Args:
        vendor: Name of the vendor.
        table: What to look for in `values`.
        values: Texts by the vendor's keys.
        unit: Unit of brightness and contrast: `percent` or `counts`.

    Raises:
        MetadataError: If a text is no number with a known unit, or the number is absurd.
    """
    found: dict[str, Any] = {}
    for key, field, parse in table:
        text = values.get(key, "").strip()
        if text and found.get(field) is None:
            found[field] = _checked(key, field, text, parse)
    found |= {f"{field}_unit": unit for field in ("brightness", "contrast") if field in found}
    return dataclasses.replace(ControlParameters(vendor), **found)


def quantity(units: Mapping[str, float]) -> Callable[[str], float]:
    """A reader of `number unit` texts; `units` gives the factor of each unit, "" that of a bare number."""

    def parse(text: str) -> float:
        match = _NUMBER.fullmatch(text)
        if not match:
            raise ValueError("is no number")
        number, unit = match.groups()
        factor = units.get(unit.strip().replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}"))
        if factor is None:
            raise ValueError(f"has no unit of {', '.join(repr(known) for known in units)}")
        return float(number) * factor

    return parse


def ratio(numerator: Callable[[str], float], denominator: Callable[[str], float]) -> Callable[[str], float]:
    """A reader of two texts joined by `/`: the first over the second, which is above zero."""

    def parse(text: str) -> float:
        above, _, below = text.partition("/")
        divisor = denominator(below.strip())
        if divisor <= 0:
            raise ValueError("has no number above zero below the line")
        return numerator(above.strip()) / divisor

    return parse


def label(text: str) -> str:
    """A name such as a detector's: printable, at most 80 characters."""
    if not text.isprintable() or len(text) > 80:
        raise ValueError("is no name")
    return text


def rows(text: str) -> int | None:
    """A height in pixels; 0 says nothing, because bars are burned in nevertheless."""
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ValueError("is no number of rows")
    return int(text) or None


_NUMBER = re.compile(
    r"([+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,4})?)(?![\d.,])(.{0,20})", re.ASCII
)

_RANGES = {
    "brightness": (-1e6, 1e6),
    "contrast": (-1e6, 1e6),
    "working_distance_mm": (0, 1e3),
    "stigmator_x_percent": (-100, 100),
    "stigmator_y_percent": (-100, 100),
    "magnification": (0.1, 1e8),
    "pixel_size_nm": (1e-4, 1e7),
    "accelerating_voltage_kv": (0, 1e3),
    "dwell_time_us": (1e-4, 1e8),
}
"""What no microscope goes beyond: a number outside is damaged, or in a unit other than its vendor's."""


def _checked(key: str, field: str, text: str, parse: Callable[[str], float | int | str | None]) -> Any:  # noqa: ANN401 - numbers and names
    try:
        value = parse(text)
    except (ValueError, OverflowError) as fault:
        raise MetadataError(f"{key} is {text[:60]!r}, which {fault}") from None
    low, high = _RANGES.get(field, (-math.inf, math.inf))
    if isinstance(value, float) and not (math.isfinite(value) and low <= value <= high):
        raise MetadataError(f"{key} is {text[:60]!r}, outside {low:g}..{high:g} for {field}")
    return value
