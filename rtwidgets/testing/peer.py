"""A WebSocket server that says what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from rtwidgets.loop import lease
from rtwidgets.messages import encode_data

__all__ = ["Peer"]


class Peer:
    """A server that sends each client the same messages first, and from then on what it is fed."""

    def __init__(self, messages: Sequence[object]) -> None:
        self._messages: list[str | bytes] = [_encoded(message) for message in messages]
        self._sockets: set[ServerConnection] = set()
        self._sending = asyncio.Lock()
        self._lease = lease()
        self._server: Server = self._lease.run(self._start())
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def feed(self, messages: Sequence[object]) -> None:
        """Send more messages; they have gone when this returns."""
        encoded = [_encoded(message) for message in messages]
        self._lease.run(self._feed(encoded))

    def stop(self) -> None:
        """Send no more."""
        self._lease.run(self._stop())
        self._lease.release()

    async def _start(self) -> Server:
        return await serve(self._talk, "127.0.0.1", 0, compression=None)

    async def _stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _talk(self, socket: ServerConnection) -> None:
        async with self._sending:
            await _send(socket, self._messages)
            self._sockets.add(socket)
        await socket.wait_closed()
        self._sockets.discard(socket)

    async def _feed(self, messages: list[str | bytes]) -> None:
        async with self._sending:
            for socket in tuple(self._sockets):
                await _send(socket, messages)


async def _send(socket: ServerConnection, messages: list[str | bytes]) -> None:
    with contextlib.suppress(ConnectionClosed):  # the client may go when it likes
        for message in messages:
            await socket.send(message)


def _encoded(message: object) -> str | bytes:
    return message if isinstance(message, str | bytes) else encode_data(message).decode()
