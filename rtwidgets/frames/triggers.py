"""The rows with which a condition comes true."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rtwidgets.errors import SchemaError
from rtwidgets.frames.conditions import Condition
from rtwidgets.frames.frame import Rows
from rtwidgets.frames.keys import Keys
from rtwidgets.frames.kinds import NAT

__all__ = ["Trigger"]

MOST_KEYS = 1_000_000
"""Keys of which a trigger knows how they were, where the frame has fewer; with more it begins anew."""

_NONE = np.zeros(0, np.intp)

Truth = npt.NDArray[np.bool_]


class Trigger:
    """Finds the rows with which a condition comes true.

    Such a row fulfils the condition, and the row of its key before it did not. With a span, a row that
    fulfils it counts when none of its key has counted in the span before its own time: again and again, while
    it is true. Rows without a time never count then.

    Parameters
    ----------
    condition
        What the rows are to fulfil.
    by
        The column of the keys; None takes all rows for those of one key.
    every
        Nanoseconds of the span, or None.
    """

    def __init__(self, condition: Condition, by: str | None = None, every: int | None = None) -> None:
        self.condition = condition
        self._by = by
        self._every = every
        self._forget()

    def columns(self, time: str | None) -> list[str]:
        """Return the columns that it has to have of the rows, if there are such; `time` is that of times."""
        names = [*self.condition.columns, self._by, time if self._every is not None else None]
        return list(dict.fromkeys(name for name in names if name is not None))

    def _forget(self) -> None:
        self._keys = Keys()
        self._was = np.zeros(0, np.bool_)
        """For each key, and first for rows without one, whether its last row fulfilled the condition."""
        self._again = np.zeros(0, np.int64)
        """For each, likewise, from which time on a row of it may count."""

    def skip(self, rows: Rows, schema: Mapping[str, str], time: str | None) -> None:
        """Take rows that do not count, but are before those that come next. As `read` otherwise."""
        self._check(schema, time)
        holds = self.condition.holds(rows, schema)
        keys = self._numbers(rows)
        self._was[keys] = holds

    def read(self, rows: Rows, schema: Mapping[str, str], time: str | None) -> npt.NDArray[np.intp]:
        """Take the rows that come next, and return the positions among them of those that count.

        Parameters
        ----------
        rows
            With at least the columns of the condition, and of keys and times.
        schema
            The dtypes of the columns.
        time
            The column of times, if there is one.

        Raises
        ------
        SchemaError
            When the rows do not have what the condition, the key or the span needs.
        """
        self._check(schema, time)
        holds = self.condition.holds(rows, schema)
        keys = self._numbers(rows)
        if self._every is not None and time is not None:
            return self._due(holds, keys, rows.columns[time].view(np.int64), self._every)
        if not holds.any():
            self._was[keys] = False
            return _NONE
        found = np.flatnonzero(holds & ~self._before(holds, keys))
        self._was[keys] = holds  # of several rows of a key the last one stays
        return found

    def _check(self, schema: Mapping[str, str], time: str | None) -> None:
        if self._by is not None and self._by not in schema:
            raise SchemaError(f"by={self._by!r} is no column: choose from {', '.join(schema)}")
        if self._every is not None and time is None:
            raise SchemaError(
                'every= needs a column of times: name it with time="..." when the stream is opened'
            )

    def _numbers(self, rows: Rows) -> npt.NDArray[np.int64]:
        if self._by is None:
            keys = np.zeros(rows.end - rows.first, np.int64)
        else:
            if len(self._keys) > max(MOST_KEYS, 2 * len(rows.categories.get(self._by, ()))):
                self._forget()
            keys = self._keys.of(rows, self._by) + 1
        if len(self._keys) >= len(self._was):
            more = 2 * len(self._keys) + 1 - len(self._was)
            self._was = np.append(self._was, np.zeros(more, np.bool_))
            self._again = np.append(self._again, np.full(more, NAT))
        return keys

    def _before(self, holds: Truth, keys: npt.NDArray[np.int64]) -> Truth:
        """Return whether the row before each one, of the same key, fulfilled the condition."""
        order = np.argsort(keys, kind="stable")
        sorted_keys, sorted_holds = keys[order], holds[order]
        before = self._was[sorted_keys]
        same = sorted_keys[1:] == sorted_keys[:-1]
        before[1:][same] = sorted_holds[:-1][same]
        result = np.empty_like(before)
        result[order] = before
        return result

    def _due(
        self, holds: Truth, keys: npt.NDArray[np.int64], times: npt.NDArray[np.int64], every: int
    ) -> npt.NDArray[np.intp]:
        again = self._again
        found = []
        for row in np.flatnonzero(holds & (times != NAT) & (times >= again[keys])):
            key, moment = keys[row], int(times[row])
            if moment >= again[key]:  # no row of this batch has counted meanwhile
                found.append(row)
                again[key] = moment + every
        return np.array(found, np.intp)
