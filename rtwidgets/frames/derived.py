"""A frame of rows that are worked out from those of other frames, and come as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rtwidgets.frames.frame import LiveFrame, Rows
from rtwidgets.frames.kinds import NAT, Array, Bool, Boolean, Float, Int, Kind, Null
from rtwidgets.frames.texts import Category, Text
from rtwidgets.frames.times import Time

__all__ = ["DerivedFrame", "chosen"]


class DerivedFrame(LiveFrame):
    """A frame that other code of ours fills, column by column; it is read as any other.

    Parameters
    ----------
    max_rows
        Rows to keep, the newest.
    key, time
        Columns, as for `LiveFrame`; `time` may be told later.
    """

    def __init__(self, max_rows: int, *, key: str | None = None, time: str | None = None) -> None:
        super().__init__(max_rows, key=key, time=time)

    def append(
        self, columns: Mapping[str, Array], schema: Mapping[str, str], time: str | None = None
    ) -> None:
        """Append rows.

        A column may become wider as those of a `LiveFrame` do, and new ones may come; none may be left out.

        Parameters
        ----------
        columns
            As `chosen` gives them.
        schema
            The dtypes of at least these columns.
        time
            The column of times, once it is known.
        """
        rows = len(next(iter(columns.values()), ()))
        table = self._table
        with self._lock:
            table.time = table.time or time
            for position, (name, data) in enumerate(columns.items()):
                self._fit(position, name, schema[name], _kind(data, schema[name]))
            values = [_written(column.kind, columns[column.name]) for column in table.columns]
            if rows:
                table.append(values, rows)
            table.publish()
        if rows:
            self._notify()

    def _fit(self, position: int, name: str, dtype: str, kind: Kind | None) -> None:
        """Let there be a column of this kind, or of one that takes what it has."""
        table = self._table
        column = table.find(name)
        held = None if column is None else column.kind
        if kind is None:  # nothing in it tells
            kind = held or (Category() if dtype == "category" else Null())
        if table.end and isinstance(held, Null | None):  # there are rows that have nothing there
            kind = Float() if isinstance(kind, Int) else Boolean() if isinstance(kind, Bool) else kind
        if column is None:
            table.add(name, kind, min(position, len(table.columns)))
        elif kind != held and (type(held), type(kind)) not in ((Float, Int), (Boolean, Bool)):
            table.change(table.columns.index(column), kind)


_KINDS: dict[str, Kind] = {kind.dtype: kind for kind in (Float(), Int(), Bool(), Boolean(), Text(), Time())}


def _kind(data: Array, dtype: str) -> Kind | None:
    """Return the kind of a column; None where all of it is missing, so that it may become any."""
    if dtype == "category":
        first = next((value for value in data if value == value), None)  # noqa: PLR0124 - NaN
        return None if first is None else Category(integers=isinstance(first, int))
    if dtype == "float64":
        return None if np.isnan(data).all() else _KINDS[dtype]
    return _KINDS[dtype]


def _written(kind: Kind, data: Array) -> Any:
    """Return values as `Table.append` takes them."""
    if isinstance(kind, Boolean):
        return [None if value != value else bool(value) for value in data.tolist()]  # noqa: PLR0124 - NaN
    if isinstance(kind, Category):
        return [None if value != value else value for value in data]  # noqa: PLR0124 - NaN
    if isinstance(kind, Null):
        return np.full(len(data), np.nan)
    if isinstance(kind, Time):
        return data.view(np.int64) if data.dtype.kind == "M" else np.full(len(data), NAT)
    return data


def chosen(rows: Rows, names: Iterable[str], positions: Any = slice(None)) -> dict[str, Array]:
    """Return some columns of some rows.

    Categories become the values themselves, in object arrays with NaN for what is missing; the others are as
    in `Rows`.

    Parameters
    ----------
    rows
        The rows.
    names
        The columns.
    positions
        Which rows, as numpy takes it.
    """
    columns = {}
    for name in names:
        data: Array = rows.columns[name][positions]
        if (categories := rows.categories.get(name)) is not None:
            values = np.array([*categories, np.nan], np.object_)
            data = values[data]
        columns[name] = data
    return columns
