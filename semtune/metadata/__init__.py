"""Control parameters that microscope vendors record inside a frame's file or beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semtune.errors import MetadataError
from semtune.metadata import hitachi, jeol, tescan, thermo, zeiss
from semtune.metadata.blocks import Blocks, read_blocks
from semtune.metadata.parameters import ControlParameters, Entry
from semtune.registry import Registry

__all__ = ["METADATA_READERS", "Blocks", "ControlParameters", "MetadataReader", "read_control_parameters"]


@dataclass(frozen=True)
class MetadataReader:
    """How one vendor's metadata is read."""

    name: str
    read: Callable[[Blocks], ControlParameters | None]
    """None where the blocks are not this vendor's."""
    table: tuple[Entry, ...]


METADATA_READERS = Registry(
    "metadata reader",
    [
        MetadataReader("zeiss", zeiss.read, zeiss.TABLE),
        MetadataReader("thermo", thermo.read, thermo.TABLE),
        MetadataReader("tescan", tescan.read, tescan.TABLE),
        MetadataReader("jeol", jeol.read, jeol.TABLE),
        MetadataReader("hitachi", hitachi.read, hitachi.TABLE),
    ],
)


def read_control_parameters(path: Path) -> ControlParameters:
    """Read the control parameters of an image file, or of the vendor's text file beside it.

    The first reader of `METADATA_READERS` that knows its vendor's block reads it, blocks inside the file
    before texts beside it. A file without any gives `ControlParameters()`: everything None.

    Raises:
        MetadataError: If the file cannot be read, or a vendor's block is foreign or damaged.
    """
    try:
        blocks = read_blocks(path)
        found = (reader.read(blocks) for reader in METADATA_READERS)
        return next((parameters for parameters in found if parameters), ControlParameters())
    except MetadataError as fault:
        remedy = "give its control parameters in the table of scores"
        raise MetadataError(f"{path}: {fault}; {remedy}") from fault.__cause__
