"""A network in memory: real connections of both wings whose bytes pass when a test says so.

For tests that want every order in which things can happen, thousands of times: no sockets, no handshake, no
clock. What a connection writes waits on its `Way` until there is a reader for it.
"""

import asyncio
import contextlib
from types import SimpleNamespace

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, Side

from rtwidgets.client.inbox import Inbox
from rtwidgets.messages import SUBPROTOCOL
from rtwidgets.server.outbox import Connection
from rtwidgets.server.rights import Rights
from rtwidgets.server.tokens import FULL

__all__ = ["Network", "Wire", "settled"]


async def settled(*busy):
    """Let the loop run until all that is left to do waits for a time, and nothing of `busy()` is true."""
    ready = asyncio.get_running_loop()._ready
    while True:
        await asyncio.sleep(0)
        if not ready and not any(each() for each in busy):
            return


class Way(asyncio.Transport):
    """One direction of a wire, and the transport of who writes to it.

    Parameters
    ----------
    wire
        What it belongs to.
    high
        Bytes that may wait before the writer is told to pause.
    """

    def __init__(self, wire, high):
        super().__init__()
        self.flowing = True
        self.reading = True
        self.waiting = bytearray()
        self.writer = self.reader = None
        self._wire = wire
        self._high = high

    def write(self, data):
        if not self._wire.lost:
            self.waiting += data
            if len(self.waiting) > self._high and not self.writer.paused:
                self.writer.pause_writing()
            self.look()

    def look(self):
        """Let what waits pass, soon, if there is a reader."""
        if self.flowing and self.waiting:
            self._wire.loop.call_soon(self._flow)

    def pass_on(self, count):
        """Let so many bytes pass, whether or not the reader reads."""
        taken = bytes(self.waiting[:count])
        del self.waiting[:count]
        if taken and not self._wire.lost:
            self.reader.data_received(taken)
            if self.writer.paused and len(self.waiting) <= self._high // 4:
                self.writer.resume_writing()

    def _flow(self):
        if self.flowing and self.reading:
            self.pass_on(len(self.waiting))

    # What `websockets` asks of a transport

    def get_write_buffer_size(self):
        return len(self.waiting)

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def can_write_eof(self):
        return False

    def is_closing(self):
        return self._wire.lost

    def close(self):
        self._wire.cut()

    def abort(self):
        self._wire.cut()

    # It reads what is on the other way.

    def is_reading(self):
        return self._wire.other(self).reading

    def pause_reading(self):
        self._wire.other(self).reading = False

    def resume_reading(self):
        other = self._wire.other(self)
        other.reading = True
        other.look()


class Wire:
    """A connection of a client to a server: the way `up` to the server, and the way `down` from it."""

    def __init__(self, server, *, high):
        self.loop = asyncio.get_running_loop()
        self.lost = False
        self.up, self.down = Way(self, 1 << 20), Way(self, high)
        self.client = Inbox(Protocol(Side.CLIENT), ping_interval=None, max_queue=None)
        listening = SimpleNamespace(handler=server._converse, handler_tasks=set())
        self.server = Connection(Protocol(Side.SERVER), listening, ping_interval=None)
        for connection, writes, reads in (
            (self.client, self.up, self.down),
            (self.server, self.down, self.up),
        ):
            connection.protocol.subprotocol = SUBPROTOCOL
            writes.writer = reads.reader = connection
            connection.connection_made(writes)
        self.server.request = Request("/", Headers())
        self.client.response = Response(101, "Switching Protocols", Headers())
        self.server.rights = Rights(server.access, FULL)

    def other(self, way):
        return self.up if way is self.down else self.down

    def cut(self):
        """Break it, with all that is under way."""
        if not self.lost:
            self.lost = True
            for connection in (self.client, self.server):
                self.loop.call_soon(connection.connection_lost, None)

    def write_down(self, payload):
        """Have the server send a text frame."""
        self.down.write(Frame(Opcode.TEXT, payload).serialize(mask=False))


class Network:
    """Where a client connects, in place of `websockets.connect`.

    While it is not `up`, those who connect wait.
    """

    def __init__(self, server, *, high):
        self.server = server
        self.wire = None
        self._high = high
        self._up = asyncio.Event()
        self._up.set()

    @property
    def up(self):
        return self._up.is_set()

    @up.setter
    def up(self, up):
        if up:
            self._up.set()
        else:
            self._up.clear()
            self.cut()

    def cut(self):
        if self.wire is not None:
            self.wire.cut()

    @contextlib.asynccontextmanager
    async def connect(self, *_, **options):
        await self._up.wait()
        self.wire = wire = Wire(self.server, high=self._high)
        try:
            yield wire.client
        finally:
            wire.cut()
