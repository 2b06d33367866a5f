"""An order book: what is wanted and offered at each price, kept from rows of changes."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from rtwidgets.errors import SchemaError
from rtwidgets.frames.frame import LiveFrame

__all__ = ["Book"]

_BIDS = frozenset({"buy", "bid", "b"})
_ASKS = frozenset({"sell", "ask", "offer", "a", "s"})


class Book:
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
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
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

    def top(self, levels: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the best prices and their sizes.

        Returns
        -------
        bids, asks
            float64 of shape (n, 2) with n at most `levels`: price and size, the best price first.
        """
        with self._lock:
            self._read()
            bids = sorted(self._bids.items(), reverse=True)[:levels]
            asks = sorted(self._asks.items())[:levels]
        return np.array(bids).reshape(-1, 2), np.array(asks).reshape(-1, 2)

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
        wanted = np.ones(len(price), dtype=bool)
        if key is not None:
            keys = [str(value) for value in rows.categories[key]]
            wanted = rows.columns[key] == (keys.index(str(self._key)) if str(self._key) in keys else -2)
        for row in np.flatnonzero(wanted):
            text = str(texts[row]).lower()
            book = self._bids if text in _BIDS else self._asks if text in _ASKS else None
            if book is None or np.isnan(price[row]) or np.isnan(size[row]):
                continue
            if size[row] > 0:
                book[float(price[row])] = float(size[row])
            else:
                book.pop(float(price[row]), None)
