"""Searches under random faults for minutes, then a look at every invariant and one line of figures.

    python tests/integration/soak.py [--minutes 20] [--seed 0]

Runs the program as a user runs it, against a real MLflow server, on a small disk where the mount succeeds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import write_small_dataset
from invariants import check_all, whole_lines
from mlflow_server import free_port, server, stopped
from place import AGENTS, Place, until

from semtune.environment import quiet_environment
from semtune.tracking.store import open_store

SPACE = """
architecture: pacf
learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
batch_size: 4
crop: 64
tiles: 1
epochs: 18
grace_epochs: 6
frames_per_epoch: 16
trials: 12
max_failures: 12
"""
NO_OPS = 1000


class Soak:
    """One soak: a place, a server, and how many faults of which kind were injected."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.place = Place(folder, uuid4().hex)
        self.chance = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.port, self.servers = free_port(), ExitStack()
        write_small_dataset(folder / "frames")
        (folder / "space.yaml").write_text(SPACE)
        self.place.workspace.path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(self.place.workspace.path)]
        self.small_disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def start_server(self) -> None:
        self.servers.enter_context(server(self.place.folder / "server", self.port))

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, seconds: float) -> None:
        """Search after search, until the time is up; the last one is brought to its end."""
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            name = f"soak-{number}"
            self.search(name, end)
            number += 1

    def search(self, name: str, end: float) -> None:
        """One search, in as many sessions as the faults make of it."""
        journal, before = self.place.workspace.search(name).journal, b""
        common = ("--heartbeat", "15s", "--tracking-uri", self.uri)
        while True:
            known = journal.parent.exists()
            arguments = (
                ("resume", name) if known else ("search", "space.yaml", "--data", "frames", "--name", name)
            )
            with self.place.started(*arguments, *common) as process:
                self.disturb(process, end)
                process.wait(240)
                until(lambda: not self.place.processes(but=AGENTS), 60)
            (self.place.workspace.path / "ballast").unlink(missing_ok=True)
            assert whole_lines(journal).startswith(before), name
            before = whole_lines(journal)
            closed = self.place.record(name).closed
            assert closed is None or closed.state != "failed", closed
            if closed and closed.state == "finished":
                break
        self.place.run("sync", name, "--tracking-uri", self.uri)
        tally = check_all(self.place, name, before, store=open_store(self.place.workspace, self.uri))
        self.totals.update(vars(tally))

    def disturb(self, process: subprocess.Popen[bytes], end: float) -> None:
        """Inject faults until one of them ends the session, or it ends by itself, or the time is up."""
        faults = [
            self.kill_driver, self.kill_trial, self.stop_trial, self.interrupt, self.interrupt_twice,
            self.terminate, self.sleep, self.silence_server, self.restart_server,
        ]  # fmt: skip
        faults += [self.fill_disk] if self.small_disk else []
        while process.poll() is None and time.monotonic() < end:
            self._wait(process, self.chance.uniform(3, 15))
            if process.poll() is None:
                fault = self.chance.choice(faults)
                if fault(process):
                    self.faults[fault.__name__] += 1

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    def kill_driver(self, process):
        process.kill()
        process.wait()
        return True

    def kill_trial(self, process):
        return self._signal_trial(signal.SIGKILL)

    def stop_trial(self, process):
        return self._signal_trial(signal.SIGSTOP)

    def _signal_trial(self, number):
        workers, deadline = [], time.monotonic() + 10
        while not workers and time.monotonic() < deadline:  # between two calls they have another title
            workers = self.place.workers()
        with suppress(ProcessLookupError):
            if workers:
                os.kill(self.chance.choice(workers), number)
        return bool(workers)

    def interrupt(self, process):
        process.send_signal(signal.SIGINT)
        self._wait(process, 60)
        return True

    def interrupt_twice(self, process):
        process.send_signal(signal.SIGINT)
        self._wait(process, 1)
        process.send_signal(signal.SIGINT)
        self._wait(process, 60)
        return True

    def terminate(self, process):
        process.send_signal(signal.SIGTERM)
        self._wait(process, 30)
        return True

    def sleep(self, process):
        asleep = self.place.processes()
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in asleep:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(20 if number == signal.SIGSTOP else 0)
        return True

    def silence_server(self, process):
        with stopped(self.port):
            self._wait(process, 10)
        return True

    def restart_server(self, process):
        self.servers.close()
        self._wait(process, 5)
        self.start_server()
        return True

    def fill_disk(self, process):
        ballast = self.place.workspace.path / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 2**16)
        self._wait(process, 60)
        ballast.unlink(missing_ok=True)
        return True

    def close(self) -> None:
        self.servers.close()
        if self.small_disk:
            subprocess.run(["umount", "--lazy", str(self.place.workspace.path)], check=False)


def grown_megabytes() -> float:
    """What the driver's memory grew by from the 100th to the last of a thousand trials that do nothing."""
    from scripted import Scripted, search

    from semtune.search.cluster import connected

    class Quick(Scripted):
        seconds = 0.0

    sizes, text = [], "architecture: pacf\nlearning_rate: {log_uniform: [1.0e-4, 1.0e-2]}\nepochs: 1\n"

    def measure(event):
        if event.event == "trial_ended":
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    with TemporaryDirectory() as folder, connected(None):
        search(Path(folder), Quick, text=text, stop_after=measure, trials=NO_OPS)
    return sizes[-1] - sizes[99]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=20)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--no-ops", action="store_true", help="only measure the driver's memory")
    given = arguments.parse_args()
    quiet_environment()
    if given.no_ops:
        print(json.dumps(grown_megabytes()))
        return
    start, command = time.monotonic(), [sys.executable, __file__, "--no-ops"]
    memory = subprocess.run(command, capture_output=True, text=True, check=True)
    with TemporaryDirectory() as folder:
        soak = Soak(Path(folder), given.seed)
        try:
            soak.start_server()
            soak.run(60 * given.minutes - (time.monotonic() - start))
        finally:
            print(dict(soak.faults), file=sys.stderr)
            soak.close()
    print(
        f"soak: {soak.faults.total()} faults injected, {soak.totals['finished']} trials finished of "
        f"{soak.totals['trials']}, lost {soak.totals['lost']}, doubled {soak.totals['doubled']}, "
        f"zombies {soak.totals['zombies']}, leaked processes {soak.totals['leaked']}, driver grew by "
        f"{float(memory.stdout.splitlines()[-1]):.0f} MB over {NO_OPS - 100} trials that do nothing"
    )


if __name__ == "__main__":
    main()
