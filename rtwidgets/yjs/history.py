"""The past of a document: its edits one by one, and its text after each of them."""

from __future__ import annotations

from typing import NamedTuple

from rtwidgets.yjs.replica import Replica

__all__ = ["Entry", "History"]

LIMIT = 100_000
"""Edits that are kept at the most; half of them are put together when there are more."""


class Entry(NamedTuple):
    """One edit.

    Attributes
    ----------
    version
        The offset in the document's log.
    time
        Unix milliseconds.
    user
        Who made it; None for several that the server had put together before they were read.
    inserted, deleted
        Characters.
    update
        The Yjs update.
    """

    version: int
    time: float
    user: str | None
    inserted: int
    deleted: int
    update: bytes


class History:
    """The edits of a document that are known one by one, and what was before them.

    Parameters
    ----------
    limit
        How many edits are kept one by one at the most.
    """

    def __init__(self, *, limit: int = LIMIT) -> None:
        self.entries: list[Entry] = []
        self.version = 0
        """The newest version."""
        self._limit = limit
        self._base: list[bytes] = []
        self._base_version = 0

    @property
    def oldest(self) -> int:
        """The oldest version whose text is known; 0 is the empty text at the beginning."""
        return self._base_version

    @property
    def updates(self) -> list[bytes]:
        """All of it, as Yjs updates."""
        return [*self._base, *(entry.update for entry in self.entries)]

    def begin(self, version: int, state: bytes) -> None:
        """Begin with a state that stands for all edits up to a version, as compacted logs do."""
        self._base, self._base_version = [state], version
        self.version = version

    def add(self, entry: Entry) -> None:
        """Take the next edit."""
        self.entries.append(entry)
        self.version = entry.version
        if len(self.entries) > self._limit:
            half = len(self.entries) // 2
            old, self.entries = self.entries[:half], self.entries[half:]
            self._base = [Replica([*self._base, *(entry.update for entry in old)]).state()]
            self._base_version = old[-1].version

    def at(self, version: int) -> str:
        """Return the text after a version.

        Raises
        ------
        LookupError
            When it is not known any more, or not there yet.
        """
        if not self._base_version <= version <= self.version:
            raise LookupError(
                f"version {version} is not known: there are {self._base_version} to {self.version}"
            )
        updates = (entry.update for entry in self.entries if entry.version <= version)
        return Replica([*self._base, *updates]).text
