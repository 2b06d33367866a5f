"""What an idle connection costs a server, and how clients come back when a server does.

Memory: so many sockets upgrade, subscribe, answer pings and say no more. A server's resident memory, in a
process of its own, after they have been there for a while, less what it was before, by their number. Each
server has had a few connections before that, so that what all share is there.

`websockets`
    A server of `websockets` alone, without compression.
`plain`, `v1`
    Ours: clients of the plain dialect, and of `rtwidgets.v1`, that follow a channel.

Return: so many of our clients, in one process, follow a channel in a file; the server ends and another one
starts on its port. Rows are published before that and after it: each client has to have each of them once.

`restart`
    The server says good-bye, connection by connection, as on SIGTERM.
`crash`
    The server is killed.

`busiest_100ms_percent` is the share of the clients whose attempt that succeeded began in the same tenth of a
second, the worst one; `attempts_10s` the most attempts that one client made in ten seconds; `down_s` how long
there was no server after the first one had ended, and `back_s` how long after that until the last client had
the last row.
"""

from __future__ import annotations

import asyncio
import json
import resource
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.frames import Opcode

from benchmarks._common import Feed, arguments, masked, table, upgraded
from rtwidgets.client import Multiplex, Subscription, link
from rtwidgets.messages import (
    SUBPROTOCOL,
    Joined,
    Latest,
    Left,
    Messages,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    encode,
)

IDLE = 2_000
CLIENTS = 500
ROWS = 100  # published before, and after
WARM_UP = 20  # connections

_PING, _PONG = encode(Ping()), encode(Pong())


# Memory


