"""The messages of a document's two channels: its edits, and who is in it."""

from __future__ import annotations

from typing import Self

import msgspec

from rtwidgets.yjs.protocol import State

__all__ = ["AwarenessRow", "Record"]


class Record(msgspec.Struct, omit_defaults=True):
    """An edit; or, at the beginning of a compacted log, the state that stands for all edits up to it.

    Attributes
    ----------
    time
        Unix milliseconds.
    user
        Who made the edit; None for a state.
    inserted, deleted
        Characters.
    update
        The Yjs update; base64 in JSON.
    state
        In place of an update: the whole document, as a Yjs update.
    """

    time: float
    user: str | None = None
    inserted: int = 0
    deleted: int = 0
    update: bytes | None = None
    state: bytes | None = None

    @property
    def content(self) -> bytes:
        """The bytes of the update or of the state."""
        return self.state or self.update or b"\x00\x00"

    @classmethod
    def read(cls, piece: bytes) -> Self:
        """Decode one; raises `msgspec.DecodeError` when it is none."""
        return msgspec.json.decode(piece, type=cls)


class AwarenessRow(msgspec.Struct):
    """What somebody's editor tells of itself, as far as it goes on from dialect to dialect.

    Attributes
    ----------
    client, clock
        As in `State`.
    state
        A JSON object; null when the client is gone.
    """

    client: int
    clock: int
    state: msgspec.Raw = msgspec.Raw(b"null")

    @classmethod
    def of(cls, entry: State) -> Self:
        """Make one of an awareness entry."""
        return cls(entry.client, entry.clock, msgspec.Raw(b"null" if entry.state is None else entry.state))

    @property
    def entry(self) -> State:
        """The awareness entry."""
        state = bytes(self.state)
        return State(self.client, self.clock, None if state == b"null" else state)
