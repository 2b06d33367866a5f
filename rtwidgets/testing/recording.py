"""A WebSocket proxy that records what goes through it, whatever the client is.

::

    async with RecordingProxy("wss://feed.example.org/ws", "morning.rtlog") as proxy:
        async with connect(proxy.url) as connection:
            ...
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.frames import CloseCode
from websockets.headers import parse_subprotocol
from websockets.http11 import Request
from websockets.typing import Subprotocol

from rtwidgets.checks import check_websocket, is_local, without_secrets
from rtwidgets.client.link import explain, explain_close
from rtwidgets.errors import ConnectError
from rtwidgets.loop import aside, report
from rtwidgets.recording import Kind, Writer, hidden, hidden_message
from rtwidgets.testing.background import Background
from rtwidgets.testing.listening import Listening, can_be_sent, fitting, quiet

__all__ = ["BlockingRecordingProxy", "RecordingProxy"]

TURN = 2.0
"""Seconds that a client waits for the one before it to end."""
PARTING = 1.0
"""Seconds for what a client has said last, and for the good-bye of the far end."""

_OWN_HEADERS = {"connection", "host", "upgrade"}  # and those of the handshake: not passed on


class RecordingProxy(Listening):
    """A WebSocket server that hands everything on to another one, and back, and records it.

    Each client gets a connection of its own to the far end, with the headers and subprotocols that it asked
    for; at a path of its own, if it asked for one. They come one after the other, as they are in the
    recording: while one is connected, another one is sent away with code 1013. Messages and close codes
    pass as they are; when the far end cannot be reached or breaks off, the client's connection is closed
    with code 1014 and the reason, which is reported too.

    Parameters
    ----------
    url
        The far end: ``ws://…`` or ``wss://…``.
    path
        The file. A recording that is there is continued.

    Raises
    ------
    UsageError
        When `url` is not the URL of a WebSocket, or the file is something else than a recording.
    """

    _what = "recording"

    def __init__(self, url: str, path: str | Path) -> None:
        super().__init__()
        check_websocket(url)
        self._url = url
        self._path = path
        self._turn = asyncio.Lock()
        self._far: dict[ServerConnection, ClientConnection | ConnectError] = {}

    def __repr__(self) -> str:
        return f"RecordingProxy({without_secrets(self._url)!r})"

    async def __aenter__(self) -> Self:
        """Open the file and listen; raises as `Listening` does."""
        self._writer = Writer(self._path, {"url": hidden(self._url)})
        try:
            return await super().__aenter__()
        except BaseException:
            self._writer.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and the file."""
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await aside(self._writer.close, "closing a recording")

    # A client comes

    async def _prepare(self, client: ServerConnection, request: Request) -> None:
        """Connect to the far end, so that its choice of a subprotocol can be told."""
        try:
            async with asyncio.timeout(TURN):
                await self._turn.acquire()
        except TimeoutError:
            return
        try:
            self._far[client] = await self._dial(request)
        except BaseException:
            self._turn.release()
            raise
        client.connection_lost_waiter.add_done_callback(lambda _: self._abandoned(client))

    async def _dial(self, request: Request) -> ClientConnection | ConnectError:
        url = self._target(request.path)
        headers = [
            (name, value)
            for name, value in request.headers.raw_items()
            if name.lower() not in _OWN_HEADERS and not name.lower().startswith("sec-websocket-")
        ]
        offers = request.headers.get_all("Sec-WebSocket-Protocol")
        try:
            return await connect(
                url,
                additional_headers=headers,
                user_agent_header=None,
                subprotocols=[name for offer in offers for name in parse_subprotocol(offer)] or None,
                compression=None,
                max_size=None,
                close_timeout=PARTING,
                proxy=None if is_local(url) else True,
                logger=quiet,
            )
        except (OSError, InvalidHandshake, InvalidURI, ValueError) as error:
            return explain(without_secrets(url), error)

    def _target(self, path: str) -> str:
        """Return the URL of the far end for a client that asks for a path."""
        asked = path.lstrip("/")
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}/{asked}" if asked else self._url

    def _subprotocol(self, client: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        far = self._far.get(client)
        return far.subprotocol if isinstance(far, ClientConnection) else None

    def _abandoned(self, client: ServerConnection) -> None:
        """End what was prepared for a client that has gone before its turn came."""
        far = self._far.pop(client, None)
        if far is not None:
            self._turn.release()
        if isinstance(far, ClientConnection):
            far.transport.abort()

    # A client is there

    async def _converse(self, client: ServerConnection) -> None:
        far = self._far.pop(client, None)
        if far is None:
            reason = (
                "one connection at a time is recorded here, and one is open: give each a proxy of its own"
            )
            await client.close(CloseCode.TRY_AGAIN_LATER, fitting(reason))
            return
        try:
            if isinstance(far, ConnectError):
                raise far
            code, reason = await self._record(client, far)
        except ConnectError as error:
            report(repr(self), error)
            code, reason = CloseCode.BAD_GATEWAY, error.reason
        finally:
            self._turn.release()
        await client.close(code, fitting(reason))

    async def _record(self, client: ServerConnection, far: ClientConnection) -> tuple[int, str]:
        """Pass messages both ways until one end is gone; return how the other is to be closed.

        Raises
        ------
        ConnectError
            When the far end has broken off.
        """
        assert client.request is not None
        self._write(Kind.OPENED, json.dumps({"url": hidden(self._target(client.request.path))}).encode())
        inward = asyncio.ensure_future(self._pass(far, client, Kind.TEXT, Kind.BINARY))
        outward = asyncio.ensure_future(self._pass(client, far, Kind.SENT_TEXT, Kind.SENT_BINARY))
        ways = [inward, outward, asyncio.ensure_future(client.wait_closed())]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()  # raises what is wrong with the recording
            if inward in done:
                return self._far_ended(far)
            await asyncio.wait([outward], timeout=PARTING)
            await self._client_ended(client, far)
            return CloseCode.NORMAL_CLOSURE, ""  # to nobody
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far.transport.abort()

    async def _pass(self, source: Connection, sink: Connection, text: Kind, binary: Kind) -> None:
        """Pass messages on until the source has no more."""
        while True:
            try:
                message = await source.recv()
            except ConnectionClosed:
                return
            # Before it is passed on, so that the answer comes after it.
            self._write(*((text, message.encode()) if isinstance(message, str) else (binary, message)))
            with contextlib.suppress(ConnectionClosed):  # the other way finds out that the sink is gone
                await sink.send(message)

    def _far_ended(self, far: ClientConnection) -> tuple[int, str]:
        """Return how the client's connection is to be closed."""
        words = explain_close(far.close_exc)
        self._write(Kind.CLOSED, words.encode())
        if far.close_exc.rcvd is None:
            raise ConnectError(without_secrets(self._url), words)
        code = far.close_exc.rcvd.code
        return (code if can_be_sent(code) else CloseCode.NORMAL_CLOSURE), far.close_exc.rcvd.reason

    async def _client_ended(self, client: ServerConnection, far: ClientConnection) -> None:
        """Close the connection to the far end as the client has closed its own."""
        close = client.close_exc.rcvd
        code, reason = (CloseCode.GOING_AWAY, "") if close is None else (close.code, close.reason)
        if close is None:
            words = "the client broke off"
        elif client.close_exc.rcvd_then_sent is False:
            words = f"the {self._what} was stopped"
        else:
            words = f"the client closed the connection (code {code}{f': {reason}' if reason else ''})"
        self._write(Kind.CLOSED, words.encode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTING):
                await far.close(code if can_be_sent(code) else CloseCode.NORMAL_CLOSURE, reason)

    def _write(self, kind: Kind, message: bytes) -> None:
        if kind in {Kind.SENT_TEXT, Kind.SENT_BINARY}:
            message = hidden_message(message)
        self._writer.write(time.time_ns(), kind, [message])


class BlockingRecordingProxy(Background[RecordingProxy]):
    """A `RecordingProxy` on the background loop, from now until `stop`, for cells and plain tests.

    ::

        with BlockingRecordingProxy("wss://feed.example.org/ws", "morning.rtlog") as proxy:
            ...

    Parameters
    ----------
    url, path
        As for `RecordingProxy`, which see for the errors too.
    """

    def __init__(self, url: str, path: str | Path) -> None:
        super().__init__(RecordingProxy(url, path))
