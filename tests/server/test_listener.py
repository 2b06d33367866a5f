import asyncio
import contextlib
import json
import logging
import socket

import pytest
from blockbuster import blockbuster_ctx
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtwidgets.errors import PortInUse, Refused, ServeError, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.messages import MAX_MESSAGE, Auth, Cursor, Ping, Pong, encode
from rtwidgets.server import Server, Service, listener, session
from rtwidgets.services import BUILT_IN, Chat, Echo, Prices, RawEcho
from tests.talking import dial, dial_v1, eventually, raw, upgrade

pytestmark = pytest.mark.usefixtures("tidy")
ALL = list(BUILT_IN.values())


class Failing(Service):
    name, path = "failing", "/failing"

    async def run(self):
        raise RuntimeError("the sensor is gone")

    async def talk(self, peer):
        async for _ in peer:
            raise RuntimeError("cannot talk")


# Where it listens


async def test_a_port_in_use_says_so():
    """And the first server goes on."""
    async with Server([Echo]) as server:
        with pytest.raises(PortInUse, match=f"port {server.port} on 127.0.0.1 is in use"):
            await Server([Echo], port=server.port).start()
        async with dial(server, "/echo") as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("127.0.0.1", 70_000, "70000 is not a port: use 1 to 65535"),
        ("127.0.0.1", -1, "-1 is not a port"),
        ("203.0.113.7", 0, "cannot listen on 203.0.113.7 port 0"),
        ("no-such-host.invalid", 0, "cannot listen on no-such-host.invalid"),
    ],
)
async def test_where_it_cannot_listen(host, port, sentence):
    """The sentence names the host or port."""
    with pytest.raises(ServeError, match=sentence):
        await Server([Echo], host=host, port=port).start()


def test_an_open_server_is_on_loopback_only():
    """Anything else is refused before it listens."""
    for host in ("0.0.0.0", "", "::", "10.0.0.1"):
        with pytest.raises(ServeError, match="an open server answers this machine only"):
            Server([Echo], host=host, open=True)


async def test_what_a_server_cannot_be_made_of():
    """An empty token, and options of what is not offered."""
    with pytest.raises(UsageError, match="empty token"):
        Server([Echo], token="")
    with pytest.raises(UsageError, match="options for prices, but the services are: chat, echo"):
        Server([Echo, Chat], options={"prices": {}})
    with pytest.raises(UsageError, match="no engine"):
        await Server([Echo], engine="redis://").start()


async def test_ipv6_urls_have_brackets():
    """So that they can be used."""
    try:
        server = Server([Echo], host="::1")
        await server.start()
    except ServeError:
        pytest.skip("no IPv6 here")
    async with dial(server, "/echo") as client:
        await client.send("a")
        assert await client.recv() == "Echo: a"
    assert server.url == f"ws://[::1]:{server.port}"
    await server.stop()


async def test_tokens_are_random():
    """Each server has its own, long enough."""
    tokens = {Server([Echo]).token for _ in range(10)}
    assert len(tokens) == 10
    assert all(len(token) >= 32 for token in tokens)


# Who is let in


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/echo?token=right", [], 101, ""),
        ("/echo", ["Authorization: Bearer right"], 101, ""),
        ("/echo?token=wrong", [], 401, "The token is not the one of this server"),
        ("/echo", ["Authorization: Bearer wrong"], 401, "The token"),
        ("/echo", ["Authorization: Bearer \xff"], 401, "The token"),
        ("/echo", ["Authorization: Bearer"], 401, "The token"),
        ("/echo?token=right", ["Origin: http://localhost:8888"], 101, ""),
        ("/echo?token=right", ["Origin: null"], 101, ""),
        ("/echo?token=right", ["Origin: https://hub.example.org"], 101, ""),
        ("/echo?token=right", ["Origin: https://evil.example"], 403, "origins=["),
        ("/echo?token=right", ["Origin: http://["], 403, "origins=["),
        ("/echo?token=right", ["Origin: http://localhost", "Origin: https://evil.example"], 403, "origins=["),
        (
            "/nope?token=right",
            [],
            404,
            "Nothing is served at /nope; there is: /echo, /ws, /prices, /chat/{room}",
        ),
        ("/?token=right", [], 404, "Nothing is served at /;"),
        ("/?token=right", ["Sec-WebSocket-Protocol: other, rtwidgets.v1"], 101, ""),
        ("/nope?token=right", ["Sec-WebSocket-Protocol: rtwidgets.v1"], 404, "Nothing"),
        ("//[/echo?token=right", [], 404, "Nothing is served at //[/echo"),
        ("/chat/a%20b?token=right", [], 400, "'chat/a b' is not a channel name"),
        ("/chat/a%2Fb?token=right", [], 404, "Nothing"),
        ("/chat/lobby?token=right", [], 101, ""),
    ],
)
async def test_handshakes(path, headers, status, body):
    """Each is answered with its status and a sentence that helps; none is a fault of the server."""
    async with Server(ALL, token="right", origins=["https://hub.example.org"]) as server:
        got = await raw(server, upgrade(path, *headers))
        assert got[0] == status
        assert body in got[1]
        assert "right" not in got[1]


