"""The user's handle on an alert: a condition on a stream's rows, and what to do when it comes true.

Floor 5, below the stream. Which rows an alert has is worked out where the rows come in, at once, and by the
times in the rows; only what the user wants to be called runs later, on a thread for all alerts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import threading
from collections.abc import Callable
from typing import Any, Protocol

import pandas as pd

from rtwidgets.calls import Calls
from rtwidgets.checks import is_count
from rtwidgets.client import Source, State
from rtwidgets.errors import Closed, RtError, UsageError, WaitTimeout
from rtwidgets.frames import LiveFrame, Rows, Schema
from rtwidgets.frames.conditions import Condition
from rtwidgets.frames.derived import DerivedFrame, chosen
from rtwidgets.frames.spans import span
from rtwidgets.frames.triggers import Trigger
from rtwidgets.loop import Bell, lease, report
from rtwidgets.widgets.alertlist import AlertList
from rtwidgets.widgets.shown import as_text

__all__ = ["Alert", "Receiving"]

KEPT = 10_000
"""Rows of an alert that are kept."""

Row = dict[Any, Any]


class Receiving(Protocol):
    """What an alert can be published to, such as a `Stream`."""

    def send(self, data: object) -> object:
        """Publish something that JSON can hold."""


class Alert:
    """The rows of a stream with which a condition has come true.

    That is, it is true, and was not for the row of the same key before, one from before the alert included.
    Made by `Stream.when`. All times are those of the rows, so that a replay gives the same. A notebook shows
    its `widget`.

    Parameters
    ----------
    source
        The stream's.
    condition
        Such as ``'price > 150 and symbol == "AAPL"'``; see `rtwidgets.frames.conditions`.
    call
        A function that is called with each of the rows, which is a dict, in their order and one after the
        other. It may take its time: the streams go on. What it raises is reported, and the alert goes on.
    by
        The column of keys; the stream's key when None, and without one all rows follow each other.
    every
        A span such as ``"1min"``. The first row of a key for which the condition is true counts, and then the
        first one that is as much later: again and again while it is true, and at most once in the span. Rows
        without a time do not count then.
    history
        Begin with the rows that the stream keeps; otherwise with those that come.
    publish
        A stream, or whatever has a `send`, to which each row is sent after the call:
        ``{"alert": name, "text": a sentence, "row": {…}}``.
    name
        What it is called; the condition when None.

    Attributes
    ----------
    name, condition
        What it is called, and the condition as text.
    missed
        Rows of the stream that had left it before they were looked at: more came at once than it keeps.

    Raises
    ------
    UsageError
        When the condition is none, or an argument is wrong.
    SchemaError
        When the stream has columns and not those that are named, or what cannot be compared is. If nothing
        has come yet, it is reported when that turns out, and ends the alert.
    """

    def __init__(
        self,
        source: Source,
        condition: str,
        call: Callable[[dict[str, Any]], object] | None = None,
        *,
        by: str | None = None,
        every: str | dt.timedelta | None = None,
        history: bool = False,
        publish: Receiving | None = None,
        name: str | None = None,
    ) -> None:
        parsed = Condition(condition)
        _check(call, publish, by=by, name=name)
        self.condition = parsed.text
        self.name = name or parsed.text
        self.missed = 0
        self._source = source
        self._rows = source.frame
        self._columns = parsed.columns
        self._by = by or self._rows.key
        self._trigger = Trigger(parsed, self._by, None if every is None else span(every, "every"))
        self._fired = DerivedFrame(KEPT, key=self._rows.key, time=self._rows.time)
        self._call = call
        self._publish = publish
        self._called = 0
        self._cursor = self._rows.total - len(self._rows)
        self._reason = ""
        self._stopped = False
        self._widget: AlertList | None = None
        self._looking = threading.RLock()
        self._bell = Bell()
        self._begin(history=history)

    def __repr__(self) -> str:
        return f"Alert({self.name!r})"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return as_text(self.widget()._repr_mimebundle_(**options), self)

    # What has happened

    @property
    def df(self) -> pd.DataFrame:
        """The rows with which it came true, oldest first: the columns of the stream; the newest 10 000.

        The index counts them since the alert began.
        """
        fired = self._fired.df
        return fired if len(fired) else self._rows.df.iloc[:0]

    @property
    def frame(self) -> LiveFrame:
        """The `LiveFrame` behind `df`."""
        return self._fired

    @property
    def count(self) -> int:
        """How often it has come true."""
        return self._fired.total

    def wait(self, count: int = 1, timeout: float | None = 10.0) -> pd.DataFrame:
        """Wait until it has come true so often, and what is to be called was called; return `df`.

        Parameters
        ----------
        count
            How often since it began.
        timeout
            Seconds; None waits for ever.

        Raises
        ------
        WaitTimeout
            When that did not happen in time (also a `TimeoutError`).
        Closed
            When the stream ended before that, or the alert was stopped.
        UsageError
            When `count` is not a number, or in a function that an alert calls.
        """
        if not is_count(count, least=0):
            raise UsageError(f"wait({count!r}): give a number")
        if _calls.is_here:
            raise UsageError(
                "an alert cannot be waited for in a function that one calls: it would wait for itself"
            )
        self._source.advance(lambda: self.count >= count or self._over)
        if self._done >= count:
            return self.df
        if self._stopped:
            raise Closed(f"the alert {self.name!r} was stopped with {self._done} of {count}{self._reason}")
        return self._lease.run(self._happened(count, timeout))

    async def wait_async(self, count: int = 1, timeout: float | None = 10.0) -> pd.DataFrame:
        """Do what `wait` does, without blocking the loop of the caller."""
        self._source.advance(lambda: self.count >= count or self._over)
        return await self._happened(count, timeout)

    # State

    @property
    def state(self) -> State:
        """What the stream's connection is doing; closed when the alert was stopped."""
        return State.CLOSED if self._stopped else self._source.link.state

    @property
    def reason(self) -> str:
        """Why it is not open, in words."""
        return f"stopped{self._reason}" if self._stopped else self._source.link.reason

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, on it or its stream."""
        return self._stopped

    @property
    def shown(self) -> list[str]:
        """The columns of interest: the time, the key, and those of the condition."""
        names = [self._rows.time, self._by, *self._columns]
        return list(dict.fromkeys(name for name in names if name is not None))

    def widget(self) -> AlertList:
        """Show the rows as a live list, the newest first; the same widget each time, until it is closed."""
        if self._widget is None or self._widget.closed:
            self._widget = AlertList(self)
        return self._widget

    def stop(self, why: str = "") -> None:
        """Look at no more rows, and call nothing more; `df` stays. Stopping twice is harmless.

        Parameters
        ----------
        why
            What to tell those who wait.
        """
        with self._looking:
            if self._stopped:
                return
            self._reason = f": {why}" if why else ""
            self._stopped = True
        self._unsubscribe()
        self._lease.call(self._source.link.ended.remove_done_callback, self._ended)
        self._bell.ring()
        self._lease.release()
        if self._widget is not None:
            self._widget.stop()

    # Where the rows come in

    def _begin(self, *, history: bool) -> None:
        # What is wrong with the condition is an error here, where there are columns already.
        fired = history and self._read()
        if not history:
            schema, time, rows = self._news()
            self._cursor = rows.end
            if schema:
                self._trigger.skip(rows, schema, time)
        self._lease = lease()
        self._lease.call(self._source.link.ended.add_done_callback, self._ended)
        with self._looking:
            self._unsubscribe = self._rows.on_change(self._look)
        if fired:
            self._tell()
        self._look()  # what came meanwhile

    def _look(self) -> None:
        """Look at the rows that have come. A failure is nothing that whoever brings rows has done."""
        try:
            with self._looking:
                fired = not self._stopped and self._read()
        except Exception as error:  # noqa: BLE001 - reported
            report(f"alert {self.name}", error)
            self.stop(str(error))
            return
        if fired:
            self._tell()

    def _tell(self) -> None:
        self._bell.ring()
        if self._has_work:
            _calls.soon(self._call_back)

    def _news(self) -> tuple[Schema, str | None, Rows]:
        """Return the schema, the column of times, and the columns that matter of the rows that have come."""
        schema = self._rows.schema  # first: whatever comes meanwhile has these columns
        time = self._rows.time
        names = [name for name in self._trigger.columns(time) if name in schema]
        return schema, time, self._rows.view(names, after=self._cursor)

    def _read(self) -> bool:
        """Read on; return whether there were rows with which it came true."""
        schema, time, rows = self._news()
        if not schema:
            return False
        self.missed += rows.first - self._cursor
        self._cursor = rows.end
        if not len(positions := self._trigger.read(rows, schema, time)):
            return False
        whole = self._rows.view(after=rows.first)
        positions = positions - (whole.first - rows.first)
        self._fired.append(chosen(whole, whole.columns, positions[positions >= 0]), self._rows.schema, time)
        return True

    # What is called, on the thread of the alerts

    @property
    def _has_work(self) -> bool:
        return self._call is not None or self._publish is not None

    @property
    def _done(self) -> int:
        """How often it came true with all called that is to be called."""
        return self._called if self._has_work else self.count

    def _call_back(self) -> None:
        """Call what is to be called for the rows since the last time."""
        rows, _ = self._fired.since(self._called)
        if lost := int(rows.index[0]) - self._called if len(rows) else 0:
            lines = f"{lost} rows have left before they were called: what is called is slower than they come"
            report(f"alert {self.name}", RtError(lines))
        for number, row in zip(rows.index, rows.to_dict("records"), strict=True):
            if self._stopped:
                return
            if self._call is not None:
                self._try(self._call, row)
            if self._publish is not None:
                self._try(self._publish.send, self._message(row))
            self._called = int(number) + 1
            self._bell.ring()

    def _try(self, function: Callable[[Any], object], argument: object) -> None:
        try:
            function(argument)
        except BaseException as error:  # noqa: BLE001 - reported, and the alerts go on
            report(f"alert {self.name}", error)

    def _message(self, row: Row) -> Row:
        """Return what is published: the name, a sentence, and the row as JSON can hold it."""
        plain = {name: _plain(value) for name, value in row.items()}
        told = ", ".join(f"{name} {plain[name]}" for name in self.shown if name != self._rows.time)
        return {"alert": self.name, "text": f"{self.name}: {told}", "row": plain}

    # Waiting

    @property
    def _over(self) -> bool:
        return self.state is State.CLOSED

    def _ended(self, _: object) -> None:
        self._bell.ring()

    async def _happened(self, count: int, timeout: float | None) -> pd.DataFrame:
        try:
            async with asyncio.timeout(timeout):
                await self._bell.wait(
                    lambda: self._done >= count or self._stopped or (self._over and self.count < count)
                )
        except TimeoutError:
            assert timeout is not None
            hint = f"true: {self.count:,}; rows of the stream: {self._rows.total:,}, it is {self.state.value}"
            raise WaitTimeout(f"alert {self.name!r}", self._done, count, timeout, hint) from None
        if self._done < count:
            raise Closed(f"the alert {self.name!r} has ended with {self._done} of {count}: {self.reason}")
        return self.df


def _check(call: object, publish: object, **texts: object) -> None:
    if not (call is None or callable(call)) or inspect.iscoroutinefunction(call):
        raise UsageError(f"call={call!r}: give a plain function that takes a row, which is a dict")
    if not (publish is None or callable(getattr(publish, "send", None))):
        raise UsageError(f'publish={publish!r}: give a stream, such as rt.connect("chat/alerts")')
    for what, value in texts.items():
        if not (value is None or (isinstance(value, str) and value)):
            raise UsageError(f"{what}={value!r}: give text")


def _plain(value: object) -> object:
    """Return a value of a row as JSON can hold it: a time as ISO 8601 text, None for what is missing."""
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


_calls = Calls("alerts for rtwidgets")
