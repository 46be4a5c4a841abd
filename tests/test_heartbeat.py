"""Silence is counted only while the one who listens is awake."""

from semtune.search.heartbeat import Heartbeat


def listening(limit=10.0, at=0.0):
    heartbeat = Heartbeat(limit)
    heartbeat.heard("trial-0000")
    heartbeat.overdue(at)
    heartbeat.heard("trial-0000")
    return heartbeat


def test_a_trial_is_overdue_after_the_limit_and_not_before():
    heartbeat = listening()
    looks = {second: heartbeat.overdue(float(second)) for second in range(1, 13)}
    assert [second for second, overdue in looks.items() if overdue] == [11, 12]


def test_a_sign_of_life_starts_the_silence_anew():
    heartbeat = listening()
    for second in range(1, 30):
        if second % 9 == 0:
            heartbeat.heard("trial-0000")
        assert heartbeat.overdue(float(second)) == []


def test_a_sleep_of_hours_counts_as_five_seconds():
    heartbeat = listening()
    assert heartbeat.overdue(36_000.0) == []
    assert heartbeat.overdue(36_004.0) == []
    assert heartbeat.overdue(36_006.0) == ["trial-0000"]


def test_nobody_waits_for_a_forgotten_trial():
    heartbeat = listening()
    heartbeat.forget("trial-0000")
    heartbeat.forget("trial-0000")
    for second in range(1, 30):
        assert heartbeat.overdue(float(second)) == []
