"""The user's handle on one stream: a frame, and the source that fills it. Floor 5.

Everything here may be called from a cell, a thread or a coroutine; what touches the network is handed to
the background loop.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pandas as pd

from rtwidgets.alerts import Alert, Receiving
from rtwidgets.checks import is_count
from rtwidgets.client import Change, Missing, Source, State
from rtwidgets.client.presence import PresenceEvent
from rtwidgets.errors import Closed, ConnectError, UsageError, WaitTimeout
from rtwidgets.frames import Bars, LiveFrame
from rtwidgets.loop import Bell, lease, peek_errors, report
from rtwidgets.pictures import Pictures
from rtwidgets.recorder import StreamRecorder
from rtwidgets.widgets import Line

__all__ = ["Stream"]


class Stream(Pictures):
    """A live stream: rows that come, kept as typed columns.

    Made by `rtwidgets.connect`. `df` is a snapshot that does not change; ask again for a newer one.
    """

    def __init__(self, name: str, source: Source) -> None:
        super().__init__()
        self.name = name
        self._source = source
        self._lease = lease()
        self._stopped = False
        self._recorder: StreamRecorder | None = None
        self._alerts: dict[str, Alert] = {}
        self._why = ""
        self._states: list[Change] | None = None  # once stopped: the link may go on for others
        self._stopping = threading.Lock()
        self._bell = Bell()
        self._unsubscribe = self.frame.on_change(self._bell.ring)
        source.presence.changed = self._bell.ring
        self._lease.call(self._watch, source.link.ended)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __len__(self) -> int:
        return len(self.frame)

    # Rows

    @property
    def frame(self) -> LiveFrame:
        """The `LiveFrame` behind this stream."""
        return self._source.frame

    @property
    def df(self) -> pd.DataFrame:
        """A snapshot of the rows kept, oldest first; see `LiveFrame.df`."""
        return self.frame.df

    @property
    def latest(self) -> pd.DataFrame:
        """The last row of each key, by key; see `LiveFrame.latest`."""
        return self.frame.latest

    @property
    def rejected(self) -> pd.DataFrame:
        """Values that did not fit, with their reasons; see `LiveFrame.rejected`."""
        return self.frame.rejected

    @property
    def gaps(self) -> pd.DataFrame:
        """Messages known to be missing, one row a gap: epoch, first and last offset, reason."""
        return pd.DataFrame(self._source.gaps, columns=list(Missing._fields))

    @property
    def states(self) -> pd.DataFrame:
        """What the connection went through, oldest first, one row a change: time, state, reason.

        `state` is ``"connecting"``, ``"open"``, ``"waiting"`` (to connect again) or ``"closed"``, and
        `reason` says why it waits or is closed. The newest 200 changes are kept.
        """
        states = self._states or list(self._source.link.changes)
        rows = [(pd.Timestamp(each.time, tz="UTC"), each.state.value, each.reason) for each in states]
        return pd.DataFrame(rows, columns=list(Change._fields))

    @property
    def conflated(self) -> int:
        """Messages left out because this client read too slowly; it has the last one of each key."""
        return self._source.conflated

    def wait(self, rows: int = 1, timeout: float | None = 10.0) -> pd.DataFrame:
        """Wait until at least so many rows have come since the stream began; return `df`.

        Parameters
        ----------
        rows
            How many.
        timeout
            Seconds; None waits for ever.

        Raises
        ------
        WaitTimeout
            When fewer came in time (also a `TimeoutError`).
        Closed
            When the stream ended before that.
        UsageError
            When `rows` is not a number.
        """
        if not is_count(rows, least=0):
            raise UsageError(f"wait(rows={rows!r}): give a number of rows")
        self._source.advance(lambda: self.frame.total >= rows)
        if self.frame.total >= rows:
            return self.df
        if self._stopped:
            raise Closed(f"{self.name} was stopped with {self.frame.total} of {rows} rows{self._why}")
        return self._lease.run(self._arrived(rows, timeout))

    async def wait_async(self, rows: int = 1, timeout: float | None = 10.0) -> pd.DataFrame:
        """Do what `wait` does, without blocking the loop of the caller."""
        return await self._arrived(rows, timeout)

    async def __aiter__(self) -> AsyncIterator[pd.DataFrame]:
        """Yield the rows as they come, in frames: first those that are here, then the new ones each time."""
        cursor = 0
        while True:
            closed = self.state is State.CLOSED  # asked before, so that no last rows are left behind
            batch, cursor = self.frame.since(cursor)
            if len(batch):
                yield batch
            elif closed:
                return
            else:
                await self._changed(lambda cursor=cursor: self.frame.total > cursor)  # type: ignore[misc]

    def ohlc(self, every: str = "1s", *, price: str = "price", size: str | None = None) -> Bars:
        """Live bars of this stream's rows; see `Bars`."""
        return Bars(self.frame, every, price=price, size=size)

    def when(
        self,
        condition: str,
        call: Callable[[dict[str, Any]], object] | None = None,
        *,
        by: str | None = None,
        every: str | dt.timedelta | None = None,
        history: bool = False,
        publish: Receiving | None = None,
        name: str | None = None,
    ) -> Alert:
        """Find the rows with which a condition comes true, and call a function for each.

        ``prices.when("price > 150", print, every="1min")``. The parameters, and what is raised, are those of
        `rtwidgets.alerts.Alert`. An alert takes the place of one of the same name; it stops with the stream.
        """
        if self._stopped:
            raise Closed(f"{self.name} was stopped: there is nothing more to wait for")
        alert = Alert(
            self._source, condition, call, by=by, every=every, history=history, publish=publish, name=name
        )
        if (before := self._alerts.pop(alert.name, None)) is not None:
            before.stop()
        self._alerts[alert.name] = alert
        return alert

    # Who is there

    @property
    def presence(self) -> pd.DataFrame:
        """Who is present in the channel, oldest first: user (str), since (datetime64[ns, UTC]), server (str).

        `since` is when that name became present there, by the clock of the server whose id is `server`.
        Without a connection it stays as it was. Empty for a foreign server, and where the token does not
        allow presence. Of more than 1 000 members the newest are told when the stream begins.
        """
        return self._source.presence.df

    async def presence_events(self) -> AsyncIterator[PresenceEvent]:
        """Yield who joins and who leaves: first the events that are kept, the newest 1 000, then new ones.

        Those who were there when the stream began have joined. Who reads too slowly misses the oldest events.
        """
        presence, cursor = self._source.presence, 0
        while True:
            closed = self.state is State.CLOSED
            events, cursor = presence.since(cursor)
            for event in events:
                yield event
            if closed and not events:
                return
            await self._changed(lambda cursor=cursor: presence.count > cursor)  # type: ignore[misc]

    # The other way

    def send(self, data: object) -> None:
        """Publish to the channel, or send a message to a foreign server, and wait until it has gone.

        Raises
        ------
        Refused
            When the channel does not take it.
        Closed
            When the connection is down.
        UsageError
            When `data` cannot be written as JSON.
        """
        self._lease.run(self._source.send(data))

    def record(self, path: str | Path) -> StreamRecorder:
        """Write every message that comes from now on to a file, as it came; `rtwidgets.replay` reads it.

        Parameters
        ----------
        path
            Of a ``.rtlog`` file. One that exists is continued.

        Returns
        -------
        StreamRecorder
            Ends it with ``.stop()``, or at the end of a ``with`` block. It ends with the stream, too.

        Raises
        ------
        UsageError
            When it is being recorded already, has no messages of its own, or the file is something else.
        Closed
            When the stream was stopped.
        """
        if self._stopped:
            raise Closed(f"{self.name} was stopped: there is nothing more to record")
        if self._recorder is not None and not self._recorder.stopped:
            raise UsageError(
                f"{self.name} is being recorded to {self._recorder.path} already: stop that first"
            )
        self._recorder = StreamRecorder(self._source, path)
        return self._recorder

    # State

    @property
    def origin(self) -> str:
        """Where the rows come from: ``"live"``, or which recording it is and when that was made."""
        return self._source.origin

    @property
    def state(self) -> State:
        """What the connection is doing."""
        return State.CLOSED if self._stopped else self._source.link.state

    @property
    def reason(self) -> str:
        """Why the last connection ended, or why the stream is closed, in words."""
        return self._states[-1].reason if self._states else self._source.link.reason

    @property
    def latency(self) -> float | None:
        """Seconds of the last round trip to the server; None before the first one, and while there is none.

        It is measured with a ping every few seconds.
        """
        return None if self._stopped else self._source.link.latency

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def describe(self) -> Line:
        """Return what to show of it in the status."""
        frame = self.frame
        detail = f"rows: {frame.total:,} · kept: {len(frame):,}"
        if self._recorder is not None and not self._recorder.stopped:
            detail += f" · recorded messages: {self._recorder.messages:,}"
        detail += "".join(f" · alert {name}: {alert.count:,}" for name, alert in self._alerts.items())
        detail += "".join(f" · {doubt}" for doubt in [*self._doubts(), *self._connection()])
        return Line("stream", self.name, self.state.value, detail)

    def stop(self, why: str = "") -> None:
        """Read no more. The rows and the last pictures stay; stopping twice is harmless.

        Parameters
        ----------
        why
            What to tell those who ask it for more.

        Raises
        ------
        UsageError
            When called in a coroutine of the background loop, such as a service.
        """
        with self._stopping:
            if self._stopped:
                return
            self._lease.check()
            states = list(self._source.link.changes)
            if states[-1].state is not State.CLOSED:
                states.append(Change(time.time_ns(), State.CLOSED, f"stopped: {why}" if why else "stopped"))
            self._states = states
            self._stopped = True
            self._why = f": {why}" if why else ""
        try:
            if self._recorder is not None:
                self._recorder.stop()
            for part in (*self._charts.values(), *self._alerts.values()):
                part.stop()
            self._lease.run(self._source.close(), timeout=5.0)
        finally:
            self._unsubscribe()
            self._bell.ring()
            self._lease.release()

    # Waiting

    def _watch(self, link: asyncio.Future[ConnectError | None]) -> None:
        if link.done():  # of a loop, perhaps, that has ended since then
            self._ended(link)
        else:
            link.add_done_callback(self._ended)

    def _ended(self, link: asyncio.Future[ConnectError | None]) -> None:
        """Wake who waits; a connection that is lost for good is nothing to be silent about."""
        if (error := link.result()) is not None and not self._stopped:
            report(f"stream {self.name}", error)
        self._bell.ring()

    async def _changed(self, reached: Callable[[], bool]) -> None:
        """Wait until something is reached or the stream has ended."""
        self._source.advance(lambda: reached() or self.state is State.CLOSED)
        await self._bell.wait(lambda: reached() or self.state is State.CLOSED)

    async def _arrived(self, rows: int, timeout: float | None) -> pd.DataFrame:
        frame = self.frame
        try:
            async with asyncio.timeout(timeout):
                await self._changed(lambda: frame.total >= rows)
        except TimeoutError:
            assert timeout is not None
            raise WaitTimeout(self.name, frame.total, rows, timeout, self._hint()) from None
        if frame.total < rows:
            raise Closed(f"{self.name} has ended with {frame.total} of {rows} rows: {self.reason}")
        return self.df

    def _hint(self) -> str:
        state = self.state.value
        words = [
            f"the connection is {state}" + (f": {self.reason}" if self.reason and state != "open" else "")
        ]
        words += self._doubts()
        if peek_errors():
            words.append("something failed in the background, see rt.health()")
        return "; ".join(words)

    def _connection(self) -> list[str]:
        """Return what to tell of the connection: how fast it is, or why there is none."""
        link, state, latency, words = self._source.link, self.state, self.latency, []
        if state is State.OPEN:
            return [] if latency is None else [f"round trip: {latency * 1e3:.3g} ms"]
        if state is State.WAITING:
            words.append(f"attempt {link.attempt} in {link.due:.1f} s")
        elif state is State.CONNECTING:
            words.append(f"attempt {link.attempt}")
        return [*words, self.reason]

    def _doubts(self) -> list[str]:
        """Return what is odd about the rows so far, and where to look."""
        frame, source, doubts = self.frame, self._source, []
        if rejected := frame.rejected_count:
            reason = frame.rejected_reason
            doubts.append(f"rejected: {rejected:,}, the last one because: {reason} (see .rejected)")
        if source.skipped:
            doubts.append(f"not taken by where=: {source.skipped:,}")
        if gaps := len(source.gaps):
            doubts.append(f"gaps: {gaps} (see .gaps)")
        if source.conflated:
            doubts.append(f"conflated, because this client is slow: {source.conflated:,}")
        if frame.total and frame.key is not None and not frame.has_keys:
            doubts.append(f"no row has a {frame.key!r}, which is to be the key")
        return doubts
