"""Where a stream's rows come from: a channel of ours, or any other WebSocket, with the frame they fill."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import numpy as np

from rtwidgets.client.foreign import Foreign
from rtwidgets.client.link import Change, Link, State
from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.presence import PresenceMap
from rtwidgets.client.recorder import Recorder, Tap
from rtwidgets.client.records import Intake, Taking
from rtwidgets.client.subscription import Missing, Subscription
from rtwidgets.errors import ConnectError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.messages import Joined, Latest, Left, Messages, Subscribed, encode

__all__ = ["ChannelReader", "ChannelSource", "Connection", "ForeignSource", "LiveSource", "Source"]


class Connection(Protocol):
    """What a stream tells of its connection: a `Link`, or what plays a recording."""

    @property
    def state(self) -> State:
        """What it is doing."""

    @property
    def changes(self) -> deque[Change]:
        """What it did so far."""

    @property
    def reason(self) -> str:
        """Why the last connection ended, in words."""

    @property
    def ended(self) -> asyncio.Future[ConnectError | None]:
        """Done when there will be no other, with the error if there was one."""

    @property
    def latency(self) -> float | None:
        """Seconds of the last round trip, if that is known."""

    @property
    def attempt(self) -> int:
        """Which attempt to come back this is."""

    @property
    def due(self) -> float:
        """Seconds until the next attempt."""


class Source(Protocol):
    """Where a stream's rows come from. Its coroutines run on the background loop."""

    origin: str
    """``"live"``, or which recording it is."""
    about: Mapping[str, Any]
    """What a recording has to say of it, so that a replay is read in the same way."""
    tap: Tap | None
    """Is told of every message. Setting it raises a `UsageError` where there are none."""

    @property
    def frame(self) -> LiveFrame:
        """The rows."""

    @property
    def link(self) -> Connection:
        """The connection."""

    @property
    def gaps(self) -> list[Missing]:
        """What is known to be missing."""

    @property
    def skipped(self) -> int:
        """Messages that `where` did not take."""

    @property
    def conflated(self) -> int:
        """Messages left out because the reader was slow and got the last one of their key."""

    @property
    def presence(self) -> PresenceMap:
        """Who is there; nobody, where nobody is told of."""

    async def send(self, data: object) -> None:
        """Send something the other way."""

    async def close(self) -> None:
        """Read no more."""

    def advance(self, reached: Callable[[], bool]) -> None:
        """Go on until something is reached, where time stands still unless somebody waits: in a replay."""


class LiveSource:
    """What sources have in common whose time goes on by itself, and which nobody records."""

    origin = "live"
    about: Mapping[str, Any] = {}

    @property
    def tap(self) -> Tap | None:
        """Always None."""
        return None

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        if tap is not None:
            raise UsageError("these rows are worked out here: record the stream that they come from")

    def advance(self, reached: Callable[[], bool]) -> None:
        """Do nothing: it comes by itself."""


