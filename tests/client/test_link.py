import asyncio
import contextlib
import random
import socket
import time

import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Foreign, Intake, Link, State
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.errors import Closed, ConnectError, Forbidden, NotFound, Unauthorized, Unreachable
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import take_errors
from tests.talking import Proxy, eventually

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Waits of a few milliseconds."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.005, 0.02, 0.0))


async def idle(connection):
    await connection.messages()


async def ended(link):
    return await asyncio.wait_for(asyncio.shield(link.ended), 20)


@contextlib.asynccontextmanager
async def tcp(answer):
    """A server that says something on each connection and closes it."""
    tasks = set()

    async def talk(reader, writer):
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            if answer is not None:
                await reader.read(4096)
                writer.write(answer)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        tasks.discard(asyncio.current_task())

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks)


def status(line, body):
    return f"HTTP/1.1 {line}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (
            status("401 Unauthorized", "no token"),
            Unauthorized,
            "the server answered 401: no token. Put the token into the URL",
        ),
        (status("403 Forbidden", "not you"), Forbidden, "answered 403: not you"),
        (status("404 Not Found", "only /a"), NotFound, "answered 404: only /a"),
        (status("503 Service Unavailable", ""), Unreachable, "answered 503"),
        (status("200 OK", "<html>"), Unreachable, "answered 200: <html>"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", NotFound, "does not speak WebSocket"),
        (b"\x00\xff\x00", (NotFound, Unreachable), "speak WebSocket"),
        (b"", Unreachable, "closed the connection without an answer"),
        (None, Unreachable, "closed the connection without an answer"),
    ],
)
async def test_first_connections_that_fail(answer, kind, sentence):
    """The link ends with an error that says what is there instead."""
    async with tcp(answer) as url:
        link = Link(url + "/a?token=s3cret", idle)
        error = await ended(link)
        assert isinstance(error, kind)
        assert sentence in str(error)
        assert str(error).startswith(f"cannot connect to {url}/a: ")
        assert "s3cret" not in str(error) + repr(error) + link.shown + link.reason
        assert link.state is State.CLOSED
        await link.close()


@pytest.mark.parametrize(
    ("url", "kind", "sentence"),
    [
        ("http://127.0.0.1", ConnectError, "not a WebSocket URL"),
        ("ws://", ConnectError, "not a WebSocket URL"),
        ("ws://[", ConnectError, "not a WebSocket URL"),
        ("ws://127.0.0.1:99999", ConnectError, "not a WebSocket URL"),
        ("ws://127.0.0.1/#part", ConnectError, "not a WebSocket URL"),
        ("ws://no-such-host.invalid", Unreachable, "cannot connect to ws://no-such-host.invalid"),
        (
            "ws://user:s3cret@no-such-host.invalid/x",
            Unreachable,
            "cannot connect to ws://no-such-host.invalid/x",
        ),
    ],
)
async def test_urls_that_lead_nowhere(url, kind, sentence):
    """Each ends the link with a sentence, and none is taken for a fault of ours."""
    link = Link(url + ("" if "#" in url else "?token=s3cret"), idle)
    error = await ended(link)
    assert isinstance(error, kind)
    assert sentence in str(error)
    shown = error
    while shown is not None:
        assert "s3cret" not in str(shown) + repr(shown)
        shown = shown.__cause__
    await link.close()


async def test_nobody_listens():
    """The sentence asks whether the server runs."""
    link = Link(f"ws://127.0.0.1:{free_port()}", idle)
    error = await ended(link)
    assert isinstance(error, Unreachable)
    assert "Is the server running" in str(error)
    await link.close()


