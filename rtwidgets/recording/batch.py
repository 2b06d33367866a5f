"""What a recording consists of, whatever its format."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, NamedTuple, Protocol

__all__ = ["Batch", "Info", "Kind", "Reader", "batched"]

_TOGETHER = 1_000  # messages of one batch, where a format has one by one


class Kind(enum.IntEnum):
    """What messages are."""

    OPENED = 0
    """A connection was opened: one message, JSON with its `url`."""
    TEXT = 1
    """Text that came."""
    BINARY = 2
    """Bytes that came."""
    SENT_TEXT = 3
    """Text that was sent."""
    SENT_BINARY = 4
    """Bytes that were sent."""
    CLOSED = 5
    """The connection ended, or what wrote the recording gave up: one message, the reason as text."""


class Batch(NamedTuple):
    """Messages of one kind that came, or went, at one moment.

    Attributes
    ----------
    time
        Unix nanoseconds.
    kind
        What they are.
    messages
        At least one. Text is UTF-8.
    """

    time: int
    kind: Kind
    messages: list[bytes]


class Info(NamedTuple):
    """What is in a recording.

    Attributes
    ----------
    messages
        Messages that were received.
    sent
        Messages that were sent.
    connections
        How many times a connection was opened.
    first, last
        Unix nanoseconds of the first and the last record; None when there is none.
    raw
        Bytes of all messages.
    compressed
        Bytes in the file.
    whole
        False when the file was cut or is damaged, and for a recording that was not closed.
    """

    messages: int
    sent: int
    connections: int
    first: int | None
    last: int | None
    raw: int
    compressed: int
    whole: bool


class Reader(Protocol):
    """Reads a recording. Any number of cursors may be on it, on any thread."""

    @property
    def about(self) -> dict[str, Any]:
        """What the recording says of itself."""

    @property
    def first(self) -> int | None:
        """Unix nanoseconds of the first record."""

    @property
    def last(self) -> int | None:
        """Unix nanoseconds of the last record."""

    def batches(self, start: int | None = None) -> Iterator[Batch]:
        """Yield what was recorded, in order, from the first record on that is not before `start`."""

    def info(self) -> Info:
        """Count what is in it."""


def batched(records: Iterable[tuple[int, Kind, bytes]]) -> Iterator[Batch]:
    """Put neighbours of one time and kind together, a thousand at the most."""
    for (time, kind), group in groupby(records, lambda record: record[:2]):
        while messages := [message for _, _, message in islice(group, _TOGETHER)]:
            yield Batch(time, kind, messages)
