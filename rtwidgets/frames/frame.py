"""The frame: what a cursor has read, kept as typed columns and shown as a pandas frame.

A snapshot shares its memory with the frame's buffers. pandas is told so: each block of a snapshot counts one
more owner, so that copy-on-write copies before the user's first change, and the memory itself is handed out
read-only.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from rtwidgets.checks import is_count, is_positive
from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames.columns import State, Table
from rtwidgets.frames.intake import Intake
from rtwidgets.frames.kinds import STRING, Array
from rtwidgets.frames.schema import Schema, declared_kinds
from rtwidgets.frames.times import Time
from rtwidgets.frames.values import Misfit

__all__ = ["LiveFrame", "Rows"]

_OWNING: Any = pd.DataFrame({"owner": [0]})
_OWNER: Any = _OWNING._mgr.blocks[0]  # noqa: SLF001
"""Stands for the live buffers in the books of pandas' copy-on-write."""


class Rows(NamedTuple):
    """Columns of rows as numpy arrays that share memory with the frame, read-only.

    Attributes
    ----------
    first
        Number of the first row.
    end
        Number after the last row: the next cursor.
    columns
        By name: float64, int64, bool, object (text), datetime64[ns] (UTC) or the integer codes of a category.
    categories
        By name, for categories: the values that codes count into; -1 is missing.
    """

    first: int
    end: int
    columns: dict[str, Array]
    categories: dict[str, Sequence[str | int]]