@pytest.mark.parametrize("extra", ["", "Upgrade: h2c\r\n", "Upgrade: a\r\nUpgrade: b\r\n"])
async def test_what_is_no_websocket_is_told(extra):
    """A browser's address line gets a sentence, with the paths."""
    async with Server(ALL) as server:
        status, body = await raw(server, f"GET / HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
        assert (status, body) == (
            426,
            "WebSockets only, at: /echo, /ws, /prices, /chat/{room}, /chat/{room}/typing, /accounts, "
            "/documents/{name}, /documents/{name}/awareness, /yjs/{name}, /orders, /inventory, "
            "/auctions/{lot}, /scores/{match}, /games/{name}\n",
        )


@pytest.mark.parametrize("path", ["/echo", "/prices"])
async def test_a_token_in_the_first_message(path):
    """The right one lets a client in that gave none in the handshake."""
    async with Server(ALL) as server, dial(server, path, token=None) as client:
        await client.send(encode(Auth(server.token)).decode())
        await client.send("x")
        assert await client.recv()


async def test_a_token_in_the_first_message_of_the_dialect():
    """Then it goes on as usual; saying it again is harmless."""
    async with Server(ALL) as server, dial_v1(server, token=None) as client:
        await client.say(Auth(server.token))
        await client.say(Auth(server.token))
        await client.say(Ping())
        assert await client.hear() == Pong()


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"auth","token":"wrong"}',
        '{"type":"auth"}',
        '{"type":"ping"}',
        "hello",
        b"\xff\x00",
        b'{"type":"auth","token":"\xff"}',
        "[" * 100_000,
    ],
)
async def test_a_wrong_first_message(first):
    """It is told what was missing, and the connection is closed with 1008."""
    async with Server(ALL) as server, dial(server, "/echo", token=None) as client:
        await client.send(first)
        answer = json.loads(await client.recv())
        assert (answer["type"], answer["code"]) == ("error", "unauthorized")
        assert "token" in answer["message"]
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd.code == 1008
        assert caught.value.rcvd.reason == answer["message"]


async def test_no_token_in_time(monkeypatch):
    """Who says nothing is closed."""
    monkeypatch.setattr(session, "AUTH_TIMEOUT", 0.05)
    async with Server(ALL) as server, dial(server, "/prices", token=None) as client:
        assert "no token came in 0.05 s" in await client.recv()
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_an_open_server_asks_for_no_token():
    """And answers at / as well when it has one service with a plain path; not the page of somebody else."""
    async with Server([Echo], open=True) as server:
        assert server.token is None
        for path in ("/", "/echo"):
            async with dial(server, path, token=None) as client:
                await client.send("a")
                assert await client.recv() == "Echo: a"
        assert (await raw(server, upgrade("/", "Origin: https://evil.example")))[0] == 403
    async with Server([Chat], open=True) as server:
        assert (await raw(server, upgrade("/")))[0] == 404
    async with Server([Echo, Chat], open=True) as server:
        assert (await raw(server, upgrade("/")))[0] == 404


async def test_tokens_are_not_in_logs(caplog):
    """Not in those of rtwidgets, at the levels above debug."""
    with caplog.at_level(logging.INFO):
        async with Server(ALL, token="s3cr3t-token") as server:
            await raw(server, upgrade("/echo?token=s3cr3t-token"))
            await raw(server, upgrade("/nope?token=s3cr3t-token"))
            await raw(server, upgrade("/echo?token=s3cr3t-tokem"))
            async with dial(server, "/echo") as client:
                await client.send("a")
    assert "s3cr3t" not in caplog.text
    assert "s3cr3t" not in repr(server)


# Hostile peers


