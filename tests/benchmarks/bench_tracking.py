"""What tracking costs a search: eight trials, an epoch a second each, for a minute, into both kinds of store.

The cost is the processor time of the tracking thread, which it takes from the training, as a share of the
time of the search; beside it, what the search itself waits for an event to be written and told. What is paid
once, the last batch at the end, is told apart. Processor time depends little on what else the machine does.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from mlflow_server import free_port, server

from semtune.journal import EpochDone, Journal, SearchClosed, SearchOpened, TrialEnded, TrialStarted
from semtune.results import EpochResult
from semtune.tracking.layout import TrackedSearch
from semtune.tracking.store import open_store
from semtune.tracking.writer import TrackingWriter
from semtune.workspace import SearchFolder, Workspace

SECONDS = 60
TRIALS = [f"trial-{number:04d}" for number in range(8)]


def run() -> dict[str, dict[str, float]]:
    """Measure a search into the embedded store and one into a server."""
    with TemporaryDirectory() as folder:
        figures = {"embedded store": _tracked(Path(folder), None)}
        port = free_port()
        with server(Path(folder) / "server", port):
            figures["server"] = _tracked(Path(folder), f"http://127.0.0.1:{port}")
    return figures


def _tracked(place: Path, uri: str | None) -> dict[str, float]:
    workspace = Workspace(place)
    folder = SearchFolder(place / "searches" / ("embedded" if uri is None else "server"))
    folder.path.mkdir(parents=True)
    search = TrackedSearch(folder.name, folder.name, {}, "frames", "d" * 64, "data", {}, "", "0")
    journal = Journal(folder.journal)
    writer = TrackingWriter(lambda: open_store(workspace, uri), folder, search)
    waits: list[float] = []

    def publish(event: object) -> None:
        start = time.perf_counter()
        journal.append(event)
        writer.notify()
        waits.append(time.perf_counter() - start)

    publish(SearchOpened(pid=1, host="h"))
    for trial in TRIALS:
        publish(TrialStarted(trial=trial, stratum="", hyperparameters={"architecture": "pacf"}, seed=1))
    start = time.monotonic()
    for epoch in range(1, SECONDS + 1):
        for trial in TRIALS:
            publish(EpochDone(trial=trial, result=EpochResult(epoch, 1.0, 1.0 + 1 / epoch, 10, 1.0)))
        time.sleep(max(0.0, start + epoch - time.monotonic()))
    lasted, spent = time.monotonic() - start, writer.cpu_seconds
    for trial in TRIALS:
        publish(TrialEnded(trial=trial, reason="epochs"))
    publish(SearchClosed(state="finished"))
    left, end = writer.close(60), time.monotonic() - start - lasted
    journal.close()
    return {
        "thread % of a core": 100 * spent / lasted,
        "search waits %": 100 * sum(waits) / lasted,
        "event ms": 1000 * median(waits),
        "event p95 ms": 1000 * quantiles(waits, n=20)[-1],
        "end s": end,
        "unsent": left,
    }
