"""What a search costs its driver, by the number of trials: trials that do nothing, on a real Ray cluster.

    python tests/benchmarks/bench_scale.py [--trials 1000] [--epochs 20] [--play 0] [--tracking embedded]

The driver, the journal, Optuna's study, the display and the tracking are those of a real search; only the
workers train nothing. Figures are processor time of the driver's process by result, all its threads together,
between marks of trials; then the part of each piece of its main thread, without the pieces that it calls.
`--play` first plays so many trials without Ray: what director, study and journal take of it. Their search is
then taken up on Ray, unless `--trials` is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from conftest import write_small_dataset
from mlflow_server import free_port, server
from run import lines

from semtune.config import TrialTask
from semtune.environment import quiet_environment
from semtune.journal import EpochDone, Event, Journal, SearchClosed, SearchOpened, TrialEnded, read_record
from semtune.planning import SearchRequest, check_request, plan_search, read_plan, write_plan
from semtune.results import EpochResult
from semtune.training.samples import write_samples
from semtune.workspace import SearchFolder, Workspace

SPACE = """
architecture: {choice: [pacf, vgg11, resnet50]}
learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}
weight_decay: {uniform: [0.0, 0.1]}
batch_size: {int_uniform: [8, 64]}
"""
NAME = "scale"


class Account:
    """Processor and wall time of pieces, each without the pieces that it calls."""

    def __init__(self) -> None:
        self.booked: dict[str, list[float]] = {}
        self._inner: list[list[float]] = []

    def watch(self, owner: Any, method: str, piece: str) -> None:
        """Book every call of a method under a piece: processor seconds, wall seconds, calls."""
        plain = getattr(owner, method)

        @wraps(plain)
        def watched(*arguments: Any, **named: Any) -> Any:
            self._inner.append([0.0, 0.0])
            start = time.thread_time(), time.perf_counter()
            try:
                return plain(*arguments, **named)
            finally:
                spent = time.thread_time() - start[0], time.perf_counter() - start[1]
                inner, booked = self._inner.pop(), self.booked.setdefault(piece, [0.0, 0.0, 0])
                booked[:] = [booked[0] + spent[0] - inner[0], booked[1] + spent[1] - inner[1], booked[2] + 1]
                for outer in self._inner[-1:]:
                    outer[:] = [outer[0] + spent[0], outer[1] + spent[1]]

        setattr(owner, method, watched)


class Meter:
    """Looks at clocks and memory whenever the number of ended trials passes a mark."""

    def __init__(self, trials: int, account: Account) -> None:
        self._account, self._results, self._ended = account, 0, 0
        self._marks = {trials // 10, trials // 5, trials // 2, trials - trials // 10, trials}
        self._last = self._look()
        self.rows: dict[str, dict[str, float]] = {}

    def __call__(self, event: Event) -> None:
        self._results += isinstance(event, EpochDone)
        self._ended += isinstance(event, TrialEnded)
        if isinstance(event, TrialEnded) and self._ended in self._marks:
            self.mark(f"to trial {self._ended}")

    def mark(self, name: str) -> None:
        """A row of what was used since the mark before."""
        now = self._look()
        new = {key: now[key] - self._last.get(key, 0.0) for key in now}
        results = max(new.pop("results"), 1)
        self.rows[name] = {
            "results": results, "results/s": results / new["wall"], "MB more": new.pop("megabytes"),
            **{f"{key} ms": 1000 * value / results for key, value in new.items()},
        }  # fmt: skip
        self._last = now
        print(json.dumps({name: self.rows[name]}), file=sys.__stderr__, flush=True)

    def _look(self) -> dict[str, float]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "results": self._results,
            "wall": time.perf_counter(),
            "processor": time.process_time(),
            "main thread": time.thread_time(),
            "megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            **{f"- {piece}": booked[0] for piece, booked in self._account.booked.items()},
        }


def watched_pieces() -> Account:
    """Watch the pieces of the driver's main thread."""
    from semtune.display import SearchDisplay
    from semtune.search.adapters import Endings
    from semtune.search.director import Director
    from semtune.search.halving import Halving
    from semtune.search.sampler import Sampler

    account = Account()
    for owner, method, piece in (
        (Director, "next_order", "director, orders"),
        (Director, "epoch_done", "director, epochs"),
        (Director, "ended", "director, ends"),
        (Halving, "survives", "ASHA"),
        (Sampler, "propose", "Optuna, propose"),
        (Sampler, "report", "Optuna, report"),
        (Sampler, "tell", "Optuna, tell"),
        (Journal, "append", "journal"),
        (SearchDisplay, "__call__", "display"),
        (Endings, "_end", "ends: unneeded, prune"),
        (Endings, "on_step_begin", "each step"),
    ):
        account.watch(owner, method, piece)
    return account


def planned(workspace: Workspace, text: str) -> SearchFolder:
    """Plan a search, as before its first session, unless there is one."""
    folder = workspace.search(NAME)
    if folder.plan.exists():
        return folder
    folder.path.mkdir(parents=True)
    data = write_small_dataset(workspace.path / "data")
    (data / "space.yaml").write_text(f"{text}crop: 64\n")
    request = SearchRequest(str(data / "space.yaml"), data, NAME)
    plan, samples = plan_search(check_request(request), workspace.frames)
    write_samples(samples, folder.samples)
    write_plan(plan, folder.plan)
    return folder


