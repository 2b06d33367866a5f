"""A message of a document's log."""

from __future__ import annotations

from typing import Self

import msgspec

__all__ = ["Record"]


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
