"""A channel as somebody reads it who is present in it under a name, and publishes."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import ClassVar

from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.records import Intake
from rtwidgets.client.source import ChannelSource
from rtwidgets.client.subscription import Subscription
from rtwidgets.loop import Bell
from rtwidgets.messages import Messages, Subscribed

__all__ = ["MemberSource"]


class MemberSource(ChannelSource):
    """A channel in which this client is present.

    Parameters
    ----------
    multiplex
        A connection to the server on which nobody else is present; closed with this.
    channel, user
        The channel, and by which name to be present in it: it is who publishes.
    make
        As for `ChannelSource`.
    """

    read_back: ClassVar[float] = 5.0
    """Seconds that what the server has may take to come back; mostly it is a few thousandths."""

    def __init__(
        self, multiplex: Multiplex, channel: str, user: str, make: Callable[[Subscribed], Intake]
    ) -> None:
        super().__init__(multiplex, Subscription(channel), make)
        self.user = user
        self.writable = True
        """Whether the token allows to publish."""
        self._bell = Bell()

    async def start(self) -> None:
        """Follow the channel and be present in it; raises as `Multiplex.subscribe`."""
        await self._multiplex.subscribe(self, user=self.user)

    async def publish(self, data: object, key: str | None = None) -> None:
        """Publish something, and wait until it has come back with what the others publish.

        Parameters
        ----------
        data
            What to publish.
        key
            Its idempotency key: published twice with the same one, it lands once.

        Raises
        ------
        Refused, Closed, UsageError
            As for `Multiplex.publish`.
        """
        channel = self.subscription.channel
        await self.reached(await self._multiplex.publish(channel, data, key or uuid.uuid4().hex))

    async def reached(self, offset: int) -> None:
        """Wait until what is at an offset was read, or for `read_back` seconds: the server has it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.read_back):
                await self._bell.wait(lambda: self._has(offset))

    def _has(self, offset: int) -> bool:
        cursor = self.subscription.cursor
        return cursor is not None and cursor.offset >= offset

    # What the multiplex calls

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer, the first or one after a break."""
        self.writable = answer.writable
        super().opened(answer)

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        super().read(run, known)
        self._bell.ring()
