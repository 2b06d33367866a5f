"""Append-only typed columns that share their memory with every snapshot ever taken of them.

Each column is one contiguous buffer. Rows are written behind the last one and never written again; a snapshot
is a pair of row positions over the buffers. When a buffer is full, the rows that are still kept move to a new
one and old snapshots go on holding the old one::

    0        start              end        capacity
    |--------|==================|----------|
     left or  the rows           room
     carried

Rows in front of `start` have left, except that the newest row of a slow key is carried along for
`Table.latest_positions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rtwidgets.frames.kinds import STRING, Array, Kind, Null
from rtwidgets.frames.texts import Category

__all__ = ["Categories", "Column", "State", "Table"]

MIN_CAPACITY = 1_024
SPARE_CATEGORIES = 1_024
"""Unused categories that are not worth the work of dropping them."""


class Categories:
    """The values of a categorical column, numbered in order of appearance. Grows only.

    Parameters
    ----------
    values
        Distinct text or integers.
    """

    def __init__(self, values: Sequence[str | int] = ()) -> None:
        self.values = list(values)
        self._codes: dict[str | int | None, int] = {value: code for code, value in enumerate(self.values)}
        self._codes[None] = -1

    def encode(self, values: Sequence[Any] | Array) -> Array:
        """Return the int64 code of each value, numbering new ones; None is -1."""
        codes = self._codes
        try:
            return np.fromiter(map(codes.__getitem__, values), np.int64, len(values))
        except KeyError:
            for value in values:
                if value not in codes:
                    codes[value] = len(self.values)
                    self.values.append(value)
            return self.encode(values)


@dataclass(eq=False)
class Column:
    """One column over one buffer.

    Attributes
    ----------
    data
        The buffer; the last axis counts rows.
    readonly
        The same memory, not writeable: what leaves this module.
    """

    name: str
    kind: Kind
    data: Array
    categories: Categories | None = None
    readonly: Array = field(init=False)
    _dressed: tuple[int, Any] = field(init=False, repr=False)
    _most: int = field(init=False, repr=False, default=0)

    def __post_init__(self) -> None:
        if self.categories is None and isinstance(self.kind, Category):
            self.categories = Categories()
        if self.categories is not None:
            self._most = np.iinfo(self.data.dtype).max
        self.readonly = self.data.view()
        self.readonly.flags.writeable = False
        self._dressed = self._dress()

    def _dress(self) -> tuple[int, Any]:
        if self.categories is None:
            return 0, self.kind.wrap(self.readonly)
        values = list(self.categories.values)
        integers = isinstance(self.kind, Category) and self.kind.integers
        index = pd.Index(values, dtype=np.dtype(np.int64) if integers else STRING)
        dtype = pd.CategoricalDtype(index)
        return len(values), pd.Categorical.from_codes(self.readonly, dtype=dtype, validate=False)

    def rows(self, start: int, end: int) -> Any:
        """Return rows as an array for pandas, without a copy."""
        count, whole = self._dressed
        if self.categories is not None and len(self.categories.values) != count:
            _, whole = self._dressed = self._dress()
        return whole[start:end]

    def write(self, at: int, values: Sequence[Any] | Array) -> Column:
        """Store what `Kind.fit` gave from row `at` on; returns the column to use from now on."""
        if self.categories is None:
            self.kind.write(self.data, at, values)
            return self
        codes = self.categories.encode(values)
        column = self
        # pandas would copy codes that are not of the width it chooses for so many categories.
        if len(self.categories.values) >= self._most:
            width = pd.Categorical.from_codes(
                [], categories=pd.RangeIndex(len(self.categories.values))
            ).codes.dtype
            if width != self.data.dtype:
                column = replace(self, data=self.data.astype(width))
        column.data[at : at + len(codes)] = codes
        return column


class State(NamedTuple):
    """What a reader sees: published at once, never changed.

    Attributes
    ----------
    columns
        In the order of the frame.
    start, end
        Positions of the rows in the buffers.
    total
        Rows ever accepted; the first row here has the number ``total - (end - start)``.
    """

    columns: tuple[Column, ...]
    start: int
    end: int
    total: int


class Table:
    """Columns of one length, of which the oldest rows leave. Not thread-safe; `state` may be read from
    anywhere.

    Parameters
    ----------
    max_rows
        Rows to keep, or None for all.
    max_age
        Nanoseconds by the time column to keep, or None.
    key, time
        Names of the key and the time column, or None.
    """

    def __init__(self, max_rows: int | None, max_age: int | None, key: str | None, time: str | None) -> None:
        self.max_rows = max_rows
        self.max_age = max_age
        self.key = key
        self.time = time
        self.columns: list[Column] = []
        self.start = 0
        self.end = 0
        self.total = 0
        self.capacity = MIN_CAPACITY
        self.state = State((), 0, 0, 0)
        self._newest: int | None = None
        # Position of the newest row of each key's code. The last element takes code -1, a row without a key.
        self._last = np.full(17, -1, np.int64)

    def find(self, name: str | None) -> Column | None:
        """Return the column of that name."""
        return next((column for column in self.columns if column.name == name), None)

    def add(self, name: str, kind: Kind, position: int, fill: int | None = None) -> None:
        """Add a column; rows so far are null there, or `fill`."""
        column = Column(name, kind, kind.buffer(self.capacity))
        if fill is not None:
            column.data[: self.end] = fill
        self.columns.insert(position, column)

    def change(self, position: int, kind: Kind) -> None:
        """Change the kind of a column to a wider one. Snapshots taken before keep the old buffer."""
        old = self.columns[position]
        if type(kind) is type(old.kind):
            self.columns[position] = replace(old, kind=kind)
            return
        data = (
            kind.buffer(self.capacity)
            if isinstance(old.kind, Null)
            else kind.adopt(old.data, self.end, self.capacity)
        )
        self.columns[position] = Column(old.name, kind, data)

    def append(self, values: Sequence[Sequence[Any] | Array], rows: int) -> None:
        """Write rows behind the last one and let the oldest leave.

        Parameters
        ----------
        values
            For each column as many values as there are rows, as `Kind.fit` gave them.
        rows
            Number of rows.
        """
        step = max(self.max_rows or rows, MIN_CAPACITY)
        for first in range(0, rows, step):
            count = min(step, rows - first)
            self._append(values if count == rows else [part[first : first + count] for part in values], count)

    def _append(self, values: Sequence[Sequence[Any] | Array], rows: int) -> None:
        if self.end + rows > self.capacity:
            self._move(rows)
        at, end = self.end, self.end + rows
        for position, part in enumerate(values):
            self.columns[position] = column = self.columns[position].write(at, part)
            if column.name == self.key:
                self._note_latest(column, at, end)
            elif column.name == self.time and self.max_age is not None:
                newest = int(column.data[at:end].max())
                self._newest = newest if self._newest is None else max(newest, self._newest)
        self.end = end
        self.total += rows
        if self.max_rows is not None and end - self.start > self.max_rows:
            self.start = end - self.max_rows
        if self.max_age is not None and self._newest is not None:
            self._expire(self._newest - self.max_age)

    def _note_latest(self, column: Column, at: int, end: int) -> None:
        if column.categories is not None and len(column.categories.values) >= len(self._last):
            grown = np.full(2 * len(column.categories.values) + 1, -1, np.int64)
            grown[: len(self._last) - 1] = self._last[:-1]
            self._last = grown
        self._last[column.data[at:end]] = np.arange(at, end)

    def _expire(self, oldest: int) -> None:
        time = self.find(self.time)
        if time is None:
            return
        window = 64
        while self.start < self.end:
            stays = time.data[self.start : min(self.start + window, self.end)] >= oldest
            if stays.any():
                self.start += int(stays.argmax())
                return
            self.start += len(stays)
            window *= 2

    def _move(self, rows: int) -> None:
        """Move what is kept to new buffers with room for `rows` more."""
        carried = np.sort(self._last[:-1])
        carried = carried[(carried >= 0) & (carried < self.start)]
        if self.max_rows is not None:
            carried = carried[-self.max_rows :]
        in_front, live = len(carried), self.end - self.start
        self.capacity = _rounded(2 * (in_front + live + rows))
        for position, old in enumerate(self.columns):
            data = old.kind.buffer(self.capacity).astype(old.data.dtype, copy=False)
            data[..., :in_front] = old.data[..., carried]
            data[..., in_front : in_front + live] = old.data[..., self.start : self.end]
            self.columns[position] = column = _without_spare(replace(old, data=data), in_front + live)
            if column.name == self.key:
                self._last = np.full(
                    2 * len(column.categories.values if column.categories else ()) + 17, -1, np.int64
                )
                self._last[column.data[: in_front + live]] = np.arange(in_front + live)
        self.start, self.end = in_front, in_front + live

    def latest_positions(self) -> Array:
        """Positions of the newest row of each key, by the age of the key: int64, not in order of time."""
        last = self._last[:-1]
        return last[last >= 0]

    def publish(self) -> State:
        """Let readers see the rows and columns as they are now."""
        state = State(tuple(self.columns), self.start, self.end, self.total)
        if state != self.state:
            self.state = state
        return self.state


def _rounded(rows: int) -> int:
    """Return a capacity for so many rows, one of few: the allocator finds room of the same size again."""
    step = max(MIN_CAPACITY, (1 << rows.bit_length()) // 16)
    return -(-rows // step) * step


def _without_spare(column: Column, rows: int) -> Column:
    """Drop categories that no row uses if they are many: keys of an endless stream may never come again."""
    if column.categories is None:
        return column
    codes = column.data[:rows]
    used = np.unique(codes[codes >= 0])
    values = column.categories.values
    if len(values) <= 2 * len(used) + SPARE_CATEGORIES:
        return column
    renumbered = np.full(len(values) + 1, -1, column.data.dtype)
    renumbered[used] = np.arange(len(used))
    data = column.kind.buffer(len(column.data)).astype(column.data.dtype, copy=False)
    data[:rows] = renumbered[codes]
    kept = Categories([values[code] for code in used])
    width = pd.Categorical.from_codes([], categories=pd.RangeIndex(len(used))).codes.dtype
    return replace(column, data=data.astype(width), categories=kept)
