"""The way to the champion: the best trial of a search meets it and the baselines on the same frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semtune.dataset.frames import open_frames
from semtune.errors import SearchError, TrackingError
from semtune.promotion import CHAMPION, Decision, PairedDifference, decide
from semtune.report.table import ComparisonTable, UsesOfTest, key
from semtune.results import CLASSICAL, Predictions, Result, judge, paired_difference, with_figures
from semtune.scoring import Scorer
from semtune.start import Start, StartedFrom
from semtune.tracking.champion import (
    ChampionFacts,
    ChampionVersion,
    champion,
    download_weights,
    register_champion,
)
from semtune.tracking.progress import run_ids
from semtune.tracking.store import Store
from semtune.training.checkpoint import read_facts
from semtune.training.samples import read_samples
from semtune.workspace import WEIGHTS, SearchFolder, Workspace


@dataclass(frozen=True)
class Promotion:
    """What `promote` decided; the version is None where nothing changed."""

    decision: Decision
    trial: str
    architecture: str
    version: int | None
    uses: UsesOfTest | None = None
    """How often the test frames were looked at before."""
    simulated: bool = False
    """Whether all this holds for simulated frames and scores only."""


def challenge(
    workspace: Workspace, store: Store, folder: SearchFolder, table: ComparisonTable, force: str | None = None
) -> Promotion:
    """Let the best trial of a search ask for the champion's place.

    Args:
        workspace: Where promoted weights are kept.
        store: Of runs and models; it has all runs of the search.
        folder: Of the search.
        table: Its comparison table.
        force: Why to promote even if the rule refuses; recorded with the refusal on the promoted version.

    Raises:
        SearchError: If no trial has met the test frames.
    """
    challenger = table.best_network
    if challenger is None or challenger.trial is None:
        raise SearchError(
            f"no trial of {folder.name!r} has met the test frames; `semtune resume {folder.name}` finishes it"
        )
    now = champion(store)
    incumbent, predictions = _incumbent(workspace, store, folder, now) if now else (None, None)
    differences = _differences(table, challenger, predictions)
    baselines = [row for row in table.rows if row.kind in CLASSICAL]
    decision = decide(challenger, incumbent, baselines, differences, leaks=table.leaks)
    forced = "" if decision.promote else force or ""
    if forced:
        decision = Decision(True, f"Forced ({forced}) although {decision.reason}")
    version = _register(store, folder, table, challenger, decision, forced) if decision.promote else None
    return Promotion(decision, challenger.trial, challenger.name, version, table.uses, table.simulated)


def load_champion(workspace: Workspace, store: Store) -> tuple[int, Scorer]:
    """Load the scorer with the alias `champion`; returns its version too.

    Raises:
        TrackingError: If there is none, or its weights are gone.
    """
    now = _the_champion(store)
    return now.version, Scorer.from_weights(download_weights(store, now.version, workspace.champions))


@dataclass(frozen=True)
class FoundWeights:
    """Weights that a user named."""

    path: Path
    search: str
    trial: str
    version: int | None = None
    """Of the champion; None for a trial that was named."""

    @property
    def source(self) -> str:
        """What they are, for people."""
        return f"champion version {self.version}" if self.version else f"{self.search}/{self.trial}"


def find_weights(
    workspace: Workspace, asked: str, store: Callable[[], Store], option: str = "--model"
) -> FoundWeights:
    """Find the weights that a user named.

    Args:
        workspace: Where searches and promoted weights are kept.
        asked: `champion`, or a trial as `NAME/trial-0003`.
        store: Opens the store of the champion.
        option: What messages call the name.

    Raises:
        SearchError: If there is no such trial, or its weights are gone.
        TrackingError: If there is no champion.
    """
    if asked == CHAMPION:
        opened = store()
        now = _the_champion(opened)
        path = download_weights(opened, now.version, workspace.champions)
        return FoundWeights(
            path, now.tags.get("semtune.search", ""), now.tags.get("semtune.trial", ""), now.version
        )
    name, _, trial = asked.partition("/")
    trials = workspace.existing(name).trials
    weights = trials / trial / WEIGHTS
    if not trial or not weights.exists():
        kept = ", ".join(f"{name}/{each.parent.name}" for each in sorted(trials.glob(f"*/{WEIGHTS}")))
        raise SearchError(
            f"{option} {asked}: no weights of such a trial; those of finalists are kept: {kept or 'none'}"
        )
    return FoundWeights(weights, name, trial)


def find_start(workspace: Workspace, asked: str, store: Callable[[], Store]) -> Start:
    """Find the weights that a search is to start from; arguments and errors as of `find_weights`.

    Raises:
        SearchError: If the weights say too little.
    """
    found = find_weights(workspace, asked, store, "--from")
    return _read_start(found.path, found.source)


def _read_start(weights: Path, source: str) -> Start:
    facts = read_facts(weights)
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        origin = StartedFrom(
            source=source,
            digest=digest,
            architecture=facts["hyperparameters"]["architecture"],
            dataset_digest=facts["dataset_digest"],
            dataset_origin=facts["dataset_origin"],
        )
        known = tuple(facts["control_parameters"])
        return Start(weights, origin, known, frozenset(facts["trained"]), frozenset(facts["validated"]))
    except (LookupError, TypeError, ValueError):
        raise SearchError(
            f"--from: the weights of {source} do not say which frames they have seen; search anew"
        ) from None


def _the_champion(store: Store) -> ChampionVersion:
    now = champion(store)
    if now is None:
        raise TrackingError(
            "there is no champion yet; `semtune promote NAME` makes the best trial of a search one"
        )
    return now


def _incumbent(
    workspace: Workspace, store: Store, folder: SearchFolder, now: ChampionVersion
) -> tuple[Result, Predictions]:
    """Let the champion meet the test frames of this search, whatever frames it was promoted on."""
    samples = read_samples(folder.samples)
    frames = open_frames(Path(samples.cache_folder), samples.digest)
    scorer = Scorer.from_weights(download_weights(store, now.version, workspace.champions))
    names = samples.control_parameters.tolist()
    known = [
        {
            name: value
            for name, value in zip(names, row, strict=True)
            if name in scorer.control_parameters and value == value
        }
        for row in samples.controls[samples.test].tolist()
    ]
    predicted = scorer.score_all([frames.frame(index) for index in samples.test], known)
    predictions = samples.predictions(samples.test, predicted)
    architecture = now.tags["semtune.architecture"]
    row = Result(architecture, "network", trial=f"version {now.version}", run_id=now.run_id)
    return with_figures(row, judge(predictions)), predictions


def _differences(
    table: ComparisonTable, challenger: Result, incumbent: Predictions | None
) -> dict[str, PairedDifference]:
    own = table.predictions.get(key(challenger))
    if own is None:
        return {}
    rivals = {
        row.name: table.predictions[key(row)]
        for row in table.rows
        if row.kind in CLASSICAL and key(row) in table.predictions
    }
    if incumbent is not None:
        rivals[CHAMPION] = incumbent
    return {name: paired_difference(own, rival) for name, rival in rivals.items()}


def _register(
    store: Store,
    folder: SearchFolder,
    table: ComparisonTable,
    challenger: Result,
    decision: Decision,
    forced: str,
) -> int:
    trial = str(challenger.trial)
    run_id = run_ids(folder)[trial]
    facts = ChampionFacts(
        search=folder.name,
        trial=trial,
        architecture=challenger.name,
        dataset_digest=table.dataset.digest,
        test_rmse=challenger.test_rmse,
        reason=decision.reason,
        forced=forced,
        test_uses=table.uses.everywhere if table.uses else 0,
        dataset_origin=table.dataset.origin,
        version=table.versions["semtune"],
    )
    return register_champion(store, run_id, folder.trials / trial / WEIGHTS, facts)
