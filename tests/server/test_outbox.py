import asyncio
import json
import socket

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from rtwidgets.messages import Cursor, Gap, Messages, Subscribe, Subscribed, encode
from rtwidgets.server import Server, Service, outbox, session
from rtwidgets.services import Chat, service
from tests.talking import dial, dial_v1, eventually, upgrade

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def patient(monkeypatch):
    """However slow the machine, a reader that is slow is not taken for a stalled one."""
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 1_000)


@service("/ticks")
async def ticks(channel):
    """Filled by the tests."""


@service("/other")
async def other(channel):
    """Filled by the tests."""


class Kept(Service):
    """Has a compacted channel; filled by the tests."""

    name, path, compacted = "kept", "/kept", True


async def stalled(server, path, *headers):
    """Open a WebSocket that never reads, with as small a window as there is."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    await asyncio.get_running_loop().sock_sendall(sock, upgrade(f"{path}?token={server.token}", *headers))
    await eventually(lambda: server.statistics().connections == 1)
    [connection] = server._server.connections
    return sock, connection


def masked(payload):
    """Return a client's text frame."""
    return Frame(Opcode.TEXT, payload).serialize(mask=True)


async def publish_until(channel, over, most=400_000):
    """Publish 10 000 ticks a second or more until something happened; return their number."""
    published = 0
    while not over():
        published = await channel.publish_many({"n": published + n, "text": "x" * 40} for n in range(100))
        await asyncio.sleep(0)
        if published % 10_000 == 0:
            await asyncio.sleep(0.02)
        if published > most:
            await asyncio.sleep(0.1)
    return published


async def test_a_socket_that_never_reads_is_dropped_and_the_others_get_everything(monkeypatch):
    """It holds at most 1 MiB meanwhile; everybody else sees each message once, in order."""
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 0.4)
    async with Server([ticks]) as server:
        channel = await server.hub.channel("ticks")
        channel.log.max_messages = 1_000_000
        sock, connection = await stalled(server, "/ticks")
        largest = 0
        write = connection.transport.write

        def watched(data):
            nonlocal largest
            write(data)
            largest = max(largest, connection.transport.get_write_buffer_size())

        connection.transport.write = watched

        async def read():
            async with dial_v1(server) as client:
                await client.subscribe("ticks", Cursor("", 0))
                rows, last = 0, None
                while last is None or rows < last:
                    run = await client.hear(Messages)
                    assert run.offset == rows + 1
                    rows += run.count
                    last = total or None
                return rows

        total = 0
        readers = [asyncio.ensure_future(read()) for _ in range(3)]
        published = await publish_until(channel, lambda: server.statistics().dropped)
        assert 100_000 < largest <= 2**20
        total = await channel.publish({"n": "last"})
        assert await asyncio.gather(*readers) == [total] * 3
        assert total == published + 1
        assert server.statistics().dropped == 1
        await eventually(lambda: server.statistics().connections == 0)
        assert not channel.followers
        sock.close()


async def test_a_peer_that_asks_and_never_reads_is_dropped():
    """Answers are not held back, so their number is bounded: at 1 MiB the peer is cut off at once."""
    async with Server([Chat]) as server:
        sock, connection = await stalled(server, "/", "Sec-WebSocket-Protocol: rtwidgets.v1")
        flood = masked(encode(Subscribe(1, "no such " * 1_000))) * 10
        sizes = []
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError):
            while True:
                await asyncio.wait_for(loop.sock_sendall(sock, flood), 20)
                sizes.append(connection.transport.get_write_buffer_size())
        assert server.statistics().dropped == 1
        assert max(sizes) <= 2**20 + 11_000
        sock.close()


async def test_events_to_a_peer_that_never_reads_are_bounded(monkeypatch):
    """Nor can a busy room fill the memory."""
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 1_000)
    async with Server([Chat]) as server:
        sock, connection = await stalled(server, "/chat/a")
        channel = await server.hub.channel("chat/a")
        await eventually(lambda: channel.followers)
        largest = 0
        for n in range(2_000):
            channel.join(object(), f"{n}" + "x" * 10_000)
            largest = max(largest, connection.transport.get_write_buffer_size())
            if server.statistics().dropped:
                break
        assert largest <= 2**20 + 11_000
        assert server.statistics().dropped == 1
        for n in range(20):  # nothing is written to what was cut off, so nothing is logged about it either
            channel.join(object(), f"late {n}")
        assert connection.transport.get_write_buffer_size() == 0
        sock.close()


async def test_a_slow_reader_that_falls_behind_is_told_each_gap(patient):
    """It ends on the last message; what it read and what it was told is missing make up all there was."""
    async with Server([ticks]) as server, dial_v1(server, max_queue=1) as client:
        channel = await server.hub.channel("ticks")
        channel.log.max_messages = 200
        await client.subscribe("ticks", Cursor("", 0))
        total = 0
        # Nothing is read meanwhile: buffers fill, then the log runs away.
        while not any(
            place.after < channel.log.first - 500
            for box in channel.followers
            for place in box.places.values()
        ):
            total = await channel.publish_many({"n": n, "text": "x" * 1_000} for n in range(100))
            await asyncio.sleep(0)
        at, gaps = 0, []
        while at < total:
            message = await client.hear()
            if isinstance(message, Gap):
                assert (message.first, message.epoch) == (at + 1, channel.log.epoch)
                at = message.last
                gaps.append(message)
            else:
                assert message.offset == at + 1
                at += message.count
        assert at == total
        assert gaps
        total = await channel.publish("on")
        assert await client.rows(1) == [(total, "on")]
        assert server.statistics().dropped == 0


