"""Search spaces: a hyperparameter a line, read from YAML and checked before anything starts.

architecture: {choice: [pacf, resnet50]}
learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}
dropout: {uniform: [0.0, 0.5], when: {architecture: [vgg11, vgg13]}, otherwise: 0.0}
epochs: {value: 60, when: {architecture: [pacf]}, otherwise: 6}
crop: 96
stratify: architecture
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from semtune.config import Hyperparameters, SearchSettings
from semtune.errors import ConfigError, words_of
from semtune.registry import nearest_name
from semtune.search.line import Parameter, Value, check_value, first_message, read_parameter

_LARGEST_FILE = 1_000_000


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
        """First rung of ASHA among the trials of a stratum."""
        return self.grace_of(self.epochs(stratum))

    def grace_of(self, epochs: int) -> int:
        """First rung of ASHA among trials of so many epochs: as given, or a ninth (two rungs by thirds).

        Without a scheduler it is the last epoch, before which nothing stops.
        """
        if self.settings.scheduler == "none":
            return epochs
        return self.settings.grace_epochs or max(1, round(epochs / 9))

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
            check_value(parameter.name, parameter.values[0], "command line")
        changed = {name: value for name, value in settings.items() if value is not None}
        try:
            merged = SearchSettings.model_validate({**self.settings.model_dump(), **changed})
        except ValidationError as error:
            raise ConfigError(f"command line: {first_message(error)}") from None
        # What is fixed comes first, for the conditions of the lines below it.
        return SearchSpace(self.name, (*fixed, *kept), merged, self.text)

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
            parameters.append(read_parameter(key, value, where))
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
            (str(key.value), loader.construct_object(value, deep=True), key.start_mark.line + 1)
            for key, value in pairs or ()
        ]
    # PyYAML trips over a tag whose content is of another kind, such as `!!int x`, in all these ways.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(f"{file}: not valid YAML ({words_of(error, 200)}); mend that place") from None
    if pairs is None:
        raise ConfigError(
            f"{file}:1: not a mapping; write a hyperparameter a line, e.g. `learning_rate: 1.0e-4`"
        )
    yield from entries


def _settings(given: dict[str, Any], lines: dict[str, int], file: str) -> SearchSettings:
    try:
        return SearchSettings.model_validate(given)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise ConfigError(f"{file}:{lines.get(key, 1)}: {first_message(error)}") from None


def _check_whole(space: SearchSpace, lines: dict[str, int], file: str) -> None:
    """Check what concerns more than one line."""
    names = [parameter.name for parameter in space.parameters]
    if "architecture" not in names:
        raise ConfigError(
            f"{file}:1: `architecture` is missing; write e.g. `architecture: {{choice: [pacf, resnet50]}}`"
        )
    for index, parameter in enumerate(space.parameters):
        _check_conditions(parameter, names[:index], f"{file}:{lines[parameter.name]}")
    if space.settings.stratify and space._named(space.settings.stratify).distribution not in (
        "choice",
        "value",
    ):
        raise ConfigError(
            f"{file}:{lines['stratify']}: stratify needs a `choice`; name another line, or leave it out"
        )
    for name, value in space.settings.first.items():
        where = f"{file}:{lines['first']}"
        if name not in names:
            raise ConfigError(f"{where}: first: {name!r} is not searched here; {nearest_name(name, names)}")
        if not space._named(name).contains(check_value(name, value, where)):
            raise ConfigError(
                f"{where}: first: {name}={value!r} lies outside of what line {lines[name]} allows"
            )


def _check_conditions(parameter: Parameter, above: list[str], where: str) -> None:
    """Check what a line depends on; `above` are the hyperparameters of the lines above it."""
    for other, _ in parameter.when:
        if other not in above:
            raise ConfigError(
                f"{where}: {parameter.name} depends on {other!r}, which must stand in a line above it"
            )
        if parameter.name == "architecture":
            raise ConfigError(
                f"{where}: the architecture cannot depend on another hyperparameter; drop `when`"
            )
        if parameter.name == "epochs" and other != "architecture":
            raise ConfigError(
                f"{where}: epochs can depend on the architecture alone, not on {other!r}; drop `when`"
            )
    if parameter.name == "epochs" and parameter.distribution != "value":
        raise ConfigError(
            f"{where}: epochs cannot be searched: trials of unequal length do not compare; give one number"
        )