class ChannelReader:
    """What is read of a channel of one of our servers.

    Parameters
    ----------
    subscription
        The cursor on the channel.
    make
        Makes the intake when the server has said what the channel's key and time are.
    """

    def __init__(self, subscription: Subscription, make: Callable[[Subscribed], Intake]) -> None:
        self.subscription = subscription
        self._make = make
        self._intake: Intake | None = None
        self._breaks = 0
        self._gap_at: int | None = None  # how many rows had come when a gap was found, until it ends

    @property
    def presence(self) -> PresenceMap:
        """Who is in the channel."""
        return self.subscription.people

    @property
    def frame(self) -> LiveFrame:
        """The rows."""
        assert self._intake is not None  # made before anybody is given this source
        return self._intake.frame

    @property
    def gaps(self) -> list[Missing]:
        """What is known to be missing."""
        return list(self.subscription.gaps)

    @property
    def skipped(self) -> int:
        """Messages that `where` did not take."""
        return 0 if self._intake is None else self._intake.skipped

    @property
    def conflated(self) -> int:
        """Messages left out because the reader was slow and got the last one of their key."""
        return self.subscription.conflated

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer."""
        if self._intake is None:
            self._intake = self._make(answer)
        self._find_gap()

    def read(self, run: Messages, known: int) -> None:
        """Take a run, of which the first `known` messages were read before."""
        assert self._intake is not None
        self._find_gap()
        if self._gap_at is not None:
            self.frame.mark_gap(self._gap_at)
            self._gap_at = None
        offsets = np.arange(run.offset, run.offset + run.count, dtype=np.int64)
        self._intake.run(run.data, offsets, run.time, known)

    def read_latest(self, latest: Latest) -> None:
        """Take the last message of each key among messages that are missing."""
        assert self._intake is not None
        self._find_gap()
        if latest.offsets:
            self._intake.run(latest.data, np.asarray(latest.offsets, dtype=np.int64), latest.time)

    def event(self, event: Joined | Left) -> None:
        """Take a change of who is present."""
        self.subscription.presence(event)

    def _find_gap(self) -> None:
        if self.subscription.breaks > self._breaks:
            self._breaks = self.subscription.breaks
            if self._gap_at is None:
                self._gap_at = self.frame.total


class ChannelSource(ChannelReader, LiveSource):
    """A channel of one of our servers, on a connection.

    Parameters
    ----------
    multiplex
        The connection to the server; closed with this source if nothing else uses it.
    subscription, make
        As for `ChannelReader`.
    """

    def __init__(
        self, multiplex: Multiplex, subscription: Subscription, make: Callable[[Subscribed], Intake]
    ) -> None:
        super().__init__(subscription, make)
        self._multiplex = multiplex
        self._answer: Subscribed | None = None

    @property
    def link(self) -> Link:
        """The connection."""
        return self._multiplex.link

    @property
    def tap(self) -> Tap | None:
        """Is told of every message of the channel. One that comes later is told first where it begins."""
        return self._multiplex.taps.get(self.subscription.channel)

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        taps, channel, cursor = self._multiplex.taps, self.subscription.channel, self.subscription.cursor
        if tap is None:
            taps.pop(channel, None)
            return
        taps[channel] = tap
        assert self._answer is not None  # a stream has begun before one can record it
        assert cursor is not None
        begins = msgspec.structs.replace(self._answer, epoch=cursor.epoch, offset=cursor.offset, latest=None)
        tap.opened(self.link.shown)
        tap.received(time.time_ns(), [encode(begins)])

    async def send(self, data: object) -> None:
        """Publish to the channel; the server's refusal is raised."""
        await self._multiplex.publish(self.subscription.channel, data, uuid.uuid4().hex)

    async def close(self) -> None:
        """Follow the channel no longer."""
        self.tap = None
        await self._multiplex.unsubscribe(self.subscription.channel)
        if not self._multiplex.channels:
            await self._multiplex.close()

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer."""
        self._answer = answer
        super().opened(answer)


class ForeignSource(LiveSource):
    """Any other WebSocket.

    Parameters
    ----------
    foreign
        The connection.
    intake
        What takes its messages.
    about
        As for `Source`.
    recorder
        A tap of the connection that is closed with it.
    """

    def __init__(
        self,
        foreign: Foreign,
        intake: Taking,
        *,
        about: Mapping[str, Any] | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._foreign = foreign
        self._recorder = recorder
        self.about = about or {}
        self.intake = intake
        self.presence = PresenceMap()

    @property
    def tap(self) -> Tap | None:
        """Is told of every message."""
        return self._foreign.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._foreign.tap = tap

    @property
    def frame(self) -> LiveFrame:
        """The rows."""
        return self.intake.frame

    @property
    def link(self) -> Link:
        """The connection."""
        return self._foreign.link

    @property
    def gaps(self) -> list[Missing]:
        """What is known to be missing."""
        return list(self._foreign.gaps)

    @property
    def skipped(self) -> int:
        """Messages that `where` did not take."""
        return self.intake.skipped

    @property
    def conflated(self) -> int:
        """Always 0: a foreign feed does not tell."""
        return 0

    async def send(self, data: object) -> None:
        """Send a message."""
        await self._foreign.send(data)

    def renew(self, reason: str) -> None:
        """Connect anew, so that the feed says first what it says first."""
        self._foreign.renew(reason)

    async def close(self) -> None:
        """Close the connection."""
        await self._foreign.close()
        if self._recorder is not None:
            self._recorder.close()
