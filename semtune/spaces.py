"""Where the shipped search spaces lie."""

from __future__ import annotations

from pathlib import Path


def shipped_spaces() -> dict[str, Path]:
    """Files of the shipped search spaces, by name: inside the installed package, beside it in a checkout."""
    package = Path(__file__).parent
    folders = (package.parent, package)
    return {path.stem: path for folder in folders for path in sorted(folder.glob("search_spaces/*.yaml"))}
