"""The log of one channel: append-only, bounded, read by cursors."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Log", "Run"]


class Run(NamedTuple):
    """Contiguous messages of a log.

    Attributes
    ----------
    offset
        Of the first one.
    times
        When each entered the log, in Unix milliseconds; never falling.
    pieces
        Their encoded data.
    """

    offset: int
    times: list[float]
    pieces: list[bytes]


class Log:
    """A bounded run of messages with contiguous offsets from 1 inside one epoch.

    Parameters
    ----------
    max_messages, max_bytes, max_age
        How much history is kept: messages, bytes of encoded data, seconds. What is older is dropped when
        something is appended.
    epoch
        Names this life of the log. Offsets of different epochs have nothing to do with each other.
    compacted
        Whether all is kept, whatever the limits say, until `compact` puts one message in place of many.
    """

    def __init__(
        self,
        *,
        max_messages: int = 10_000,
        max_bytes: int = 64 * 2**20,
        max_age: float = 300.0,
        epoch: str | None = None,
        compacted: bool = False,
    ) -> None:
        self.epoch = epoch if epoch is not None else secrets.token_hex(8)
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.max_age = max_age
        self.compacted = compacted
        self.compactions = 0
        """How often `compact` has changed what is at an offset: who keeps what it has read looks at it."""
        self.appended: Callable[[], None] = lambda: None
        """Called after each append, on the thread that made it and before anything leaves: the hub's bell."""
        self._pieces: list[bytes] = []
        self._times: list[float] = []
        self._bytes = 0
        self._dead = 0  # messages at the head of the lists that have left the history
        self._first = 1  # offset of the first message in the lists, dead or not

    @property
    def first(self) -> int:
        """Offset of the oldest message still kept (one past `last` when there is none)."""
        return self._first + self._dead

    @property
    def last(self) -> int:
        """Offset of the newest message, 0 before the first one."""
        return self._first + len(self._pieces) - 1

    @property
    def size(self) -> int:
        """Bytes of encoded data kept."""
        return self._bytes

    def append(self, pieces: list[bytes], *, at: float | None = None) -> int:
        """Append encoded messages and return the offset of the last one.

        Parameters
        ----------
        pieces
            The messages' encoded data.
        at
            When they entered the log, in Unix milliseconds; None is now.
        """
        now = time.time() * 1000.0 if at is None else at
        if self._times and now < self._times[-1]:
            now = self._times[-1]  # a clock set back does not make a later message older
        self._pieces.extend(pieces)
        self._times.extend([now] * len(pieces))
        self._bytes += sum(map(len, pieces))
        self.appended()
        if not self.compacted:
            self._trim(now - self.max_age * 1000.0)
        return self.last

    def compact(self, upto: int, piece: bytes) -> None:
        """Put one message in place of all up to an offset, which it takes, with the time of what was there.

        Parameters
        ----------
        upto
            An offset within `first` and `last`. It becomes `first`; later messages stay as they are.
        piece
            Encoded data that stands for all messages up to there.

        Raises
        ------
        ValueError
            When there is no message at that offset, or the log is not a compacted one.
        """
        if not self.compacted or not self.first <= upto <= self.last:
            raise ValueError(f"cannot compact messages {self.first} to {self.last} up to {upto}")
        index = upto - self._first
        self._bytes += len(piece) - sum(map(len, self._pieces[: index + 1]))
        self._pieces[: index + 1] = [piece]
        del self._times[:index]
        self._first = upto
        self.compactions += 1

    def restore(self, last: int, newest: Iterable[tuple[float, bytes]]) -> None:
        """Go on after an offset of the same epoch, with messages that were kept elsewhere.

        Parameters
        ----------
        last
            The offset that the next append comes after.
        newest
            Times and data of the messages up to `last`, newest first. As many are taken as the history
            holds; their age counts from the newest one. A compacted log takes all.
        """
        assert self.last == 0
        times, pieces = self._times, self._pieces
        for at, piece in newest:
            oldest = (times[0] if times else at) - self.max_age * 1000.0
            if not self.compacted and (
                len(pieces) == self.max_messages or self._bytes + len(piece) > self.max_bytes or at < oldest
            ):
                break
            times.append(at)
            pieces.append(piece)
            self._bytes += len(piece)
        times.reverse()
        pieces.reverse()
        self._first = last - len(pieces) + 1

    def read(self, after: int, *, limit: int = 1_000, max_bytes: int = 256 * 1024) -> Run:
        """Return messages that come after an offset, oldest first.

        Parameters
        ----------
        after
            The offset of the last message already read. Where the log has dropped what follows it, the
            run starts at `first`: a caller sees that in the run's offset.
        limit, max_bytes
            At most so many messages, and so many bytes but for the first message.

        Returns
        -------
        Run
            Empty when there is nothing after `after`.
        """
        start = max(after + 1, self.first)
        index = start - self._first
        pieces = self._pieces[index : index + limit]
        size = 0
        for count, piece in enumerate(pieces):
            size += len(piece)
            if size > max_bytes and count:
                pieces = pieces[:count]
                break
        return Run(start, self._times[index : index + len(pieces)], pieces)

    def _trim(self, oldest: float) -> None:
        pieces, times, dead = self._pieces, self._times, self._dead
        while dead < len(pieces) and (
            len(pieces) - dead > self.max_messages or self._bytes > self.max_bytes or times[dead] < oldest
        ):
            self._bytes -= len(pieces[dead])
            pieces[dead] = b""
            dead += 1
        self._dead = dead
        # Deleting from the head of a list moves all the rest: do it for many at a time.
        if dead > 1_000 and dead * 4 > len(pieces):
            del pieces[:dead], times[:dead]
            self._first += dead
            self._dead = 0
