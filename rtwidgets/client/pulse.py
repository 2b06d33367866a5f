"""Whether a server of ours is alive: it is asked now and then, in words of the `rtwidgets.v1` dialect.

The pings of WebSocket itself are answered by a library also when the server behind it is stuck, and an answer
that waits behind a backlog comes too late for it. Here whatever comes counts as life, to the byte.
"""

from __future__ import annotations

import asyncio
from collections import deque

from rtwidgets.client.inbox import Inbox
from rtwidgets.messages import Ping, encode

__all__ = ["GIVE_UP_AFTER", "PING_EVERY", "Pulse"]

PING_EVERY = 4.0
"""Seconds between two pings. The server asks by itself only when it hears less than that."""
GIVE_UP_AFTER = 3
"""Pings that are due with nothing coming in between, until the connection is given up."""

_PING = encode(Ping())


class Pulse:
    """Asks whether the server is there, and measures how long an answer takes.

    Time is counted in pings. A client that was held up itself sends none meanwhile, and blames nobody.

    Parameters
    ----------
    connection
        Given up when nothing comes from it any more; its `latency` is set.
    """

    def __init__(self, connection: Inbox) -> None:
        self._connection = connection
        self._asked: deque[float] = deque(maxlen=1_000)  # when; answers come in the order of the questions

    async def beat(self) -> None:
        """Ask again and again, until the connection had to be given up."""
        connection, loop = self._connection, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_EVERY)
            connection.silent += 1
            if connection.silent >= GIVE_UP_AFTER:
                silence = GIVE_UP_AFTER * PING_EVERY
                connection.give_up(
                    f"nothing came from the server in {silence:g} s, not even an answer to a ping"
                )
                return
            if connection.post(_PING):  # also when an answer is due: that may be behind a backlog
                self._asked.append(loop.time())

    def answered(self) -> None:
        """Take note of the answer."""
        if self._asked:
            self._connection.latency = asyncio.get_running_loop().time() - self._asked.popleft()
