"""Which files are images, by the suffix that people and microscopes give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semtune.errors import DatasetError

IMAGE_SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"}


def image_files(paths: Sequence[Path]) -> list[Path]:
    """List the images among files and folders, folders searched through, in order of name.

    Raises:
        DatasetError: If a path does not exist, or no image is found.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DatasetError(f"{path}: no such file or folder; check the path")
        images = (
            each for each in path.rglob("*") if each.suffix.lower() in IMAGE_SUFFIXES and each.is_file()
        )
        found += sorted(images) if path.is_dir() else [path]
    if not found:
        raise DatasetError(
            f"{', '.join(map(str, paths))}: no images there; give {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found
