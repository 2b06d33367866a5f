"""Where a stream's rows come from: a channel of ours, or any other WebSocket, with the frame they fill."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Protocol

import numpy as np

from rtwidgets.client.foreign import Foreign
from rtwidgets.client.link import Link
from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.presence import PresenceMap
from rtwidgets.client.records import Intake
from rtwidgets.client.subscription import Missing, Subscription
from rtwidgets.frames import LiveFrame
from rtwidgets.messages import Joined, Latest, Left, Messages, Subscribed

__all__ = ["ChannelSource", "ForeignSource", "Source"]


class Source(Protocol):
    """Where a stream's rows come from. Its coroutines run on the background loop."""

    @property
    def frame(self) -> LiveFrame:
        """The rows."""

    @property
    def link(self) -> Link:
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


class ChannelSource:
    """A channel of one of our servers.

    Parameters
    ----------
    multiplex
        The connection to the server; closed with this source if nothing else uses it.
    subscription
        The cursor on the channel.
    make
        Makes the intake when the server has said what the channel's key and time are.
    """

    def __init__(
        self, multiplex: Multiplex, subscription: Subscription, make: Callable[[Subscribed], Intake]
    ) -> None:
        self.subscription = subscription
        self._multiplex = multiplex
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
    def link(self) -> Link:
        """The connection."""
        return self._multiplex.link

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

    async def send(self, data: object) -> None:
        """Publish to the channel; the server's refusal is raised."""
        await self._multiplex.publish(self.subscription.channel, data, uuid.uuid4().hex)

    async def close(self) -> None:
        """Follow the channel no longer."""
        await self._multiplex.unsubscribe(self.subscription.channel)
        if not self._multiplex.channels:
            await self._multiplex.close()

    # What the multiplex calls

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer."""
        if self._intake is None:
            self._intake = self._make(answer)
        self._find_gap()

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
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


class ForeignSource:
    """Any other WebSocket."""

    def __init__(self, foreign: Foreign, intake: Intake) -> None:
        self._foreign = foreign
        self._intake = intake
        self.presence = PresenceMap()

    @property
    def frame(self) -> LiveFrame:
        """The rows."""
        return self._intake.frame

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
        return self._intake.skipped

    @property
    def conflated(self) -> int:
        """Always 0: a foreign feed does not tell."""
        return 0

    async def send(self, data: object) -> None:
        """Send a message."""
        await self._foreign.send(data)

    async def close(self) -> None:
        """Close the connection."""
        await self._foreign.close()