async def test_peers_that_go_half_way_leave_nothing():
    """Garbage, half a handshake and nothing at all; then the server is as before."""
    async with Server(ALL) as server:
        for request in (
            b"",
            b"GET /pri",
            b"\x16\x03\x01",
            upgrade("/prices")[:-2],
            b"POST / HTTP/1.1\r\n\r\n",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            await writer.drain()
            writer.transport.abort()
        await eventually(lambda: not server._server.handler_tasks)
        assert server.statistics().connections == 0


async def test_stop_waits_for_no_silent_peer():
    """One that has said nothing, one half-way in its handshake and one that never reads do not hold it up."""
    server = Server(ALL)
    await server.start()
    streams = []
    for request in (b"", upgrade("/prices")[:-2], upgrade(f"/echo?token={server.token}")):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        streams.append(writer)
    await eventually(lambda: server.statistics().connections == 1)
    async with asyncio.timeout(listener.CLOSE_TIMEOUT * 4):
        await server.stop()
    assert server.statistics().connections == 0
    for writer in streams:
        writer.transport.abort()


async def test_stop_says_good_bye():
    """Open connections are closed with 1012, services are cancelled, the port is free; twice is harmless."""
    server = Server(ALL, seed=1)
    await server.start()
    async with dial_v1(server) as one, dial(server, "/prices") as two:
        await one.subscribe("prices")
        await two.recv()
        await server.stop()
        await server.stop()
        for connection in (one.connection, two):
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    await connection.recv()
            assert caught.value.rcvd.code == 1012
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", server.port))


async def test_a_server_that_was_never_started_can_be_stopped():
    """Nothing happens."""
    await Server(ALL).stop()


async def test_a_service_that_will_not_end_is_reported(monkeypatch):
    """It does not hold up the others."""
    monkeypatch.setattr(listener, "CLOSE_TIMEOUT", 0.05)
    give_up = asyncio.Event()

    class Stubborn(Service):
        name, path = "stubborn", "/stubborn"

        async def run(self):
            while not give_up.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await give_up.wait()

    async with Server([Stubborn]):
        await asyncio.sleep(0)
    assert "does not end" in str(take_errors()[0][1])
    give_up.set()
    await asyncio.sleep(0)


async def test_a_frame_that_is_too_large():
    """It is closed with 1009; one of the largest size is taken."""
    async with Server(ALL) as server, dial(server, "/ws") as client:
        await client.send("x" * MAX_MESSAGE)
        assert len(await client.recv()) == MAX_MESSAGE
        await client.send("x" * (MAX_MESSAGE + 10_000))
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.sent.code == 1009 or caught.value.rcvd.code == 1009


@pytest.mark.parametrize("path", ["/prices", "/chat/lobby", "/echo", "/ws"])
async def test_an_abrupt_end_is_no_error(path):
    """A peer that is cut off in the middle is nobody's fault."""
    async with Server(ALL) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(upgrade(f"{path}?token={server.token}"))
        await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: server.statistics().connections == 1)
        writer.transport.abort()
        await eventually(lambda: server.statistics().connections == 0)


# Services


async def test_a_failing_service_leaves_the_others_running():
    """Its failure is reported once, under its path."""
    async with Server([Failing, Echo, Prices]) as server:
        async with dial(server, "/echo") as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"
        channel = next(channel for channel in server.hub.channels if channel.name == "prices")
        await eventually(lambda: channel.log.last)
    [(where, error)] = take_errors()
    assert where == "service /failing"
    assert str(error) == "the sensor is gone"


async def test_a_failing_conversation_is_reported():
    """Its client is closed with 1011; the server goes on."""
    async with Server([Failing, Echo]) as server:
        async with dial(server, "/failing") as client:
            await client.send("x")
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
            assert caught.value.rcvd.code == 1011
        async with dial(server, "/echo") as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"
    assert [where for where, _ in take_errors()] == ["service /failing", "a client of /failing"]


async def test_a_refusal_of_a_conversation_is_told():
    """A service that refuses a plain client has its reason sent, and nothing is reported."""

    class Closed(Service):
        name, path = "closed", "/closed"

        async def talk(self, peer):
            raise Refused("full", "the room is full")

    async with Server([Closed]) as server, dial(server, "/closed") as client:
        assert json.loads(await client.recv()) == {"type": "error", "message": "the room is full"}
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1013, "full")


async def test_a_service_can_be_replaced_while_others_are_added():
    """The one before is stopped; whatever the order, one runs at a time."""
    running = []

    def make(number):
        class Numbered(Service):
            name, path = "numbered", "/numbered"

            async def run(self):
                running.append(number)
                try:
                    await asyncio.sleep(1000)
                finally:
                    running.remove(number)

        return Numbered

    async with Server([Echo]) as server:
        await server.add(make(1))
        await eventually(lambda: running == [1])
        await asyncio.gather(*(server.add(make(number)) for number in range(2, 6)))
        await eventually(lambda: running)
        await asyncio.sleep(0)
        assert len(running) == 1
        assert server.paths == ["/echo", "/numbered"]
    assert running == []


