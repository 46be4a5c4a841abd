"""What semtune makes of one frame: what was read, what is cropped, its focus values, the champion's score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.dataset.recorded import FEWEST_LEVELS, levels_left
from semtune.errors import MetadataError, SemtuneError
from semtune.images import crop_data_bar, read_frame, to_uint8
from semtune.metadata import ControlParameters, read_control_parameters
from semtune.workspace import Workspace

_UNITS = {
    "working_distance_mm": ("working distance (focus)", "mm"),
    "stigmator_x_percent": ("stigmator x", "percent"),
    "stigmator_y_percent": ("stigmator y", "percent"),
    "magnification": ("magnification", ""),
    "pixel_size_nm": ("pixel size", "nm"),
    "accelerating_voltage_kv": ("accelerating voltage", "kV"),
    "dwell_time_us": ("dwell time", "µs"),
    "detector": ("detector", ""),
}


@dataclass(frozen=True)
class ChampionScore:
    """What the champion says of a frame."""

    score: float | None
    """Score points; higher is better; None where it cannot be given."""
    said: str
    """By whom it is and what was missing, or why there is none."""


@dataclass(frozen=True)
class FrameFacts:
    """What was read of one image file."""

    frame: str
    width: int
    height: int
    """Of the file, pixels."""
    bits: int
    """Of a grey level once it is read: 8 or 16."""
    lowest: int
    highest: int
    """Grey levels of the frame without its data bar."""
    levels_left: int
    """That the frame spans once it is reduced to 8 bits."""
    data_bar_rows: int
    """Cropped at the bottom."""
    refused: str | None
    """Why the vendor's metadata are not used, where they are damaged."""
    recorded: ControlParameters
    focus_values: dict[str, float]
    """By autofocus function, of the 8-bit frame without its data bar."""
    champion: ChampionScore


def facts_of_frames(
    workspace: Workspace, paths: Sequence[Path], tracking_uri: str | None
) -> Iterator[FrameFacts]:
    """Read image files one after the other.

    Args:
        workspace: Whose champion scores, if it has one.
        paths: Image files.
        tracking_uri: Of a server whose champion scores instead.

    Raises:
        DatasetError: If an image cannot be read.
    """
    score = _champion(workspace, tracking_uri)
    for path in paths:
        recorded, refused = ControlParameters(), None
        try:
            recorded = read_control_parameters(path)
        except MetadataError as fault:
            refused = str(fault).removeprefix(f"{path}: ")
        whole = read_frame(path)
        frame = crop_data_bar(whole, recorded.data_bar_rows)
        grey = to_uint8(frame)
        yield FrameFacts(
            str(path),
            whole.shape[1],
            whole.shape[0],
            whole.dtype.itemsize * 8,
            int(frame.min()),
            int(frame.max()),
            levels_left(frame),
            whole.shape[0] - frame.shape[0],
            refused,
            recorded,
            {each.name: each.focus_value(grey) for each in AUTOFOCUS_FUNCTIONS},
            score(path),
        )


def as_facts(found: FrameFacts) -> dict[str, object]:
    """The same for machines."""
    return asdict(found)


def in_words(found: FrameFacts) -> str:
    """The same for people, a fact a line."""
    rows = [("size", _size(found)), ("grey levels", _levels(found))]
    if found.refused:
        rows.append(("metadata", f"refused: {found.refused}"))
    else:
        rows.append(("vendor", found.recorded.vendor or "none: no metadata that semtune knows"))
    rows += _recorded(found.recorded)
    rows += [(name, f"{value:.6g}") for name, value in found.focus_values.items()]
    score = "none" if found.champion.score is None else f"{found.champion.score:.2f}"
    rows.append(("score", f"{score} ({found.champion.said})"))
    return "\n".join([found.frame, *(f"  {name:<26}{text}" for name, text in rows)])


def _champion(workspace: Workspace, tracking_uri: str | None) -> Callable[[Path], ChampionScore]:
    none = ChampionScore(None, "there is no champion; `semtune promote NAME` makes one")
    if tracking_uri is None and not workspace.database.exists():  # nor are tables made to look into
        return lambda path: none
    from semtune.candidacy import load_champion  # torch and MLflow come in here
    from semtune.tracking.champion import champion
    from semtune.tracking.store import open_store

    store = open_store(workspace, tracking_uri)
    if champion(store) is None:
        return lambda path: none
    version, scorer = load_champion(workspace, store)
    learnt = ", which learnt from simulated scores" if scorer.dataset_origin == "simulated" else ""

    def score(path: Path) -> ChampionScore:
        try:
            scored = scorer.score_file(path, {})
        except SemtuneError as fault:
            return ChampionScore(None, str(fault).removeprefix(f"{path}: "))
        missing = f"; missing: {', '.join(scored.missing)}" if scored.missing else ""
        crops = f"{scorer.settings.tiles} crops of {scorer.settings.crop} pixels"
        return ChampionScore(scored.score, f"champion version {version}{learnt}, {crops}{missing}")

    return score


def _size(found: FrameFacts) -> str:
    if not found.data_bar_rows:
        return f"{found.width} x {found.height} pixels, no data bar"
    left = found.height - found.data_bar_rows
    return (
        f"{found.width} x {found.height} pixels; data bar of {found.data_bar_rows} rows cropped: "
        f"{found.width} x {left}"
    )


def _levels(found: FrameFacts) -> str:
    shown = f"{found.lowest} to {found.highest}, {found.bits} bits"
    if found.bits == 8:
        return shown
    few = "; stretch it before you import it" if found.levels_left < FEWEST_LEVELS else ""
    return f"{shown}; reduced to 8 by round(g / 257), which leaves {found.levels_left} levels{few}"


def _recorded(recorded: ControlParameters) -> Iterator[tuple[str, str]]:
    for name in ("brightness", "contrast"):
        value, unit = getattr(recorded, name), getattr(recorded, f"{name}_unit")
        if value is not None:
            yield name, f"{value:g} {unit} (of {recorded.vendor})"
    for field, (name, unit) in _UNITS.items():
        value = getattr(recorded, field)
        if value is not None:
            yield name, f"{f'{value:.6g}' if isinstance(value, float) else value} {unit}".rstrip()
