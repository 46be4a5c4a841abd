"""The classical opponents of a search, fitted beside its trials and timed after them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from semtune.autofocus import AUTOFOCUS_FUNCTIONS, AutofocusFunction, single_thread
from semtune.dataset.frames import FrameStore
from semtune.errors import SearchError
from semtune.images import Frame
from semtune.journal import BaselineFitted
from semtune.timing import figures_of, time_calls
from semtune.training.samples import SampleTable

OPPONENTS = ("constant", "controls", "joint", *AUTOFOCUS_FUNCTIONS.names)
"""Names of all rows that a search is compared with."""
_SECONDS = 0.01  # to time a function for; one call takes some microseconds


class OpponentsAside:
    """Fits the opponents in a process of its own, which lets trials go first.

    It ends by itself, soon, should this process die.

    Args:
        samples_file: The samples and their split.
        folder: Where predictions are written.
    """

    def __init__(self, samples_file: Path, folder: Path) -> None:
        program = "import os; os.nice(5); from semtune.fitting import print_opponents; print_opponents()"
        self._program = [sys.executable, "-P", "-c", program, str(samples_file), str(folder)]

    @cached_property
    def _process(self) -> subprocess.Popen[str]:
        piped = subprocess.PIPE
        # In a group of its own: Ctrl-C is the driver's to hear. Not in a session of its own: Linux would
        # give that a share of the processor as large as that of all trials, whatever its priority.
        return subprocess.Popen(self._program, stdout=piped, stderr=piped, text=True, process_group=0)

    def start(self) -> None:
        """Start the process, unless it was started before."""
        self._process.poll()

    @cached_property
    def events(self) -> list[BaselineFitted]:
        """What the process found, once it has ended; it is started if need be.

        Raises:
            SearchError: If it failed.
        """
        printed, problem = self._process.communicate()
        if self._process.returncode:
            raise SearchError(f"the classical opponents could not be fitted: {problem.strip()[-2000:]}")
        return [BaselineFitted.model_validate_json(line) for line in printed.splitlines()]

    def stop(self) -> None:
        """End the process, should it still run."""
        if "_process" in vars(self):
            self._process.kill()
            self._process.wait()


def timed(opponents: Iterable[BaselineFitted], table: SampleTable, store: FrameStore) -> list[BaselineFitted]:
    """Add what each opponent takes for a frame; nothing else should run meanwhile."""
    milliseconds = _milliseconds([store.frame(int(index)) for index in np.resize(table.test, 32)])
    return [
        each.model_copy(update={"figures": {**each.figures, **milliseconds.get(each.name, {})}})
        for each in opponents
    ]


def _milliseconds(frames: Sequence[Frame]) -> dict[str, dict[str, float]]:
    """Time each autofocus function, and all together: what the joint row has to compute."""
    with single_thread():
        timed = {function.name: _time([function], frames) for function in AUTOFOCUS_FUNCTIONS}
        return {**timed, "joint": _time(list(AUTOFOCUS_FUNCTIONS), frames)}


def _time(functions: Sequence[AutofocusFunction], frames: Sequence[Frame]) -> dict[str, float]:
    single = time_calls(lambda: [function.focus_value(frames[0]) for function in functions], _SECONDS)
    batch = time_calls(lambda: [f.focus_value(frame) for f in functions for frame in frames], _SECONDS)
    return figures_of(single, batch, len(frames))
