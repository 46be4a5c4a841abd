"""How a session on a search is watched and ends: display, command hook, last words, exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING

import typer

from semtune.cli_options import is_quiet, show, tell
from semtune.workspace import Workspace

if TYPE_CHECKING:
    from semtune.journal import Event, SearchRecord
    from semtune.session import Outcome

_LOG = logging.getLogger("semtune")


def observed(
    place: Workspace,
    name: str,
    as_json: bool,
    on_end: Sequence[str],
    work: Callable[[Callable[[Event], None]], Outcome],
) -> Outcome:
    """Work on a search under the display that fits, then run the command hook.

    Args:
        place: The workspace.
        name: Of the search.
        as_json: Whether events are printed as JSON.
        on_end: Program and arguments to run at the end; nothing if empty.
        work: Works on the search, given what takes each event.
    """
    from semtune.journal import read_record

    begun: list[Event] = []

    def begin(observe: Callable[[Event], None]) -> Outcome:
        def heard(event: Event) -> None:
            begun[:] = begun or [event]
            observe(event)

        return work(heard)

    try:
        outcome = _displayed(place, name, as_json, begin)
    except BaseException as error:
        if begun:
            record = read_record(place.search(name).journal)
            state = record.closed.state if record.closed else "interrupted"
            _call(on_end, place, name, state, str(error) or type(error).__name__, record)
        raise
    _call(on_end, place, name, outcome.state, outcome.message, outcome.record)
    return outcome


def conclude(outcome: Outcome, name: str, as_json: bool) -> None:
    """Say how a search ended and what comes next; an interrupted or failed one exits with 1."""
    why = f"{outcome.message}; " if outcome.message else ""
    nexts = {
        "finished": f"`semtune report {name}` compares, `semtune promote {name}` makes the best the champion",
        "interrupted": f"{why}`semtune resume {name}` goes on",
        "failed": f"{why}`semtune explain {name}` says more, `semtune retry {name} --failed` runs them "
        "again, --max-failures N bears more",
    }
    facts = {"search": name, "state": outcome.state, "message": outcome.message}
    said = f"search {name} {outcome.state}: {nexts[outcome.state]}"
    if outcome.state == "finished":
        tell(facts, as_json, said)
        return
    show(facts, as_json, said)
    raise typer.Exit(1)


def _displayed(
    place: Workspace, name: str, as_json: bool, work: Callable[[Callable[[Event], None]], Outcome]
) -> Outcome:
    from semtune.display import SearchDisplay, print_event_as_json

    if as_json:
        out = sys.stdout
        with redirect_stdout(sys.stderr):  # Ray prints what it finds remarkable, such as a worker's death
            return work(partial(print_event_as_json, out))
    if is_quiet():
        return work(lambda event: None)
    with SearchDisplay(place.search(name)) as display:
        return work(display)


def _call(
    command: Sequence[str], place: Workspace, name: str, state: str, message: str, record: SearchRecord
) -> None:
    """Run the command hook; that it fails is a warning, for the search is done."""
    if not command:
        return
    from semtune.hook import run_hook

    best = record.best_trial
    trouble = run_hook(
        command,
        {
            "SEMTUNE_SEARCH": name,
            "SEMTUNE_STATE": state,
            "SEMTUNE_MESSAGE": message,
            "SEMTUNE_BEST_TRIAL": best.name if best else "",
            "SEMTUNE_BEST_VALIDATION_RMSE": f"{best.validation_rmse:.4f}" if best else "",
            "SEMTUNE_WORKSPACE": str(place.path),
        },
    )
    if trouble:
        _LOG.warning("--on-end %s: %s; run it by hand", command[0], trouble)
