"""The image files that a table of scores names: where they lie, and what a dataset calls them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from semtune.errors import DatasetError

FRAMES_FOLDER = "frames"
"""Of a dataset, for its frames."""


def target_names(images: Sequence[str]) -> list[str]:
    """`frames/<stem>.png` of each image; subfolders and, where still needed, numbers keep them apart.

    Apart also where a file system does not tell capitals from small letters.
    """
    taken: set[str] = set()
    names = []
    for image in images:
        place = PurePosixPath(image.replace("\\", "/"))
        parts = [part for part in (*place.parent.parts, place.stem) if part.strip("/.")] or ["frame"]
        whole = "-".join(parts)
        stems = itertools.chain([parts[-1], whole], (f"{whole}-{again}" for again in itertools.count(2)))
        stem = next(stem for stem in stems if stem.casefold() not in taken)
        taken.add(stem.casefold())
        names.append(f"{FRAMES_FOLDER}/{stem}.png")
    return names


def find_image(frames: Path, image: str) -> tuple[Path, PurePosixPath]:
    """The image's file, links followed, and its place inside the folder.

    Raises:
        DatasetError: If there is none, or it leaves the folder.
    """
    place = PurePosixPath(image.replace("\\", "/"))
    if not image or not image.isprintable():
        raise DatasetError(f"the image {image!r} is no usable name; write the file's path inside {frames}")
    if place.is_absolute() or PureWindowsPath(image).drive or ".." in place.parts:
        raise DatasetError(f"the image {image!r} leaves the folder {frames}; write a path inside it")
    try:
        path = (frames / place).resolve()
        inside, there = path.is_relative_to(frames.resolve()), path.is_file()
    except (OSError, RuntimeError, ValueError):  # a name too long, a loop of links
        inside, there = True, False
    if not inside:
        raise DatasetError(f"the image {image!r} links to a place outside {frames}; copy the file into it")
    if not there:
        raise DatasetError(f"the image {image!r} is no file in {frames}; correct the name, or delete the row")
    return path, place
