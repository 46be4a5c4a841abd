"""Why the trials of a search stopped, what mattered among them, and whether more would help."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from semtune.journal import EpochDone, Event, SearchRecord, TrialEnded, TrialRecord, read_events
from semtune.planning import read_plan
from semtune.report.text import Columns, points
from semtune.search.importance import CHANCE, Importance, importance
from semtune.search.judgement import epochs_of
from semtune.search.outlook import Outlook, outlook
from semtune.search.space import SearchSpace
from semtune.workspace import SearchFolder

_WORDS = {
    "epochs": "trained to its last epoch",
    "budget": "the time budget was used up",
    "interrupted": "the search was interrupted; `semtune resume` goes on with it",
    "running": "still open: running, or cut off by a death; `semtune resume` goes on with it",
}


@dataclass(frozen=True)
class Stop:
    """Why one trial stopped."""

    trial: str
    architecture: str
    epochs: int
    planned_epochs: int
    validation_rmse: float | None
    reason: str
    why: str


@dataclass(frozen=True)
class Explanation:
    """What the journal of a search explains."""

    search: str
    stops: tuple[Stop, ...]
    importance: Importance | str
    """Or why it is not known."""
    outlooks: Mapping[str, Outlook | str]
    """By stratum; the name is empty where all trials compete."""
    seeded: bool
    """Whether the sampler learns, so that later trials are better ones."""

    @property
    def reasons(self) -> dict[str, int]:
        """Number of trials by reason, the most frequent first."""
        return dict(Counter(stop.reason for stop in self.stops).most_common())


def explain_search(folder: SearchFolder) -> Explanation:
    """Explain a search from its plan and its journal."""
    space = read_plan(folder.plan).space()
    record, places = SearchRecord(), _Places(space)
    for event, _ in read_events(folder.journal):
        record.add(event)
        places.add(event, record)
    trials = list(record.trials.values())
    outlooks = {
        stratum: outlook([trial for trial in trials if trial.started.stratum == stratum])
        for stratum in space.strata
    }
    stops = tuple(_stop(trial, places.told) for trial in trials)
    return Explanation(
        folder.name, stops, importance(space, trials), outlooks, space.settings.sampler == "tpe"
    )


class _Places:
    """Where each trial stood among those that had come as far, at the moment when ASHA stopped it."""

    def __init__(self, space: SearchSpace) -> None:
        self.told: dict[str, str] = {}
        self._kept = f"the best 1/{space.settings.reduction_factor:g} of each rung go on"
        self._seen: defaultdict[tuple[str, int, int], dict[str, float]] = defaultdict(dict)

    def add(self, event: Event, record: SearchRecord) -> None:
        """Take in one event, after the record has it."""
        if not isinstance(event, EpochDone | TrialEnded) or event.trial not in record.trials:
            return
        trial = record.trials[event.trial]
        if trial.started.reseeds or not trial.epochs:
            return
        last = trial.epochs[-1]
        there = self._seen[trial.started.stratum, epochs_of(trial), last.epoch]
        if isinstance(event, EpochDone):
            there[trial.name] = last.validation_rmse
        elif event.reason == "asha":
            place = 1 + sum(other < last.validation_rmse for other in there.values())
            self.told[trial.name] = (
                f"number {place} of the {len(there)} that had got to epoch {last.epoch} by then; {self._kept}"
            )


def _stop(trial: TrialRecord, places: Mapping[str, str]) -> Stop:
    reason = trial.reason or "running"
    lines = (trial.ended.message if trial.ended else "").strip().splitlines()
    why = places.get(trial.name, "") if reason == "asha" else _WORDS.get(reason, "")
    if trial.started.reseeds:
        why = f"fresh seed of {trial.started.reseeds}; {why}".removesuffix("; ")
    if lines:
        why = lines[-1]
    return Stop(
        trial.name,
        trial.architecture,
        len(trial.epochs),
        epochs_of(trial),
        trial.validation_rmse,
        reason,
        why,
    )


def facts(found: Explanation) -> dict[str, Any]:
    """All of it for machines."""
    judged = found.importance
    return {
        "search": found.search,
        "reasons": found.reasons,
        "trials": [asdict(stop) for stop in found.stops],
        "importance": {"unknown": judged} if isinstance(judged, str) else asdict(judged),
        "more_trials": {
            stratum or "all architectures": {"unknown": each}
            if isinstance(each, str)
            else {**asdict(each), "gain": each.gain, "chance": each.chance, "helps": each.helps}
            for stratum, each in found.outlooks.items()
        },
    }


def tables(found: Explanation) -> Iterator[tuple[str, Columns]]:
    """Headings with the tables below them."""
    counts = ", ".join(f"{count} {reason}" for reason, count in found.reasons.items())
    rows = tuple(
        (
            stop.trial,
            stop.architecture,
            f"{stop.epochs} of {stop.planned_epochs}",
            points(stop.validation_rmse),
            stop.reason,
            stop.why,
        )
        for stop in found.stops
    )
    headers = ("trial", "architecture", "epochs", "validation RMSE", "reason", "why")
    yield f"Why trials stopped: {counts or 'none has started'}", Columns(headers, rows, texts=2)
    if isinstance(found.importance, Importance):
        ordered = sorted(found.importance.shares.items(), key=lambda each: -each[1])
        cells = tuple(
            (name, f"{share:.2f}", f"{found.importance.spread[name]:.2f}") for name, share in ordered
        )
        yield "What mattered", Columns(("hyperparameter", "share", "spread over forests"), cells, texts=1)


def notes(found: Explanation) -> Iterator[str]:
    """What the tables do not say, and how far to trust them."""
    if isinstance(found.importance, str):
        yield f"What mattered is not known: {found.importance}."
    else:
        left = found.importance.partial
        yield (
            f"Shares of the differences in validation RMSE by a random forest over {found.importance.trials} "
            f"trials; what does not stand out of {CHANCE!r}, a random number, is not shown to matter."
            + (f" Only some trials have {', '.join(left)}: not judged." if left else "")
        )
    known = [each for each in found.outlooks.values() if isinstance(each, Outlook)]
    for stratum, each in found.outlooks.items():
        where = f" of {stratum}" if stratum else ""
        yield f"Would more trials{where} help? " + (_unknown(each) if isinstance(each, str) else _words(each))
    if known:
        yield _method(known, found.seeded)


def _unknown(why: str) -> str:
    return f"Not known: {why}."


def _words(each: Outlook) -> str:
    verdict = {True: "Likely", False: "Hardly", None: "Open: one trial more or less decides it"}[each.helps]
    noise = (
        "the spread over fresh seeds" if each.noise_from_seeds else "1 % of the RMSE, for want of fresh seeds"
    )
    return (
        f"{verdict}. From {each.trials // 2} to {each.trials} trials the best RMSE fell by {each.gain:.3f} "
        f"points to {each.best:.3f} ({each.low:.3f} to {each.high:.3f} without any one trial); noise is "
        f"{each.noise:.3f}, {noise}. The best was number {each.best_place}; the next is better with a chance "
        f"of 1 in {each.trials + 1}."
    )


def _method(known: Iterable[Outlook], learns: bool) -> str:
    fewest = min(each.trials for each in known)
    return (
        "Reckoned from the expected best of half of the trials (Tang et al. 2020), as if another doubling "
        "brought what the last one did, and the trials came in any order"
        + ("; TPE's later trials are better ones, so a search that still learns gains more" if learns else "")
        + f". Trials stopped early count with the RMSE that they had. From {fewest} trials this is rough."
    )