async def test_statistics():
    """Counts of connections, channels and messages."""
    async with Server([Chat]) as server:
        assert set(server.statistics()) == {0}
        async with dial(server, "/chat/lobby?user=ada") as client:
            await client.send('{"text":"hi"}')
            while '"text":"hi"' not in await client.recv():
                pass
            assert server.statistics()[:5] == (1, 1, 1, 0, 1)


async def test_nothing_blocks_the_loop():
    """No service does blocking I/O in async code."""
    with blockbuster_ctx(scanned_modules=["rtwidgets"]):
        async with Server(ALL, seed=1) as server, dial_v1(server) as one, dial(server, "/chat/a") as two:
            await one.subscribe("prices")
            await one.rows(2)
            await two.send('{"text":"hi"}')
            await two.recv()


async def test_a_client_that_asks_for_another_subprotocol_is_plain():
    """None is chosen; the connection stands."""
    async with Server([RawEcho]) as server, dial(server, "/ws", subprotocols=["chat", "superchat"]) as client:
        assert client.subprotocol is None
        await client.send("a")
        assert await client.recv() == "a"


async def test_a_stopping_server_parts_with_its_clients_one_after_the_other(monkeypatch):
    """Not in one moment, so that they do not come back in one; none is kept longer than all may take."""
    monkeypatch.setattr(listener, "DRAIN_EACH", 0.02)
    loop, ends = asyncio.get_running_loop(), []

    async def watch(client):
        await client.wait_closed()
        ends.append(loop.time())

    server = Server([Echo])
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(dial(server, "/echo")) for _ in range(20)]
        watching = asyncio.gather(*map(watch, clients))
        await server.stop()
        await watching
    assert max(ends) - min(ends) >= 19 * 0.02 * 0.9


async def test_a_stopping_server_turns_newcomers_away():
    """They are refused, not left waiting."""
    server = Server([Echo])
    await server.start()
    await server.stop()
    with pytest.raises((OSError, InvalidStatus)):
        async with dial(server, "/echo"):
            pass


# What outlasts it


async def test_a_durable_channel_goes_on_after_a_restart(tmp_path):
    """A client that comes back with its cursor gets the rest, of the same epoch; prices begin anew."""
    engine = f"sqlite:///{tmp_path}/log.db"
    async with Server([Chat, Prices], engine=engine) as server, dial(server, "/chat/a?user=ada") as client:
        for text in ("one", "two"):
            await client.send(json.dumps({"text": text}))
        channel = await server.hub.channel("chat/a")
        await eventually(lambda: channel.log.last == 2)
        epochs = {name: (await server.hub.channel(name)).log.epoch for name in ("chat/a", "prices")}
    async with Server([Chat, Prices], engine=engine) as server, dial_v1(server) as client:
        answer = await client.subscribe("chat/a", Cursor(epochs["chat/a"], 1))
        assert (answer.recovered, answer.epoch) == (True, epochs["chat/a"])
        [(offset, said)] = await client.rows(1)
        assert (offset, said["text"]) == (2, "two")
        assert (await client.subscribe("prices")).epoch != epochs["prices"]


async def test_prices_are_durable_if_asked(tmp_path):
    """Their log then goes on like any other."""
    engine, options = f"sqlite:///{tmp_path}/log.db", {"prices": {"durable": True, "rate": 1_000}}
    async with Server([Prices], engine=engine, options=options) as server:
        log = (await server.hub.channel("prices")).log
        await eventually(lambda: log.last > 10)
        epoch = log.epoch
    async with Server([Prices], engine=engine, options=options) as server:
        log = (await server.hub.channel("prices")).log
        assert (log.epoch, log.last > 10) == (epoch, True)


async def test_a_file_in_use_is_no_place_for_a_second_server(tmp_path):
    """It says so, and a server that could not listen has let go of the file."""
    engine = f"sqlite:///{tmp_path}/log.db"
    async with Server([Chat], engine=engine) as server:
        with pytest.raises(ServeError, match="in use by another server"):
            await Server([Chat], engine=engine).start()
        with pytest.raises(PortInUse):
            await Server([Chat], engine=f"sqlite:///{tmp_path}/other.db", port=server.port).start()
        async with Server([Chat], engine=f"sqlite:///{tmp_path}/other.db"):
            pass
