"""Any other WebSocket: connect, say what is wanted, take what comes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed

from rtwidgets.client.inbox import Inbox
from rtwidgets.client.link import Link, explain_close
from rtwidgets.client.recorder import Tap
from rtwidgets.client.records import Taking
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import Closed
from rtwidgets.loop import supervise
from rtwidgets.messages import encode_data

__all__ = ["Foreign", "texts"]

_BATCH = 1_000  # messages decoded together at the most


class Foreign:
    """A plain connection whose messages feed a frame.

    Parameters
    ----------
    url
        Where to connect.
    intake
        What takes the messages.
    subscribe
        Sent on each connection: one message, or several in a list. Text goes as it is, the rest as JSON.
    headers
        Further request headers.
    trust
        As for `Link`.
    keepalive
        A message to send again and again, as `subscribe` ones are, and the seconds between two of them: some
        feeds close a connection on which nothing is said.
    tap
        Is told of every message.
    """

    def __init__(
        self,
        url: str,
        intake: Taking,
        *,
        subscribe: object = None,
        headers: Mapping[str, str] | None = None,
        trust: Callable[[], ssl.SSLContext | None] = lambda: None,
        keepalive: tuple[object, float] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.gaps: deque[Missing] = deque(maxlen=1_000)
        self._url = url
        self._intake = intake
        self._greetings = texts(subscribe)
        self._keepalive = keepalive
        self._tap = tap
        self._opened = asyncio.Event()
        self._connection: Inbox | None = None
        self.link = Link(url, self._session, headers=headers, trust=trust)

    @property
    def tap(self) -> Tap | None:
        """What is told of every message. One that comes later is told first of what was asked for."""
        return self._tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._tap = tap
        if tap is not None and self._connection is not None:
            tap.opened(self._url)
            for greeting in self._greetings:
                tap.sent(greeting.encode(), binary=False)

    async def opened(self) -> None:
        """Wait for the first connection.

        Raises
        ------
        ConnectError
            When it cannot be made.
        """
        try:
            error = await self.link.opened(self._opened)
        except asyncio.CancelledError:
            await self.close()  # nobody waits for it any more
            raise
        if error is not None:
            raise error

    async def send(self, data: object) -> None:
        """Send one more message, as `subscribe` ones are.

        Raises
        ------
        Closed
            When the connection is down.
        """
        text = _text(data)
        if self._connection is None:
            raise Closed(f"not connected to {self.link.shown}: {self.link.reason or self.link.state.value}")
        try:
            await self._send(self._connection, text)
        except ConnectionClosed as error:
            raise Closed(f"the connection to {self.link.shown} broke: {error}") from error

    def renew(self, reason: str) -> None:
        """Cut the connection, so that a new one begins with what the feed says first."""
        if self._connection is not None:
            self._connection.give_up(reason)

    async def close(self) -> None:
        """End the connection."""
        await self.link.close()

    async def _session(self, connection: Inbox) -> None:
        if self.link.connects > 1:
            # That there was a break is all one can know: not how many messages were sent meanwhile.
            self.gaps.append(Missing("", None, None, self.link.reason))
            self._intake.broke()
        with self._tapped(), contextlib.ExitStack() as ending:
            for greeting in self._greetings:
                await self._send(connection, greeting)
            if self._keepalive is not None:
                keeping = supervise(
                    self._keep_alive(connection, *self._keepalive), f"keeping {self.link.shown}"
                )
                ending.callback(keeping.cancel)
            self._connection = connection
            self._opened.set()
            while True:
                messages = await connection.messages()
                received = time.time_ns()
                if self._tap is not None:
                    self._tap.received(received, messages)
                for first in range(0, len(messages), _BATCH):
                    self._intake.messages(messages[first : first + _BATCH], received)

    @contextlib.contextmanager
    def _tapped(self) -> Iterator[None]:
        """Tell the tap of a connection and of its end."""
        if self._tap is not None:
            self._tap.opened(self._url)
        why = "the connection was closed"
        try:
            yield
        except ConnectionClosed as error:
            why = explain_close(error)
            raise
        finally:
            self._connection = None
            if self._tap is not None:
                self._tap.closed(why)

    async def _send(self, connection: Inbox, text: str) -> None:
        await connection.send(text)
        if self._tap is not None:
            self._tap.sent(text.encode(), binary=False)

    async def _keep_alive(self, connection: Inbox, message: object, every: float) -> None:
        text = _text(message)
        with contextlib.suppress(ConnectionClosed):  # the session ends with it, and says why
            while True:
                await asyncio.sleep(every)
                await self._send(connection, text)


def texts(subscribe: object) -> list[str]:
    """Return the messages of a `subscribe` argument as they are sent."""
    if subscribe is None:
        return []
    several: Sequence[Any] = subscribe if isinstance(subscribe, list | tuple) else [subscribe]
    return [_text(message) for message in several]


def _text(data: object) -> str:
    return data if isinstance(data, str) else encode_data(data).decode()
