"""Clients and misbehaving peers for the tests of both wings."""

import asyncio
import contextlib
import time

import msgspec
from websockets.asyncio.client import connect

from rtwidgets.messages import SUBPROTOCOL, Messages, Subscribe, decode_server, encode

__all__ = ["Dialogue", "Proxy", "dial", "dial_v1", "eventually", "raw", "upgrade", "whom"]


async def eventually(condition, timeout=20.0):
    """Wait until `condition()` is true; the time is there for a test that fails, not for one that passes."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.005)


def dial(server, path, *, token=..., **options):
    """Connect to a server as a plain client."""
    token = server.token if token is ... else token
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    options.setdefault("additional_headers", headers)
    options.setdefault("max_size", None)
    return connect(server.url + path, compression=None, proxy=None, close_timeout=1, **options)


class Dialogue:
    """A `rtwidgets.v1` client of few words."""

    def __init__(self, connection):
        self.connection = connection
        self._ids = iter(range(1, 10_000))
        self.log = []

    async def say(self, message):
        """Send a message, or a frame as it is."""
        await self.connection.send(message if isinstance(message, str | bytes) else encode(message).decode())

    async def hear(self, kind=None):
        """Return the next message, or the next one of a kind; what comes in between goes to `log`."""
        while True:
            message = decode_server(await asyncio.wait_for(self.connection.recv(decode=False), 20))
            if kind is None or isinstance(message, kind):
                return message
            self.log.append(message)

    async def subscribe(self, channel, after=None):
        """Subscribe and return the answer."""
        await self.say(Subscribe(next(self._ids), channel, after))
        return await self.hear()

    async def rows(self, count):
        """Return so many messages as pairs of offset and data; they have to be contiguous."""
        rows = []
        while len(rows) < count:
            run = await self.hear(Messages)
            data = msgspec.json.decode(run.data)
            assert len(data) == run.count
            rows += zip(range(run.offset, run.offset + run.count), data, strict=True)
        return rows


@contextlib.asynccontextmanager
async def dial_v1(server, **options):
    """Connect to a server in the dialect `rtwidgets.v1`."""
    async with dial(server, "/", subprotocols=[SUBPROTOCOL], **options) as connection:
        yield Dialogue(connection)


def whom(event):
    """Return what a presence event says, but for when and where."""
    return type(event), event.channel, event.user


def upgrade(path="/", *headers):
    """Return the bytes of a WebSocket handshake."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def raw(server, request):
    """Send bytes to a server and return the status and the body of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status = int(head.split()[1])
    body = b"" if status == 101 else await reader.read()
    writer.transport.abort()
    return status, body.decode()


class Proxy:
    """A TCP proxy that can cut, refuse and swallow."""

    def __init__(self, port):
        self.target = port
        self.accepting = True
        self.silent = False
        self._pairs = set()
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self):
        """Abort every connection that runs through."""
        for writer in list(self._pairs):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self._pairs.add(writer)
        try:
            if self.accepting:
                with contextlib.suppress(OSError):
                    await self._between(reader, writer)
        finally:
            writer.transport.abort()
            self._pairs.discard(writer)
            self._tasks.discard(asyncio.current_task())

    async def _between(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._pairs.add(back)
        try:
            ways = [
                asyncio.ensure_future(self._pass(reader, back)),
                asyncio.ensure_future(self._pass(there, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
        finally:
            back.transport.abort()
            self._pairs.discard(back)

    async def _pass(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