class Crowd:
    """Sockets that are WebSockets, and a thread that answers their pings."""

    def __init__(
        self, url: str, path: str, count: int, *, subprotocol: str = "", greeting: bytes = b""
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self.closed = 0
        for _ in range(count):
            made = upgraded(url, path, subprotocol=subprotocol)
            if greeting:
                made.sendall(greeting)
            self._selector.register(made, selectors.EVENT_READ, bytearray())
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _answer(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    data = key.fileobj.recv(65_536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    self.closed += 1
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()
                    continue
                key.data.extend(data)
                for opcode, payload in frames(key.data):
                    if opcode == Opcode.PING:
                        key.fileobj.sendall(masked(Opcode.PONG, payload))
                    elif payload == _PING:  # of our dialect
                        key.fileobj.sendall(masked(Opcode.TEXT, _PONG))


def frames(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take whole small frames off the data."""
    while len(data) >= 2:
        assert data[1] < 126 or data[1] == 126
        start = 2 if data[1] < 126 else 4
        end = start + (data[1] if start == 2 else int.from_bytes(data[2:4]))
        if len(data) < end:
            return
        frame, opcode = bytes(data[start:end]), data[0] & 15
        del data[:end]
        yield opcode, frame


def idle(kind: str, count: int, seconds: float) -> float:
    """Return the bytes that a connection takes of a server's memory."""
    v1 = kind == "v1"
    path = {"websockets": "/0", "plain": "/ticks", "v1": "/"}[kind]
    wanted = {"subprotocol": SUBPROTOCOL, "greeting": masked(Opcode.TEXT, encode(Subscribe(1, "ticks")))}
    options: dict[str, Any] = wanted if v1 else {}
    with Feed("plain" if kind == "websockets" else "ticks", 1 if kind == "websockets" else 0) as feed:
        with Crowd(feed.url, path, WARM_UP, **options):
            time.sleep(0.2)
        time.sleep(0.2)
        before = feed.ask()["rss"]
        with Crowd(feed.url, path, count, **options) as crowd:
            time.sleep(seconds)
            taken = float(feed.ask()["rss"] - before)
            if crowd.closed:
                raise SystemExit(f"the server closed {crowd.closed} idle connections of {kind}")
            return taken / count


# Return


class Reader:
    """Notes which messages came, and when the first one after a break."""

    def __init__(self) -> None:
        self.subscription = Subscription("rows", history=False)
        self.offsets: list[int] = []

    def opened(self, answer: Subscribed) -> None:
        pass

    def read(self, run: Messages, known: int) -> None:
        self.offsets += range(run.offset + known, run.offset + run.count)

    def read_latest(self, latest: Latest) -> None:
        pass

    def event(self, event: Joined | Left) -> None:
        pass


class Attempts:
    """Notes when links attempt to connect, a list of times for each."""

    def __init__(self) -> None:
        self._times: dict[asyncio.Task[Any] | None, list[float]] = {}

    def __call__(self, *args: Any, **options: Any) -> connect:
        """Connect as `websockets` does."""
        task = asyncio.current_task()  # each link has one of its own
        self._times.setdefault(task, []).append(time.perf_counter())
        return connect(*args, **options)

    def since(self, began: float) -> list[list[float]]:
        """Return those since a time."""
        return [[at for at in times if at > began] for times in self._times.values()]


async def until(readers: Iterable[Reader], last: int) -> None:
    while any(not reader.offsets or reader.offsets[-1] < last for reader in readers):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(folder: str, *options: str) -> AsyncIterator[Feed]:
    """Run a server on a file in the folder; the loop of the clients goes on while it starts and ends."""
    feed = await asyncio.to_thread(Feed, "sqlite", 10_000, "--folder", folder, *options)
    try:
        yield await asyncio.to_thread(feed.__enter__)
    finally:
        await asyncio.to_thread(feed.end)


async def come_back(count: int, *, kill: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, patch.object(link, "connect", Attempts()) as attempts:
        readers = [Reader() for _ in range(count)]
        async with serving(folder) as feed:
            clients = [Multiplex(feed.url, "benchmark") for _ in readers]
            for client, reader in zip(clients, readers, strict=True):
                await client.subscribe(reader)
            await asyncio.to_thread(feed.ask, ROWS)
            await until(readers, ROWS)
            ends = time.perf_counter()
            await asyncio.to_thread(feed.kill if kill else feed.end)
        down = time.perf_counter()
        async with serving(folder, "--port", str(urlsplit(feed.url).port)) as feed:
            up = time.perf_counter()
            await asyncio.to_thread(feed.ask, ROWS)
            await until(readers, 2 * ROWS)
            back = time.perf_counter()
            for client in clients:
                await client.close()
    assert all(reader.offsets == list(range(1, 2 * ROWS + 1)) for reader in readers)
    assert not any(reader.subscription.gaps for reader in readers)
    tries = attempts.since(ends)
    busiest = most([times[-1] for times in tries], 0.1)
    return {
        "busiest_100ms_percent": round(100.0 * busiest / count, 1),
        "attempts_10s": max(most(times, 10.0) for times in tries),
        "down_s": round(up - down, 2),
        "back_s": round(back - up, 2),
    }


def most(times: Iterable[float], window: float) -> int:
    """Return how many times lie within one window, at the most."""
    ordered = sorted(times)
    return max(sum(at <= each < at + window for each in ordered) for at in ordered)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--idle", type=int, default=IDLE, help="connections that do nothing")
    parser.add_argument("--seconds", type=float, default=20.0, help="that they are there, with pings")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="that come back")
    given = parser.parse_args()
    room_for(max(given.idle, given.clients) + 200)
    memory = {
        kind: round(idle(kind, given.idle, given.seconds) / 1024, 1) for kind in ("websockets", "plain", "v1")
    }
    back = {
        "restart": asyncio.run(come_back(given.clients, kill=False)),
        "crash": asyncio.run(come_back(given.clients, kill=True)),
    }
    if given.json:
        print(json.dumps({"idle_kib": memory} | back))
        return
    print(f"KiB of a server's memory for each of {given.idle:,} idle connections")
    print(table(("", "KiB"), [(kind, f"{size:.1f}") for kind, size in memory.items()]))
    print(f"{given.clients} clients come back")
    head = ("", *next(iter(back.values())))
    print(table(head, [(name, *map(str, each.values())) for name, each in back.items()]))


def room_for(files: int) -> None:
    """Let this process, and those that it starts, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        except ValueError:
            raise SystemExit(f"{files} files may not be open at once here: pass smaller numbers") from None


if __name__ == "__main__":
    main()
