"""Whether the programs behind the connections are alive: those of the `rtwidgets.v1` dialect are asked.

The pings of WebSocket itself are answered by a library, or by a browser, also when the program that uses it
is stuck. So a client that says nothing is sent a `ping` of the dialect, and closed when nothing comes of it.
The answer may be anything: a client that is busy with a large message is alive, and so is one that takes
what it is sent, for then the ping may still be behind that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from websockets.frames import CloseCode

from rtwidgets.loop import supervise
from rtwidgets.messages import Ping, encode
from rtwidgets.server.outbox import Connection, text_frame

__all__ = ["ASK_AFTER", "GIVE_UP_AFTER", "SWEEP_EVERY", "Pulse"]

SWEEP_EVERY = 2.0
"""Seconds between two looks at all connections."""
ASK_AFTER, GIVE_UP_AFTER = 3, 7
"""Sweeps without a sign of life after which a client is asked for one, and after which it is closed."""

_PING = text_frame(encode(Ping()))


class Pulse:
    """Looks after connections, with one timer for all of them.

    Time is counted in sweeps. A server that was held up itself makes none meanwhile, and blames nobody.
    """

    def __init__(self) -> None:
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(SWEEP_EVERY, self._sweep)

    def stop(self) -> None:
        """Look no more; stopping twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()

    @contextlib.contextmanager
    def watching(self, connection: Connection) -> Iterator[None]:
        """Look after a connection for as long as the ``with`` block lasts."""
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    def _sweep(self) -> None:
        for connection in self._connections:
            if not connection.transport.is_reading():
                continue  # what it says waits until the server has dealt with what it said before
            connection.silent += 1
            if connection.silent == ASK_AFTER and connection.has_room():
                connection.transport.write(_PING)
            elif connection.silent == GIVE_UP_AFTER:
                connection.dropped()
                farewell = connection.close(CloseCode.INTERNAL_ERROR, "a ping was not answered with a pong")
                supervise(farewell, "closing a client that does not answer")
        self.start()
