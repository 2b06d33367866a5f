"""Our own dialect from the client's side: many channels on one connection, each resumed after a break."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
from websockets.exceptions import ConnectionClosed

from rtwidgets.client.inbox import Inbox
from rtwidgets.client.link import Link
from rtwidgets.client.pulse import Pulse
from rtwidgets.client.recorder import Tap
from rtwidgets.client.subscription import Subscription
from rtwidgets.client.token import AskForToken, Token
from rtwidgets.errors import Closed, ConnectError, Refused, RtError, Unauthorized
from rtwidgets.loop import report, supervise
from rtwidgets.messages import (
    SUBPROTOCOL,
    Auth,
    Conflated,
    Error,
    Gap,
    Joined,
    Latest,
    Left,
    Messages,
    Ping,
    Pong,
    Presence,
    Publish,
    Published,
    Subscribed,
    Unsubscribe,
    decode_server,
    encode,
    encode_message,
)

__all__ = ["ChannelMessage", "Multiplex", "Reader", "hear"]

ChannelMessage = Subscribed | Messages | Joined | Left | Gap | Conflated


class Reader(Protocol):
    """What takes in a channel's messages."""

    subscription: Subscription

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer to a subscription, the first or a later one."""

    def read(self, run: Messages, known: int) -> None:
        """Take a run, of which the first `known` messages were read before."""

    def read_latest(self, latest: Latest) -> None:
        """Take the last message of each key among messages that are missing."""

    def event(self, event: Joined | Left) -> None:
        """Take a change of who is present."""


def hear(reader: Reader, message: ChannelMessage) -> None:
    """Let a reader have a message of its channel, as far as it is new to it."""
    match message:
        case Messages():
            known = reader.subscription.messages(message)
            if known < message.count:
                reader.read(message, known)
        case Subscribed(latest=latest):
            reader.subscription.subscribed(message)
            reader.opened(message)
            if latest is not None:
                reader.read_latest(latest)
        case Joined() | Left():
            reader.event(message)
        case Gap(latest=latest):
            if reader.subscription.gap(message) and latest is not None:
                reader.read_latest(latest)
        case Conflated(latest=latest):
            if reader.subscription.conflation(message):
                reader.read_latest(latest)


class Multiplex:
    """A connection to one of our servers, shared by the streams of its channels.

    Parameters
    ----------
    url
        The server's, such as ``ws://127.0.0.1:8765``.
    token
        The server's, or one that it or somebody else has signed; None for an open server. A function that
        returns one is called for each new connection, and again before the token of a running one expires.
    trust
        As for `Link`.
    """

    def __init__(
        self,
        url: str,
        token: str | AskForToken | None,
        *,
        trust: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self._token = None if token is None else Token(token)
        self.link = Link(
            url, self._session, token=self._token, trust=trust, subprotocols=[SUBPROTOCOL], pings=False
        )
        self.taps: dict[str, Tap] = {}
        """By channel, what is told of its messages."""
        self._ids = itertools.count(1)
        self._connection: Inbox | None = None
        self._pulse: Pulse | None = None
        self._readers: dict[str, Reader] = {}
        self._users: dict[str, str] = {}
        self._pending: dict[int, asyncio.Future[object]] = {}
        self._opened = asyncio.Event()

    def __repr__(self) -> str:
        return f"Multiplex({self.link.shown!r})"

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
        self._connection, self._pulse = connection, Pulse(connection)
        self._opened.set()
        beating = supervise(self._pulse.beat(), f"pinging {self.link.shown}")
        renewing = supervise(self._renew(), f"a new token for {self.link.shown}")
        try:
            with contextlib.suppress(Closed):  # it broke again already: reading, below, says how
                for channel, reader in list(self._readers.items()):
                    if reader.subscription.cursor is not None:  # or `subscribe` is asking
                        await self._send(encode(reader.subscription.request(next(self._ids))))
                        await self._announce(channel)
            while True:
                for frame in await connection.messages():
                    self._take(frame)
        except ConnectError as error:
            self._fail(error)
            raise
        finally:
            beating.cancel()
            renewing.cancel()
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
            case Subscribed(id):
                try:
                    self._hear(message, frame)
                except RtError as error:  # a schema that does not hold together, say
                    if not self._answer(id, error):
                        raise
                self._answer(id, message)
            case Messages() | Joined() | Left() | Gap() | Conflated():
                self._hear(message, frame)
            case Published(id):
                self._answer(id, message)
            case Ping():
                if self._connection is not None:
                    self._connection.post(encode(Pong()))
            case Pong():
                if self._pulse is not None:
                    self._pulse.answered()
            case Error("token_expired"):
                pass  # the close that follows says so too, and the link knows what to do
            case Error("unauthorized"):
                raise Unauthorized(
                    self.link.shown,
                    "the server wants its token: pass token=… with the token that the server printed",
                )
            case Error(code, text, id):
                refusal = Refused(code, text)
                if id is None or not self._answer(id, refusal):
                    report(f"the server at {self.link.shown}", refusal)

    def _hear(self, message: ChannelMessage, frame: bytes) -> None:
        """Let who reads a channel have a message of it."""
        channel = message.channel
        if (reader := self._readers.get(channel)) is not None:
            hear(reader, message)
            if (tap := self.taps.get(channel)) is not None:
                tap.received(time.time_ns(), [frame])

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
            if future.done() and not future.cancelled():
                future.exception()  # where `_send` has raised it, nobody has looked at it here

    async def _renew(self) -> None:
        """Show a new token before the last one expires, for as long as the connection lasts."""
        while self._token is not None and (wait := self._token.renew_in) is not None:
            await asyncio.sleep(wait)
            try:
                token = await self.link.ask_for_token(self._token)
            except ConnectError as error:
                report(f"a new token for {self.link.shown}", error)
            else:
                with contextlib.suppress(Closed):
                    await self._send(encode(Auth(token)))

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
