"""Live OHLC bars: a cursor on a frame that folds the rows that came since the last look."""

from __future__ import annotations

import datetime as dt
import re
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from rtwidgets.errors import SchemaError
from rtwidgets.frames.columns import Categories
from rtwidgets.frames.kinds import NAT, STRING, UTC, Array

if TYPE_CHECKING:
    from rtwidgets.frames.frame import LiveFrame, Rows

__all__ = ["Bars"]

_NUMBERS = ("float64", "int64")
_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?\s*[A-Za-z]+")


class Folded(NamedTuple):
    """Bars or rows as parallel arrays; a row is a bar of one price.

    Attributes
    ----------
    key
        int64 number of the key, -1 without one.
    start
        int64 nanoseconds since 1970.
    open, high, low, close, volume
        float64.
    rows
        int64, how many are in the bar.
    """

    key: Array
    start: Array
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    rows: Array


class Bars:
    """OHLC bars of a frame's rows, one series for each key.

    A row belongs to the bar of its own time, however late it comes. Within a bar rows count in the order they
    arrived: `open` is the first to arrive and `close` the last. Rows without a time or with a NaN price are
    left out. Bars begin at multiples of `every` since 1970 in UTC; a span without rows has no bar.

    Parameters
    ----------
    frame
        Where the rows are.
    every
        Width of a bar, such as ``"500ms"``, ``"1s"``, ``"1min"`` or ``"1h"``.
    price
        Column of prices.
    size
        Column of sizes, summed as `volume`. None: the column ``size``, if there is one.
    max_bars
        Bars to keep, of all keys together; the oldest leave.

    Attributes
    ----------
    missed
        Rows that had left the frame before they were read.

    Raises
    ------
    SchemaError
        If `every` is no duration; when read, if the frame lacks a column that bars need.
    """

    def __init__(
        self,
        frame: LiveFrame,
        every: str | dt.timedelta = "1s",
        price: str = "price",
        size: str | None = None,
        *,
        max_bars: int = 10_000,
    ) -> None:
        self.missed = 0
        self._frame = frame
        self._every = _duration(every)
        self._price = price
        self._size = size
        self._max_bars = max_bars
        self._cursor = 0
        self._sized = size is not None
        self._keys = Categories()
        none, empty = np.empty(0, np.int64), np.empty(0)
        self._bars = Folded(none, none, empty, empty, empty, empty, empty, none)
        self._lock = threading.Lock()

    @property
    def df(self) -> pd.DataFrame:
        """Bars up to now, ordered by key, in order of first appearance, and time.

        Columns: the key if the frame has one, time (the begin of the bar), open, high, low, close, volume if
        there are sizes, and count.
        """
        with self._lock:
            if self._frame.total > self._cursor:
                self._read()
            return self._show()

    def _read(self) -> None:
        schema = self._frame.schema
        key, time = self._frame.key, self._frame.time
        if time is None:
            raise SchemaError('bars need a time column: name one with time="..." when the stream is opened')
        size = self._size or ("size" if schema.get("size") in _NUMBERS else None)
        for name in (self._price, size):
            if name is not None and schema.get(name) not in _NUMBERS:
                numbers = ", ".join(column for column, dtype in schema.items() if dtype in _NUMBERS)
                raise SchemaError(
                    f"bars need a column of numbers {name!r}: choose from {numbers or 'none yet'}"
                )
        columns = {time, self._price} | {name for name in (size, key) if name is not None}
        rows = self._frame.view(columns, after=self._cursor)
        self.missed += rows.first - self._cursor
        self._cursor = rows.end
        self._sized = size is not None
        folded = _fold(self._bars, self._unfolded(rows, key, time, size))
        if len(folded.start) > self._max_bars:
            newest = np.sort(np.argsort(folded.start, kind="stable")[-self._max_bars :])
            folded = Folded(*(values[newest] for values in folded))
        self._bars = self._without_lost_keys(folded)

    def _unfolded(self, rows: Rows, key: str | None, time: str, size: str | None) -> Folded:
        """Return rows as bars of one price each, in order of arrival."""
        price = rows.columns[self._price].astype(np.float64)
        moment = rows.columns[time].view(np.int64)
        takes_part = ~np.isnan(price) & (moment != NAT)
        price, moment = price[takes_part], moment[takes_part]
        codes = np.full(len(price), -1, np.int64)
        if key is not None:
            # The frame may number its keys anew; these numbers stay. The last one is for code -1, no key.
            numbers = np.array([*self._keys.encode(list(rows.categories[key])), -1], np.int64)
            codes = numbers[rows.columns[key][takes_part]]
        volume = (
            np.zeros(len(price))
            if size is None
            else np.nan_to_num(rows.columns[size][takes_part].astype(np.float64))
        )
        start = moment // self._every * self._every
        return Folded(codes, start, price, price, price, price, volume, np.ones(len(price), np.int64))

    def _without_lost_keys(self, bars: Folded) -> Folded:
        """Number anew the keys that still have bars if most have none, as on a stream of ever new keys."""
        if len(self._keys.values) <= 3 * self._max_bars:
            return bars
        used, codes = np.unique(bars.key, return_inverse=True)
        missing = int(-1 in used)
        self._keys = Categories([self._keys.values[code] for code in used[missing:]])
        return bars._replace(key=codes.astype(np.int64) - missing)

    def _show(self) -> pd.DataFrame:
        bars = self._bars
        columns: dict[str, Any] = {}
        if self._frame.key is not None:
            values = self._keys.values
            integers = bool(values) and isinstance(values[0], int)
            index = pd.Index(values, dtype=np.dtype(np.int64) if integers else STRING)
            columns[self._frame.key] = pd.Categorical.from_codes(bars.key, categories=index)
        columns["time"] = pd.array(bars.start.copy(), dtype=UTC)
        for name in ("open", "high", "low", "close", *(["volume"] if self._sized else [])):
            columns[name] = getattr(bars, name)
        columns["count"] = bars.rows
        return pd.DataFrame(columns)


def _duration(every: str | dt.timedelta) -> int:
    """Read the width of a bar in nanoseconds."""
    try:
        if not isinstance(every, dt.timedelta) and not _DURATION.fullmatch(every):
            raise ValueError(every)
        width = int(pd.Timedelta(every).as_unit("ns").value)
    except (ValueError, TypeError) as error:
        raise SchemaError(
            f'every={every!r} is not a duration: write one such as "500ms", "1s", "1min" or "1h"'
        ) from error
    if width <= 0:
        raise SchemaError(f"every={every!r} is not longer than nothing: a bar needs some width")
    return width


def _fold(*parts: Folded) -> Folded:
    """Merge bars of the same key and start, earlier parts first."""
    key, start, first, high, low, close, volume, count = map(np.concatenate, zip(*parts, strict=True))
    if not len(key):
        return parts[0]
    order = np.lexsort((start, key))  # stable: arrival decides between rows of one bar
    key, start = key[order], start[order]
    begins = np.flatnonzero(np.r_[True, (key[1:] != key[:-1]) | (start[1:] != start[:-1])])
    ends = np.r_[begins[1:], len(key)] - 1
    return Folded(
        key[begins],
        start[begins],
        first[order[begins]],
        np.maximum.reduceat(high[order], begins),
        np.minimum.reduceat(low[order], begins),
        close[order[ends]],
        np.add.reduceat(volume[order], begins),
        np.add.reduceat(count[order], begins),
    )
