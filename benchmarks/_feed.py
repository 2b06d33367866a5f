"""Servers in processes of their own, for the benchmarks: `python -m benchmarks._feed KIND NUMBER`.

A feed prints its address as one JSON line and ends when its standard input is closed. Further lines of the
input are answered with a JSON line of its own resident memory and of what its server counts; where one is a
number, so many rows are published first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
from pycrdt.websocket import WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks._common import encoded_rows
from rtwidgets.server import Fields, Hub, Server, Service
from rtwidgets.server.outbox import text_frame
from rtwidgets.services import choose

CHUNK = 1_000  # frames in one write, about 80 kB


async def plain(rows: int) -> None:
    """Serve any number of one-row text messages at ``/COUNT``, as fast as they are read.

    The frames are made beforehand: the feed is not what is measured.
    """
    frames = list(map(text_frame, encoded_rows(rows)))
    chunks = [b"".join(frames[at : at + CHUNK]) for at in range(0, rows, CHUNK)]

    async def send(connection: ServerConnection) -> None:
        assert connection.request is not None
        left = int(connection.request.path.strip("/"))
        try:
            while left > 0:
                for at, chunk in enumerate(chunks):
                    count = min(left, CHUNK)
                    connection.transport.write(
                        chunk if count == CHUNK else b"".join(frames[at * CHUNK : at * CHUNK + count])
                    )
                    await connection.drain()
                    left -= count
                    if left <= 0:
                        break
            await connection.wait_closed()
        except ConnectionClosed:
            pass

    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        await talk({"url": f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"})


class Rows(Service):
    """A channel that holds rows before anybody comes."""

    name = "rows"
    path = "/rows"
    fields = Fields(key="symbol", time="time")
    held = 0

    async def run(self) -> None:
        await publish(self.hub, self.held)


async def publish(hub: Hub, count: int) -> None:
    """Publish rows to the channel of `Rows`."""
    channel = await hub.channel(Rows.path[1:], Rows.fields)
    pieces = encoded_rows(count)
    for at in range(0, count, 10_000):
        await hub.engine.publish(channel.name, pieces[at : at + 10_000])
        await asyncio.sleep(0)


class Ticks(Service):
    """A channel with so many new rows a second, published a hundred times a second."""

    name = "ticks"
    path = "/ticks"
    fields = Fields(key="symbol")
    rate = 0

    async def run(self) -> None:
        channel = await self.channel({})
        began, made = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * self.rate) - made
            now = time.time() * 1000.0
            await channel.publish_many(
                {"symbol": "AAPL", "price": 150.12, "size": 10, "sent": now} for _ in range(due)
            )
            made += due
            await asyncio.sleep(0.01)


async def native(rows: int) -> None:
    """Serve `rtwidgets.v1` with a channel `rows` that holds so many."""
    Rows.held = rows
    engine = f"memory://?max_messages={rows}&max_bytes={2**40}&max_age=3600"
    async with Server([Rows], token="benchmark", engine=engine) as server:
        while server.statistics().messages < rows:  # noqa: ASYNC110 - they come at once
            await asyncio.sleep(0.01)
        await talk({"url": server.url}, server)


async def history(rows: int, engine: str, port: int, folder: str | None) -> None:
    """Serve `rtwidgets.v1` with a channel `rows` that keeps so many, in memory or in a file of the folder."""
    with tempfile.TemporaryDirectory() as temporary:
        place = "memory://" if engine == "memory" else f"sqlite:///{folder or temporary}/log.db"
        url = f"{place}?max_messages={rows}&max_age=3600"
        async with Server([Rows], token="benchmark", engine=url, port=port) as server:
            await talk({"url": server.url}, server)


async def ticks(rate: int) -> None:
    """Serve `rtwidgets.v1` with a channel `ticks` of so many rows a second."""
    Ticks.rate = rate
    async with Server([Ticks], token="benchmark") as server:
        await talk({"url": server.url}, server)


async def documents(folder: str | None) -> None:
    """Serve documents, in memory or in a file of the folder; the greeting says how long the start took."""
    engine = f"sqlite:///{folder}/documents.db" if folder else "memory://"
    began = time.perf_counter()
    async with Server(choose(["documents"]), token="benchmark", engine=engine) as server:
        started = time.perf_counter() - began
        await talk({"url": server.url, "started": started}, server)


async def systems(
    names: Sequence[str], port: int, folder: str | None, options: Mapping[str, Mapping[str, Any]]
) -> None:
    """Serve some of the built-in services, in memory or in a file of the folder."""
    engine = f"sqlite:///{folder}/{'-'.join(names)}.db" if folder else "memory://"
    async with Server(choose(names), token="benchmark", port=port, engine=engine, options=options) as server:
        await talk({"url": server.url}, server)


class PycrdtChannel:
    """A connection of `websockets` as pycrdt's servers take one."""

    def __init__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.path = connection.request.path
        self._connection = connection

    def __aiter__(self) -> PycrdtChannel:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def recv(self) -> bytes:
        return await self._connection.recv(decode=False)

    async def send(self, message: bytes) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(message)


async def pycrdt() -> None:
    """Serve documents with pycrdt-websocket's server, on `websockets`, in memory."""
    async with WebsocketServer() as server:

        async def talk_to(connection: ServerConnection) -> None:
            await server.serve(PycrdtChannel(connection))

        async with serve(talk_to, "127.0.0.1", 0, compression=None) as listener:
            await talk({"url": f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}"})


async def talk(greeting: dict[str, Any], server: Server | None = None) -> None:
    """Say where the feed is, answer until the input ends."""
    print(json.dumps(greeting), flush=True)
    process = psutil.Process()
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() and server is not None:
            await publish(server.hub, int(line))
        answer = {"rss": process.memory_info().rss, "cpu": sum(process.cpu_times()[:2])}
        if server is not None:
            answer |= server.statistics()._asdict()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    kinds = ["plain", "native", "ticks", "memory", "sqlite", "documents", "pycrdt", "systems"]
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("number", type=int)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder")
    parser.add_argument("--service", action="append", default=[])
    parser.add_argument("--options", type=json.loads, default={})
    given = parser.parse_args()
    if given.kind in {"memory", "sqlite"}:
        asyncio.run(history(given.number, given.kind, given.port, given.folder))
    elif given.kind == "documents":
        asyncio.run(documents(given.folder))
    elif given.kind == "systems":
        asyncio.run(systems(given.service, given.port, given.folder, given.options))
    elif given.kind == "pycrdt":
        asyncio.run(pycrdt())
    else:
        asyncio.run({"plain": plain, "native": native, "ticks": ticks}[given.kind](given.number))
