"""One line of a search space: a hyperparameter with its distribution, checked where it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Literal, get_args

from pydantic import ValidationError

from semtune.config import Hyperparameters
from semtune.errors import ConfigError, UnknownNameError
from semtune.networks import ARCHITECTURES
from semtune.registry import nearest_name

Value = str | int | float | None
Distribution = Literal["value", "choice", "uniform", "log_uniform", "int_uniform"]


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


def read_parameter(name: str, value: object, where: str) -> Parameter:
    """Read one line.

    Args:
        name: The hyperparameter.
        value: What YAML made of the rest of the line.
        where: File and line, for messages.

    Raises:
        ConfigError: If a name is unknown, a type wrong or a range empty.
    """
    if not isinstance(value, dict):
        return Parameter(name, "value", (check_value(name, value, where),))
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
        otherwise = check_value(name, otherwise, where)
    return Parameter(name, kind, values, _conditions(name, value.get("when", {}), where), otherwise)


def _values(name: str, kind: Distribution, given: object, where: str) -> tuple[Value, ...]:
    if kind == "value":
        return (check_value(name, given, where),)
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{where}: {name}: {kind} needs a list, but got {shown(given)}")
    values = tuple(check_value(name, each, where) for each in given)
    if kind == "choice":
        if len(set(values)) != len(values):
            raise ConfigError(f"{where}: {name}: a choice stands twice in {shown(given)}; name each once")
        return values
    return _range(name, kind, values, where)


def _range(name: str, kind: Distribution, values: tuple[Value, ...], where: str) -> tuple[Value, ...]:
    if len(values) != 2 or not all(isinstance(each, int | float) for each in values):
        raise ConfigError(
            f"{where}: {name}: {kind} needs two numbers [low, high], but got {shown(list(values))}"
        )
    low, high = float(str(values[0])), float(str(values[1]))
    if not low < high:
        raise ConfigError(
            f"{where}: {name}: `low < high` must hold, but got low={low:g}, high={high:g}: an empty range"
        )
    if kind == "log_uniform" and low <= 0:
        raise ConfigError(f"{where}: {name}: log_uniform needs `0 < low`, but got low={low:g}")
    if kind == "int_uniform" and not all(float(str(each)).is_integer() for each in values):
        raise ConfigError(f"{where}: {name}: int_uniform needs whole numbers, but got {shown(list(values))}")
    if kind != "int_uniform" and name in ("batch_size", "epochs", "crop", "tiles"):
        raise ConfigError(
            f"{where}: {name}: whole numbers are needed; write int_uniform or choice instead of {kind}"
        )
    return values


def _conditions(name: str, given: object, where: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    if not isinstance(given, dict):
        raise ConfigError(
            f"{where}: {name}: `when` needs a mapping such as "
            f"{{architecture: [vgg11]}}, but got {shown(given)}"
        )
    conditions = []
    for other, values in given.items():
        if other not in Hyperparameters.model_fields:
            raise ConfigError(
                f"{where}: {name}: when: no hyperparameter named {other!r}; "
                f"{nearest_name(str(other), Hyperparameters.model_fields)}"
            )
        listed = values if isinstance(values, list) else [values]
        conditions.append((str(other), tuple(check_value(str(other), each, where) for each in listed)))
    return tuple(conditions)


def check_value(name: str, value: object, where: str) -> Value:
    """Check one value of a hyperparameter by the model that trials are made from.

    Raises:
        ConfigError: If it is of a wrong type, unknown or out of range.
    """
    try:
        if name == "architecture":
            return ARCHITECTURES[str(value)].name
        if isinstance(value, bool | list | dict) or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{where}: {name}: a number or a name is needed, but got {shown(value)}")
        checked = Hyperparameters.model_validate({"architecture": "pacf", name: value})
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_message(error)}") from None
    except UnknownNameError as error:
        raise ConfigError(f"{where}: {error}") from None
    checked_value: Value = getattr(checked, name)
    return checked_value


def first_message(error: ValidationError) -> str:
    """Say in one line, however large the input, what pydantic found first."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, but got {shown(first['input'])}"
