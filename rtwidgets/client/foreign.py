"""Any other WebSocket: connect, say what is wanted, take what comes."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed

from rtwidgets.client.inbox import Inbox
from rtwidgets.client.link import Link
from rtwidgets.client.records import Intake
from rtwidgets.client.subscription import Missing
from rtwidgets.errors import Closed
from rtwidgets.messages import encode_data

__all__ = ["Foreign"]

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
    """

    def __init__(
        self,
        url: str,
        intake: Intake,
        *,
        subscribe: object = None,
        headers: Mapping[str, str] | None = None,
        trust: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self.gaps: deque[Missing] = deque(maxlen=1_000)
        self._intake = intake
        self._greetings = _greetings(subscribe)
        self._opened = asyncio.Event()
        self._connection: Inbox | None = None
        self.link = Link(url, self._session, headers=headers, trust=trust)

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
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise Closed(f"the connection to {self.link.shown} broke: {error}") from error

    async def close(self) -> None:
        """End the connection."""
        await self.link.close()

    async def _session(self, connection: Inbox) -> None:
        if self.link.connects > 1:
            # Nothing numbers a foreign feed's messages here: that there was a break is all one can know.
            self.gaps.append(Missing("", None, None, self.link.reason))
            self._intake.frame.mark_gap(self._intake.frame.total)
        for greeting in self._greetings:
            await connection.send(greeting)
        self._connection = connection
        self._opened.set()
        try:
            while True:
                messages = await connection.messages()
                for first in range(0, len(messages), _BATCH):
                    self._intake.messages(messages[first : first + _BATCH])
        finally:
            self._connection = None


def _greetings(subscribe: object) -> list[str]:
    if subscribe is None:
        return []
    several: Sequence[Any] = subscribe if isinstance(subscribe, list | tuple) else [subscribe]
    return [_text(message) for message in several]


def _text(data: object) -> str:
    return data if isinstance(data, str) else encode_data(data).decode()
