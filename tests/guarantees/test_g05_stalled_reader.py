"""G5: a stalled reader holds at most 1 MiB and is dropped; the others receive everything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import pytest

from rtwidgets.messages import SUBPROTOCOL, Cursor, Messages, Subscribe, encode
from rtwidgets.server import Server, outbox
from rtwidgets.services import service
from tests.server.test_outbox import masked
from tests.talking import dial_v1, eventually, upgrade

LIMIT = 2**20

READER = """
import sys
from websockets.sync.client import connect
url, said = sys.argv[1:]
with connect(url, subprotocols=["rtwidgets.v1"], compression=None, proxy=None, max_size=None) as client:
    client.send(said)
    for message in client:
        print(len(message), flush=True)
"""


@service("/ticks")
async def ticks(channel):
    """Filled by the tests."""


@contextlib.asynccontextmanager
async def socket_that_never_reads(server):
    """Follow the ticks on a socket whose receive buffer is as small as there is."""
    head = upgrade(f"/?token={server.token}", f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        await loop.sock_sendall(sock, head + masked(encode(Subscribe(1, "ticks"))))
        yield


@contextlib.asynccontextmanager
async def process_that_is_stopped(server):
    """Follow the ticks in a process, and stop it once it has read something."""
    arguments = [f"{server.url}/?token={server.token}", encode(Subscribe(1, "ticks")).decode()]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READER, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        await process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.kill()
        await process.communicate()


async def read(server, ready, last):
    """Follow the ticks from the first to the last one, once that is known, and return how many came."""
    async with dial_v1(server) as client:
        await client.subscribe("ticks", Cursor("", 0))
        ready.release()
        rows = 0
        while not last.done() or rows < last.result():
            run = await client.hear(Messages)
            assert run.offset == rows + 1
            rows += run.count
        return rows


def test_the_time_is_the_one_that_was_promised():
    """A buffer that is full and stays as it is for so long is a stalled reader's."""
    assert outbox.STALL_TIMEOUT <= 2.0
    assert outbox.WRITE_HIGH < outbox.WRITE_MAX <= LIMIT


@pytest.mark.parametrize(
    "stalled",
    [
        socket_that_never_reads,
        pytest.param(process_that_is_stopped, marks=pytest.mark.skipif(os.name == "nt", reason="signals")),
    ],
)
async def test_a_stalled_reader_is_dropped_and_the_others_get_everything(stalled):
    """It holds at most 1 MiB of the server's memory meanwhile; the others see each message once, in order."""
    async with Server([ticks]) as server:
        channel = await server.hub.channel("ticks")
        channel.log.max_messages = 1_000_000
        ready, last = asyncio.Semaphore(0), asyncio.get_running_loop().create_future()
        readers = [asyncio.create_task(read(server, ready, last)) for _ in range(3)]
        for _ in readers:
            await ready.acquire()
        others = set(server._server.connections)
        async with stalled(server):
            await eventually(lambda: len(channel.followers) == 4)
            [connection] = set(server._server.connections) - others
            largest = 0
            async with asyncio.timeout(60):
                while not server.statistics().dropped:
                    await channel.publish_many({"n": n, "text": "x" * 500} for n in range(20))
                    largest = max(largest, connection.transport.get_write_buffer_size())
                    await asyncio.sleep(0.002)
            assert outbox.WRITE_HIGH < largest <= LIMIT
            await eventually(
                lambda: set(server._server.connections) == others and len(channel.followers) == 3
            )
        last.set_result(await channel.publish("after it was dropped"))
        assert await asyncio.wait_for(asyncio.gather(*readers), 60) == [last.result()] * 3
        assert server.statistics().dropped == 1
