"""The as-of join of two frames that grow: each row of one with the newest row of the other at its time.

Which row that is depends on the order of the rows within each frame, and on nothing else: neither on how the
two come in between each other, nor on when somebody looks. A row of the second frame counts from its own time
on. If the frame was further by more than the lateness that is allowed when the row came, it counts from the
frame's newest time less that lateness on: this is the watermark, as in Akidau et al., "The Dataflow Model"
(2015). So a row of the first frame is settled for good once the watermark has passed its time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import union_categoricals

from rtwidgets.errors import SchemaError
from rtwidgets.frames.derived import DerivedFrame, chosen
from rtwidgets.frames.frame import LiveFrame, Rows
from rtwidgets.frames.keys import Keys
from rtwidgets.frames.kinds import NAT, Array

__all__ = ["AsofJoin"]

Ints = npt.NDArray[np.int64]

_NULLABLE = {"int64": "float64", "bool": "boolean"}
"""What becomes of a dtype where something may be missing."""


class _Side:
    """One of the two frames, and the rows of it that are of interest still.

    Attributes
    ----------
    at, times, keys
        int64 of shape (rows,): from when on a row counts, its own time, and the number of its key.
    columns
        As `chosen` gives them.
    """

    def __init__(self, frame: LiveFrame, role: str, by: str | None, columns: Sequence[str] = ()) -> None:
        self.frame = frame
        self.cursor = frame.total - len(frame)
        self.missed = 0
        self.at = self.times = self.keys = np.zeros(0, np.int64)
        self.columns: dict[str, Array] = {}
        self._role = role
        self._by = by
        self._needed = [*([] if by is None else [by]), *columns]
        self.check()

    def __len__(self) -> int:
        return len(self.at)

    def check(self) -> None:
        """Raise a `SchemaError` where the frame has columns, and not the ones that are needed."""
        schema = self.frame.schema
        if not schema:
            return
        for name in self._needed:
            if name not in schema:
                raise SchemaError(
                    f"the {self._role} stream has no column {name!r}: choose from {', '.join(schema)}"
                )
        if self.frame.time is None:
            raise SchemaError(
                f'the {self._role} stream has no column of times: name it with time="..." when it is opened'
            )

    def news(self, keys: Keys) -> tuple[Rows, Ints, Ints]:
        """Return the rows that have come, their times and the numbers of their keys."""
        rows = self.frame.view(after=self.cursor)
        self.check()
        self.missed += rows.first - self.cursor
        self.cursor = rows.end
        if rows.first == rows.end:
            return rows, np.zeros(0, np.int64), np.zeros(0, np.int64)
        assert self.frame.time is not None  # it was checked
        times: Ints = rows.columns[self.frame.time].view(np.int64)
        return rows, times, np.zeros_like(times) if self._by is None else keys.of(rows, self._by)

    def add(self, at: Ints, times: Ints, keys: Ints, columns: Mapping[str, Array]) -> None:
        """Put rows behind those that are here."""
        for name, data in columns.items():
            held = self.columns.get(name)
            if held is None or (held.dtype != data.dtype and data.dtype.kind in "OM"):  # all of it is missing
                held = _taken(data, np.full(len(self), -1))
            self.columns[name] = np.concatenate([held, data])
        self.at = np.concatenate([self.at, at])
        self.times = np.concatenate([self.times, times])
        self.keys = np.concatenate([self.keys, keys])

    def keep(self, positions: Any) -> None:
        """Keep the rows at these positions, in this order."""
        self.at, self.times, self.keys = self.at[positions], self.times[positions], self.keys[positions]
        self.columns = {name: data[positions] for name, data in self.columns.items()}


class AsofJoin:
    """Each row of a frame with the newest row of another at its time, of the same key.

    Parameters
    ----------
    left
        Every row of it becomes one of the result.
    right
        Its columns come to these rows, and are missing where it has no row.
    by
        The column of keys, or what it is called in each; None joins by time alone. Rows without a key find
        nothing.
    columns
        Columns of `right`; None takes all but the keys, and but the time where both call it the same.
    tolerance
        Nanoseconds by which a row of `right` may be older; None for any.
    suffix
        Behind the name of a column of `right` that `left` has too.
    lateness
        Nanoseconds; see the top of the module.
    max_rows
        Rows to keep: of the result, of those that are not settled, and of `right`, there with the newest row
        of each key beside them.

    Raises
    ------
    SchemaError
        When a frame has no times or not the columns that are named; where nothing has come yet, when
        something is read.
    """

    def __init__(
        self,
        left: LiveFrame,
        right: LiveFrame,
        *,
        by: str | tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
        tolerance: int | None = None,
        suffix: str = "_b",
        lateness: int = 0,
        max_rows: int = 100_000,
    ) -> None:
        by_left, by_right = (by, by) if by is None or isinstance(by, str) else by
        self._by = by_right
        self._columns = columns
        self._tolerance = tolerance
        self._suffix = suffix
        self._lateness = lateness
        self._max_rows = max_rows
        self._left = _Side(left, "first", by_left)  # rows that are not settled, as they came
        self._right = _Side(right, "second", by_right, columns or ())  # rows in the order in which they count
        self._settled = DerivedFrame(max_rows, key=left.key, time=left.time)
        self._newest = NAT
        self._called: dict[str, str] = {}
        self._keys = Keys()
        self._lock = threading.RLock()

    @property
    def missed(self) -> int:
        """Rows that had left their frame before they were read."""
        return self._left.missed + self._right.missed

    @property
    def unread(self) -> float:
        """How much has come and was not read: the larger part of what one of the frames keeps."""
        sides = (self._left, self._right)
        return max((side.frame.total - side.cursor) / max(len(side.frame), 1) for side in sides)

    @property
    def frame(self) -> LiveFrame:
        """The rows that are settled, in the order of the first frame."""
        self.read()
        return self._settled

    @property
    def df(self) -> pd.DataFrame:
        """The newest rows, in the order of the first frame; those that are not settled as they are by now.

        The index counts rows since the join began.
        """
        with self._lock:
            self.read()
            settled = self._settled.df
            if not len(self._left):
                return settled
            rest = DerivedFrame(self._max_rows, key=self._settled.key, time=self._settled.time)
            rest.append(*self._joined(len(self._left)))
        columns = {name: _behind(settled[name], more) for name, more in rest.df.items()}
        index = pd.RangeIndex(self._settled.total - len(settled), self._settled.total + len(rest))
        return pd.DataFrame(columns, index=index).iloc[-self._max_rows :]

    def read(self) -> None:
        """Take the rows that have come, and settle those that can be."""
        with self._lock:
            left, right = self._left, self._right
            rows, times, keys = left.news(self._keys)
            left.add(times, times, keys, chosen(rows, rows.columns))
            self._read_right(*right.news(self._keys))
            if not left.columns:
                return
            self._name()
            ready = left.at < (NAT if self._newest == NAT else self._newest - self._lateness)
            count = len(left) if ready.all() else int(ready.argmin())
            count = max(count, len(left) - self._max_rows)
            self._settled.append(*self._joined(count), time=left.frame.time)
            left.keep(slice(count, None))

    def _read_right(self, rows: Rows, times: Ints, keys: Ints) -> None:
        right = self._right
        use = np.flatnonzero((times != NAT) & (keys >= 0))
        if not len(use):
            return
        times, keys = times[use], keys[use]
        furthest = np.maximum.accumulate(np.append(self._newest, times))[1:]
        self._newest = int(furthest[-1])
        last = right.at[-1] if len(right) else NAT
        right.add(np.maximum(times, furthest - self._lateness), times, keys, chosen(rows, rows.columns, use))
        if (right.at[-len(use) :] < np.append(last, right.at[-len(use) : -1])).any():
            right.keep(np.argsort(right.at, kind="stable"))
        if (right.at > right.times).any():  # one that is older than another one before it is of no use
            newest = pd.Series(right.times).groupby(right.keys).cummax().to_numpy()
            right.keep(right.times >= newest)
        if len(right) > 2 * self._max_rows:
            _, from_end = np.unique(right.keys[::-1], return_index=True)
            of_keys = np.sort(len(right) - 1 - from_end)[-self._max_rows :]
            right.keep(np.union1d(of_keys, np.arange(len(right) - self._max_rows, len(right))))

    def _name(self) -> None:
        """Find out what the columns of the second frame are called here."""
        left, called = self._left, self._called
        if not self._right.columns:
            return
        for name in self._columns or self._right.columns:
            same_time = name == self._right.frame.time == left.frame.time
            if name in called or name == self._by or (same_time and self._columns is None):
                continue
            called[name] = name + self._suffix if name in left.columns else name
        names = [*left.columns, *called.values()]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise SchemaError(
                f"the join would have two columns {double!r}: give another suffix=, or choose with columns="
            )

    def _joined(self, count: int) -> tuple[dict[str, Array], dict[str, str]]:
        """Return the first rows that are not settled as columns, and the dtypes of these."""
        left, right = self._left, self._right
        columns = {name: data[:count] for name, data in left.columns.items()}
        schema = dict(left.frame.schema)
        if self._called:
            dtypes, positions = right.frame.schema, self._found(count)
            for name, called in self._called.items():
                columns[called] = _taken(right.columns[name], positions)
                schema[called] = _NULLABLE.get(dtypes[name], dtypes[name])
        return columns, schema

    def _found(self, count: int) -> Ints:
        """Return the positions of what belongs to the first rows that are not settled; -1 for none."""
        left, right = self._left, self._right
        positions = np.full(count, -1)
        if not count or not len(right):
            return positions
        order = np.argsort(left.at[:count], kind="stable")
        rows = pd.DataFrame({"at": left.at[order], "key": left.keys[order]})
        others = pd.DataFrame({"at": right.at, "key": right.keys, "position": np.arange(len(right))})
        found = pd.merge_asof(rows, others, on="at", by="key")["position"].fillna(-1)
        positions[order] = found.to_numpy(np.int64)
        if self._tolerance is not None:
            too_old = left.times[:count] - right.times[positions] > self._tolerance
            positions[too_old] = -1
        return positions


def _taken(data: Array, positions: Ints) -> Array:
    """Return the values at some positions; those at -1 are missing."""
    if data.dtype.kind in "ib":
        data = data.astype(np.float64)
    missing = np.full(1, np.datetime64("NaT") if data.dtype.kind == "M" else np.nan, data.dtype)
    return np.concatenate([data, missing])[positions]


def _behind(first: pd.Series, second: pd.Series) -> Any:
    """Return the values of one column behind those of another, categories as categories."""
    if not isinstance(first.dtype, pd.CategoricalDtype):
        return pd.concat([first, second]).array
    if not len(first.cat.categories):
        first = first.astype(second.dtype)
    elif not len(second.cat.categories):
        second = second.astype(first.dtype)
    return union_categoricals([first, second])
