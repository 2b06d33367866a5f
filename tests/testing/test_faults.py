"""Each fault, at real sockets; what users see of it, through a real WebSocket client and server."""

import asyncio
import contextlib
import socket
import struct
from typing import NamedTuple

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError

from rtwidgets.errors import UsageError
from rtwidgets.testing import FaultProxy, FaultStatistics
from rtwidgets.testing import faults as faults_
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

BOUND = 30  # seconds, for what comes at once unless a test fails


class End(NamedTuple):
    """One end of a TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def take(self, size):
        return await asyncio.wait_for(self.reader.readexactly(size), BOUND)

    async def rest(self):
        return await asyncio.wait_for(self.reader.read(), BOUND)


class Listening:
    """A TCP server whose ends of the connections are handed to the test."""

    async def __aenter__(self):
        self._ends = []
        self._new = asyncio.Queue()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        for end in self._ends:
            end.writer.transport.abort()

    def _take(self, reader, writer):
        self._ends.append(End(reader, writer))
        self._new.put_nowait(self._ends[-1])

    async def dial(self, proxy):
        """Connect to the proxy and return the client's end."""
        self._ends.append(End(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return self._ends[-1]

    async def accepted(self):
        """Return the server's end of the next connection."""
        return await asyncio.wait_for(self._new.get(), BOUND)

    async def both(self, proxy):
        """Connect and return both ends: the client's, the server's."""
        return await self.dial(proxy), await self.accepted()


@contextlib.asynccontextmanager
async def line(**faults):
    """A proxy and both ends of a connection through it: the client's, the server's."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port, **faults) as proxy:
        yield proxy, *await listening.both(proxy)


@contextlib.asynccontextmanager
async def echoing(**faults):
    """A proxy to a WebSocket server that sends everything back."""

    async def echo(connection):
        with contextlib.suppress(ConnectionClosedError):
            async for message in connection:
                await connection.send(message)

    async with (
        serve(echo, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server,
        FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1], **faults) as proxy,
    ):
        yield proxy


def dial(proxy):
    return connect(proxy.url, compression=None, max_size=None, ping_interval=None, proxy=None)


def now():
    return asyncio.get_running_loop().time()


async def nothing(coroutine, seconds=0.1):
    """Nothing comes; that it would have come a moment later cannot be excluded, only made unlikely."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(coroutine, seconds)


@pytest.fixture
def ways(monkeypatch):
    """What the proxy holds: two ways of each connection, the one to the server first."""
    made = []

    class Noted(faults_._Way):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(faults_, "_Way", Noted)
    return made


# Without a fault


async def test_without_a_fault_nothing_is_changed():
    """WebSocket messages of every size come back as they were sent."""
    async with echoing() as proxy:
        async with dial(proxy) as connection:
            for message in ["", "text", b"\x00" * 70_000, bytes(range(256)) * 20_000]:
                await connection.send(message)
                assert await asyncio.wait_for(connection.recv(), BOUND) == message
            assert proxy.connections == 1
        await eventually(lambda: proxy.connections == 0)
    assert repr(proxy).startswith("FaultProxy('127.0.0.1', ")


async def test_an_end_is_handed_on():
    """Each way ends by itself, after its last byte, and the connection with the second one."""
    async with line() as (proxy, client, server):
        await client.send(b"question")
        client.writer.write_eof()
        assert await server.rest() == b"question"
        await server.send(b"answer")
        assert await client.take(6) == b"answer"
        assert proxy.connections == 1
        server.writer.close()
        assert await client.rest() == b""
        await eventually(lambda: proxy.connections == 0)


async def test_a_reset_is_handed_on():
    """What one end resets is reset at the other."""
    async with line() as (proxy, client, server):
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        with pytest.raises(ConnectionResetError):
            await server.rest()
        await eventually(lambda: proxy.connections == 0)
        assert proxy.statistics() == FaultStatistics(1, 0, 0, 0, 0)


async def test_a_server_that_is_not_there():
    """The client is accepted and then reset."""
    async with Listening() as listening:
        port = listening.port
    async with FaultProxy("127.0.0.1", port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), BOUND)
        writer.transport.abort()
        assert proxy.connections == 0


async def test_a_host_is_a_name_too():
    """Its addresses are tried in turn; a name that nobody knows is an error at once."""
    async with Listening() as listening, FaultProxy("localhost", listening.port) as proxy:
        client, server = await listening.both(proxy)
        await client.send(b"hello")
        assert await server.take(5) == b"hello"
    with pytest.raises(OSError):
        await FaultProxy("no-such-host.invalid", 80).__aenter__()


async def test_statistics():
    """They count connections, the bytes of each way, and how connections were ended."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        client, server = await listening.both(proxy)
        await listening.both(proxy)
        assert proxy.connections == 2
        await client.send(b"123")
        await server.take(3)
        await server.send(b"12345")
        await client.take(5)
        proxy.reset()
        assert proxy.connections == 0
        await listening.both(proxy)
        proxy.cut()
        proxy.cut()
        assert proxy.statistics() == (3, 5, 3, 2, 1)
    assert proxy.statistics()._asdict() == {
        "accepted": 3,
        "bytes_to_client": 5,
        "bytes_to_server": 3,
        "resets": 2,
        "cuts": 1,
    }


# Latency and bandwidth


async def test_latency_is_added_each_way():
    """Both the way there and the way back take at least so long, in open connections as in new ones."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        ends = [await listening.both(proxy)]
        proxy.latency = 0.06
        ends.append(await listening.both(proxy))
        for client, server in ends:
            for sender, receiver in ((client, server), (server, client)):
                start = now()
                await sender.send(b"ping")
                assert await receiver.take(4) == b"ping"
                assert now() - start >= 0.06


async def test_latency_is_no_queue():
    """What is sent in a row arrives in a row, as late as its first byte, and in order when it changes."""
    async with line(latency=0.1) as (proxy, client, server):
        start = now()
        for n in range(600):
            await client.send(struct.pack("!I", n))
            await asyncio.sleep(0)
            if n == 300:
                proxy.latency = 0.05
        data = await server.take(2400)
        assert [n for (n,) in struct.iter_unpack("!I", data)] == list(range(600))
        assert now() - start < 0.05 * 600 / 2


async def test_bandwidth_is_a_limit():
    """No way passes more than so many bytes per second."""
    async with line(bandwidth=100_000) as (proxy, client, server):
        for sender, receiver in ((client, server), (server, client)):
            start = now()
            await sender.send(b"x" * 20_000)
            await receiver.take(20_000)
            assert now() - start >= 0.17  # the first 20 ms are free
        assert proxy.statistics()[1:3] == (20_000, 20_000)


@pytest.mark.parametrize(("fault", "passed"), [("latency", 0), ("bandwidth", 1)])
async def test_a_fault_is_lifted_from_what_is_under_way(fault, passed):
    """What would have waited for hours goes on when the attribute is set, or by `heal`."""
    bad, good = {"latency": (3600.0, 0.0), "bandwidth": (0.001, None)}[fault]
    async with line() as (proxy, client, server):
        setattr(proxy, fault, bad)
        await client.send(b"first")
        assert await server.take(passed) == b"first"[:passed]
        await nothing(server.reader.read(1))
        setattr(proxy, fault, good)
        assert await server.take(5 - passed) == b"first"[passed:]
        setattr(proxy, fault, bad)
        await client.send(b"second")
        assert await server.take(passed) == b"second"[:passed]
        proxy.heal()
        assert await server.take(6 - passed) == b"second"[passed:]
        assert (proxy.latency, proxy.bandwidth) == (0.0, None)


@pytest.mark.parametrize("faults", [{"bandwidth": 1}, {"latency": 3600}, {}])
async def test_a_sender_is_held_back(faults):
    """The proxy reads no more than it can pass on, and all of it arrives in the end."""
    block, count = b"0123456789abcdef" * 4096, 512
    async with line(**faults) as (proxy, client, server):
        if not faults:  # the receiver itself is what is slow
            client.writer.transport.pause_reading()
        sent = 0

        async def push():
            nonlocal sent
            while sent < count:
                await server.send(block)
                sent += 1

        pushing = asyncio.create_task(push())
        await nothing(asyncio.shield(pushing), 0.3)
        assert sent * len(block) < 16 << 20  # 1 MiB is held here, the rest are buffers of the system
        proxy.heal()
        if not faults:
            client.writer.transport.resume_reading()
        assert await client.take(count * len(block)) == block * count
        await pushing


async def test_many_small_pieces_are_held_in_bounds(ways, monkeypatch):
    """What each piece costs is counted, so that a million of one byte do not fill the memory."""
    monkeypatch.setattr(faults_, "_IN_FLIGHT", 100 * (faults_._OVERHEAD + 1))
    async with line(latency=3600) as (proxy, client, server):
        await eventually(lambda: ways)
        there = ways[0]
        for _ in range(1000):  # each is read alone, as long as something is read
            client.writer.write(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert 10 < there.queue.qsize() <= 100
        proxy.heal()
        assert await server.take(1000) == b"x" * 1000


async def test_a_lower_bandwidth_is_no_debt():
    """What was written before the limit is not counted against it."""
    async with line() as (proxy, client, server):
        await client.send(b"x" * 100_000)
        await server.take(100_000)
        proxy.bandwidth = 100
        await client.send(b"after")
        assert await server.take(5) == b"after"


# A half-open link


async def test_a_black_hole_and_its_end():
    """No ping is answered and no message comes; afterwards all of them do, and none is lost."""
    async with echoing() as proxy, dial(proxy) as connection:
        await connection.send("before")
        assert await asyncio.wait_for(connection.recv(), BOUND) == "before"
        proxy.black_hole()
        before = proxy.statistics()
        pong = await connection.ping()
        for n in range(100):
            await connection.send(f"{n}" * 1000)
        await nothing(connection.recv())
        assert not pong.done()
        assert (proxy.statistics(), proxy.connections) == (before, 1)
        proxy.heal()
        await asyncio.wait_for(pong, BOUND)
        for n in range(100):
            assert await asyncio.wait_for(connection.recv(), BOUND) == f"{n}" * 1000


async def test_a_black_hole_reads_no_more(ways):
    """What is sent waits at its sender, but for the one read that was under way."""
    async with line() as (proxy, client, server):
        await eventually(lambda: ways)
        await client.send(b"before")
        assert await server.take(6) == b"before"
        proxy.black_hole()
        for _ in range(100):
            client.writer.write(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert ways[0].queue.qsize() <= 1
        proxy.heal()
        assert await server.take(100) == b"x" * 100


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_nobody_hears_of_an_end_in_a_black_hole(how):
    """Neither of an end nor of a reset, until the hole is over."""
    async with line() as (proxy, client, server):
        proxy.black_hole()
        if how == "reset":
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await nothing(server.reader.read())
        assert proxy.connections == 1
        proxy.heal()
        if how == "reset":
            with pytest.raises(ConnectionResetError):
                await server.rest()
        else:
            assert await server.rest() == b""


async def test_a_new_connection_in_a_black_hole():
    """It is accepted and no more; the server hears of it when the hole is over."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        proxy.black_hole()
        client = await listening.dial(proxy)
        await client.send(b"hello?")
        await eventually(lambda: proxy.connections == 1)
        await nothing(listening._new.get())
        proxy.heal()
        server = await listening.accepted()
        assert await server.take(6) == b"hello?"


# Ends


async def test_reset_resets_both_ends():
    """Open connections are reset, in a black hole too, and new ones are not."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        ends = [*await listening.both(proxy), *await listening.both(proxy)]
        proxy.black_hole()
        proxy.reset()
        for end in ends:
            with pytest.raises(ConnectionResetError):
                await end.rest()
        proxy.heal()
        client, server = await listening.both(proxy)
        await client.send(b"hello")
        assert await server.take(5) == b"hello"


async def test_cut_ends_both_ends():
    """Open connections end as if both peers had closed them."""
    async with line() as (proxy, client, server):
        proxy.cut()
        assert await client.rest() == b""
        assert await server.rest() == b""
        assert proxy.statistics().cuts == 1


@pytest.mark.parametrize("busy", ["bytes that nobody has read", "bytes that are being written"])
async def test_cut_is_no_reset(busy):
    """Whatever goes on, a client that looks later finds what came before, and an end."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port, chunk=1) as proxy:
        if busy == "bytes that nobody has read":
            proxy.black_hole()
        with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
            sock.sendall(b"x" * 1000)
            await eventually(lambda: proxy.connections == 1)
            if busy == "bytes that are being written":
                server = await listening.accepted()
                await server.send(b"y" * 10_000)
                await eventually(lambda: proxy.statistics().bytes_to_client > 10)
            proxy.cut()
            passed = proxy.statistics().bytes_to_client
            await eventually(lambda: not proxy._ending)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            sock.settimeout(BOUND)
            received = b"".join(iter(lambda: sock.recv(65536), b""))
            assert received == b"y" * passed


async def test_a_connection_may_be_cut_before_it_began():
    """One that was accepted in this very moment ends like every other."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
            sock.setblocking(False)
            proxy._accept()
            assert proxy.connections == 1
            proxy.cut()
            received = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), BOUND)
            assert received == b""


@pytest.mark.parametrize("count", [0, 1, 999, 70_000])
async def test_cut_after_so_many_bytes(count):
    """The client gets exactly these, and an end; the server too is cut off; a new connection is not."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        client, server = await listening.both(proxy)
        await server.send(b"before")
        assert await client.take(6) == b"before"
        proxy.cut_after(count)
        with contextlib.suppress(OSError):
            await server.send(b"x" * 100_000)
        assert await client.rest() == b"x" * count
        with contextlib.suppress(OSError):
            assert await server.rest() == b""
        assert (proxy.statistics().cuts, proxy.statistics().bytes_to_client) == (1, 6 + count)
        client, server = await listening.both(proxy)
        await server.send(b"y" * 100_000)
        assert await client.take(100_000) == b"y" * 100_000


async def test_cut_after_counts_all_connections():
    """Together they pass so many bytes, and then all of them are cut."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        pairs = [await listening.both(proxy) for _ in range(3)]
        proxy.cut_after(10)
        for _, server in pairs:
            with contextlib.suppress(OSError):
                await server.send(b"123456")
        assert sum([len(await client.rest()) for client, _ in pairs]) == 10
        assert proxy.statistics().cuts == 3


async def test_a_frame_can_be_cut_in_the_middle():
    """A WebSocket client loses its connection within a message, without a closing handshake."""
    async with echoing() as proxy, dial(proxy) as connection:
        proxy.cut_after(5_000)
        await connection.send(b"x" * 10_000)
        with pytest.raises(ConnectionClosedError) as raised:
            await asyncio.wait_for(connection.recv(), BOUND)
        assert raised.value.rcvd is None
        assert connection.close_code == 1006
        async with dial(proxy) as again:
            await again.send(b"x" * 10_000)
            assert len(await asyncio.wait_for(again.recv(), BOUND)) == 10_000


async def test_heal_lifts_the_cut_that_has_not_come():
    """More bytes than those left then pass."""
    async with line() as (proxy, client, server):
        proxy.cut_after(10)
        await server.send(b"123456789")
        assert await client.take(9) == b"123456789"
        proxy.heal()
        await server.send(b"123456789")
        assert await client.take(9) == b"123456789"


async def test_refuse_ends_new_connections():
    """They end at once, open ones go on, and afterwards new ones are served."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        client, server = await listening.both(proxy)
        proxy.refuse = True
        for _ in range(3):
            assert await (await listening.dial(proxy)).rest() == b""
        await client.send(b"hello")
        assert await server.take(5) == b"hello"
        assert (proxy.connections, proxy.statistics().accepted) == (1, 4)
        proxy.heal()
        client, server = await listening.both(proxy)
        await client.send(b"hello")
        assert await server.take(5) == b"hello"


# Pieces


class Pieces(asyncio.Protocol):
    def __init__(self):
        self.sizes = []

    def data_received(self, data):
        self.sizes.append(len(data))


@pytest.mark.parametrize("chunk", [1, 7])
async def test_chunk_makes_pieces(chunk):
    """A reader on the same loop gets each piece alone, but for those that the system puts together."""
    async with Listening() as listening, FaultProxy("127.0.0.1", listening.port) as proxy:
        proxy.chunk = chunk
        loop = asyncio.get_running_loop()
        transport, pieces = await loop.create_connection(Pieces, "127.0.0.1", proxy.port)
        await (await listening.accepted()).send(b"x" * 700)
        await eventually(lambda: sum(pieces.sizes) == 700)
        assert pieces.sizes.count(chunk) > 700 // chunk // 2
        transport.abort()


async def test_frames_in_chunks_of_one_byte():
    """A WebSocket client and server understand each other all the same, handshake and closing too."""
    async with echoing(chunk=1) as proxy, dial(proxy) as connection:
        for message in ("text", b"x" * 3000):
            await connection.send(message)
            assert await asyncio.wait_for(connection.recv(), BOUND) == message


# The block


@pytest.mark.parametrize("fault", [None, "latency", "black_hole"])
async def test_leaving_the_block_closes_everything(fault):
    """Both ends of what is open end, nothing listens any more, and no socket is left."""
    async with Listening() as listening:
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        before = psutil.Process().num_fds()
        async with FaultProxy("127.0.0.1", listening.port) as proxy:
            ends = [*await listening.both(proxy), *await listening.both(proxy)]
            if fault == "latency":
                proxy.latency = 3600
            if fault == "black_hole":
                proxy.black_hole()
                ends.append(await listening.dial(proxy))
            await ends[0].send(b"x" * 100_000)
        assert proxy.connections == 0
        assert not proxy._ending
        for end in ends:
            with contextlib.suppress(OSError):
                await end.rest()
            end.writer.transport.abort()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await eventually(lambda: psutil.Process().num_fds() == before)


@pytest.mark.parametrize(
    ("fault", "value"),
    [("latency", -1), ("latency", float("inf")), ("latency", float("nan")), ("bandwidth", 0), ("chunk", 0)],
)
async def test_a_fault_that_makes_no_sense(fault, value):
    """The sentence names it, when it is made and when it is set."""
    with pytest.raises(UsageError, match=f"{fault}={value}"):
        FaultProxy("127.0.0.1", 80, **{fault: value})
    proxy = FaultProxy("127.0.0.1", 80)
    with pytest.raises(UsageError, match=f"{fault}={value}"):
        setattr(proxy, fault, value)
    with pytest.raises(UsageError, match=r"cut_after\(-1\)"):
        proxy.cut_after(-1)
