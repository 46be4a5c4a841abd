"""A command watched from outside: how long all its processes worked, and how much memory they held."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    printed: str
    seconds: float
    processor_seconds: float
    """Of all its processes."""
    peak_memory: dict[str, float]
    """GB by kind of process when their sum was largest; a page that several share counts once."""

    def rates(self, name: str, frames: int) -> dict[str, float]:
        return {name: frames / self.seconds, f"{name} a cpu s": frames / self.processor_seconds}


def watched(command: list[str], memory: bool = False) -> Ended:
    """Run a command to its end.

    Its processes are looked at every half second: Ray's workers are nobody's children when they end.
    """
    start, used, peak = time.perf_counter(), {}, {}
    with TemporaryFile("w+") as printed, subprocess.Popen(command, stdout=printed) as process:
        while process.poll() is None:
            family = list(members(process.pid))
            used |= dict(family)
            held = memory_of([pid for pid, _ in family]) if memory else {}
            peak = max(peak, held, key=lambda each: sum(each.values()))
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        seconds = time.perf_counter() - start
        printed.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        return Ended(printed.read(), seconds, sum(used.values()), peak)


def members(root: int) -> Iterator[tuple[int, float]]:
    """A process and all below it, each with its processor seconds so far."""
    parents, used = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = file.read_text().rpartition(")")[2].split()
            parents[int(file.parent.name)] = int(fields[1])
            used[int(file.parent.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    family = {root}
    while below := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= below
    return ((pid, used[pid]) for pid in family if pid in used)


def memory_of(pids: list[int]) -> dict[str, float]:
    """GB held by kind of process, by proportional set size: a shared page is divided among its holders."""
    held: dict[str, float] = {}
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            kind = kind_of(Path(f"/proc/{pid}/cmdline").read_text())
            held[kind] = held.get(kind, 0.0) + kilobytes * 1024 / 1e9
    return held


def kind_of(command: str) -> str:
    """What a process is to a search, by its command line."""
    if "print_opponents" in command:
        return "opponents"
    if "Trial" in command or "Trainable" in command:
        return "trial workers"
    return "ray" if "ray::" in command or "/ray/" in command else "driver"
