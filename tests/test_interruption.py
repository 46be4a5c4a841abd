"""Signals to a real process: the first asks, the second forces, SIGTERM forces after its grace."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

SCRIPT = """
import sys, time
from semtune.interruption import interruptible
try:
    with interruptible(lambda: print("asked", flush=True), grace=1.0):
        print("ready", flush=True)
        time.sleep(20)
except KeyboardInterrupt:
    print("forced", flush=True)
"""


@contextmanager
def listening():
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks(number):
    with listening() as process:
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        time.sleep(0.3)
        assert process.poll() is None


def test_the_second_interruption_forces():
    with listening() as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "forced\n"
        assert process.wait(5) == 0


def test_a_termination_forces_after_its_grace():
    with listening() as process:
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        assert process.stdout.readline() == "asked\n"
        assert process.stdout.readline() == "forced\n"
        assert 0.5 < time.monotonic() - start < 10
