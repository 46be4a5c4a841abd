"""Frames larger than memory: pages are asked for just before their use and given back soon after."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path

_MOST = 2**30
"""Bytes that a process may have looked at before it gives the pages back."""


class Pager:
    """Steers which pages of a mapped file a process holds. The system's page cache keeps what fits.

    Args:
        mapping: The file, mapped read-only.
        most: Bytes that may be looked at before the pages are given back.
    """

    def __init__(self, mapping: mmap.mmap, most: int = _MOST) -> None:
        self._mapping, self._most = mapping, most
        self._seen = 0
        _advise(mapping, "MADV_RANDOM", 0, len(mapping))  # or the system reads 128 KiB around each page

    def expect(self, start: int, length: int) -> None:
        """Have the system read bytes ahead of their use; returns at once.

        Args:
            start: First byte.
            length: Number of bytes.
        """
        self._seen += length
        if self._seen > self._most:
            give_back(self._mapping)
            self._seen = length
        first = start - start % mmap.PAGESIZE
        _advise(self._mapping, "MADV_WILLNEED", first, start + length - first)


def give_back(mapping: mmap.mmap) -> None:
    """Hold no page of a file any longer; what is looked at again comes from the page cache or the disk."""
    _advise(mapping, "MADV_DONTNEED", 0, len(mapping))


def _advise(mapping: mmap.mmap, advice: str, start: int, length: int) -> None:
    if hasattr(mmap, advice):  # else the system has no such advice, and its own rules hold
        mapping.madvise(getattr(mmap, advice), start, length)


def outgrows(size: int, memory: int) -> bool:
    """Whether frames are better read from disk as they are needed than held: they leave half to the rest.

    Args:
        size: Of all frames, bytes.
        memory: Of the machine, bytes.
    """
    return size > memory // 2


def host_memory() -> int:
    """Memory of this machine, or what a container may use of it, bytes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup, or `max`
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    return memory
