"""Live joins of two streams. Floor 5, beside the streams."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Protocol

import pandas as pd

from rtwidgets.checks import is_count
from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.asof import AsofJoin
from rtwidgets.frames.spans import span
from rtwidgets.loop import report
from rtwidgets.pictures import Pictures

__all__ = ["Asof", "asof"]

EVERY = 0.25
"""Seconds between two looks at what has come, for those who do not ask: charts."""


class _Named(Protocol):
    """A stream, or another join."""

    name: str

    @property
    def frame(self) -> LiveFrame:
        """Its rows."""


class Asof(Pictures):
    """Each row of a stream with the newest row of another one at its time.

    Made by `rtwidgets.asof`. It is drawn as a stream is, with ``.chart("bid")`` or ``.table()``; there a row
    appears once it is settled.
    """

    def __init__(self, name: str, join: AsofJoin, frames: Sequence[LiveFrame]) -> None:
        super().__init__()
        self.name = name
        self._join = join
        self._next = 0.0
        self._unsubscribe = [frame.on_change(self._look) for frame in frames]

    def __repr__(self) -> str:
        return f"Asof({self.name!r})"

    def __len__(self) -> int:
        return len(self.df)

    @property
    def df(self) -> pd.DataFrame:
        """The newest rows, in the order of the first stream.

        Those at the end for which the second stream is not far enough are joined with what is there by now.

        Raises
        ------
        SchemaError
            When a stream turns out not to have the columns that are needed.
        """
        return self._join.df

    @property
    def frame(self) -> LiveFrame:
        """The rows that are settled: the second stream was further than their time by the lateness."""
        return self._join.frame

    @property
    def missed(self) -> int:
        """Rows that had left their stream before they were joined."""
        return self._join.missed

    def stop(self) -> None:
        """Let the rows be read no more by themselves, and the charts stay as they are; twice is harmless."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for chart in self._charts.values():
            chart.stop()

    def _look(self) -> None:
        """Read now and then, and before rows leave; a failure is reported, once, and ends it."""
        now = time.monotonic()
        if now < self._next and self._join.unread < 0.5:
            return
        self._next = now + EVERY
        try:
            self._join.read()
        except Exception as error:  # noqa: BLE001 - it is nothing that whoever extends the frame has done
            for unsubscribe in self._unsubscribe:
                unsubscribe()
            report(f"the join {self.name}", error)


def asof(
    a: _Named,
    b: _Named,
    *,
    by: str | tuple[str, str] | None = None,
    columns: Sequence[str] | None = None,
    tolerance: str | dt.timedelta | None = None,
    suffix: str = "_b",
    lateness: str | dt.timedelta = "1s",
    max_rows: int = 100_000,
) -> Asof:
    """Join each row of a stream with the newest row of another one at its time, as they come.

    It is what `pandas.merge_asof` gives for all the rows, in their order of time, and costs what is new.
    Which rows belong together depends on the order of the rows in each stream, and not on how the two come in
    between each other: a replay gives the same.

    Parameters
    ----------
    a
        A stream with a time; each of its rows becomes one of the join. One without a time finds nothing.
    b
        The stream whose columns come to these rows. Where it has no row whole numbers become float64 with
        NaN, and true and false the dtype "boolean".
    by
        The column that has to be the same, or what it is called in `a` and in `b`. None: the key of each;
        where `b` has no key, time alone decides. Rows that have nothing there find nothing.
    columns
        Columns of `b`; None takes all but `by`, and but the time where both call it the same. Its time is
        ``["bid", "time"]``, for instance, and is then called ``time_b``.
    tolerance
        How much older the row of `b` may be, such as ``"2s"``; None for any.
    suffix
        Behind the name of a column of `b` that `a` has too.
    lateness
        How much behind its newest row one of `b` may come: until then it is joined with the rows of `a` after
        it as if it had come in time, later only with those after the newest row less this. A row of `a` is
        settled when `b` is further than it by as much.
    max_rows
        Rows to keep.

    Raises
    ------
    SchemaError
        When a stream has no times or not the columns that are named. If nothing has come yet, it is raised
        when the join is asked for something.
    UsageError
        When a span of time or a number is none.

    Examples
    --------
    >>> joined = rt.asof(trades, quotes, by=("product_id", "symbol"), tolerance="5s")
    >>> joined.df.assign(spread=lambda rows: rows["ask"] - rows["bid"])
    >>> joined.chart("bid", by="symbol")
    """
    for which, stream in (("first", a), ("second", b)):
        if not isinstance(getattr(stream, "frame", None), LiveFrame):
            raise UsageError(f"asof joins two streams, and the {which} is {stream!r}: give rt.connect(...)")
    names = [by, by] if by is None or isinstance(by, str) else list(by)
    if len(names) != 2 or not all(name is None or isinstance(name, str) for name in names):
        raise UsageError(f'by={by!r}: give a column that both have, or two, as in ("product_id", "symbol")')
    if columns is not None and (
        isinstance(columns, str) or not all(isinstance(name, str) for name in columns)
    ):
        raise UsageError(f"columns={columns!r}: give a list of names")
    if not isinstance(suffix, str):
        raise UsageError(f"suffix={suffix!r}: give text")
    if not is_count(max_rows):
        raise UsageError(f"max_rows={max_rows!r}: keep at least 1 row")
    join = AsofJoin(
        a.frame,
        b.frame,
        by=_key(a.frame, b.frame) if by is None else by,
        columns=columns,
        tolerance=None if tolerance is None else span(tolerance, "tolerance", least=0),
        suffix=suffix,
        lateness=span(lateness, "lateness", least=0),
        max_rows=max_rows,
    )
    return Asof(f"{a.name} as of {b.name}", join, (a.frame, b.frame))


def _key(a: LiveFrame, b: LiveFrame) -> tuple[str, str] | None:
    """Return the key of each; None where the second one has none."""
    if b.key is None:
        return None
    if a.key is None:
        raise SchemaError(
            f"the first stream has no key, that of the second is {b.key!r}: name a column of each with by="
        )
    return a.key, b.key
