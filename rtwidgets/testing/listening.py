"""What the WebSocket servers of this room have in common: how they listen, whom they let in, how they end."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import websockets.asyncio.server as websockets_server
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import EXTERNAL_CLOSE_CODES, CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from rtwidgets.errors import ServeError
from rtwidgets.loop import report, supervise
from rtwidgets.server.access import Access

__all__ = ["Listening", "can_be_sent", "fitting", "quiet"]

OPEN_TIMEOUT = 30.0
"""Seconds that a handshake may take."""
CLOSE_TIMEOUT = 1.0
"""Seconds that clients have to say good-bye when the server ends."""

quiet = logging.getLogger("rtwidgets.testing")
# Below that websockets tells of each connection, and of each header and frame with what may be secret.
quiet.addFilter(lambda record: record.levelno >= logging.WARNING)

_LONGEST = 123  # bytes of a reason; section 5.5 of RFC 6455 has 125 for it and the code


class Listening:
    """A WebSocket server for as long as the ``async with`` block lasts. Pages from elsewhere may not connect.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._connections: weakref.WeakSet[ServerConnection] = weakref.WeakSet()
        self._opening: set[asyncio.Task[object]] = set()
        self._access = Access(None)

    @property
    def url(self) -> str:
        """Where it listens, such as ``"ws://127.0.0.1:40123"``."""
        return f"ws://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen.

        Raises
        ------
        PortInUse
            When another program has the port.
        ServeError
            When the host is not an address of this machine, or the port may not be used.
        """
        try:
            self._server = await websockets_server.serve(
                self._serve,
                self.host,
                self.port,
                create_connection=self._connection,  # type: ignore[arg-type]  # a maker of them will do
                process_request=self._admit,
                select_subprotocol=self._subprotocol,
                compression=None,
                max_size=None,
                max_queue=self._max_queue,
                open_timeout=OPEN_TIMEOUT,
                close_timeout=None,  # a client may take its time to read what was sent before the close
                ping_interval=None,  # a client that is stopped in a debugger is not dead
                logger=quiet,
            )
        except OSError as error:
            raise ServeError.of(self.host, self.port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection with code 1001, and listen no more; who does not answer is cut off."""
        self._server.close(close_connections=False)
        for opening in self._opening:
            opening.cancel()
        partings = [
            supervise(
                each.close(CloseCode.GOING_AWAY, f"the {self._what} was stopped"), "closing a connection"
            )
            for each in self._connections
            if each.state is State.OPEN
        ]
        if partings:
            await asyncio.wait(partings, timeout=CLOSE_TIMEOUT)
        closed = asyncio.ensure_future(self._server.wait_closed())
        while not closed.done():
            for connection in self._connections:
                if hasattr(connection, "transport"):  # it comes a moment after the connection
                    connection.transport.abort()
            await asyncio.wait([closed], timeout=0.1)

    # For the kinds of servers

    _what = "server"
    _max_queue: int | None = 16  # messages that wait to be read; what a client says after them waits there

    async def _prepare(self, connection: ServerConnection, request: Request) -> None:
        """Do what has to be done before a client's handshake is answered."""

    def _subprotocol(
        self, connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        """Return the subprotocol to speak."""
        raise NotImplementedError

    async def _converse(self, connection: ServerConnection) -> None:
        """Talk to a client. The connection is closed afterwards."""
        raise NotImplementedError

    # Inside

    def _connection(self, *args: Any, **kwargs: Any) -> ServerConnection:
        connection = ServerConnection(*args, **kwargs)
        self._connections.add(connection)
        return connection

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        # A page cannot choose what its browser calls itself; other clients may need an Origin for the feed.
        browser = request.headers.get("User-Agent", "").startswith("Mozilla/")
        if browser and not self._access.origin_allowed(request.headers):
            return connection.respond(403, "Pages from elsewhere may not connect here.\n")
        task = asyncio.current_task()
        assert task is not None
        self._opening.add(task)
        try:
            await self._prepare(connection, request)
        except Exception as error:
            report(repr(self), error)
            raise  # the answer is an internal error then
        finally:
            self._opening.discard(task)
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            await self._converse(connection)
        except ConnectionClosed:
            pass  # the client went in the middle of a sentence
        except Exception as error:  # noqa: BLE001 - reported; the other clients go on
            report(repr(self), error)
            await connection.close(CloseCode.INTERNAL_ERROR, fitting(f"the {self._what} failed: {error}"))


def fitting(reason: str) -> str:
    """Return the reason of a close so short that a close frame can hold it."""
    encoded = reason.encode(errors="replace")
    if len(encoded) <= _LONGEST:
        return encoded.decode()
    return encoded[: _LONGEST - 3].decode(errors="ignore") + "…"


def can_be_sent(code: int) -> bool:
    """Whether a close frame can hold a code: some stand for a connection that ended without one."""
    return code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000
