"""The last message of each key of a channel: for readers who cannot have, or cannot take, all of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from rtwidgets.engines import Log
from rtwidgets.messages import Latest

__all__ = ["LatestByKey"]

_place = itemgetter(1)

MAX_KEYS = 10_000
"""Keys of a channel that are remembered, those with the newest messages."""
LOOK_BACK = 10_000
"""Messages of a log from before that are read: an index is made on the event loop, which has to go on."""
MAX_BYTES = 256 * 1024
"""Bytes of encoded data that are told at once, those of the newest messages."""


class _Entry(NamedTuple):
    offset: int
    time: float
    piece: bytes


class LatestByKey:
    """Reads a log and remembers the last message of each key, also when it has left the log.

    Parameters
    ----------
    field
        The field of the rows that holds their key, text or a number. Messages without one
        are passed over.
    log
        The channel's. `read` it after each append, before something else can leave it. Of what is in it
        already the newest `LOOK_BACK` messages count.
    """

    def __init__(self, field: str, log: Log) -> None:
        self._log = log
        self._read = max(0, log.last - LOOK_BACK)
        self._entries: dict[object, _Entry] = {}  # by offset, rising
        kind = str | int | float | None
        fields = [("key", kind, msgspec.field(default=None, name=field))]
        keyed: Any = msgspec.defstruct("Keyed", fields, gc=False)
        self._one = msgspec.json.Decoder(keyed)
        self._many = msgspec.json.Decoder(list[keyed])
        self.read()

    def read(self) -> None:
        """Take what has come."""
        log, entries = self._log, self._entries
        while self._read < log.last:
            run = log.read(self._read)
            count = len(run.pieces)
            last = dict(zip(self._keys(run.pieces), range(count), strict=True))
            last.pop(None, None)
            for key, n in sorted(last.items(), key=_place):
                entries.pop(key, None)
                entries[key] = _Entry(run.offset + n, run.times[n], run.pieces[n])
            self._read = run.offset + count - 1
        while len(entries) > MAX_KEYS:
            del entries[next(iter(entries))]

    def between(self, after: int, upto: int) -> Latest | None:
        """Return the last message of each key that has none after `upto`, as far as it came after `after`.

        Both are offsets. None when there are none.
        """
        found: list[_Entry] = []
        size = 0
        for entry in reversed(self._entries.values()):
            if entry.offset <= after:
                break
            if entry.offset <= upto:
                size += len(entry.piece)
                if size > MAX_BYTES:
                    break
                found.append(entry)
        if not found:
            return None
        found.reverse()
        data = msgspec.Raw(b"[" + b",".join(entry.piece for entry in found) + b"]")
        return Latest([entry.offset for entry in found], [entry.time for entry in found], data)

    def _keys(self, pieces: Sequence[bytes]) -> list[object]:
        try:
            rows = self._many.decode(b"[" + b",".join(pieces) + b"]")
        except (ValueError, RecursionError):
            return [self._key(piece) for piece in pieces]  # one of them is no such row
        return [row.key for row in rows]

    def _key(self, piece: bytes) -> object:
        try:
            return self._one.decode(piece).key
        except (ValueError, RecursionError):
            return None
