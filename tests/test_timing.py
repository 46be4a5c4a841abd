"""The ruler for networks and autofocus functions: how often it calls, and what it tells of the calls."""

import math
import time

import pytest

from semtune.timing import Timing, time_calls


def test_a_sleep_takes_at_least_its_time():
    timing = time_calls(lambda: time.sleep(0.01), seconds=0.1)
    assert timing.median >= 10
    assert timing.p95 >= timing.median


def test_a_slow_call_is_made_three_times_after_a_warm_up():
    calls = []

    def slow():
        calls.append(1)
        time.sleep(0.25)  # longer than the warm-up and the measurement

    assert time_calls(slow, seconds=0.01).calls == 3
    assert len(calls) == 4


def test_a_fast_call_is_made_at_most_200_times():
    timing = time_calls(lambda: None, seconds=5.0)
    assert timing.calls == 200
    assert 0 <= timing.median <= timing.p95 < math.inf


def test_the_median_stands_off_a_single_stall():
    calls = iter(range(10**9))
    warm = time_calls(lambda: None, seconds=0.0).calls

    def stalls_once():
        time.sleep(0.2 if next(calls) == 210 + warm else 0.0005)

    assert time_calls(stalls_once, seconds=0.3).median < 100


def test_an_error_of_the_call_is_not_swallowed():
    def broken():
        raise ZeroDivisionError("of the call")

    with pytest.raises(ZeroDivisionError, match="of the call"):
        time_calls(broken)


def test_a_timing_is_a_plain_record():
    assert Timing(1.0, 2.0, 3) == Timing(median=1.0, p95=2.0, calls=3)
