"""Order books kept from the messages of a feed, and a frame of their quotes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rtwidgets.checks import is_count
from rtwidgets.client.levels import Update
from rtwidgets.errors import UsageError
from rtwidgets.frames import Book, LiveFrame
from rtwidgets.frames.book import crc32_kraken

__all__ = ["SCHEMA", "BookIntake"]

SCHEMA = {
    "symbol": "category",
    "time": "datetime64[ns]",
    **dict.fromkeys(("bid", "bid_size", "ask", "ask_size", "mid", "spread", "imbalance"), "float64"),
}
"""The columns of the quotes."""


@dataclass(slots=True)
class _State:
    """A book, and what is known of it.

    Attributes
    ----------
    founded
        It began with a snapshot, or its feed sends some.
    stale
        It waits for the next one.
    last
        Number of the last change.
    depth
        How many prices of each side the feed tells of.
    """

    book: Book
    founded: bool = False
    stale: bool = False
    last: int | None = None
    depth: int | None = None

    def knows(self, update: Update) -> bool:
        """Whether all changes of an update are in the book already."""
        return self.last is not None and update.last is not None and update.last <= self.last

    def missing(self, update: Update) -> str:
        """Return which numbers are missing before an update, in words; nothing when none are."""
        if self.last is None or update.first is None or update.first <= self.last + 1:
            return ""
        return f"changes {self.last + 1} to {update.first - 1} are missing"


class BookIntake:
    """Keeps order books, and fills a frame with a quote for each message that changed one.

    A quote has the columns `SCHEMA`: sizes and prices of the best bid and the best ask, the middle between
    the two prices and their distance, which are NaN where a side is empty, and the imbalance as of
    `Book.imbalance`. Its time is the feed's, or else when the message came.

    A book that proves to be wrong, by its checksum, by numbers that are missing or by a level that is none,
    is emptied, which is a quote of NaN; it is stale and takes no changes until the next snapshot, and
    `resync` is called. After a break of the connection a book keeps its levels, but is stale likewise. A book
    of a feed that never sent a snapshot is never stale: it begins anew with the next change.

    Parameters
    ----------
    decode
        What reads a message, such as those of `rtwidgets.client.levels.LEVELS`.
    levels
        Prices of each side that the imbalance is of.
    max_rows, max_age
        How many quotes to keep, and for how many seconds; see `LiveFrame`.

    Attributes
    ----------
    frame
        The quotes.
    books
        The books by symbol, in the order in which they were first heard of.
    skipped
        Messages that are not about a book.
    mismatches
        How often a book proved to be wrong.
    changes
        How often a book has changed.
    resync
        Called with a reason when the connection should be made again, so that it begins with snapshots. On
        the thread that brings the messages.

    Raises
    ------
    UsageError
        For a number of levels, rows or seconds that is none.
    """

    def __init__(
        self,
        decode: Callable[[bytes], Iterable[Update]],
        *,
        levels: int = 10,
        max_rows: int | None = 100_000,
        max_age: float | None = None,
    ) -> None:
        if not is_count(levels):
            raise UsageError(f"levels={levels!r}: give at least 1 price of each side")
        self.frame = LiveFrame(max_rows, max_age, key="symbol", time="time", schema=SCHEMA)
        self.books: dict[str, Book] = {}
        self.skipped = 0
        self.mismatches = 0
        self.changes = 0
        self.resync: Callable[[str], object] = lambda reason: None
        self._decode = decode
        self._levels = levels
        self._states: dict[str, _State] = {}
        self._quotes: list[dict[str, Any]] = []  # those that are not in the frame yet

    @property
    def stale(self) -> list[str]:
        """The symbols of books that wait for a snapshot."""
        return [symbol for symbol, state in list(self._states.items()) if state.stale]

    @property
    def unfounded(self) -> list[str]:
        """The symbols of books that began without a snapshot: they lack prices that never changed since."""
        return [symbol for symbol, state in list(self._states.items()) if not state.founded]

    def messages(self, messages: list[bytes], received: int | npt.NDArray[np.int64]) -> None:
        """Take a batch of messages."""
        times = received.tolist() if isinstance(received, np.ndarray) else [received] * len(messages)
        try:
            for message, time in zip(messages, times, strict=True):
                try:
                    updates = tuple(self._decode(message))
                except (ValueError, OverflowError, RecursionError) as error:
                    self.frame.reject(message, f"not a message of this book: {error}")
                    continue
                if not updates:
                    self.skipped += 1
                for update in updates:
                    self._take(update, message, time)
        finally:
            self._flush()

    def broke(self) -> None:
        """Learn that there was a break: the books are stale, or begin anew."""
        self.frame.mark_gap(self.frame.total)
        for state in self._states.values():
            state.last = None
            if state.founded:
                state.stale = True
            else:
                state.book.apply((), (), reset=True)

    def _take(self, update: Update, message: bytes, received: int) -> None:
        symbol = update.symbol
        state = self._states.get(symbol)
        if state is None:
            book = self.books[symbol] = Book()
            state = self._states[symbol] = _State(book)
        if update.reset:
            state.founded, state.stale, state.last, state.depth = True, False, None, None
        elif state.stale:
            return
        if update.last is not None:
            if state.knows(update):
                return
            if wrong := state.missing(update):
                self._lose(symbol, state, wrong)
        if not state.stale and (wrong := self._apply(update, state, message)):
            self._lose(symbol, state, wrong)
        self.changes += 1
        quote: dict[str, Any] = state.book.quote(self._levels)
        quote["symbol"] = symbol
        quote["time"] = received if update.time is None else update.time
        self._quotes.append(quote)

    def _apply(self, update: Update, state: _State, message: bytes) -> str:
        """Change a book; return why it is wrong then, or nothing."""
        book = state.book
        state.last = update.last
        state.depth = update.depth or state.depth
        try:
            book.apply(update.bids, update.asks, reset=update.reset)
        except UsageError as error:
            self.frame.reject(message, str(error))
            return str(error)
        if state.depth is not None:
            book.trim(state.depth)
        if update.checksum is None:
            return ""
        state.founded = True
        return "" if crc32_kraken(book) == update.checksum else "the checksum does not fit"

    def _lose(self, symbol: str, state: _State, why: str) -> None:
        """Empty a book that is wrong."""
        self.mismatches += 1
        state.book.apply((), (), reset=True)
        if state.founded:
            state.stale = True
            self.resync(f"the book of {symbol or 'this feed'} is wrong: {why}")
        else:
            self._flush()
            self.frame.mark_gap(self.frame.total)

    def _flush(self) -> None:
        """Bring the quotes into the frame."""
        quotes, self._quotes = self._quotes, []
        if quotes:
            self.frame.extend(quotes)
