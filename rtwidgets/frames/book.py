"""An order book: how much is wanted and offered at each price. Pure: changes in, the best prices out."""

from __future__ import annotations

import math
import threading
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames.frame import LiveFrame

__all__ = ["Best", "Book", "BookOfRows", "crc32_kraken"]

Halves = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
Level = Sequence[Any]
"""A price, a size, and whatever else a feed says of them."""

_BIDS = frozenset({"buy", "bid", "b"})
_ASKS = frozenset({"sell", "ask", "offer", "a", "s"})


class Best(NamedTuple):
    """The best bid and the best ask with their sizes; NaN where a side is empty."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float


class _Side:
    """One side of a book: sorted lists, the best price last, as changes near the end of a list move little.

    The digits of the best levels are remembered until one of these changes.

    Parameters
    ----------
    sign
        What a price is multiplied with to make the best one the highest.
    """

    __slots__ = ("_digits", "_edge", "keys", "levels", "sign", "sizes")

    def __init__(self, sign: float) -> None:
        self.sign = sign
        self.keys: list[float] = []
        self.sizes: list[float] = []
        self.levels: list[Level] = []
        self._forget()

    def _forget(self) -> None:
        self._digits = ""
        self._edge = math.inf  # the lowest key on which they depend

    def clear(self) -> None:
        self.keys.clear()
        self.sizes.clear()
        self.levels.clear()
        self._forget()

    def apply(self, changes: Iterable[Level]) -> None:
        keys, sizes, levels, sign, edge = self.keys, self.sizes, self.levels, self.sign, self._edge
        if not keys:  # a snapshot: in this order each level is the last one when it comes
            changes = sorted(changes, key=lambda level: sign * float(level[0]))
        for level in changes:
            key = sign * float(level[0])
            size = float(level[1])
            if not (-math.inf < key < math.inf and 0.0 <= size < math.inf):
                raise ValueError(level)
            if key >= edge:
                self._forget()
                edge = math.inf
            at = bisect_left(keys, key)
            if at < len(keys) and keys[at] == key:
                if size:
                    sizes[at] = size
                    levels[at] = level
                else:
                    del keys[at], sizes[at], levels[at]
            elif size:
                keys.insert(at, key)
                sizes.insert(at, size)
                levels.insert(at, level)

    def trim(self, depth: int) -> None:
        surplus = len(self.keys) - depth
        if surplus > 0:
            if self.keys[surplus - 1] >= self._edge:
                self._forget()
            del self.keys[:surplus], self.sizes[:surplus], self.levels[:surplus]

    def array(self, levels: int) -> npt.NDArray[np.float64]:
        best = slice(None, -levels - 1, -1)
        rows = np.array([self.keys[best], self.sizes[best]], np.float64).T
        rows[:, 0] *= self.sign
        return rows

    def best(self) -> tuple[float, float]:
        return (self.sign * self.keys[-1], self.sizes[-1]) if self.keys else (math.nan, math.nan)

    def digits(self) -> str:
        """Return the digits of the best ten levels as they came, without points and leading zeros."""
        if not self._digits:
            best = self.levels[:-11:-1]
            self._digits = "".join([_significant(level[0], level[1]) for level in best])
            self._edge = self.keys[-10] if len(best) == 10 else -math.inf
        return self._digits


@lru_cache(65_536)
def _significant(price: object, size: object) -> str:
    return str(price).replace(".", "").lstrip("0") + str(size).replace(".", "").lstrip("0")


class Book:
    """The book of one symbol, kept from what a feed says of it. It may be read while another thread applies.

    Prices that are equal as float64 are one price.
    """

    def __init__(self) -> None:
        self._bids = _Side(1.0)
        self._asks = _Side(-1.0)
        self._lock = threading.Lock()

    def apply(self, bids: Sequence[Level], asks: Sequence[Level], *, reset: bool = False) -> None:
        """Take changes, in their order.

        Parameters
        ----------
        bids, asks
            Levels ``[price, size, ...]``, as text or numbers: the size that is now at the price, and 0 takes
            the price away.
        reset
            They are the whole book: forget what was there.

        Raises
        ------
        UsageError
            When one of them is no price and size. Some of the others may be in the book then.
        """
        with self._lock:
            if reset:
                self._bids.clear()
                self._asks.clear()
            try:
                if len(bids):
                    self._bids.apply(bids)
                if len(asks):
                    self._asks.apply(asks)
            except (ValueError, TypeError, LookupError, OverflowError) as error:
                raise UsageError(
                    f"a level is [price, size, ...], the price finite and the size at least 0: {error}"
                ) from error

    def trim(self, depth: int) -> None:
        """Keep the best `depth` prices of each side, for a feed that tells of no more and takes none away."""
        with self._lock:
            self._bids.trim(depth)
            self._asks.trim(depth)

    def top(self, levels: int) -> Halves:
        """Return the best prices and their sizes.

        Returns
        -------
        bids, asks
            float64 of shape (n, 2) with n at most `levels`: price and size, the best price first.
        """
        with self._lock:
            return self._bids.array(levels), self._asks.array(levels)

    @property
    def best(self) -> Best:
        """The best price of each side and its size."""
        with self._lock:
            return Best(*self._bids.best(), *self._asks.best())

    @property
    def mid(self) -> float:
        """The middle between the best prices; NaN when a side is empty."""
        best = self.best
        return (best.bid + best.ask) / 2

    @property
    def spread(self) -> float:
        """How far the best ask is above the best bid; NaN when a side is empty."""
        best = self.best
        return best.ask - best.bid

    def imbalance(self, levels: int) -> float:
        """Return how much more is wanted than offered: sizes of bids less those of asks, by their sum.

        Parameters
        ----------
        levels
            Prices of each side, the best ones; at least 1.

        Returns
        -------
        float
            From -1 (there are asks only) to 1; NaN for an empty book.
        """
        return self.quote(levels)["imbalance"]

    def quote(self, levels: int) -> dict[str, float]:
        """Return all of these at one moment: bid, bid_size, ask, ask_size, mid, spread and imbalance."""
        with self._lock:
            bid, bid_size = self._bids.best()
            ask, ask_size = self._asks.best()
            bids, asks = sum(self._bids.sizes[-levels:]), sum(self._asks.sizes[-levels:])
        both = bids + asks
        return {
            "bid": bid,
            "bid_size": bid_size,
            "ask": ask,
            "ask_size": ask_size,
            "mid": (bid + ask) / 2,
            "spread": ask - bid,
            "imbalance": (bids - asks) / both if both else math.nan,
        }

    def digits(self) -> str:
        """Return the digits of the best ten asks and then bids, as their text came: each price and size
        without the point and without leading zeros.
        """
        with self._lock:
            return self._asks.digits() + self._bids.digits()


def crc32_kraken(book: Book) -> int:
    """Return the checksum that Kraken sends with its books, as an unsigned number of 32 bits.

    It is that of `Book.digits`; see "Book Checksum" of versions 1 and 2 of Kraken's WebSocket interface
    (https://docs.kraken.com/api/docs/guides/spot-ws-book-v2). Zeros at the end of a number count, so the
    levels have to go into the book as the text that came.
    """
    return zlib.crc32(book.digits().encode())


class BookOfRows:
    """A cursor on a frame of changes to a book of limit orders.

    Parameters
    ----------
    frame
        Rows of changes: a side, a price, and the size that is now at that price; a size of 0 takes the
        price away.
    key
        Which of the frame's keys; None takes all rows.
    side, price, size
        The columns. Sides are buy, bid or b, and sell, ask, offer, a or s, in any case.

    Attributes
    ----------
    missed
        Rows that had left the frame before they were read: the book may be wrong by so many changes.
    """

    def __init__(
        self,
        frame: LiveFrame,
        *,
        key: str | None = None,
        side: str = "side",
        price: str = "price",
        size: str = "size",
    ) -> None:
        self.missed = 0
        self._frame = frame
        self._key = key
        self._columns = (side, price, size)
        self._cursor = 0
        self._book = Book()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Check that the frame, once it has rows, has the columns.

        Raises
        ------
        SchemaError
            Otherwise.
        """
        schema = self._frame.schema
        if missing := [name for name in self._columns if name not in schema]:
            raise SchemaError(
                f"an order book needs the columns {', '.join(self._columns)}; "
                f"there is no {missing[0]!r} among: {', '.join(schema)}"
            )
        for name in self._columns[1:]:
            if schema[name] not in ("float64", "int64"):
                raise SchemaError(f"column {name!r} is {schema[name]}, and an order book needs numbers there")

    def top(self, levels: int) -> Halves:
        """Return the best prices and their sizes; see `Book.top`."""
        with self._lock:
            self._read()
        return self._book.top(levels)

    def _read(self) -> None:
        frame = self._frame
        if frame.total == self._cursor:
            return
        self.check()
        key = frame.key if self._key is not None else None
        names = [*self._columns, *([key] if key is not None else [])]
        rows = frame.view(names, self._cursor)
        self.missed += rows.first - self._cursor
        self._cursor = rows.end
        side, price, size = (rows.columns[name] for name in self._columns)
        sides = rows.categories.get(self._columns[0])
        texts = side if sides is None else [str(sides[code]) if code >= 0 else "" for code in side]
        wanted = np.isfinite(price) & np.isfinite(size)
        if key is not None:
            keys = [str(value) for value in rows.categories[key]]
            wanted &= rows.columns[key] == (keys.index(str(self._key)) if str(self._key) in keys else -2)
        bids: list[Level] = []
        asks: list[Level] = []
        for row in np.flatnonzero(wanted):
            text = str(texts[row]).lower()
            half = bids if text in _BIDS else asks if text in _ASKS else None
            if half is not None:
                half.append((price[row], max(size[row], 0)))
        self._book.apply(bids, asks)
