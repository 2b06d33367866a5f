"""Many WebSocket clients in one process, for the benchmarks, with a schedule of what each sends."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from websockets.frames import Opcode

from benchmarks._common import Feed, masked, upgraded

PATIENCE = 30.0  # seconds for what is still on its way

Take = Callable[[int, bytes, float], None]


class Sockets:
    """Sockets that are WebSockets, their frames, and a schedule of what each sends."""

    def __init__(self, url: str, path: str, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self.sockets = [upgraded(url, path) for _ in range(count)]
        for number_, made in enumerate(self.sockets):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(made, selectors.EVENT_READ, (number_, bytearray()))

    def close(self) -> None:
        for made in self.sockets:
            made.close()
        self._selector.close()

    def read(self, timeout: float, take: Take) -> None:
        """Wait for messages, and hand each over with its socket's number and the time."""
        for key, _ in self._selector.select(max(0.0, timeout)):
            assert isinstance(key.fileobj, socket.socket)
            number_, buffer = key.data
            piece = key.fileobj.recv(262_144)
            now = time.perf_counter()
            if not piece:
                raise SystemExit("the server closed a connection")
            buffer += piece
            at, size = 0, len(buffer)
            while size - at >= 2:
                start, length = at + 2, buffer[at + 1]
                if length == 126 and size - at >= 4:
                    start, length = at + 4, buffer[at + 2] << 8 | buffer[at + 3]
                elif length == 127 and size - at >= 10:
                    start, (length,) = at + 10, struct.unpack_from(">Q", buffer, at + 2)
                elif length >= 126:
                    break
                if size < start + length:
                    break
                opcode = buffer[at] & 15
                at = start + length
                if opcode == Opcode.PING:
                    key.fileobj.sendall(masked(Opcode.PONG, bytes(buffer[start:at])))
                elif opcode == Opcode.CLOSE:
                    raise SystemExit(f"the server closed a connection: {bytes(buffer[start + 2 : at])!r}")
                else:
                    take(number_, bytes(buffer[start:at]), now)
            del buffer[:at]

    def run(self, count: int, seconds: float, send: Callable[[int], None], take: Take) -> None:
        """Send so many messages, evenly over the seconds; read on meanwhile."""
        began = time.perf_counter()
        sent = 0
        while sent < count:
            due = began + sent * seconds / count - time.perf_counter()
            if due <= 0:
                send(sent)
                sent += 1
            self.read(due, take)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame of a client, of any size, masked with zeros."""
    size = len(payload)
    if size < 126:
        return masked(opcode, payload)
    return (
        struct.pack(">BBH" if size < 65_536 else ">BBQ", 0x80 | opcode, 254 if size < 65_536 else 255, size)
        + bytes(4)
        + payload
    )


def percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        f"p{each}_ms": round(ordered[min(len(ordered) - 1, len(ordered) * each // 100)] * 1e3, 2)
        for each in (50, 95, 99)
    }


class Load(NamedTuple):
    """So many messages in some seconds, and how long each delivery took that has come."""

    messages: int
    seconds: float
    deliveries: int
    send: Callable[[int], None]
    take: Take
    times: list[float]

    def run(self, feed: Feed, sockets: Sockets) -> dict[str, float]:
        """Run the schedule, wait for what is still on its way, and return the figures."""
        cpu, began = feed.ask()["cpu"], time.perf_counter()
        sockets.run(self.messages, self.seconds, self.send, self.take)
        percent = 100.0 * (feed.ask()["cpu"] - cpu) / (time.perf_counter() - began)
        in_time = len(self.times)
        until = time.perf_counter() + PATIENCE
        while len(self.times) < self.deliveries:
            if time.perf_counter() > until:
                raise SystemExit(f"{len(self.times)} of {self.deliveries} deliveries came")
            sockets.read(0.1, self.take)
        return percentiles(self.times) | {
            "cpu_percent": round(percent),
            "cpu_ms_each": round(1e3 * (feed.ask()["cpu"] - cpu) / self.messages, 2),
            "in_time_percent": round(100.0 * in_time / self.deliveries, 1),
        }
