"""What the tests of recordings of any client share: recordings, clients and feeds."""

import asyncio
import contextlib
import itertools
import json

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from rtwidgets.recording import Kind, Recording, Writer

__all__ = ["BOUND", "MESSAGES", "SENT", "dial", "feed", "received", "records", "said", "write"]

BOUND = 30  # seconds, for what comes at once unless a test fails

MESSAGES = (Kind.TEXT, Kind.BINARY)
SENT = (Kind.SENT_TEXT, Kind.SENT_BINARY)


def write(path, *records, apart=1):
    """Write pairs of a kind and a message, so many nanoseconds apart, and return the path."""
    with Writer(path) as writer:
        for time, (kind, message) in zip(itertools.count(10**18, apart), records, strict=False):
            writer.write(time, kind, [message if isinstance(message, bytes) else message.encode()])
    return path


def opened(url="wss://feed.example.org/ws"):
    return Kind.OPENED, json.dumps({"url": url})


def records(path):
    """Return what a recording holds, as pairs of a kind and one message."""
    return [(batch.kind, message) for batch in Recording(path).batches() for message in batch.messages]


def said(path):
    """Return the messages of a recording, both ways."""
    return [record for record in records(path) if record[0] in MESSAGES + SENT]


def dial(url, **options):
    """Connect to a server as a plain client."""
    options = {"compression": None, "max_size": None, "ping_interval": None, "proxy": None} | options
    return connect(url, **options)


async def received(connection):
    """Return all messages until the connection is closed, then the code and the reason of that."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(await connection.recv())
    return messages, (connection.close_code, connection.close_reason)


@contextlib.asynccontextmanager
async def feed(talk, **options):
    """A feed whose connections a coroutine talks to; yields its URL."""
    options = {"compression": None, "max_size": None, "ping_interval": None} | options
    async with serve(talk, "127.0.0.1", 0, **options) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def stalled(server):
    """Wait until a server has a connection that takes no more, and return it."""
    seen = looks = 0
    while looks < 40:
        await asyncio.sleep(0.005)
        waiting = {
            each: each.transport.get_write_buffer_size() for each in server._connections if each.paused
        }
        looks = looks + 1 if waiting == seen and waiting else 0
        seen = waiting
    return next(iter(waiting))


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, BOUND)
