"""Search spaces: a hyperparameter a line, read from YAML and checked before anything starts.

architecture: {choice: [pacf, resnet50]}
learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}
dropout: {uniform: [0.0, 0.5], when: {architecture: [vgg11, vgg13]}, otherwise: 0.0}
epochs: {value: 60, when: {architecture: [pacf]}, otherwise: 6}
crop: 96
stratify: architecture
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import ValidationError

from semtune.config import Hyperparameters, SearchSettings
from semtune.errors import ConfigError, UnknownNameError
from semtune.networks import ARCHITECTURES
from semtune.registry import nearest_name

Value = str | int | float | None
Distribution = Literal["value", "choice", "uniform", "log_uniform", "int_uniform"]
_LARGEST_FILE = 1_000_000


@dataclass(frozen=True)
class Parameter:
    """One line of a search space."""

    name: str
    distribution: Distribution
    values: tuple[Value, ...]
    """The constant, the choices, or low and high."""
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """Hyperparameters that must have one of the given values for this line to hold."""
    otherwise: Value = None
    """The value where `when` does not hold; None takes the documented default."""

    def holds(self, chosen: Mapping[str, Value]) -> bool:
        """Tell whether the line's condition is met by what was chosen before it."""
        return all(chosen.get(name) in values for name, values in self.when)

    def contains(self, value: Value) -> bool:
        """Tell whether a value could have been drawn from this line."""
        if self.distribution in ("value", "choice"):
            return value in self.values
        low, high = self.values
        return isinstance(value, int | float) and float(str(low)) <= value <= float(str(high))


@dataclass(frozen=True)
class SearchSpace:
    """What a search may try, and how it is run unless the command line says otherwise."""

    name: str
    parameters: tuple[Parameter, ...]
    settings: SearchSettings
    text: str
    """The YAML as read."""

    @property
    def strata(self) -> tuple[str, ...]:
        """Values that are searched apart; one empty name where all trials compete."""
        if self.settings.stratify is None:
            return ("",)
        return tuple(str(value) for value in self._named(self.settings.stratify).values)

    @property
    def architectures(self) -> tuple[str, ...]:
        """All architectures that the space can choose."""
        return tuple(str(value) for value in self._named("architecture").values)

    def largest(self, name: str) -> int:
        """The largest value that a whole-number hyperparameter can take."""
        line = next((parameter for parameter in self.parameters if parameter.name == name), None)
        default = int(Hyperparameters.model_fields[name].default)
        if line is None:
            return default
        otherwise = [default if line.otherwise is None else line.otherwise] if line.when else []
        return max(int(str(value)) for value in (*line.values, *otherwise))

    def epochs(self, stratum: str) -> int:
        """Epochs of a whole trial of a stratum; the longest where architectures of one stratum differ."""
        default = int(Hyperparameters.model_fields["epochs"].default)
        if not any(parameter.name == "epochs" for parameter in self.parameters):
            return default
        line = self._named("epochs")
        names = (stratum,) if stratum else self.architectures
        values = [line.values[0] if line.holds({"architecture": name}) else line.otherwise for name in names]
        return max(default if value is None else int(value) for value in values)

    def grace_epochs(self, stratum: str) -> int:
        """First rung of ASHA in a stratum: as given, or a ninth of the epochs (two rungs by thirds)."""
        return self.settings.grace_epochs or max(1, round(self.epochs(stratum) / 9))

    def share(self, stratum: str) -> int:
        """Trials of a stratum when all trials are dealt evenly, the first strata first."""
        even, left = divmod(self.settings.trials, len(self.strata))
        return even + (self.strata.index(stratum) < left)

    def overridden(self, hyperparameters: Mapping[str, Value], settings: Mapping[str, Any]) -> SearchSpace:
        """Return the space with values of the command line in place of its own; None changes nothing."""
        given = {name: value for name, value in hyperparameters.items() if value is not None}
        kept = [parameter for parameter in self.parameters if parameter.name not in given]
        fixed = [Parameter(name, "value", (value,)) for name, value in given.items()]
        for parameter in fixed:
            _check_value(parameter.name, parameter.values[0], "command line")
        changed = {name: value for name, value in settings.items() if value is not None}
        try:
            merged = SearchSettings.model_validate({**self.settings.model_dump(), **changed})
        except ValidationError as error:
            raise ConfigError(f"command line: {_first_message(error)}") from None
        return SearchSpace(self.name, (*kept, *fixed), merged, self.text)

    def _named(self, name: str) -> Parameter:
        return next(parameter for parameter in self.parameters if parameter.name == name)


