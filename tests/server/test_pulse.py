import asyncio
import socket
import threading
import time

import pytest

from rtwidgets.messages import SUBPROTOCOL, Ping, Pong, Publish, Published, Subscribe, encode
from rtwidgets.server import Server, listener, outbox, pulse
from rtwidgets.server.hub import Channel
from rtwidgets.services import service
from tests.server.test_outbox import masked
from tests.talking import Proxy, dial, dial_v1, eventually, upgrade

pytestmark = pytest.mark.usefixtures("tidy")

V1 = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Sweeps every few milliseconds."""
    monkeypatch.setattr(pulse, "SWEEP_EVERY", 0.05)


async def test_a_program_that_is_stuck_behind_a_live_library_is_closed():
    """It takes what comes, and sends and answers the pings of WebSocket, but not ours: that is no life."""
    async with Server([notes]) as server, dial_v1(server, ping_interval=0.01) as client:
        await client.subscribe("notes")
        await eventually(lambda: server.statistics().dropped == 1)
        await asyncio.wait_for(client.connection.wait_closed(), 20)
        assert client.connection.close_code == 1011
        assert client.connection.close_reason == "a ping was not answered with a pong"
        assert await client.hear() == Ping()
        await eventually(lambda: server.statistics().connections == 0)


@pytest.mark.parametrize(
    "answer", [Pong(), Publish(1, "notes", b"1"), b'{"type":"unsubscribe","channel":"x"}']
)
async def test_whatever_a_client_says_is_a_sign_of_life(answer):
    """Nothing but an answer to each ping, of any kind, keeps a connection for as long as it comes."""
    async with Server([notes]) as server, dial_v1(server) as client:
        for _ in range(2 * pulse.GIVE_UP_AFTER // pulse.ASK_AFTER + 1):
            await client.hear(Ping)
            await client.say(answer)
        assert server.statistics().dropped == 0


async def test_each_byte_is_a_sign_of_life():
    """While a long message trickles in, the connection stays."""
    async with Server([notes]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade(f"/?token={server.token}", V1))
        await reader.readuntil(b"\r\n\r\n")
        [connection] = server._server.connections
        message = masked(encode(Publish(1, "notes", b'"%b"' % (b"x" * 100))))
        for n in range(3):
            await eventually(lambda: connection.silent >= pulse.ASK_AFTER)
            writer.write(message[n : n + 1])
            await eventually(lambda: connection.silent < pulse.ASK_AFTER)
        writer.write(message[3:])
        while b"published" not in await reader.read(1_000):
            pass
        assert server.statistics().dropped == 0
        writer.transport.abort()


@pytest.mark.parametrize("dialect", ["plain", "v1"])
async def test_a_half_open_link_is_noticed(monkeypatch, dialect):
    """In either dialect, when nothing comes through any more."""
    monkeypatch.setattr(listener, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(listener, "PING_TIMEOUT", 0.05)
    options = {"subprotocols": [SUBPROTOCOL]} if dialect == "v1" else {}
    async with Server([notes]) as server, Proxy(server.port) as proxy:
        proxy.token = server.token
        async with dial(proxy, "/notes", ping_interval=None, **options):
            assert server.statistics().connections == 1
            proxy.silent = True
            await eventually(lambda: server.statistics().connections == 0)


async def test_a_server_that_was_held_up_blames_nobody():
    """Time in which the server itself stood still is not held against a client that was asked."""
    async with Server([notes]) as server, dial_v1(server) as client:
        await client.hear(Ping)
        time.sleep(5 * pulse.GIVE_UP_AFTER * pulse.SWEEP_EVERY)  # noqa: ASYNC251 - this is what is tested
        await client.say(Pong())
        await client.hear(Ping)
        assert server.statistics().dropped == 0


async def test_a_client_that_the_server_does_not_listen_to_is_not_blamed(monkeypatch):
    """What it says waits in its socket for an earlier message; a silent one is closed meanwhile."""
    gate = asyncio.Event()
    publish = Channel.publish

    async def slow(self, data, **options):
        await gate.wait()
        return await publish(self, data, **options)

    monkeypatch.setattr(Channel, "publish", slow)
    async with Server([notes]) as server, dial_v1(server) as client:
        for n in range(50):
            await client.say(Publish(n, "notes", b"1"))
        async with dial_v1(server) as silent:
            await asyncio.wait_for(silent.connection.wait_closed(), 20)
        gate.set()
        assert [(await client.hear(Published)).offset for _ in range(50)] == list(range(1, 51))
        assert server.statistics().dropped == 1


@pytest.mark.parametrize(("stall_timeout", "pace", "times"), [(2.0, 1.5, 1), (1_000.0, 0.4, 5)])
async def test_a_slow_reader_is_not_closed_in_the_middle_of_a_backlog(
    monkeypatch, stall_timeout, pace, times
):
    """It takes what it is sent, if little at a time: the ping that it does not answer may be behind that.

    Between two moments in which there is room for more are `pace` times as long as silence may last, or else
    there are many of them and nobody looks in between.
    """
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", stall_timeout)
    monkeypatch.setattr(pulse, "SWEEP_EVERY", 0.2)
    async with Server([notes]) as server:
        channel = await server.hub.channel("notes")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sock.connect, ("127.0.0.1", server.port))
        sock.sendall(upgrade(f"/?token={server.token}", V1) + masked(encode(Subscribe(1, "notes"))))
        await eventually(lambda: channel.followers)
        [connection] = server._server.connections
        theirs = connection.transport.get_extra_info("socket")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        resumed, drained = [], connection.drained
        monkeypatch.setattr(connection, "drained", lambda: (resumed.append(1), drained()))
        await channel.publish_many("x" * 1_000 for _ in range(3_000))
        await eventually(lambda: connection.paused)
        rate = (outbox.WRITE_HIGH * 3 // 4) / (pace * pulse.GIVE_UP_AFTER * pulse.SWEEP_EVERY)
        done = threading.Event()

        def read():
            began, taken = time.monotonic(), 0
            while not done.wait(0.01):
                while taken < rate * (time.monotonic() - began) and (data := sock.recv(4_096)):
                    taken += len(data)

        reading = loop.run_in_executor(None, read)
        await eventually(lambda: len(resumed) == times or server.statistics().dropped)
        done.set()
        await reading
        assert server.statistics().dropped == 0
        sock.close()
        await eventually(lambda: server.statistics().connections == 0)


async def test_one_timer_looks_after_all_connections(monkeypatch):
    """A connection has the one task of its conversation, and no timer."""
    monkeypatch.setattr(pulse, "SWEEP_EVERY", 1_000)

    def timers():
        return sum(not handle.cancelled() for handle in asyncio.get_running_loop()._scheduled)

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade(f"/?token={server.token}", V1))
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)

    async with Server([notes]) as server:
        writers = []
        await connect()
        tasks, scheduled = len(asyncio.all_tasks()), timers()
        for _ in range(10):
            await connect()
        grown = len(asyncio.all_tasks()) - tasks, timers() - scheduled
        for writer in writers:
            writer.transport.abort()
        assert server.statistics().connections == 11
        assert grown == (10, 0)
