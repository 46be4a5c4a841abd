"""What long work looks like: a live table in a terminal, plain lines without one, JSON lines for machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from semtune.journal import (
    BaselineFitted,
    EpochDone,
    Event,
    NodeLost,
    Noted,
    NothingRuns,
    SearchOpened,
    SearchRecord,
    TrialAtWork,
    TrialDied,
    TrialEnded,
    TrialRecord,
    TrialStarted,
    TrialTested,
    as_json,
    read_record,
)
from semtune.planning import read_plan
from semtune.report.notes import notes, warnings
from semtune.report.table import ComparisonTable
from semtune.report.text import Columns, columns, supplements, title
from semtune.search.space import SearchSpace
from semtune.time_left import time_left
from semtune.usage import Hours
from semtune.workspace import SearchFolder

_REFRESHES_PER_SECOND = 2
_SHARE = 0.02  # of a processor that drawing may take, however many trials there are
_MOST_RUNNING, _BEST = 12, 4
"""Trials that the live table shows."""


class SearchDisplay:
    """Shows a running search; feed it every event.

    Args:
        folder: Of the search; what happened before this session is read from it when the session opens.
    """

    def __init__(self, folder: SearchFolder) -> None:
        self._folder, self._console = folder, Console()
        self._record = SearchRecord()
        self._space: SearchSpace | None = None
        self._waiting: NothingRuns | None = None
        self._start, self._frames_before = time.monotonic(), 0
        self._picture: RenderableType = ""
        self._due = 0.0  # seconds of the clock at which a new picture may be drawn
        live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=_REFRESHES_PER_SECOND
        )
        self._live = live if self._console.is_terminal else None

    def __enter__(self) -> SearchDisplay:
        """Start drawing."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the last picture on the screen."""
        self._due = 0.0
        if self._live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, SearchOpened):
            self._open()
        else:
            self._record.add(event)
        if isinstance(event, NothingRuns | TrialAtWork):
            self._waiting = event if isinstance(event, NothingRuns) else None
        if self._live is None or isinstance(event, Noted | NodeLost | NothingRuns):
            line = _line(event, self._record)
            if line:
                self._console.print(line, highlight=False, soft_wrap=True)

    def _open(self) -> None:
        """Take up the search as it stands; the journal has the opening event already."""
        self._record = read_record(self._folder.journal)
        self._space = read_plan(self._folder.plan).space()
        self._frames_before = self._record.frames_trained

    def _render(self) -> RenderableType:
        """The picture, drawn anew unless that took long and not long ago; called in a thread of its own."""
        if time.monotonic() >= self._due:
            start, trials = time.thread_time(), list(self._record.trials.values())
            self._picture = Group(_architecture_table(trials), _trial_table(trials), self._status(trials))
            self._due = time.monotonic() + (time.thread_time() - start) / _SHARE
        return self._picture

    def _status(self, trials: Sequence[TrialRecord]) -> Text:
        seconds = max(time.monotonic() - self._start, 1e-3)
        ended = _count_ended(trials)
        frames = sum(epoch.frames for trial in trials for epoch in trial.epochs)
        parts = [
            f"{ended}/{self._space.settings.trials if self._space else '?'} trials ended",
            f"{sum(len(trial.epochs) for trial in trials)} epochs",
            f"{(frames - self._frames_before) / seconds:.0f} frames/s",
            f"{duration(seconds)} so far",
        ]
        now, usage = time.time(), self._record.usage
        cost = self._space.settings.cost_per_gpu_hour if self._space else None
        parts.append(str(Hours(usage.gpu_hours(now), usage.cpu_hours(now), cost)))
        left = time_left(trials, self._space) if self._space else None
        parts.append("time left not known yet" if left is None else f"about {duration(left)} left")
        waiting = f"\n{_line(self._waiting, self._record)}" if self._waiting else ""
        return Text("  ".join(parts), style="dim").append(waiting, style="yellow")


