"""The one registry class: entries by name, in the order given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Generic, Protocol, TypeVar

from semtune.errors import UnknownNameError


class Named(Protocol):
    """Anything with a fixed name."""

    @property
    def name(self) -> str:
        """The registry name."""
        ...


EntryT = TypeVar("EntryT", bound=Named)


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the hint that follows an unknown name: the nearest known one, or all of them."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    shown = (each if each.isprintable() else repr(each) for each in known)  # they may come from a file
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(shown)}"


class Registry(Generic[EntryT]):
    """Entries by name, in the order given.

    Names travel: to Ray workers, into YAML and MLflow. Entries stay in the process.
    """

    def __init__(self, kind: str, entries: Iterable[EntryT] = ()) -> None:
        self.kind = kind
        self._entries: dict[str, EntryT] = {}
        for entry in entries:
            self.register(entry)

    def register(self, entry: EntryT) -> None:
        """Add an entry; a name can be taken once."""
        if entry.name in self._entries:
            raise ValueError(f"two entries of kind {self.kind!r} are named {entry.name!r}")
        self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> EntryT:
        if name not in self._entries:
            raise UnknownNameError(f"no {self.kind} named {name!r}; {nearest_name(name, self._entries)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[EntryT]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the table."""
        return tuple(self._entries)
