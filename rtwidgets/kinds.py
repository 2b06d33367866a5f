"""The user's handle on a connection that several kinds of messages come over. Floor 5, above the stream."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pandas as pd

from rtwidgets.books import BookStream
from rtwidgets.client import Source, State
from rtwidgets.client.books import BookIntake
from rtwidgets.client.kinds import OTHER, Kinds, KindSource
from rtwidgets.errors import ConnectError, UsageError
from rtwidgets.loop import lease, report
from rtwidgets.recorder import StreamRecorder
from rtwidgets.stream import Stream
from rtwidgets.widgets import Line

__all__ = ["Feed", "SortedSource", "stream_of"]


class SortedSource(Source, Protocol):
    """A source whose messages are sorted by kind."""

    @property
    def intake(self) -> Kinds:
        """What sorts them."""


class Feed:
    """One connection, and a stream for each kind of messages that comes over it.

    Made by ``rtwidgets.feeds.NAME.open(…)``, and by ``rtwidgets.connect(url, by=…)``.

    ``feed["trades"]`` is the stream of one kind, the same one each time; it may be asked for before any such
    message has come. The kind ``"other"`` has what says of no kind that it is. Iterating yields the names of
    the kinds.
    """

    def __init__(self, name: str, source: SortedSource) -> None:
        self.name = name
        self._source = source
        self._kinds = source.intake
        self._streams: dict[str, Stream] = {}
        self._lease = lease()
        self._stopped = False
        self._lock = threading.RLock()
        self._lease.call(source.link.ended.add_done_callback, self._ended)

    def __repr__(self) -> str:
        return f"Feed({self.name!r})"

    def __getitem__(self, kind: str) -> Stream:
        """Return the stream of a kind.

        Raises
        ------
        UsageError
            When the feed is known to have no such kind.
        """
        if not isinstance(kind, str):
            raise UsageError(f"feed[{kind!r}]: give the name of a kind, as text")
        with self._lock:
            if kind not in self._streams:
                source = KindSource(self._source, self._kinds, kind)
                stream = self._streams[kind] = stream_of(f"{self.name} {kind}", source)
                if self._stopped:
                    stream.stop()
            return self._streams[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds.counts)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    @property
    def kinds(self) -> pd.DataFrame:
        """A row for each kind: kind (str), messages that came (int64), and rows that they made (int64)."""
        counts = self._kinds.counts
        rows = [self._kinds.taking(kind).frame.total for kind in counts]
        return pd.DataFrame(
            {
                "kind": pd.Series(list(counts), dtype="str"),
                "messages": pd.Series(list(counts.values()), dtype="int64"),
                "rows": pd.Series(rows, dtype="int64"),
            }
        )

    @property
    def streams(self) -> list[Stream]:
        """The streams that were asked for so far."""
        with self._lock:
            return list(self._streams.values())

    @property
    def origin(self) -> str:
        """Where the messages come from: ``"live"``, or which recording it is."""
        return self._source.origin

    @property
    def state(self) -> State:
        """What the connection is doing."""
        return State.CLOSED if self._stopped else self._source.link.state

    @property
    def reason(self) -> str:
        """Why the last connection ended, in words."""
        return self._source.link.reason

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def record(self, path: str | Path) -> StreamRecorder:
        """Write every message of every kind to a file; as `Stream.record`, for the whole connection."""
        return self[next(iter(self), OTHER)].record(path)

    def send(self, data: object) -> None:
        """Send a message over the connection; raises as `Stream.send` does."""
        self._lease.run(self._source.send(data))

    def describe(self) -> Line:
        """Return what to show of it in the status."""
        counts = " · ".join(f"{kind}: {count:,}" for kind, count in self._kinds.counts.items())
        why = f" · {self.reason}" if self.state is not State.OPEN and self.reason else ""
        return Line("feed", self.name, self.state.value, counts + why)

    def stop(self, why: str = "") -> None:
        """Read no more, of any kind. The rows stay; stopping twice is harmless.

        Parameters
        ----------
        why
            What to tell those who ask its streams for more.

        Raises
        ------
        UsageError
            When called in a coroutine of the background loop, such as a service.
        """
        with self._lock:
            if self._stopped:
                return
            self._lease.check()
            self._stopped = True
            streams = list(self._streams.values())
        with ExitStack() as ending:  # each is stopped, whatever happens to the others
            ending.callback(self._lease.release)
            ending.callback(lambda: self._lease.run(self._source.close(), timeout=5.0))
            for stream in reversed(streams):
                ending.callback(stream.stop, why)

    def _ended(self, link: asyncio.Future[ConnectError | None]) -> None:
        """Tell of a connection that is lost for good, where no stream does."""
        if (error := link.result()) is not None and not self._stopped and not self._streams:
            report(f"feed {self.name}", error)


def stream_of(name: str, source: KindSource) -> Stream:
    """Return a stream of one kind: a `BookStream` where it is one of order books."""
    return (BookStream if isinstance(source.intake, BookIntake) else Stream)(name, source)
