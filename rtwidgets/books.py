"""The user's handle on the order books of a feed. Floor 5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from rtwidgets.checks import is_count
from rtwidgets.client import Source, Taking
from rtwidgets.client.books import BookIntake
from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import Book
from rtwidgets.frames.book import Halves
from rtwidgets.stream import Stream
from rtwidgets.widgets import Depth

__all__ = ["BookSource", "BookStream"]


class BookSource(Source, Protocol):
    """A source whose messages are taken by a `BookIntake`."""

    @property
    def intake(self) -> Taking:
        """What takes them."""


class BookStream(Stream):
    """The order books of a feed, and the stream of their quotes: `df` has a row for each change of a book.

    The columns of `df` are symbol, time, bid, bid_size, ask, ask_size, mid, spread and imbalance; see
    `rtwidgets.client.books.BookIntake`.

    Raises
    ------
    UsageError
        When the source keeps no books.
    """

    def __init__(self, name: str, source: BookSource) -> None:
        if not isinstance(source.intake, BookIntake):
            raise UsageError(f"{name} keeps no order books: make a Stream of its rows")
        super().__init__(name, source)
        self._intake = source.intake

    @property
    def books(self) -> list[str]:
        """The symbols of the books, in the order in which they were first heard of."""
        return list(self._intake.books)

    @property
    def mismatches(self) -> int:
        """How often a book proved to be wrong; see `rtwidgets.client.books.BookIntake`."""
        return self._intake.mismatches

    def top(self, n: int = 10, key: str | None = None) -> pd.DataFrame:
        """Return the best prices of a book as it is now, the best in the first row.

        Parameters
        ----------
        n
            Rows at the most.
        key
            The book's symbol; may be left out where there is one book.

        Returns
        -------
        DataFrame
            Columns bid_size, bid, ask and ask_size, float64, NaN where a side has fewer prices. Empty before
            the first message.

        Raises
        ------
        UsageError
            When there are books but not this one, several to choose from, or `n` is no number of rows.
        """
        if not is_count(n):
            raise UsageError(f"top({n!r}): give a number of rows, at least 1")
        books = self.books
        if books and key is not None and key not in books:
            raise UsageError(f"there is no book of {key!r} so far, only of {_few(books)}")
        live = _Live(self._intake, key)
        live.check()
        bids, asks = live.top(n)
        table = np.full((max(len(bids), len(asks)), 4), np.nan)
        table[: len(bids), :2] = bids[:, ::-1]
        table[: len(asks), 2:] = asks
        return pd.DataFrame(table, columns=["bid_size", "bid", "ask", "ask_size"])

    def depth(self, key: str | None = None, levels: int = 50) -> Depth:
        """Draw the depth of a book; see `rtwidgets.widgets.Depth`.

        Parameters
        ----------
        key
            The book's symbol; may be left out where there is one book. It may be still to come.
        levels
            Prices on each side.

        Raises
        ------
        SchemaError
            When there are several books to choose from.
        """
        return self._made(Depth, book=_Live(self._intake, key), levels=levels, title=self.name)

    def _doubts(self) -> list[str]:
        intake, doubts = self._intake, super()._doubts()
        if intake.mismatches:
            doubts.append(f"books that were wrong: {intake.mismatches:,}")
        if stale := intake.stale:
            doubts.append(f"stale until the next snapshot: {_few(stale)}")
        if unfounded := intake.unfounded:
            doubts.append(f"made of changes without a snapshot, so that prices may lack: {_few(unfounded)}")
        return doubts


@dataclass(frozen=True)
class _Live:
    """A book as it is at each look, empty before it comes; two are equal when they are of the same book."""

    intake: BookIntake
    key: str | None

    def check(self) -> None:
        if self.key is None and len(self.intake.books) > 1:
            raise SchemaError(f"there are several books: give key=, one of {_few(list(self.intake.books))}")

    def top(self, levels: int) -> Halves:
        books = self.intake.books
        book = next(iter(list(books.values())), None) if self.key is None else books.get(self.key)
        return (book or Book()).top(levels)


def _few(symbols: list[str]) -> str:
    """Return some names as text."""
    return ", ".join(symbols[:10]) + (f" and {len(symbols) - 10} more" if len(symbols) > 10 else "")
