"""A specialist by name or from a file: how a laboratory weighs the four qualities."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from semtune.errors import ConfigError
from semtune.simulator.specialist import SPECIALISTS, Specialist

_LIMIT = 64 * 1024


def find_specialist(name: str) -> Specialist:
    """Find a specialist: one of `SPECIALISTS` by name, or a YAML file (`.yaml`, `.yml`) that describes one.

    The file holds `name`, `weights` (sharpness, contrast, brightness, noise; they sum to 1) and `spoilers`
    (the qualities of which the worst makes half of the score).

    Raises:
        UnknownNameError: If it is neither a file's name nor a known one.
        ConfigError: If the file cannot be read or does not describe a specialist.
    """
    if not name.endswith((".yaml", ".yml")):
        return SPECIALISTS[name]
    try:
        text = Path(name).read_bytes()[:_LIMIT].decode()
        return TypeAdapter(Specialist).validate_python(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}: {place + ': ' if place else ''}{what}; correct it") from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise ConfigError(f"{name}: cannot be read ({reason}); write name, weights and spoilers") from None
