"""A chat room of one of our servers, as one of those in it hears it, and who types there right now."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from rtwidgets.client.member import MemberSource
from rtwidgets.client.multiplex import Multiplex
from rtwidgets.client.records import Intake
from rtwidgets.client.subscription import Subscription
from rtwidgets.errors import Closed, ConnectError, Refused
from rtwidgets.loop import report, supervise
from rtwidgets.messages import Joined, Latest, Left, Messages, Subscribed

__all__ = ["RoomSource", "TypingSource"]

SAY_EVERY = 3.0
"""Seconds between two words to the server that somebody here types, at the least."""
SHOWN = 6.0
"""Seconds after which somebody who has said nothing more types no longer."""


class _Row(msgspec.Struct):
    user: str
    typing: bool


_rows = msgspec.json.Decoder(list[_Row]).decode


class RoomSource(MemberSource):
    """A chat room, in which this client is present. The parameters are those of `MemberSource`."""

    read_back = 1.0

    def __init__(
        self, multiplex: Multiplex, channel: str, user: str, make: Callable[[Subscribed], Intake]
    ) -> None:
        super().__init__(multiplex, channel, user, make)
        self.typing = TypingSource(multiplex, f"{channel}/typing", user)

    async def start(self) -> None:
        """Follow the room and be present in it; raises as `Multiplex.subscribe`."""
        await super().start()
        try:
            await self.typing.start()
        except BaseException:
            await self._multiplex.unsubscribe(self.subscription.channel)
            raise

    async def say(self, text: object, key: str | None = None) -> None:
        """Say something; as `publish`."""
        self.typing.say(typing=False)
        await self.publish({"type": "message", "text": text}, key)

    async def close(self) -> None:
        """Leave the room."""
        await self.typing.close()
        await super().close()


class TypingSource:
    """The channel ``chat/{room}/typing``: who types, and whether somebody here does.

    Where the server has no such channel, or the token does not allow it, nobody is seen to type.

    Parameters
    ----------
    multiplex
        The connection to the server.
    channel
        The channel's name.
    user
        The name of who is here, which is not shown to them.
    """

    def __init__(self, multiplex: Multiplex, channel: str, user: str) -> None:
        self.subscription = Subscription(channel, history=False)
        self._multiplex = multiplex
        self._user = user
        self._writable = False
        self._until: dict[str, float] = {}  # until when each of them is thought to type
        self._said: float | None = None  # when the others were last told that somebody here types

    @property
    def users(self) -> list[str]:
        """The others who type, whoever began first in front; from any thread."""
        now = time.monotonic()
        return [user for user, until in list(self._until.items()) if until > now]

    async def start(self) -> None:
        """Follow the channel, where there is one."""
        with contextlib.suppress(Refused):
            await self._multiplex.subscribe(self)

    async def close(self) -> None:
        """Say that nobody types here any more, and follow the channel no longer."""
        with contextlib.suppress(TimeoutError):  # the others will notice
            async with asyncio.timeout(1.0):
                if self._said is not None:
                    await self._tell(typing=False)
        await self._multiplex.unsubscribe(self.subscription.channel)

    def say(self, typing: bool) -> None:
        """Tell the others that somebody here types, every few seconds at the most, or does so no longer."""
        now = time.monotonic()
        said, news = self._said, self._said is None or now - self._said >= SAY_EVERY
        if self._writable and (news if typing else said is not None):
            self._said = now if typing else None
            supervise(self._tell(typing=typing), f"telling {self.subscription.channel}")

    async def _tell(self, *, typing: bool) -> None:
        try:
            await self._multiplex.publish(self.subscription.channel, {"typing": typing})
        except (Closed, ConnectError):
            pass  # who is not connected is not seen to type; the connection has its own reports
        except Refused as refusal:
            if refusal.code != "forbidden":  # a new token may allow less
                report(f"telling {self.subscription.channel}", refusal)

    # What the multiplex calls

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer."""
        self._writable = answer.writable
        self._until.clear()

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        self._hear(_rows(run.data)[known:])

    def read_latest(self, latest: Latest) -> None:
        """Take the last word of each among messages that are missing."""
        self._hear(_rows(latest.data))

    def event(self, event: Joined | Left) -> None:
        """Nobody is present in this channel."""

    def _hear(self, rows: list[_Row]) -> None:
        now = time.monotonic()
        until = {user: end for user, end in self._until.items() if end > now}
        for row in rows:
            if row.typing and row.user != self._user:
                until[row.user] = now + SHOWN
            else:
                until.pop(row.user, None)
        self._until = until