async def test_no_answer_in_time(monkeypatch):
    """A peer that accepts and says nothing is given up."""
    monkeypatch.setattr(link_, "OPEN_TIMEOUT", 0.05)
    async with Proxy(0) as proxy:

        async def silent(reader, writer):
            with contextlib.suppress(OSError):
                await reader.read()
            writer.transport.abort()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        proxy.target = server.sockets[0].getsockname()[1]
        link = Link(proxy.url, idle)
        error = await ended(link)
        assert isinstance(error, Unreachable)
        assert "no answer in 0.05 s" in str(error)
        await link.close()
        server.close()


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def test_a_server_that_accepts_and_closes(monkeypatch):
    """It is tried again and again, at the pace that the backoff gives, never faster."""
    waits = []

    class Noted(Backoff):
        def lost(self, now):
            waits.append(super().lost(now))
            return 0.001

    monkeypatch.setattr(link_, "Backoff", lambda: Noted(draw=random.Random(1)))

    async def close(connection):
        await connection.close(1001, "not today")

    async with serve(close, "127.0.0.1", 0) as server:
        link = Link(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", idle)
        await eventually(lambda: link.connects >= 10)
        assert "not today" in link.reason
        await link.close()
    assert sum(waits[:10]) >= 10.0


@pytest.mark.parametrize("how", ["cut", "refuse", "accept and close"])
async def test_a_server_that_comes_back_later(how):
    """However it was away, the link opens again; its state and reason say what goes on."""
    async with serve(echo, "127.0.0.1", 0) as server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        link = Link(proxy.url, idle)
        await eventually(lambda: link.state is State.OPEN)
        if how == "refuse":
            proxy._server.close()
        proxy.accepting = how == "cut"
        proxy.cut()
        if how == "cut":
            await eventually(lambda: link.connects == 2)
        else:
            await eventually(lambda: "nothing listens" in link.reason or "without an answer" in link.reason)
            assert link.state in {State.WAITING, State.CONNECTING}
            if how == "refuse":
                proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", proxy.port)
            proxy.accepting = True
            await eventually(lambda: link.connects == 2)
        assert link.state is State.OPEN
        await link.close()
        assert (link.state, link.reason, await ended(link)) == (State.CLOSED, "stopped", None)


async def test_it_remembers_what_it_went_through():
    """Each change of its state is kept, with its time and why, and no more than the newest of them."""
    async with serve(echo, "127.0.0.1", 0) as server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        before = time.time_ns()
        link = Link(proxy.url, idle)
        await eventually(lambda: link.state is State.OPEN)
        proxy.cut()
        await eventually(lambda: link.connects == 2)
        await link.close()
        states = [(change.state.value, change.reason) for change in link.changes]
        assert states == [
            ("connecting", ""),
            ("open", ""),
            ("waiting", "the connection broke off"),
            ("connecting", ""),
            ("open", ""),
            ("closed", "stopped"),
        ]
        times = [before, *(change.time for change in link.changes), time.time_ns()]
        assert times == sorted(times)
        assert link.changes.maxlen == link_.CHANGES_KEPT


async def test_what_it_waits_for(monkeypatch):
    """The number of the attempt and the time until it; a link that does not wait has no such time."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(1_000.0, 1_000.0))
    async with serve(echo, "127.0.0.1", 0) as server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        link = Link(proxy.url, idle)
        await eventually(lambda: link.state is State.OPEN)
        assert (link.attempt, link.due) == (0, 0.0)
        proxy.cut()
        await eventually(lambda: link.state is State.WAITING)
        assert link.attempt == 1
        assert 900.0 < link.due <= 1_000.0
        await link.close()
        assert link.due == 0.0


async def test_the_round_trip_is_measured(monkeypatch):
    """With the pings of WebSocket itself, where the session has no others."""
    monkeypatch.setattr(link_, "PING_INTERVAL", 0.02)
    async with serve(echo, "127.0.0.1", 0) as server:
        link = Link(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", idle)
        assert link.latency is None
        await eventually(lambda: link.latency is not None)
        assert 0.0 < link.latency < 20.0
        await link.close()
        assert link.latency is None


async def test_a_server_that_forgets_us_ends_the_link():
    """When the answer is no, later as well as first, trying on makes no sense."""
    answers = [None, 401]

    def process(connection, request):
        status = answers.pop(0) if answers else 401
        return None if status is None else connection.respond(status, "who are you?")

    async def leave(connection):
        await connection.close()

    async with serve(leave, "127.0.0.1", 0, process_request=process) as server:
        link = Link(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", idle)
        assert isinstance(await ended(link), Unauthorized)
        assert link.connects == 1
        assert "who are you?" in link.reason
        await link.close()


async def test_a_half_open_link_is_noticed(monkeypatch):
    """When nothing comes any more, not even an answer to a ping, the link connects again."""
    assert link_.PING_INTERVAL + link_.PING_TIMEOUT <= 15
    monkeypatch.setattr(link_, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(link_, "PING_TIMEOUT", 0.05)
    async with serve(echo, "127.0.0.1", 0) as server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        link = Link(proxy.url, idle)
        await eventually(lambda: link.state is State.OPEN)
        proxy.silent = True
        await eventually(lambda: link.state is not State.OPEN)
        assert "ping" in link.reason
        proxy.silent = False
        await eventually(lambda: link.connects >= 2 and link.state is State.OPEN)
        await link.close()


async def test_a_fault_in_the_session_ends_the_link():
    """It is reported, and the error says so."""

    async def fault(connection):
        raise ValueError("oh")

    async with serve(echo, "127.0.0.1", 0) as server:
        link = Link(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", fault)
        error = await ended(link)
        assert "a fault in the client" in str(error)
        await link.close()
    assert [str(error) for _, error in take_errors()] == ["oh"]


async def test_a_link_can_be_closed_at_any_time():
    """At once, while it connects, while it waits and twice; it always ends."""
    for turns in (0, 1, 5, 20, 100):
        async with tcp(b"") as url:
            link = Link(url, idle)
            for _ in range(turns):
                await asyncio.sleep(0)
            await link.close()
            await link.close()
            assert link.state is State.CLOSED
            assert link.ended.done()


async def test_it_says_good_bye():
    """A closed link leaves with a normal close code."""
    codes = []

    async def note(connection):
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with serve(note, "127.0.0.1", 0) as server:
        link = Link(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", idle)
        await eventually(lambda: link.state is State.OPEN)
        await link.close()
        await eventually(lambda: codes)
    assert codes == [1000]


# Foreign


async def test_a_foreign_feed():
    """It is told what is wanted, each time; rows come; a break is a gap; messages can be sent."""
    heard = []

    async def feed(connection):
        heard.append([await connection.recv(), await connection.recv()])
        for n in range(3):
            await connection.send(f'{{"n":{n}}}')
        heard.append(await connection.recv())

    async with serve(feed, "127.0.0.1", 0) as server:
        intake = Intake(LiveFrame())
        foreign = Foreign(
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", intake, subscribe=[{"op": "sub"}, "text"]
        )
        await foreign.opened()
        await eventually(lambda: intake.frame.total == 3)
        await foreign.send({"more": 1})
        await eventually(lambda: intake.frame.total == 6)
        assert heard == [['{"op":"sub"}', "text"], '{"more":1}', ['{"op":"sub"}', "text"]]
        assert [gap.first for gap in foreign.gaps] == [None]
        await foreign.close()
        with pytest.raises(Closed, match="not connected"):
            await foreign.send("late")


async def test_a_foreign_feed_that_cannot_be_opened():
    """`opened` raises why; when nobody waits any more the link is closed."""
    foreign = Foreign(f"ws://127.0.0.1:{free_port()}", Intake(LiveFrame()))
    with pytest.raises(Unreachable):
        await foreign.opened()
    async with Proxy(0) as proxy:

        async def silent(reader, writer):
            with contextlib.suppress(OSError):
                await reader.read()
            writer.transport.abort()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        proxy.target = server.sockets[0].getsockname()[1]
        foreign = Foreign(proxy.url, Intake(LiveFrame()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await foreign.opened()
        assert foreign.link.state is State.CLOSED
        server.close()