async def test_a_plain_reader_that_falls_behind_is_closed(patient):
    """There is no word for a gap: it is closed with 1013, and gets nothing from after the gap."""
    async with Server([ticks]) as server, dial(server, "/ticks", max_queue=1) as client:
        channel = await server.hub.channel("ticks")
        await eventually(lambda: channel.followers)
        channel.log.max_messages = 200
        published = 0
        [box] = channel.followers
        # Once the server has found that it is too late there is no place any more.
        while all(place.after >= channel.log.first - 500 for place in box.places.values()) and box.places:
            await channel.publish_many({"n": published + n, "text": "x" * 1_000} for n in range(100))
            published += 100
            await asyncio.sleep(0)
        seen = []
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                seen.append(json.loads(await client.recv())["n"])
        assert seen == list(range(len(seen)))
        assert len(seen) < published
        assert caught.value.rcvd.code == 1013
        assert f"messages {len(seen) + 1} to" in caught.value.rcvd.reason


async def test_a_plain_reader_behind_a_compaction_goes_on(patient):
    """It is sent the one message in place of those that it has not read, then what came after, and stays."""
    async with Server([Kept]) as server:
        channel = await server.hub.channel("kept", compacted=Kept.compacted)
        async with dial(server, "/kept", max_queue=1) as client:
            await eventually(lambda: channel.followers)
            [box] = channel.followers
            while not box.connection.paused:
                await channel.publish({"n": channel.log.last + 1, "text": "x" * 1_000})
                await asyncio.sleep(0)
            await channel.publish_many({"n": channel.log.last + n} for n in range(1, 101))
            upto = channel.log.last - 50
            sent = box.places["kept"].after
            assert sent < upto
            await channel.compact(upto, b'{"n":"all"}')
            await channel.publish({"n": "end"})
            seen = [json.loads(await client.recv())["n"]]
            while seen[-1] != "end":
                seen.append(json.loads(await client.recv())["n"])
            at = seen.index("all")
            assert sent <= at < upto
            assert seen == [*range(1, at + 1), "all", *range(upto + 1, upto + 51), "end"]
            await client.ping()
            await channel.publish({"n": "more"})
            assert json.loads(await client.recv()) == {"n": "more"}


async def test_a_reader_of_the_dialect_behind_a_compaction_is_told_a_gap(patient):
    """It lacks the rows one by one, and may not know what the one message stands for."""
    async with Server([Kept]) as server, dial_v1(server, max_queue=1) as client:
        channel = await server.hub.channel("kept", compacted=Kept.compacted)
        await client.subscribe("kept")
        [box] = channel.followers
        while not box.connection.paused:
            await channel.publish_many(["x" * 10_000] * 10)
            await asyncio.sleep(0)
        await channel.publish_many(["y"] * 100)
        upto = channel.log.last
        await channel.compact(upto, b'"all"')
        at = 0
        while not isinstance(message := await client.hear(), Gap):
            assert message.offset == at + 1
            at += message.count
        assert (message.first, message.last) == (at + 1, upto - 1)
        assert await client.rows(1) == [(upto, "all")]


async def test_channels_of_one_connection_take_turns(patient):
    """One that always has more does not keep the others from a slow reader."""
    async with Server([ticks, other]) as server, dial_v1(server, max_queue=1) as client:
        loud, quiet = await server.hub.channel("ticks"), await server.hub.channel("other")
        loud.log.max_messages = 10**6
        await client.subscribe("ticks")
        await client.subscribe("other")
        [box] = loud.followers
        await quiet.publish("first")
        while not box.connection.paused:
            await loud.publish_many("x" * 1_000 for _ in range(100))
            await asyncio.sleep(0)
        await loud.publish_many("x" * 1_000 for _ in range(5_000))
        last = loud.log.last
        await quiet.publish("heard")
        heard = []
        while len(heard) < 2:
            run = await client.hear(Messages)
            if run.channel == "other":
                heard += msgspec.json.decode(run.data)
            else:
                assert run.offset + run.count - 1 < last
        assert heard == ["first", "heard"]
        at = run.offset
        while at < last:
            run = await client.hear(Messages)
            if run.channel == "ticks":
                at = run.offset + run.count - 1


async def test_followers_at_one_place_share_the_bytes(monkeypatch):
    """What a hundred clients are sent is encoded once."""
    calls = []
    encode_run = session.encode_run
    monkeypatch.setattr(session, "encode_run", lambda *args: calls.append(1) or encode_run(*args))
    async with Server([ticks]) as server:
        channel = await server.hub.channel("ticks")

        async def follow():
            async with dial_v1(server) as client:
                await client.subscribe("ticks")
                ready.append(client)
                return await client.rows(10)

        ready = []
        clients = [asyncio.ensure_future(follow()) for _ in range(20)]
        await eventually(lambda: len(ready) == 20)
        await channel.publish_many(range(10))
        await asyncio.gather(*clients)
    assert len(calls) == 1


async def test_a_subscription_while_messages_come_misses_none():
    """Between the answer and the first run there is no hole."""
    async with Server([ticks]) as server, dial_v1(server) as client:
        channel = await server.hub.channel("ticks")

        async def write():
            while True:
                await channel.publish(0)
                await asyncio.sleep(0)

        writing = asyncio.ensure_future(write())
        for n in range(50):
            await client.say(Subscribe(n, "ticks"))
            answer = await client.hear(Subscribed)
            run = await client.hear(Messages)
            assert run.offset == answer.offset + 1
        writing.cancel()
        await asyncio.wait([writing])