def played(folder: SearchFolder, trials: int, heard: Callable[[Event], None]) -> None:
    """Play so many trials into journal and study, without Ray."""
    from nothing import rmse_of

    from semtune.search.director import Director

    journal, space = Journal(folder.journal), read_plan(folder.plan).space()

    def emit(event: Event) -> None:
        journal.append(event)
        heard(event)

    emit(SearchOpened(pid=1, host="h"))
    record = read_record(folder.journal)
    space = space.overridden({}, {"trials": len(record.trials) + trials})
    director = Director(space, record, folder.study, emit)
    while (order := director.next_order()) and order.role == "search":
        for epoch in range(1, order.hyperparameters.epochs + 1):
            rmse = rmse_of(order.seed, epoch)
            verdict = director.epoch_done(order.trial, EpochResult(epoch, rmse, rmse, 1, 0.1))
            if verdict:
                break
        director.ended(order.trial, verdict or "epochs")
        director.unneeded()
    journal.close()


def searched(workspace: Workspace, folder: SearchFolder, trials: int, uri: str | None) -> dict[str, Any]:
    """Search on with so many trials that do nothing; figures by mark."""
    import nothing
    from ray import cloudpickle

    from semtune.display import SearchDisplay
    from semtune.search.cluster import connected
    from semtune.search.depot import TrialFiles
    from semtune.search.director import Director
    from semtune.search.driver import Resources, run
    from semtune.services import tracked
    from semtune.tracking.store import open_store
    from semtune.tracking.writer import TrackingWriter

    cloudpickle.register_pickle_by_value(nothing)  # workers cannot import it
    plan, journal, account = read_plan(folder.plan), Journal(folder.journal), watched_pieces()
    writer = TrackingWriter(lambda: open_store(workspace, uri), folder, tracked(plan))
    display = SearchDisplay(folder)
    heard: list[Callable[[Event], None]] = [journal.append, display]

    def emit(event: Event) -> None:
        for each in heard:
            each(event)
        writer.notify()

    def task_of(order: Any, allotment: Any) -> TrialTask:
        return TrialTask(trial=order.trial, role=order.role, hyperparameters=order.hyperparameters,
                         seed=order.seed, trial_folder=str(folder.trials / order.trial), samples_file="none",
                         threads=1)  # fmt: skip

    start = time.process_time(), time.perf_counter()
    emit(SearchOpened(pid=1, host="h"))
    record = read_record(folder.journal)
    before = len(record.trials)
    space = plan.space().overridden({}, {"trials": before + trials})
    director = Director(space, record, folder.study, emit)
    taken_up = {"processor s": time.process_time() - start[0], "wall s": time.perf_counter() - start[1]}
    meter = Meter(trials, account)
    with connected(None), display:
        heard.append(meter)
        run(director, task_of, Resources(), TrialFiles(folder.trials), trainable=nothing.Nothing)
        meter.mark("finals")
    emit(SearchClosed(state="finished"))
    start = time.process_time(), time.perf_counter()
    left = writer.close(30 if before else 3600)  # 30 is what a search takes for it
    drained = {"processor s": time.process_time() - start[0], "wall s": time.perf_counter() - start[1]}
    journal.close()
    files = filter(Path.exists, (folder.journal, folder.study, workspace.database))
    return {
        "marks": meter.rows,
        "taken up": taken_up,
        "drained": {**drained, "unsent": left, "thread s": writer.cpu_seconds},
        "MB on disk": {file.name: file.stat().st_size / 2**20 for file in files},
    }


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """One search in this process."""
    text = f"{SPACE}epochs: {given.epochs}\nscheduler: {given.scheduler}\n"
    with TemporaryDirectory() as scratch, ExitStack() as servers:
        workspace = Workspace(given.keep or Path(scratch) / "workspace")
        folder = planned(workspace, text)
        if given.play:
            meter = Meter(given.play, watched_pieces())
            played(folder, given.play, meter)
        if not given.trials:
            return {"marks": meter.rows}
        uri = None
        if given.tracking == "server":
            port = free_port()
            servers.enter_context(server(Path(scratch) / "server", port))
            uri = f"http://127.0.0.1:{port}"
        return searched(workspace, folder, given.trials, uri)


def run() -> Mapping[str, Any]:
    """The small table of `make bench`: 300 trials, embedded store."""
    command = [sys.executable, __file__, "--trials", "300", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return table(json.loads(done.stdout))


def table(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures with a line a piece and a column a mark."""
    marks = figures["marks"]
    pieces = dict.fromkeys(piece for row in marks.values() for piece in row)
    turned = {piece: {mark: row[piece] for mark, row in marks.items() if piece in row} for piece in pieces}
    return {**turned, **{name: each for name, each in figures.items() if name != "marks"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--play", type=int, default=0)
    parser.add_argument("--tracking", choices=["embedded", "server"], default="embedded")
    parser.add_argument("--scheduler", choices=["none", "asha"], default="none")
    parser.add_argument("--keep", type=Path, help="workspace to keep, or to take up")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    # The display draws for a terminal, as for a user; what it draws goes nowhere.
    out, sys.stdout = sys.stdout, Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    figures = measured(given)
    print(json.dumps(figures) if given.json else "\n".join(lines(table(figures))), file=out)


if __name__ == "__main__":
    quiet_environment()
    os.environ.setdefault("TTY_COMPATIBLE", "1")
    main()
