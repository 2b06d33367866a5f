"""Our own dialect from the client's side: many channels on one connection, each resumed after a break."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Protocol

import msgspec
from websockets.exceptions import ConnectionClosed

from rtwidgets.client.inbox import Inbox
from rtwidgets.client.link import Link
from rtwidgets.client.subscription import Subscription
from rtwidgets.errors import Closed, ConnectError, Refused, RtError, Unauthorized
from rtwidgets.loop import report
from rtwidgets.messages import (
    SUBPROTOCOL,
    Error,
    Gap,
    Joined,
    Left,
    Messages,
    Presence,
    Publish,
    Published,
    Subscribed,
    Unsubscribe,
    decode_server,
    encode,
    encode_message,
)

__all__ = ["Multiplex", "Reader"]


class Reader(Protocol):
    """What takes in a channel's messages."""

    subscription: Subscription

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer to a subscription, the first or a later one."""

    def read(self, run: Messages, known: int) -> None:
        """Take a run, of which the first `known` messages were read before."""

    def event(self, event: Joined | Left) -> None:
        """Take a change of who is present."""


class Multiplex:
    """A connection to one of our servers, shared by the streams of its channels.

    Parameters
    ----------
    url
        The server's, such as ``ws://127.0.0.1:8765``.
    token
        The server's; None for an open one.
    """

    def __init__(self, url: str, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.link = Link(url, self._session, headers=headers, subprotocols=[SUBPROTOCOL])
        self._ids = itertools.count(1)
        self._connection: Inbox | None = None
        self._readers: dict[str, Reader] = {}
        self._users: dict[str, str] = {}
        self._pending: dict[int, asyncio.Future[object]] = {}
        self._opened = asyncio.Event()

    @property
    def channels(self) -> list[str]:
        """The channels it follows."""
        return list(self._readers)

    async def subscribe(self, reader: Reader, *, user: str | None = None) -> None:
        """Follow a channel, and be present in it as `user` if that is given.

        Raises
        ------
        ConnectError
            When the server cannot be reached or lets nobody in.
        Refused
            When it has no such channel.
        """
        channel = reader.subscription.channel
        self._readers[channel] = reader
        if user is not None:
            self._users[channel] = user
        try:
            await self._wait_open()
            await self._ask(reader.subscription.request)
            await self._announce(channel)
        except BaseException:
            await self.unsubscribe(channel)
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Follow a channel no longer."""
        self._readers.pop(channel, None)
        self._users.pop(channel, None)
        with contextlib.suppress(Closed):  # then the server knows
            await self._send(encode(Unsubscribe(channel)))

    async def publish(self, channel: str, data: object, idempotency: str | None = None) -> int:
        """Publish to a channel and return the offset the server gave the message.

        Raises
        ------
        Refused
            When the server does not take it.
        UsageError
            When `data` cannot be written as JSON, or in more than `MAX_MESSAGE` bytes of it.
        Closed
            When the connection broke before the answer came: it may have landed or not. Publishing again
            with the same `idempotency` key is safe.
        """
        raw = msgspec.Raw(encode_message(data))
        answer = await self._ask(lambda number: Publish(number, channel, raw, idempotency))
        assert isinstance(answer, Published)
        return answer.offset

    async def close(self) -> None:
        """End the connection."""
        await self.link.close()
        self._fail(Closed(f"the connection was closed: {self.link.shown}"))

    # The conversation

    async def _session(self, connection: Inbox) -> None:
        if connection.subprotocol != SUBPROTOCOL:
            raise ConnectError(
                self.link.shown, "what answers there is no rtwidgets server: give the full URL to connect to"
            )
        self._connection = connection
        self._opened.set()
        try:
            for channel, reader in list(self._readers.items()):
                if reader.subscription.cursor is not None:  # the others are being asked for by `subscribe`
                    await self._send(encode(reader.subscription.request(next(self._ids))))
                    await self._announce(channel)
            while True:
                for frame in await connection.messages():
                    self._take(frame)
        except ConnectError as error:
            self._fail(error)
            raise
        finally:
            self._connection = None
            self._opened.clear()
            self._fail(Closed(f"the connection broke: {self.link.shown}"))

    def _take(self, frame: bytes) -> None:  # noqa: C901, PLR0912 - one case for each message
        try:
            message = decode_server(frame)
        except (ValueError, RecursionError) as error:
            report(f"the server at {self.link.shown}", error)  # if it was a run, the next one shows the gap
            return
        match message:
            case Messages(channel):
                if (reader := self._readers.get(channel)) is not None:
                    known = reader.subscription.messages(message)
                    if known < message.count:
                        reader.read(message, known)
            case Subscribed(id, channel):
                if (reader := self._readers.get(channel)) is not None:
                    reader.subscription.subscribed(message)
                    try:
                        reader.opened(message)
                    except RtError as error:  # a schema that does not hold together, say
                        if not self._answer(id, error):
                            raise
                self._answer(id, message)
            case Published(id):
                self._answer(id, message)
            case Joined(channel) | Left(channel):
                if (reader := self._readers.get(channel)) is not None:
                    reader.event(message)
            case Gap(channel):
                if (reader := self._readers.get(channel)) is not None:
                    reader.subscription.gap(message)
            case Error("unauthorized"):
                raise Unauthorized(
                    self.link.shown,
                    "the server wants its token: pass token=… with the token that the server printed",
                )
            case Error(code, text, id):
                refusal = Refused(code, text)
                if id is None or not self._answer(id, refusal):
                    report(f"the server at {self.link.shown}", refusal)

    def _answer(self, id: int, answer: object) -> bool:
        future = self._pending.pop(id, None)
        if future is None or future.done():
            return False
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return True

    async def _ask(self, make: Callable[[int], msgspec.Struct]) -> object:
        number = next(self._ids)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            await self._send(encode(make(number)))  # type: ignore[arg-type]
            return await future
        finally:
            self._pending.pop(number, None)

    async def _announce(self, channel: str) -> None:
        if (user := self._users.get(channel)) is not None:
            await self._send(encode(Presence(channel, user)))

    async def _send(self, frame: bytes) -> None:
        if self._connection is None:
            raise Closed(f"not connected to {self.link.shown}: {self.link.reason or self.link.state.value}")
        try:
            await self._connection.send(frame, text=True)
        except ConnectionClosed as error:
            raise Closed(f"the connection to {self.link.shown} broke: {error}") from error

    async def _wait_open(self) -> None:
        error = await self.link.opened(self._opened)
        if self.link.ended.done():
            raise error or Closed(f"the connection to {self.link.shown} is closed")

    def _fail(self, error: RtError) -> None:
        for future in self._pending.values():
            if not future.done():
                future.set_exception(error)
