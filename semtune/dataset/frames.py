"""Frames decoded once into a file that all trial workers of a node share through the page cache.

`<digest>.u8` holds the grey levels of all frames end to end, `<digest>.json` their heights and widths, in
the order of `Dataset.samples`, which the digest fixes. The index is written last: without it, or with
a size that it does not tell, the cache is taken for unfinished and made anew.
"""

from __future__ import annotations

import json
import mmap
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semtune.dataset import Dataset
from semtune.dataset.inspection import worker_count
from semtune.dataset.paging import give_back
from semtune.errors import DatasetError
from semtune.files import written_whole
from semtune.images import read_frame, to_uint8

FORMAT = 1
"""Raised when frames are decoded or laid out differently, so that older caches are not reused."""

_STALE_SECONDS = 3600
_BATCH = 4
"""Decoded frames per thread that may wait to be written: bounds the memory."""


@dataclass(frozen=True, eq=False)
class FrameStore:
    """Decoded frames on disk, mapped into memory, read-only."""

    pixels: NDArray[np.uint8]
    """Grey levels of all frames end to end, shape (pixels,)."""
    offsets: NDArray[np.int64]
    """Where each frame starts in `pixels`, shape (frames,)."""
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    mapping: mmap.mmap
    """What `pixels` looks into."""

    def __len__(self) -> int:
        return len(self.offsets)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Grey levels of one sample, shape (height, width): a view, not a copy."""
        start, height, width = int(self.offsets[index]), int(self.heights[index]), int(self.widths[index])
        return self.pixels[start : start + height * width].reshape(height, width)

    def walk(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame, in order; this process holds the memory of one at a time."""
        for index in range(len(self)):
            yield self.frame(index)
            give_back(self.mapping)

    def checksums(self) -> list[int]:
        """`checksum` of every sample, in order."""
        return [zlib.crc32(frame.data) for frame in self.walk()]

    def checksum(self, index: int) -> int:
        """CRC-32 of one sample's grey levels: the same wherever the frame stands in whatever dataset."""
        return zlib.crc32(self.frame(index).data)


def decode_frames(dataset: Dataset, cache_folder: Path) -> FrameStore:
    """The dataset's frames, decoded into the cache folder unless a whole cache lies there.

    Memory stays at a few frames a thread. Frames of 16 bits are reduced to 8.

    Raises:
        DatasetError: If an image cannot be read, or the cache cannot be written.
    """
    if (store := _open(cache_folder, dataset.digest, len(dataset.samples))) is not None:
        return store
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        _write_cache(dataset, cache_folder)
    except OSError as error:
        raise DatasetError(
            f"{cache_folder}: the frames cannot be cached ({error}); free or name another disk"
        ) from error
    return open_frames(cache_folder, dataset.digest)


def holds_frames(cache_folder: Path, digest: str) -> bool:
    """Whether the cache folder has the whole frames of a dataset."""
    return _open(cache_folder, digest) is not None


def open_frames(cache_folder: Path, digest: str) -> FrameStore:
    """Map the frames that `decode_frames` left in the cache folder.

    Raises:
        DatasetError: If there is no whole cache of this digest.
    """
    if (store := _open(cache_folder, digest)) is None:
        raise DatasetError(
            f"{cache_folder}: no whole frame cache of dataset {digest[:12]}; decode its frames first"
        )
    return store


def _open(cache_folder: Path, digest: str, frames: int | None = None) -> FrameStore | None:
    """The cache of this digest, or None where it is missing, unfinished, damaged or of another format."""
    try:
        path, described = files_of(cache_folder, digest)
        index = json.loads(described.read_text(encoding="utf-8"))
        heights, widths = np.asarray([index["heights"], index["widths"]], np.int64)
        ends = np.cumsum(heights * widths)
        complete = path.stat().st_size == ends[-1] and len(ends) == (frames or len(ends))
        if not complete or index["format"] != FORMAT:
            return None
        with path.open("rb") as file:
            # Read-only: a private writable mapping larger than memory is refused by the system.
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return FrameStore(np.frombuffer(mapping, np.uint8), ends - heights * widths, heights, widths, mapping)


def _write_cache(dataset: Dataset, cache_folder: Path) -> None:
    _sweep(cache_folder)
    sizes: list[tuple[int, int]] = []
    pixels, index = files_of(cache_folder, dataset.digest)
    with written_whole(pixels) as beside, beside.open("wb") as stream:
        for frame in _decoded(dataset):
            stream.write(np.ascontiguousarray(frame).data)
            sizes.append((frame.shape[0], frame.shape[1]))
    heights, widths = zip(*sizes, strict=True)
    with written_whole(index) as beside:
        beside.write_text(json.dumps({"format": FORMAT, "heights": heights, "widths": widths}), "utf-8")


def _decoded(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """Frames in the order of the samples; threads decode ahead by one batch at most."""
    threads = worker_count()
    paths = [dataset.folder / sample.image for sample in dataset.samples]
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), _BATCH * threads):
            yield from pool.map(_decode, paths[start : start + _BATCH * threads])


def _decode(path: Path) -> NDArray[np.uint8]:
    return to_uint8(read_frame(path))


def _sweep(cache_folder: Path) -> None:
    """Delete what killed decodings left; a running one writes to its file all the time."""
    for part in cache_folder.glob(".*.part*"):
        with suppress(OSError):  # another process may sweep too
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def files_of(cache_folder: Path, digest: str) -> tuple[Path, Path]:
    """The files of a dataset in a cache, there or not: grey levels, and their index, written last."""
    return cache_folder / f"{digest}.u8", cache_folder / f"{digest}.json"
