"""The command that is run when a search ends: it is told by environment variables, never by shell text."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from semtune.errors import ConfigError

_SECONDS = 60.0
"""That a command may take."""


def parse_command(text: str) -> tuple[str, ...]:
    """Split a command into its words, as a shell would, but expand nothing.

    Raises:
        ConfigError: If it cannot be split, or its program is not found.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(
            f"--on-end: {text!r} cannot be split into words ({error}); mend the quotes"
        ) from None
    if not words or shutil.which(words[0]) is None:
        program = words[0] if words else ""
        raise ConfigError(
            f"--on-end: no program {program!r}; give one of the PATH, or the path of a script that may be run"
        )
    return words


def run_hook(command: Sequence[str], facts: Mapping[str, str]) -> str | None:
    """Run a command with facts as environment variables.

    Args:
        command: Program and arguments; no shell sees them.
        facts: Values by name of the environment variable.

    Returns:
        What went wrong, in a few words; None if the command ended with 0.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **facts},
            stdin=subprocess.DEVNULL,
            stdout=2,  # standard output may be JSON for a machine
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_SECONDS:.0f} s and was killed"
    except OSError as error:
        return str(error.strerror)
    return f"it ended with {done.returncode}" if done.returncode else None