class LiveFrame:
    """Append-only typed columns with cheap snapshots.

    Parameters
    ----------
    max_rows
        Rows to keep, the newest; None keeps all.
    max_age
        Seconds to keep, counted back from the newest time; None keeps all. Rows leave in the order they came,
        so an old row behind a newer one stays until that one leaves. Without a time column nothing leaves by
        age.
    key
        Field whose values tell streams apart, such as a symbol; always categorical.
    time
        Field with the time of a row. None: a field named time, timestamp, ts, datetime or date is taken if it
        looks like one.
    schema
        Column names to dtypes. A given schema is complete: other fields are left out, and no column is
        widened. None: inferred from the first rows, widened and extended as the stream goes on.

    Raises
    ------
    SchemaError
        If the schema does not hold together.
    UsageError
        If max_rows or max_age is not positive.
    """

    def __init__(
        self,
        max_rows: int | None = 100_000,
        max_age: float | None = None,
        *,
        key: str | None = None,
        time: str | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> None:
        if max_rows is not None and not is_count(max_rows):
            raise UsageError(f"max_rows={max_rows!r}: keep at least 1 row, or None for all")
        if max_age is not None and not is_positive(max_age):
            raise UsageError(f"max_age={max_age!r}: keep more than 0 seconds, as a number, or None for all")
        for role, name in (("key", key), ("time", time)):
            if name is not None and not isinstance(name, str):
                raise SchemaError(f"{role}={name!r} is not the name of a column: give one name as text")
        if key is not None and key == time:
            raise SchemaError(f"{key!r} cannot be both the key and the time: name two columns")
        kinds = None
        if schema is not None:
            kinds = declared_kinds(schema, key, time)
            time = time or next((name for name, kind in kinds.items() if isinstance(kind, Time)), None)
        self._lock = threading.RLock()
        self._table = Table(max_rows, None if max_age is None else round(max_age * 1e9), key, time)
        self._intake = Intake(self._table, kinds)
        self._callbacks: list[Callable[[], object]] = []
        self._gaps: deque[tuple[int, int]] = deque(maxlen=1_000)
        self._shown: tuple[State, pd.DataFrame] | None = None
        self._table.publish()

    # Writing

    def extend(self, rows: Iterable[object], *, offsets: Any = None, received: Any = None) -> int:
        """Append rows given as mappings.

        Parameters
        ----------
        rows
            Mappings of field names to values: what JSON knows, numpy scalars, timestamps.
        offsets
            One int for each row, kept in a last column ``offset``; a field of that name gives way to it.
        received
            Nanoseconds since 1970, one int or one for each row: the time of rows that have no time column of
            their own.

        Returns
        -------
        int
            Rows accepted; the others are in `rejected`.

        Raises
        ------
        UsageError
            If there are not as many offsets as rows.
        """
        return self._extend(self._intake.take_rows, rows, offsets, received)

    def extend_json(self, raw: bytes | str, *, offsets: Any = None, received: Any = None) -> int:
        """Append rows given as one JSON array of objects. The fastest way in.

        Text that is not JSON counts as one rejection. Parameters and result are those of `extend`.
        """
        return self._extend(self._intake.take_json, raw, offsets, received)

    def extend_json_messages(
        self, messages: Sequence[bytes | str], *, offsets: Any = None, received: Any = None
    ) -> int:
        """Append rows given as messages of one JSON object each; only the bad ones are rejected.

        Parameters and result are those of `extend`.
        """
        return self._extend(self._intake.take_messages, messages, offsets, received)

    def _extend(self, take: Callable[[Any, Any, Any], int], rows: Any, offsets: Any, received: Any) -> int:
        with self._lock:
            rejected = self._intake.rejected.count
            try:
                taken = take(rows, offsets, received)
            finally:
                self._table.publish()
            changed = taken or self._intake.rejected.count > rejected
        if changed:
            self._notify()
        return taken

    def _notify(self) -> None:
        for callback in tuple(self._callbacks):
            callback()

    def reject(self, row: object, reason: str, *, offset: int | None = None) -> None:
        """Count a row or message that could not be made into rows elsewhere, and keep it in `rejected`.

        Parameters
        ----------
        row
            The row, text or bytes; kept as short text.
        reason
            What is wrong with it.
        offset
            Its offset in the channel.
        """
        with self._lock:
            self._intake.rejected.add(Misfit(reason), row, offset)
        self._notify()

    def mark_gap(self, before: int, after: int | None = None) -> None:
        """Note that rows are missing.

        Parameters
        ----------
        before
            How many rows had come before them.
        after
            The number of the first row after them; the next one that comes when None. Rows in between stand
            for the missing ones.
        """
        if before:
            self._gaps.append((before - 1, self.total if after is None else after))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Where rows are missing: the numbers of the last row before each gap and of the first one after it.

        The newest thousand. The latter row may still be to come.
        """
        return list(self._gaps)

    def on_change(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back after each extend that added or rejected rows, in the thread that extends.

        What the callback raises goes to whoever extends; the rows are in the frame by then.

        Returns
        -------
        Callable
            Ends the calls.
        """
        self._callbacks.append(callback)

        def unsubscribe() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return unsubscribe

    # Reading

    @property
    def df(self) -> pd.DataFrame:
        """The rows as a pandas frame that stays as it is when more rows come.

        The index counts rows since the frame began. Changing the frame changes nothing but itself.
        """
        state = self._table.state
        shown = self._shown
        if shown is None or shown[0] is not state:
            self._shown = shown = (state, _show(state))
        return shown[1].copy(deep=False)

    @property
    def latest(self) -> pd.DataFrame:
        """The last row of each key, with the key as index in order of first appearance; without a key the
        last row.

        A key that has been silent for longer than the frame keeps rows still has its last one here.
        """
        with self._lock:
            state = self._table.state
            positions = self._table.latest_positions()
        key = self._table.key
        if key is None or not state.columns:
            return self.df.iloc[-1:].copy()
        columns = {column.name: column.rows(0, state.end).take(positions) for column in state.columns}
        names = columns.pop(key)
        index = pd.Index(names.categories.take(names.codes), name=key)
        return pd.DataFrame(columns, index=index)

    def since(self, cursor: int) -> tuple[pd.DataFrame, int]:
        """Return the rows from number `cursor` on that are still here, and the cursor for the next call.

        Parameters
        ----------
        cursor
            Number of a row as in the index of `df`; 0 at first.
        """
        frame = self.df
        index = cast("pd.RangeIndex", frame.index)
        return frame.iloc[min(max(cursor - index.start, 0), len(frame)) :], index.stop

    def view(self, columns: Iterable[str] | None = None, after: int = 0) -> Rows:
        """Return the rows from number `after` on as numpy arrays, without a copy.

        Parameters
        ----------
        columns
            Names of columns; None for all.
        after
            Number of a row, as in the index of `df`.

        Raises
        ------
        UsageError
            If there is no such column.
        """
        state = self._table.state
        by_name = {column.name: column for column in state.columns}
        first_kept = state.total - (state.end - state.start)
        first = min(max(after, first_kept), state.total)
        start = state.end - (state.total - first)
        arrays: dict[str, Array] = {}
        categories: dict[str, Sequence[str | int]] = {}
        for name in by_name if columns is None else columns:
            column = by_name.get(name)
            if column is None:
                names = ", ".join(by_name) or "none, for no rows have come yet"
                raise UsageError(f"no column {name!r}: choose from {names}")
            arrays[name] = _raw(column.kind.dtype, column.readonly, start, state.end)
            if column.categories is not None:
                categories[name] = column.categories.values
        return Rows(first, state.total, arrays, categories)

    def __len__(self) -> int:
        state = self._table.state
        return state.end - state.start

    def __repr__(self) -> str:
        return f"LiveFrame({len(self)} rows of {self.total}, {self.rejected_count} rejected, {self.schema!r})"

    @property
    def total(self) -> int:
        """Rows ever accepted."""
        return self._table.state.total

    @property
    def rejected(self) -> pd.DataFrame:
        """The last 1 000 rows that did not fit: column, value, reason, offset, row.

        The index counts rejections since the frame began.
        """
        with self._lock:
            return self._intake.rejected.frame()

    @property
    def rejected_count(self) -> int:
        """Rows, messages and pieces of text ever rejected."""
        return self._intake.rejected.count

    @property
    def rejected_reason(self) -> str:
        """Why the last rejection was one; empty when there was none."""
        return self._intake.rejected.reason

    @property
    def has_keys(self) -> bool:
        """Whether any row so far had a value in the key column."""
        with self._lock:
            return bool(len(self._table.latest_positions()))

    @property
    def schema(self) -> Schema:
        """Columns and the names of their dtypes, as they are now."""
        return Schema({column.name: column.kind.dtype for column in self._table.state.columns})

    @property
    def key(self) -> str | None:
        """Name of the key column."""
        return self._table.key

    @property
    def time(self) -> str | None:
        """Name of the time column, once it is known."""
        return self._table.time


def _show(state: State) -> pd.DataFrame:
    index = pd.RangeIndex(state.total - (state.end - state.start), state.total)
    columns = {column.name: column.rows(state.start, state.end) for column in state.columns}
    frame = pd.DataFrame(columns, index=index, copy=False)
    if not columns:
        frame.columns = pd.Index([], dtype=STRING)
    manager: Any = frame._mgr  # noqa: SLF001  # pandas has no public word for "this memory has another owner"
    for block in manager.blocks:
        block.refs.add_reference(_OWNER)
    return frame


def _raw(dtype: str, data: Array, start: int, end: int) -> Array:
    if dtype == "boolean":
        values = np.where(data[1, start:end], np.nan, data[0, start:end])
        values.flags.writeable = False
        return values
    if dtype.startswith("datetime64"):
        return data[start:end].view("datetime64[ns]")
    return data[start:end]
