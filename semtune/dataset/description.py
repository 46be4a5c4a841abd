"""What holds for all frames of a dataset: `dataset.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from semtune.dataset.faults import Fault, read_text, refusal
from semtune.registry import nearest_name

DESCRIPTION_FILE = "dataset.yaml"
MANIFEST_COLUMNS = ("image", "score", "specimen", "field")
"""The columns that every manifest has; its other columns are the control parameters."""
ACQUIRED = "acquired"
"""The column that a manifest may have: when the frame was recorded."""

_LIMIT = 64 * 1024


class DatasetDescription(BaseModel):
    """Score range, control parameters and origin of a dataset; how it was simulated, if it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    name: str | None = None
    score_range: tuple[FiniteFloat, FiniteFloat] = (0.0, 10.0)
    """Lowest and highest score that the specialist can give."""
    control_parameters: tuple[str, ...] = ("brightness", "contrast", "focus")
    """The manifest's columns beyond image, score, specimen and field, in the order that networks see them."""
    origin: Literal["simulated", "measured"] = "measured"
    seed: int | None = None
    version: str | None = None
    """Version of the simulator."""
    rater_noise: FiniteFloat | None = Field(default=None, ge=0)
    """Standard deviation of the noise in the reference scores, score points: of one rating, or of the mean of
    several raters and repeats, whichever the scores are."""
    profile: str | None = None
    """Which model of the specialist scored the simulated frames."""
    weights: dict[str, FiniteFloat] | None = None
    """Of the qualities in that model's score."""
    spoilers: tuple[str, ...] | None = None
    """The qualities of which the worst makes half of that model's score."""
    disturbances: dict[str, FiniteFloat] | None = None
    """Faults that were on in all simulated frames; none if absent."""
    varied: dict[str, tuple[FiniteFloat, FiniteFloat]] | None = None
    """Ranges from which fields and frames drew their microscope, specimen and recording; one microscope and
    the standard specimens if absent."""

    @field_validator("score_range")
    @classmethod
    def _low_is_below_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not low < high:
            raise ValueError(f"`low < high` must hold, but got {low:g}, {high:g}")
        return value

    @field_validator("control_parameters")
    @classmethod
    def _names_are_usable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name.isidentifier():
                raise ValueError(f"{name!r} is no name; use letters, digits and _, not starting with a digit")
            if name in (*MANIFEST_COLUMNS, ACQUIRED):
                raise ValueError(f"{name!r} is a column of its own; leave it out")
        if len(set(value)) < len(value):
            raise ValueError("a name stands there twice; write each once")
        return value


class InspectedDescription(NamedTuple):
    """The description as far as it could be read, defaults for the rest, and what is wrong with it."""

    description: DatasetDescription
    faults: tuple[Fault, ...]


def read_description(folder: Path) -> DatasetDescription:
    """Read `dataset.yaml`; without that file the defaults hold.

    The control parameters are never guessed from the manifest's columns: a column such as a frame number
    would become an input that gives the score away.

    Raises:
        DatasetError: If the file cannot be read, or a key is unknown or its value out of range.
    """
    description, faults = inspect_description(folder)
    if faults:
        raise refusal(folder, faults)
    return description


def write_description(folder: Path, description: DatasetDescription) -> None:
    """Write `dataset.yaml` into the folder."""
    content = description.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8", newline="\n")


def inspect_description(folder: Path) -> InspectedDescription:
    """Read `dataset.yaml` and name every fault in it; the defaults where there is no such file."""
    if folder.is_dir() and not (folder / DESCRIPTION_FILE).exists():
        return InspectedDescription(DatasetDescription(), ())
    text = read_text(folder, DESCRIPTION_FILE, _LIMIT)
    if isinstance(text, Fault):
        return InspectedDescription(DatasetDescription(), (text,))
    return _parse(text)


def _parse(text: str) -> InspectedDescription:
    try:
        node, content = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        return _broken(getattr(getattr(error, "problem_mark", None), "line", None))
    # A wrong value under an explicit tag (`!!bool x`) or absurd nesting escapes YAML's own errors.
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        return _broken(None)
    if content is None:
        return InspectedDescription(DatasetDescription(), ())
    if not isinstance(node, yaml.MappingNode):
        return _broken(0)
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value if isinstance(key.value, str)}
    return _validate(content, lines, [key.value for key, _ in node.value])


def _broken(line: int | None) -> InspectedDescription:
    reason = "this is not a YAML mapping; write one `key: value` a line"
    fault = Fault(DESCRIPTION_FILE, None if line is None else line + 1, reason)
    return InspectedDescription(DatasetDescription(), (fault,))


def _validate(
    content: dict[object, object], lines: dict[str, int], keys: list[object]
) -> InspectedDescription:
    twice = [key for key in lines if keys.count(key) > 1]
    faults = [Fault(DESCRIPTION_FILE, lines[key], f"{key!r} is given twice; keep one") for key in twice]
    try:
        return InspectedDescription(DatasetDescription.model_validate(content), tuple(faults))
    except ValidationError as error:
        # Without the input: the repr of nested YAML aliases can be exponentially long.
        details = error.errors(include_url=False, include_context=False, include_input=False)
    wrong = [str(detail["loc"][0]) for detail in details]
    for key, detail in zip(wrong, details, strict=True):
        faults.append(Fault(DESCRIPTION_FILE, lines.get(key), _reason(key, detail["type"], detail["msg"])))
    faults.sort(key=lambda fault: fault.line or 0)
    sound = {key: value for key, value in content.items() if str(key) not in wrong}
    return InspectedDescription(DatasetDescription.model_validate(sound), tuple(faults))


def _reason(key: str, kind: str, message: str) -> str:
    if kind in {"extra_forbidden", "invalid_key"}:
        return f"unknown key {key!r}; {nearest_name(key, DatasetDescription.model_fields)}"
    return f"{key}: {message.removeprefix('Value error, ')}; correct the value"
