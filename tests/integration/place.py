"""A folder in which the program runs as a user runs it, in processes that are known by a mark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from semtune.journal import read_record
from semtune.tracking.store import open_store
from semtune.workspace import Workspace

PROGRAM = (sys.executable, "-m", "semtune")
MARK = "SEMTUNE_WHOLE_JOB"
# Of Ray; where their raylet died while they were starting, they look for it for a minute, then end.
AGENTS = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")


@dataclass(frozen=True)
class Place:
    """The folder where everything happens, and the mark by which its processes are known."""

    folder: Path
    mark: str

    @property
    def workspace(self):
        return Workspace(self.folder / "semtune-workspace")

    @contextmanager
    def started(self, *arguments):
        """Start the program in a process group of its own; nothing of it is alive afterwards."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*PROGRAM, *map(str, arguments)],
                cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, MARK: self.mark},
            )  # fmt: skip
        try:
            yield process
        finally:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def run(self, *arguments, code=0):
        """Run the program to its end; returns what it printed."""
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=240,
            env={**os.environ, MARK: self.mark},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + (done.stderr if code else "")

    def json(self, *arguments, code=0):
        return json.loads(self.run(*arguments, "--json", code=code))

    def processes(self, but=()):
        """Processes that inherited the mark, whoever their parent is now; all but those of some titles."""
        wanted, found = f"{MARK}={self.mark}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = wanted in (folder / "environ").read_bytes().split(b"\0")
                if marked and not (folder / "cmdline").read_bytes().startswith(tuple(but)):
                    found.append(int(folder.name))
            except OSError:  # it ended meanwhile, or is not ours
                continue
        return found

    def workers(self):
        """Process ids of the trials, by what Ray calls them."""
        return [pid for pid in self.processes() if _title(pid).startswith(b"ray::RayTrial")]

    def state(self, name):
        [state] = [each["state"] for each in self.json("list") if each["name"] == name]
        return state

    def record(self, name):
        return read_record(self.workspace.search(name).journal)

    def runs(self, name):
        """MLflow's runs of a search: the parent, and the others by trial or baseline; each only once."""
        client = open_store(self.workspace).client
        [experiment] = client.search_experiments(filter_string=f"name = '{name}'")
        runs = client.search_runs([experiment.experiment_id])
        [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        children = {run.data.tags["semtune.trial"]: run for run in runs if run is not parent}
        assert len(children) == len(runs) - 1
        return parent, children


def _title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
