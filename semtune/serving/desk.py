"""Where requests wait for the scorer: several threads read frames, one frame at a time is scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from uuid import uuid4

from semtune.errors import DatasetError, SemtuneError
from semtune.scoring import AUTO, ReadFrame, ScoredFrame, Scorer


class RefusedError(SemtuneError):
    """A frame that was sent cannot be scored."""


class Desk:
    """Scores image files that come as bytes; safe to be used by several threads.

    Args:
        scorer: The champion.
        folder: For the files while they are read; readers and vendors' metadata want files.
        engine: What computes: its name, or `auto`; then the first frame decides.

    Raises:
        ConfigError: If the engine cannot be used here.
    """

    def __init__(self, scorer: Scorer, folder: Path, engine: str = AUTO) -> None:
        self._folder = folder
        self._first = scorer
        self._lasting = scorer.lasting(engine)
        self._lock = Lock()

    @property
    def scorer(self) -> Scorer:
        """The scorer on the engine in use."""
        return self._lasting or self._first

    def score(self, image: bytes, controls: Mapping[str, float]) -> ScoredFrame:
        """Score an image file.

        Args:
            image: A PNG, TIFF, JPEG or BMP file.
            controls: Known control parameters; others are read from the vendor's metadata.

        Raises:
            RefusedError: If it cannot be read, is too small, or a control parameter is unknown.
        """
        path = self._folder / uuid4().hex
        try:
            path.write_bytes(image)
            read = self._first.read_file(path, controls)
            with self._lock:
                return self._score(read)
        except SemtuneError as error:
            raise RefusedError(str(error).removeprefix(f"{path}: ").replace(str(path), "the frame")) from None
        finally:
            path.unlink(missing_ok=True)

    def _score(self, read: ReadFrame) -> ScoredFrame:
        scored = self.scorer.score_read(read)
        if scored.score != scored.score:
            raise DatasetError("the network gives no number for this frame")
        self._lasting = self._lasting or self._first.on_fastest(read.frame)
        return scored
