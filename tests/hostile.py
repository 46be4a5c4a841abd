"""What somebody may send: the bounds that every case is held to, and how valid things are damaged."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from semtune.errors import SemtuneError

SECONDS, MEGABYTES = 1.0, 500
FUZZ = settings(max_examples=max(200, settings().max_examples))
"""200 cases a target; `--hypothesis-profile fuzz` makes it 10,000."""

_REMEDY = re.compile(r"; |must |needs? |needed|should |^`semtune check |^and \d+ more faults$")
"""What to do, or what has to hold, stands in every line of a message."""

ODD = (
    "", " ", "../x", "/etc/passwd", "a b", "'\"", "a\nb", "\0", "Ω", "\ud83d\ude00", "\x1b[2J",
    "nan", "inf", "1e999", "9" * 400, "0x10", "-0", "1_0", "٣", "C:\\x", "a" * 300,
    "[", "{", "!!python/object:os.system", "&a *a",
)  # fmt: skip
odd_text = st.one_of(st.text(max_size=20), st.sampled_from(ODD))


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """A valid text or file with up to six bytes changed, and a piece taken out, put in, doubled or cut."""
    # One draw of bytes that say what to do: a draw for each of these takes most of the time.
    return st.binary(min_size=64, max_size=64).map(lambda orders: _damage(whole, orders))


def _damage(whole: bytes, orders: bytes) -> bytes:
    *places, start, changes, length, act, again, values, more = struct.unpack("<6IIBBBB6s26s", orders)
    data = bytearray(whole)
    for place, value in zip(places[: changes % 7], values, strict=False):
        data[place % len(data)] = value
    start, length = start % (len(data) + 1), length % 41
    if act % 5 == 1:
        del data[start : start + length]
    elif act % 5 == 2:
        data[start:start] = data[start : start + length] * (again % 50)
    elif act % 5 == 3:
        data[start:start] = more[: length % 27] + ODD[again % len(ODD)].encode("utf-8", "replace")
    elif act % 5 == 4:
        del data[start:]
    return bytes(data)


@contextmanager
def bounded() -> Iterator[None]:
    """Let only our errors out, each one printable; hold the case to a second of the processor and 500 MB.

    Processor time, because a busy machine is nobody's fault. The peak is the kernel's own high-water mark.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the mark starts anew from here
    before, start = _kilobytes("VmRSS"), time.process_time()
    try:
        yield
    except SemtuneError as error:
        _check_message(str(error))
    seconds, kilobytes = time.process_time() - start, _kilobytes("VmHWM") - before
    assert seconds <= SECONDS, f"{seconds:.2f} s"
    assert kilobytes <= MEGABYTES * 1000, f"{kilobytes / 1000:.0f} MB"


def _check_message(message: str) -> None:
    assert 0 < len(message) < 20_000
    assert message.replace("\n", "").isprintable()  # nothing moves the cursor of a terminal
    for line in message.splitlines():  # one a fault, each with what to do
        assert _REMEDY.search(line), line


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0])
