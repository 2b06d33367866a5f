"""A TCP proxy with faults that are switched while connections run through it.

::

    async with FaultProxy("127.0.0.1", server.port, latency=0.05) as proxy:
        async with connect(proxy.url) as connection:
            proxy.black_hole()
            ...
            proxy.heal()
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from rtwidgets.errors import UsageError
from rtwidgets.loop import supervise

__all__ = ["FaultProxy", "FaultStatistics"]

_READ = 65536  # bytes at once
_IN_FLIGHT = 1 << 20  # bytes that one way of a connection holds before it stops reading
_OVERHEAD = 128  # bytes that a read costs besides its data, so that a million small ones stay in bounds
_PACE = 0.02  # seconds of a limited bandwidth that are written at once


class FaultStatistics(NamedTuple):
    """What went through a `FaultProxy` since it was made.

    Attributes
    ----------
    accepted
        Connections of clients, those that `refuse` closed at once among them.
    bytes_to_client, bytes_to_server
        Bytes that were handed on, without those that are held back.
    resets, cuts
        Connections that were ended by `reset`, and by `cut` or `cut_after`.
    """

    accepted: int
    bytes_to_client: int
    bytes_to_server: int
    resets: int
    cuts: int


@dataclass(eq=False)
class _Way:
    """One direction of a connection, with what was read, when, and not written yet."""

    source: socket.socket
    sink: socket.socket
    counted: str
    queue: asyncio.Queue[tuple[float, bytes | OSError]] = field(default_factory=asyncio.Queue)
    held: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)
    written: int = 0  # bytes of the last write, when it was, and how long it uses the bandwidth
    written_at: float = -math.inf
    paid_in: float = 0.0


class FaultProxy:
    """A TCP relay to a server, on a free port of 127.0.0.1, for as long as the ``async with`` block lasts.

    It runs on the caller's event loop: a blocking call on that loop's thread stops it too. Faults may be
    switched at any time, from that thread, and apply to open and to new connections. Without any, bytes, ends
    and resets are handed on as they come, and a client whose server cannot be reached is reset.

    Senders are held back as by a slow network: at most 1 MiB waits here each way, so with a latency a
    connection passes at most 1 MiB per `latency`. What the system has in its buffers is out of reach, and
    arrives whatever is switched. The loop has to have ``add_reader``, which the default one of Windows lacks.

    Parameters
    ----------
    host, port
        Where the server listens.
    latency
        Seconds added each way; the order is kept.
    bandwidth
        Bytes per second that each way of each connection passes at most; None for no limit.
    chunk
        Bytes per write, at most; None for no limit. Each write is a segment of its own as far as the system
        plays along, and a reader on the same loop gets it alone as a rule.
    refuse
        Whether new connections are closed at once; open ones go on.

    Attributes
    ----------
    port, url
        Where the proxy listens, such as ``"ws://127.0.0.1:40123"``; known inside the block.
    """

    port: int
    url: str

    def __init__(
        self,
        host: str,
        port: int,
        *,
        latency: float = 0.0,
        bandwidth: float | None = None,
        chunk: int | None = None,
        refuse: bool = False,
    ) -> None:
        self._target = (host, port)
        self._open: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._hole = False
        self._left: int | None = None  # bytes until `cut_after` cuts
        self.latency = latency
        self.bandwidth = bandwidth
        self.chunk = chunk
        self.refuse = refuse

    def __repr__(self) -> str:
        return f"FaultProxy({self._target[0]!r}, {self._target[1]})"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._addresses: list[Any] = await loop.getaddrinfo(*self._target, type=socket.SOCK_STREAM)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        # Not `sock_accept`: when it is cancelled just as somebody connects, a socket gets lost.
        loop.add_reader(self._listener, self._accept)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._end(_send_fin)
        if self._ending:
            await asyncio.wait(self._ending)

    @property
    def connections(self) -> int:
        """How many connections are open; one that was reset or cut is not, at once."""
        return len(self._open)

    def statistics(self) -> FaultStatistics:
        """Return what went through so far."""
        return FaultStatistics(*(self._counts[name] for name in FaultStatistics._fields))

    # Faults

    @property
    def latency(self) -> float:
        """Seconds added each way, also to what is under way when it is set."""
        return self._latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise UsageError(f"latency={seconds!r}: give seconds, 0 or more, or call black_hole()")
        self._latency = seconds
        self._look_again()

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second that each way of each connection passes at most; None for no limit."""
        return self._bandwidth

    @bandwidth.setter
    def bandwidth(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise UsageError(f"bandwidth={rate!r}: give bytes per second, more than 0, or call black_hole()")
        self._bandwidth = rate
        self._look_again()

    @property
    def chunk(self) -> int | None:
        """Bytes per write, at most; None for no limit."""
        return self._chunk

    @chunk.setter
    def chunk(self, size: int | None) -> None:
        if size is not None and size < 1:
            raise UsageError(f"chunk={size!r}: give a number of bytes, 1 or more")
        self._chunk = size

    def black_hole(self) -> None:
        """Let nothing pass either way, no end and no reset either; connections stay open (a half-open link).

        It stops to read and to write. As TCP loses nothing in the middle, all goes on after `heal`. A new
        connection is accepted, by the system, and reaches the server after `heal`.
        """
        self._hole = True

    def heal(self) -> None:
        """Lift every fault; what was held back goes on at once, in order."""
        self._hole = self.refuse = False
        self._left = self.chunk = self.bandwidth = None
        self.latency = 0.0

    def reset(self) -> None:
        """Reset (RST) every open connection at both ends; what is held back is lost."""
        self._counts["resets"] += self._end(_send_rst)

    def cut(self) -> None:
        """Close (FIN) every open connection at both ends; what is held back is lost."""
        self._counts["cuts"] += self._end(_send_fin)

    def cut_after(self, count: int) -> None:
        """Pass so many more bytes to the client, over all connections, then `cut`, once.

        The client gets exactly these bytes, so that a frame can be cut in the middle.
        """
        if count < 0:
            raise UsageError(f"cut_after({count!r}): give a number of bytes, 0 or more")
        self._left = count or None
        if not count:
            self.cut()

    # Inside

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it left before its turn came
            return
        self._counts["accepted"] += 1
        if self.refuse:
            client.close()
            return
        client.setblocking(False)
        sockets = [client]
        task = supervise(self._relay(sockets), "fault proxy")
        self._open[task] = sockets
        # Not a `finally` of the task: one that is cancelled before it begins has none.
        task.add_done_callback(functools.partial(self._ended, sockets))

    def _end(self, how: Callable[[socket.socket], None]) -> int:
        count = len(self._open)
        while self._open:
            task, sockets = self._open.popitem()
            for sock in sockets:
                how(sock)
            self._ending.add(task)
            task.cancel()
        return count

    def _ended(self, sockets: list[socket.socket], task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        self._ending.discard(task)
        for sock in sockets:
            with contextlib.suppress(OSError):  # BlockingIOError: nothing more is there
                for _ in range(64):  # what nobody read would make it a reset; but a peer may write on and on
                    if not sock.recv(_READ):
                        break
            sock.close()

    async def _relay(self, sockets: list[socket.socket]) -> None:
        client = sockets[0]
        try:
            await self._wait(self._hole_ends)
            server = await self._dial(sockets)
            async with asyncio.TaskGroup() as group:
                for way in (_Way(client, server, "bytes_to_server"), _Way(server, client, "bytes_to_client")):
                    way.sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    group.create_task(self._read(way))
                    group.create_task(self._write(way))
        except* OSError:
            # An end is gone, and the other one hears of it, unless both were told something else just now.
            if asyncio.current_task() in self._open:
                for sock in sockets:
                    _send_rst(sock)

    async def _dial(self, sockets: list[socket.socket]) -> socket.socket:
        failure = OSError("the host has no address")
        for family, kind, protocol, _, address in self._addresses:
            sockets.append(server := socket.socket(family, kind, protocol))  # `_ended` closes them all
            server.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(server, address)
                return server
            except OSError as error:
                failure = error
        raise failure

    async def _read(self, way: _Way) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wait(self._hole_ends)
            try:
                data = await loop.sock_recv(way.source, _READ)
            except OSError as error:
                way.queue.put_nowait((loop.time(), error))  # it passes through the faults as bytes do
                return
            way.queue.put_nowait((loop.time(), data))
            if not data:
                return
            way.held += len(data) + _OVERHEAD
            while way.held >= _IN_FLIGHT:
                way.room.clear()
                await way.room.wait()

    async def _write(self, way: _Way) -> None:
        loop = asyncio.get_running_loop()
        while True:
            read_at, data = await way.queue.get()
            due = functools.partial(self._due, way, read_at)
            await self._wait(due)
            if isinstance(data, OSError):
                raise data
            if not data:
                way.sink.shutdown(socket.SHUT_WR)
                return
            rest = memoryview(data)
            while rest:
                await self._wait(due)
                size = self._allowed(way, len(rest))
                await loop.sock_sendall(way.sink, rest[:size])
                rest = rest[size:]
                way.written, way.written_at, way.paid_in = size, loop.time(), self._price(size)
                self._counts[way.counted] += size
                if self._left == 0:
                    self._left = None
                    self.cut()
                # A write that succeeds at once has not waited. In the first turn the loop sees that the peer
                # has something to read, in the second the peer reads it.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            way.held -= len(data) + _OVERHEAD
            way.room.set()

    def _allowed(self, way: _Way, size: int) -> int:
        """Return how many of so many bytes may be written now; `cut_after` has them counted."""
        if self._chunk is not None:
            size = min(size, self._chunk)
        if self._bandwidth is not None:
            size = min(size, max(1, int(self._bandwidth * _PACE)))
        if self._left is not None and way.counted == "bytes_to_client":
            size = min(size, self._left)
            self._left -= size
        return size

    def _hole_ends(self) -> float:
        return math.inf if self._hole else 0.0

    def _due(self, way: _Way, read_at: float) -> float:
        """Return when, by the loop's clock, the next bytes may be written."""
        # A change of the bandwidth may shorten the wait for what was written before it, but not lengthen it.
        paid_at = way.written_at + min(way.paid_in, self._price(way.written))
        return max(self._hole_ends(), read_at + self._latency, paid_at)

    def _price(self, size: int) -> float:
        return size / self._bandwidth if self._bandwidth is not None else 0.0

    async def _wait(self, due: Callable[[], float]) -> None:
        """Wait until a time, by the loop's clock, that is asked for again after each switch of a fault."""
        clock = asyncio.get_running_loop().time
        while (delay := due() - clock()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay if delay < math.inf else None):
                    await self._changed.wait()

    def _look_again(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _send_fin(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is not connected, or not any more
        sock.shutdown(socket.SHUT_WR)


def _send_rst(sock: socket.socket) -> None:
    """Make it a reset when the socket is closed, a moment later."""
    with contextlib.suppress(OSError):  # some systems say so when the other end was faster
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