def read_space(path: Path) -> SearchSpace:
    """Read and check a search space.

    Raises:
        ConfigError: With file and line, if a name is unknown, a type wrong or a range empty.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(
                f"{path}: larger than {_LARGEST_FILE} bytes; a search space has a line a hyperparameter"
            )
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}); give a YAML file or the name of a shipped space"
        ) from None
    return parse_space(text, str(path), path.stem)


def parse_space(text: str, file: str, name: str) -> SearchSpace:
    """Check a search space given as text; `file` is what messages call it."""
    parameters: list[Parameter] = []
    settings: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value, line in _entries(text, file):
        where = f"{file}:{line}"
        if key in lines:
            raise ConfigError(f"{where}: {key!r} stands in line {lines[key]} already; keep one of the two")
        lines[key] = line
        if key in SearchSettings.model_fields:
            settings[key] = value
        elif key in Hyperparameters.model_fields:
            parameters.append(_parameter(key, value, where))
        else:
            known = [*Hyperparameters.model_fields, *SearchSettings.model_fields]
            raise ConfigError(
                f"{where}: no hyperparameter or setting named {key!r}; {nearest_name(key, known)}"
            )
    space = SearchSpace(name, tuple(parameters), _settings(settings, lines, file), text)
    _check_whole(space, lines, file)
    return space


def _entries(text: str, file: str) -> Iterator[tuple[str, Any, int]]:
    """Yield (key, value, line) of the top-level mapping."""
    loader = yaml.SafeLoader("")
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        pairs = root.value if isinstance(root, yaml.MappingNode) else None
        entries = [
            (str(key.value), loader.construct_object(value, deep=True), key.start_mark.line + 1)  # type: ignore[no-untyped-call]
            for key, value in pairs or ()
        ]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not valid YAML: {' '.join(str(error).split())[:200]}") from None
    if pairs is None:
        raise ConfigError(
            f"{file}:1: not a mapping; write a hyperparameter a line, e.g. `learning_rate: 1.0e-4`"
        )
    yield from entries


def _parameter(name: str, value: Any, where: str) -> Parameter:
    if not isinstance(value, dict):
        return Parameter(name, "value", (_check_value(name, value, where),))
    kinds = [key for key in value if key in get_args(Distribution)]
    unknown = [key for key in value if key not in (*get_args(Distribution), "when", "otherwise")]
    if unknown or len(kinds) != 1:
        known = [*get_args(Distribution), "when", "otherwise"]
        problem = (
            f"no key named {unknown[0]!r}; {nearest_name(str(unknown[0]), known)}"
            if unknown
            else "exactly one distribution is needed"
        )
        raise ConfigError(f"{where}: {name}: {problem} (write e.g. `{name}: {{choice: [a, b]}}`)")
    kind: Distribution = kinds[0]
    values = _values(name, kind, value[kind], where)
    otherwise = value.get("otherwise")
    if otherwise is not None:
        otherwise = _check_value(name, otherwise, where)
    return Parameter(name, kind, values, _conditions(name, value.get("when", {}), where), otherwise)


def _values(name: str, kind: Distribution, given: Any, where: str) -> tuple[Value, ...]:
    if kind == "value":
        return (_check_value(name, given, where),)
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{where}: {name}: {kind} needs a list, but got {given!r}")
    values = tuple(_check_value(name, each, where) for each in given)
    if kind == "choice":
        if len(set(values)) != len(values):
            raise ConfigError(f"{where}: {name}: a choice stands twice in {given!r}; name each once")
        return values
    return _range(name, kind, values, where)


def _range(name: str, kind: Distribution, values: tuple[Value, ...], where: str) -> tuple[Value, ...]:
    if len(values) != 2 or not all(isinstance(each, int | float) for each in values):
        raise ConfigError(f"{where}: {name}: {kind} needs two numbers [low, high], but got {list(values)!r}")
    low, high = float(str(values[0])), float(str(values[1]))
    if not low < high:
        raise ConfigError(
            f"{where}: {name}: `low < high` must hold, but got low={low:g}, high={high:g}: an empty range"
        )
    if kind == "log_uniform" and low <= 0:
        raise ConfigError(f"{where}: {name}: log_uniform needs `0 < low`, but got low={low:g}")
    if kind == "int_uniform" and not all(float(str(each)).is_integer() for each in values):
        raise ConfigError(f"{where}: {name}: int_uniform needs whole numbers, but got {list(values)!r}")
    if kind != "int_uniform" and name in ("batch_size", "epochs", "crop", "tiles"):
        raise ConfigError(
            f"{where}: {name}: whole numbers are needed; write int_uniform or choice instead of {kind}"
        )
    return values


def _conditions(name: str, given: Any, where: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    if not isinstance(given, dict):
        raise ConfigError(
            f"{where}: {name}: `when` needs a mapping such as {{architecture: [vgg11]}}, but got {given!r}"
        )
    conditions = []
    for other, values in given.items():
        if other not in Hyperparameters.model_fields:
            raise ConfigError(
                f"{where}: {name}: when: no hyperparameter named {other!r}; {nearest_name(str(other), Hyperparameters.model_fields)}"
            )
        listed = values if isinstance(values, list) else [values]
        conditions.append((str(other), tuple(_check_value(str(other), each, where) for each in listed)))
    return tuple(conditions)


def _check_value(name: str, value: Any, where: str) -> Value:
    """Check one value of a hyperparameter by the model that trials are made from."""
    try:
        if name == "architecture":
            return ARCHITECTURES[str(value)].name
        if isinstance(value, bool | list | dict) or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{where}: {name}: a number or a name is needed, but got {value!r}")
        checked = Hyperparameters.model_validate({"architecture": "pacf", name: value})
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_message(error)}") from None
    except UnknownNameError as error:
        raise ConfigError(f"{where}: {error}") from None
    checked_value: Value = getattr(checked, name)
    return checked_value


def _settings(given: dict[str, Any], lines: dict[str, int], file: str) -> SearchSettings:
    try:
        return SearchSettings.model_validate(given)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise ConfigError(f"{file}:{lines.get(key, 1)}: {_first_message(error)}") from None


def _check_whole(space: SearchSpace, lines: dict[str, int], file: str) -> None:
    """Check what concerns more than one line."""
    names = [parameter.name for parameter in space.parameters]
    if "architecture" not in names:
        raise ConfigError(
            f"{file}:1: `architecture` is missing; write e.g. `architecture: {{choice: [pacf, resnet50]}}`"
        )
    for index, parameter in enumerate(space.parameters):
        where = f"{file}:{lines[parameter.name]}"
        for other, _ in parameter.when:
            if other not in names[:index]:
                raise ConfigError(
                    f"{where}: {parameter.name} depends on {other!r}, which must stand in a line above it"
                )
        if parameter.name == "epochs" and parameter.distribution != "value":
            raise ConfigError(
                f"{where}: epochs cannot be searched: trials of unequal length do not compare; give one number"
            )
    if space.settings.stratify and space._named(space.settings.stratify).distribution not in (
        "choice",
        "value",
    ):
        raise ConfigError(f"{file}:{lines['stratify']}: stratify needs a `choice`")
    for name, value in space.settings.first.items():
        where = f"{file}:{lines['first']}"
        if name not in names:
            raise ConfigError(f"{where}: first: {name!r} is not searched here; {nearest_name(name, names)}")
        if not space._named(name).contains(_check_value(name, value, where)):
            raise ConfigError(
                f"{where}: first: {name}={value!r} lies outside of what line {lines[name]} allows"
            )


def _first_message(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, but got {first['input']!r}"
