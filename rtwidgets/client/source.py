"""Where a stream's rows come from: a channel of ours, or any other WebSocket, with the frame they fill."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Protocol

from rtwidgets.client.foreign import Foreign
from rtwidgets.client.link import Link
from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.records import Intake
from rtwidgets.client.subscription import Missing, Subscription
from rtwidgets.frames import LiveFrame
from rtwidgets.messages import Joined, Left, Messages, Subscribed

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
        self.present: list[str] = []
        self._multiplex = multiplex
        self._make = make
        self._intake: Intake | None = None

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
        self.present.clear()  # the server tells anew who is there
        if self._intake is None:
            self._intake = self._make(answer)

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        assert self._intake is not None
        self._intake.run(run.data, run.offset, run.count, known, run.time)

    def event(self, event: Joined | Left) -> None:
        """Take a change of who is present."""
        if event.user in self.present:
            self.present.remove(event.user)
        if isinstance(event, Joined):
            self.present.append(event.user)


class ForeignSource:
    """Any other WebSocket."""

    def __init__(self, foreign: Foreign, intake: Intake) -> None:
        self._foreign = foreign
        self._intake = intake

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

    async def send(self, data: object) -> None:
        """Send a message."""
        await self._foreign.send(data)

    async def close(self) -> None:
        """Close the connection."""
        await self._foreign.close()
