"""Hours of trials, folded from a journal."""

import pytest

from semtune.events import (
    NodeLost,
    SearchClosed,
    SearchOpened,
    TrialAtWork,
    TrialDied,
    TrialEnded,
    TrialTested,
    TrialTimed,
)
from semtune.usage import Hours, Usage


def at_work(at, trial="t", node="n", cpus=2, gpus=0.5):
    return TrialAtWork(trial=trial, node=node, host="h", cpus=cpus, gpus=gpus, at=at)


def folded(*events):
    usage = Usage()
    for event in events:
        usage.add(event)
    return usage


OPENED = SearchOpened(pid=1, host="h", at=0.0)
ENDINGS = [
    TrialEnded(trial="t", reason="asha", at=3600.0),
    TrialDied(trial="t", message="", at=3600.0),
    TrialTested(trial="t", validation_rmse=1.0, figures={}, at=3600.0),
    TrialTimed(trial="t", figures={}, device="", at=3600.0),
    NodeLost(node="n", host="h", trials=("t",), at=3600.0),
    SearchClosed(state="interrupted", at=3600.0),
]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda event: event.event)
def test_the_share_of_a_gpu_counts_while_a_worker_has_the_trial(ending):
    usage = folded(OPENED, at_work(0.0), ending)
    assert usage.gpu_hours(now=1e9) == 0.5
    assert usage.cpu_hours(now=1e9) == 2.0
    assert usage.at_work == {}


def test_what_is_at_work_counts_up_to_now():
    usage = folded(OPENED, at_work(0.0), at_work(1800.0, trial="u"))
    assert usage.gpu_hours(now=3600.0) == 0.75
    assert set(usage.at_work) == {"t", "u"}


def test_a_session_that_was_killed_took_nothing_behind_its_last_line():
    seen = TrialEnded(trial="u", reason="asha", at=1800.0)
    usage = folded(OPENED, at_work(0.0), seen, SearchOpened(pid=2, host="h", at=90000.0))
    assert usage.gpu_hours(now=1e9) == 0.25


def test_a_clock_that_was_set_back_counts_as_standing_still():
    assert folded(at_work(7200.0), TrialEnded(trial="t", reason="asha", at=3600.0)).gpu_hours(0.0) == 0.0


def test_hours_are_told_with_their_cost_where_it_is_known():
    assert str(Hours(1.5, 3.0)) == "1.50 GPU-hours, 3.00 core-hours"
    assert str(Hours(1.5, 3.0, per_gpu_hour=2.0)) == "1.50 GPU-hours, cost 3.00, 3.00 core-hours"