def print_event_as_json(file: TextIO, event: Event) -> None:
    """Show an event as one line of JSON."""
    Console(file=file, soft_wrap=True).print(as_json(event), markup=False, highlight=False)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Draw a table; all columns but the first are set to the right."""
    _wide_console().print(_table(headers, rows, title))


def print_comparison(table: ComparisonTable) -> None:
    """Draw the comparison table of a search with its notes."""
    shown, console = columns(table), _wide_console()
    console.print(_table(shown.headers, shown.rows, title(table)))
    for heading, cells in supplements(table):
        console.print(_table(cells.headers, cells.rows, f"\n{heading}"))
    for warning in warnings(table):
        console.print(Text(f"Warning: {warning}", style="yellow"))
    for note in notes(table):
        console.print(Text(f"- {note}", style="dim"))


def print_tables(title: str, tables: Iterable[tuple[str, Columns]], notes: Iterable[str]) -> None:
    """Draw several tables under one title, each with its heading, and notes below them."""
    console = _wide_console()
    console.print(Text(title, style="bold"))
    for heading, shown in tables:
        console.print(Text(f"\n{heading}", style="italic"))
        console.print(_table(shown.headers, shown.rows))
    for note in notes:
        console.print(Text(f"- {note}", style="dim"))


def _wide_console() -> Console:
    """Without a terminal nothing is cut: whoever reads a log wants the whole row."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, header in enumerate(headers):
        table.add_column(header, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _architecture_table(trials: Sequence[TrialRecord]) -> Table:
    headers = ("architecture", "trials", "running", "epochs", "best validation RMSE", "its epochs")
    groups: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        groups.setdefault(trial.architecture, []).append(trial)
    rows = [_architecture_row(name, group) for name, group in groups.items()]
    return _table(headers, rows)


def _architecture_row(name: str, trials: list[TrialRecord]) -> tuple[str, ...]:
    running = [trial for trial in trials if trial.reason is None]
    known = [t for t in trials if not t.failed and t.validation_rmse is not None]
    best = min(known, key=lambda trial: trial.validation_rmse or 0.0, default=None)
    return (
        name,
        str(len(trials)),
        " ".join(f"{trial.name.removeprefix('trial-')}:{len(trial.epochs)}" for trial in running),
        str(sum(len(trial.epochs) for trial in trials)),
        f"{best.validation_rmse:.3f}" if best else "",
        sparkline([epoch.validation_rmse for epoch in best.epochs]) if best else "",
    )


def _trial_table(trials: Sequence[TrialRecord]) -> Table:
    """The trials at work, and the best of those that have ended."""
    headers = ("trial", "architecture", "epochs", "validation RMSE", "lowest", "over its epochs", "")
    trained = [trial for trial in trials if trial.epochs and not trial.failed]
    running = [trial for trial in trained if trial.reason is None]
    ended = sorted(
        (trial for trial in trained if trial.reason), key=lambda trial: trial.epochs[-1].validation_rmse
    )
    return _table(headers, [_trial_row(trial) for trial in [*running[:_MOST_RUNNING], *ended[:_BEST]]])


def _trial_row(trial: TrialRecord) -> tuple[str, ...]:
    errors = [epoch.validation_rmse for epoch in trial.epochs]
    return (
        trial.name,
        trial.architecture,
        f"{len(errors)}/{trial.started.hyperparameters['epochs']}",
        f"{errors[-1]:.3f}",
        f"{min(errors):.3f}",
        sparkline(errors),
        trial.reason or "runs",
    )


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """Draw values as bars, high ones high; of more than `width` every so-manieth, the last one always."""
    step = -(-len(values) // width)
    values = values[::-1][::step][::-1]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (value - low) / span)] for value in values)


def _line(event: Event, record: SearchRecord) -> str:
    if isinstance(event, TrialStarted):
        settings = ", ".join(_settings(event.hyperparameters))
        fresh = f"  fresh seed of {event.reseeds}" if event.reseeds else ""
        return f"{event.trial}  started   {event.hyperparameters['architecture']}  {settings}{fresh}"
    if isinstance(event, EpochDone):
        result = event.result
        return f"{event.trial}  epoch {result.epoch:<3d} validation RMSE {result.validation_rmse:.3f}"
    if isinstance(event, TrialEnded):
        trial = record.trials[event.trial]
        rmse = "-" if trial.validation_rmse is None else f"{trial.validation_rmse:.3f}"
        why = event.message.strip().splitlines()[-1] if event.message else ""
        epochs = f"{event.reason} after {len(trial.epochs)} epochs"
        return f"{event.trial}  ended     {epochs}, RMSE {rmse}  {why}".rstrip()
    if isinstance(event, TrialDied):
        how = (
            "goes on alone: too little memory beside others" if event.alone else "goes on from its checkpoint"
        )
        return f"{event.trial}  died      {how}"
    if isinstance(event, NodeLost):
        there = ", ".join(event.trials)
        return f"node {event.host} is gone" + (f"; preempted, to go on elsewhere: {there}" if there else "")
    if isinstance(event, NothingRuns):
        nodes = f"none of {event.nodes} nodes has room for a trial" if event.nodes else "no node to train on"
        left = duration(max(0.0, event.limit - event.seconds))
        return (
            f"{nodes} since {duration(event.seconds)}; the search ends in {left} (--wait) and can be resumed"
        )
    if isinstance(event, Noted):
        return event.text
    if isinstance(event, TrialTested):
        return f"{event.trial}  tested    test RMSE {event.figures['test_rmse']:.3f}"
    if isinstance(event, BaselineFitted):
        return f"{event.name}  fitted    test RMSE {event.figures['test_rmse']:.3f}"
    return ""


def _settings(hyperparameters: dict[str, Any]) -> Iterator[str]:
    for name in ("learning_rate", "batch_size", "optimizer", "epochs", "crop"):
        value = hyperparameters[name]
        yield f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"


def _count_ended(trials: Iterable[TrialRecord]) -> int:
    """Trials of those that were asked for by number; fresh seeds of the best come after them."""
    searched = (trial for trial in trials if trial.started.reseeds is None)
    return sum(trial.reason not in (None, "interrupted") for trial in searched)


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
