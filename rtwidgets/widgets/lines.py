"""A chart's cursor on a frame: which rows are new, by line, and the window as a whole. Pure numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tsdownsample import MinMaxLTTBDownsampler

from rtwidgets.frames import LiveFrame, Rows

__all__ = ["LineCursor", "Points"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

POINTS = 2_000
"""Points of a line at the most, when a window goes out as a whole."""


class Points(NamedTuple):
    """Rows of one line.

    Attributes
    ----------
    line
        Its number, from 0 in the order in which keys came.
    x
        float64, never falling: Unix milliseconds, or row numbers where the frame has no times.
    y
        float64, finite.
    """

    line: int
    x: Floats
    y: Floats


class LineCursor:
    """Reads one column of a frame, line by line.

    Parameters
    ----------
    frame
        Where the rows are.
    column
        The values, of a numeric dtype.
    by
        A column whose values each are a line; None for one line.
    most
        Lines at the most. A key that comes when there are so many has none.
    """

    def __init__(self, frame: LiveFrame, column: str, by: str | None, most: int = 20) -> None:
        self.names: list[str] = []
        """What the lines are called, by number."""
        self.keys = 0
        """Keys in the last window that was read as a whole, with and without a line."""
        self._frame = frame
        self._column = column
        self._by = by
        self._most = most
        self._next = 0  # number of the first row that was not read yet

    @property
    def waiting(self) -> int:
        """Rows that have come and were not read."""
        return self._frame.total - self._next

    def new(self) -> list[Points] | None:
        """Read the rows that have come since the last call; None when some of them have left unread."""
        rows = self._rows(self._next)
        if rows.first > self._next:
            return None
        self._next = rows.end
        return self._split(*self._parts(rows))

    def window(self, seconds: float | None, at: float | None = None) -> list[Points]:
        """Read a window as a whole, thinned to `POINTS` a line with extremes kept, and go on after it.

        Thinning is MinMaxLTTB (Van Der Donckt et al., "MinMaxLTTB", 2023).

        Parameters
        ----------
        seconds
            How long it is (in rows, where the frame has no times); None for all.
        at
            Where it ends, in Unix milliseconds or as a row number; None for the newest row.
        """
        rows = self._rows(0)
        self._next = rows.end
        x, y, codes, names = self._parts(rows)
        if not len(x):
            return []
        right = x.max() if at is None else at
        left = -np.inf if seconds is None else right - seconds * (1.0 if self._frame.time is None else 1e3)
        kept = (x >= left) & (x <= right)
        x, y, codes = x[kept], y[kept], codes[kept]
        # When there are more keys than lines those with the newest rows get them.
        present, last = np.unique(codes[::-1], return_index=True)
        self.keys = len(present)
        wanted = [_name(names, code) for code in np.sort(present[np.argsort(last)[: self._most]])]
        if len({*self.names, *wanted}) > self._most:
            self.names = wanted
        else:
            self.names += [name for name in wanted if name not in self.names]
        return [self._thin(points) for points in self._split(x, y, codes, names)]

    def ends(self) -> tuple[float, float] | None:
        """Return the oldest and the newest x that the frame keeps; None when it keeps nothing."""
        x = self._x(self._rows(0, only_x=True))
        x = x[np.isfinite(x)]
        return (float(x.min()), float(x.max())) if len(x) else None

    def _rows(self, after: int, *, only_x: bool = False) -> Rows:
        names = [self._frame.time] if only_x else [self._frame.time, self._column, self._by]
        return self._frame.view(dict.fromkeys(name for name in names if name is not None), after)

    def _x(self, rows: Rows) -> Floats:
        time = self._frame.time
        if time is None:
            return np.arange(rows.first, rows.end, dtype=np.float64)
        moments = rows.columns[time]
        x = moments.view(np.int64) / 1e6
        x[np.isnat(moments)] = np.nan
        return x

    def _parts(self, rows: Rows) -> tuple[Floats, Floats, Ints, list[str]]:
        """Return x, y and the code of each row that can be drawn, and what the codes are called."""
        x = self._x(rows)
        y = rows.columns[self._column].astype(np.float64)
        codes: npt.NDArray[np.integer]
        if self._by is None:
            codes, names = np.zeros(len(x), dtype=np.int64), [self._column]
        elif self._by in rows.categories:
            codes, names = rows.columns[self._by], [str(name) for name in rows.categories[self._by]]
        else:
            found, codes = np.unique(rows.columns[self._by].astype(str), return_inverse=True)
            names = [str(name) for name in found]
        drawn = np.isfinite(x) & np.isfinite(y)
        return x[drawn], y[drawn], codes[drawn].astype(np.int64), names

    def _split(self, x: Floats, y: Floats, codes: Ints, names: list[str]) -> list[Points]:
        if not len(x):
            return []
        order = np.lexsort((x, codes))
        x, y, codes = x[order], y[order], codes[order]
        starts = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1))
        ends = [*starts[1:], len(codes)]
        found = []
        for start, end in zip(starts, ends, strict=True):
            line = self._number(_name(names, codes[start]))
            if line is not None:
                found.append(Points(line, x[start:end], y[start:end]))
        return found

    def _number(self, name: str) -> int | None:
        if name in self.names:
            return self.names.index(name)
        if len(self.names) >= self._most:
            return None
        self.names.append(name)
        return len(self.names) - 1

    @staticmethod
    def _thin(points: Points) -> Points:
        line, x, y = points
        if len(x) <= POINTS:
            return points
        chosen = MinMaxLTTBDownsampler().downsample(x, y, n_out=POINTS)  # type: ignore[no-untyped-call]
        return Points(line, x[chosen], y[chosen])


def _name(names: list[str], code: np.integer) -> str:
    return names[int(code)] if code >= 0 else "(none)"
