"""Rules about single trials and their failures, without state: what the director asks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from semtune.config import SearchSettings
from semtune.journal import RepeatAsked, SearchRecord, StopReason, TrialRecord
from semtune.results import EpochResult
from semtune.search.space import SearchSpace

_STALLED_EPOCHS = 10
_MOST_DEATHS = 3
_SAME = 1e-6  # relative: what another number of threads changes in a sum


def is_stalled(epochs: Sequence[EpochResult]) -> bool:
    """Tell whether a trial has stopped answering: ten validation errors in a row equal to the last bit.

    A network that still learns, however slowly, changes some bit of some prediction. Ten, because clipped
    predictions can be equal for a few epochs after a bad start, and because the last steps of a cosine
    schedule are too small to show; the last epoch of a trial is never asked about.
    """
    last = epochs[-_STALLED_EPOCHS:]
    return len(last) == _STALLED_EPOCHS and len({epoch.validation_rmse for epoch in last}) == 1


def explanation(reason: StopReason) -> str:
    """What to say of an end that brings no message of its own."""
    same = f"the validation error was the same to the last bit in {_STALLED_EPOCHS} epochs in a row"
    return same if reason == "stalled" else ""


def is_known(epochs: Sequence[EpochResult], result: EpochResult) -> bool:
    """Tell whether an epoch was told before: one trained again from a checkpoint has the same errors."""
    if result.epoch > len(epochs):
        return False
    told = epochs[result.epoch - 1]
    return math.isclose(told.validation_rmse, result.validation_rmse, rel_tol=_SAME) and math.isclose(
        told.training_rmse, result.training_rmse, rel_tol=_SAME
    )


def is_open(trial: TrialRecord) -> bool:
    """Whether a trial has training before it: it runs, or was cut off."""
    return trial.reason in (None, "interrupted")


def may_be_tried_again(trial: TrialRecord) -> bool:
    """Tell whether a trial whose process just died goes on: not after three deaths without a new epoch.

    So a trial on a machine that is taken away every hour is tried for ever, and one that kills its
    process every time at the same place is not.
    """
    return trial.deaths < _MOST_DEATHS


def too_many(failures: int, settings: SearchSettings) -> bool:
    """Tell whether the search gives up after so many failures; trials wanted again do not count."""
    limit = settings.max_failures
    return failures > (max(1, settings.trials // 4) if limit is None else limit)


def why_give_up(record: SearchRecord) -> str:
    """Say how many trials failed, and the last."""
    failed = record.open_failures
    last = failed[-1]
    return f"{len(failed)} of {len(record.trials)} trials failed, the last ({last.name}) with {last.reason!r}"


def failures_again(record: SearchRecord) -> Iterator[RepeatAsked]:
    """Want every failed trial again, as it was."""
    for trial in record.open_failures:
        yield RepeatAsked(trial=trial.name, epochs=epochs_of(trial))


def finalists_longer(record: SearchRecord, space: SearchSpace) -> Iterator[RepeatAsked]:
    """Want the best whole trials of each stratum again with the epochs that the space has by now.

    Nothing unless the number of epochs was raised since they were trained.
    """
    wanted = {(each.trial, each.epochs) for each in record.asked}
    for stratum in space.strata:
        shorter = [
            trial
            for trial in record.trials.values()
            if trial.started.stratum == stratum
            and trial.started.reseeds is None
            and not trial.failed
            and epochs_of(trial) <= len(trial.epochs)
            and epochs_of(trial) < space.epochs(trial.architecture)
        ]
        for trial in sorted(shorter, key=rank)[: space.settings.finalists]:
            epochs = space.epochs(trial.architecture)
            if (trial.name, epochs) not in wanted:
                yield RepeatAsked(trial=trial.name, epochs=epochs)


def epochs_of(trial: TrialRecord) -> int:
    """Epochs of the whole trial."""
    return int(str(trial.started.hyperparameters["epochs"]))


def rank(trial: TrialRecord) -> tuple[bool, float]:
    """Sort key: whole trials first, then by RMSE. It must not move while finals train."""
    last = trial.searched or trial.epochs[-1]
    return last.epoch < epochs_of(trial), last.validation_rmse
