"""A proxy that records, between plain clients and feeds on real sockets."""

import asyncio
import contextlib
import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.protocol import State
from websockets.sync.client import connect as connect_blocking

from rtwidgets.errors import ConnectError, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.recording import Kind, Recording
from rtwidgets.testing import recording as recording_
from rtwidgets.testing.recording import BlockingRecordingProxy, RecordingProxy
from tests.feeding import feeding
from tests.talking import eventually
from tests.testing.recordings import dial, feed, received, records, said, soon, stalled

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.rtlog"


async def echo(connection):
    """Say everything again."""
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def hold(connection):
    """Say one thing, and wait."""
    await connection.send("hello")
    await connection.wait_closed()


# What passes


async def test_messages_pass_both_ways_and_are_recorded(path):
    """Text as text and binary as binary, to the byte, in order, with the times at which they came."""
    began = time.time_ns()
    async with feed(echo) as url, RecordingProxy(url, path) as proxy, dial(proxy.url) as connection:
        for message in ("one\n", b"\x00\xff", "zw\u00f6lf", "x" * 3_000_000):
            await connection.send(message)
            assert await soon(connection.recv()) == message
    both = [
        pair
        for kinds, message in [
            ((Kind.SENT_TEXT, Kind.TEXT), b"one\n"),
            ((Kind.SENT_BINARY, Kind.BINARY), b"\x00\xff"),
            ((Kind.SENT_TEXT, Kind.TEXT), "zw\u00f6lf".encode()),
            ((Kind.SENT_TEXT, Kind.TEXT), b"x" * 3_000_000),
        ]
        for pair in [(kinds[0], message), (kinds[1], message)]
    ]
    assert records(path) == [
        (Kind.OPENED, json.dumps({"url": url}).encode()),
        *both,
        (Kind.CLOSED, b"the client closed the connection (code 1000)"),
    ]
    times = [batch.time for batch in Recording(path).batches()]
    assert times == sorted(times)
    assert began <= times[0] <= times[-1] <= time.time_ns()
    assert Recording(path).about["url"] == url


async def test_what_may_be_secret_passes_and_is_not_recorded(path):
    """In the URL, and in what the client says; what the feed says is recorded as it is."""
    said_to_feed = []

    async def talk(connection):
        said_to_feed.extend([connection.request.path, await connection.recv()])
        await connection.send('{"token":"given"}')

    async with (
        feed(talk) as url,
        RecordingProxy(f"{url}/ws?token=hush&depth=5", path) as proxy,
        dial(proxy.url) as connection,
    ):
        await connection.send('{"op":"auth","secret":"hush"}')
        assert await soon(connection.recv()) == '{"token":"given"}'
    assert said_to_feed == ["/ws?token=hush&depth=5", '{"op":"auth","secret":"hush"}']
    assert said(path) == [
        (Kind.SENT_TEXT, b'{"op":"auth","secret":"***"}'),
        (Kind.TEXT, b'{"token":"given"}'),
    ]
    assert json.loads(records(path)[0][1]) == {"url": f"{url}/ws?token=***&depth=5"}
    assert Recording(path).about["url"] == f"{url}/ws?token=***&depth=5"


async def test_the_handshake_passes(path):
    """The feed hears the client's headers and chooses the subprotocol."""
    heard = []

    async def talk(connection):
        heard.append(connection.request.headers)

    def choose(_, offered):
        return "v1" if "v1" in offered else None

    async with feed(talk, select_subprotocol=choose) as url, RecordingProxy(url, path) as proxy:
        headers = {
            "Authorization": "Bearer T",
            "Cookie": "a=b",
            "X-Key": "K",
            "Origin": "https://example.org",
        }
        options = {"additional_headers": headers, "user_agent_header": "mine/1"}
        async with dial(proxy.url, subprotocols=["v2", "v1"], **options) as connection:
            assert connection.subprotocol == "v1"
            await soon(received(connection))
        async with dial(proxy.url, user_agent_header=None) as connection:
            assert connection.subprotocol is None
            await soon(received(connection))
    assert {name: heard[0].get_all(name) for name in headers} == {
        name: [value] for name, value in headers.items()
    }
    assert [headers.get_all("User-Agent") for headers in heard] == [["mine/1"], []]
    assert heard[0].get_all("Host") == [url.removeprefix("ws://")]


async def test_a_path_that_the_client_asks_for(path):
    """Is asked of the same host; nothing in it leads elsewhere."""
    asked = []

    async def talk(connection):
        asked.append(connection.request.path)

    async with feed(talk) as url, RecordingProxy(f"{url}/ws", path) as proxy:
        for wanted in ("", "/", "/other?depth=5", "//elsewhere.example.org/x", "/@elsewhere.example.org"):
            async with dial(proxy.url + wanted) as connection:
                await soon(received(connection))
    assert asked == ["/ws", "/ws", "/other?depth=5", "/elsewhere.example.org/x", "/@elsewhere.example.org"]
    opened = [json.loads(message)["url"] for kind, message in records(path) if kind is Kind.OPENED]
    assert opened == [url + each for each in asked]


async def test_a_client_that_reads_slowly_holds_the_feed_back(path):
    """What it has not read waits at the feed, and comes when it reads."""
    sent = []

    async def talk(connection):
        for n in range(300):
            await connection.send(bytes([n % 256]) * 100_000)
            sent.append(n)

    async with (
        feed(talk) as url,
        RecordingProxy(url, path) as proxy,
        dial(proxy.url, max_queue=1) as connection,
    ):
        serving = await soon(stalled(proxy))
        assert serving.transport.get_write_buffer_size() < 1_000_000
        assert len(sent) < 300
        messages, ended = await soon(received(connection))
    assert [message[:1] for message in messages] == [bytes([n % 256]) for n in range(300)]
    assert len(said(path)) == 300
    assert ended == (1000, "")


# How it ends


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1012, "restarting"), (4001, "too much")])
async def test_the_close_of_the_feed_passes(path, code, reason):
    """After its last message; the recording has its words."""

    async def talk(connection):
        for n in range(100):
            await connection.send(str(n))
        await connection.close(code, reason)

    async with feed(talk) as url, RecordingProxy(url, path) as proxy, dial(proxy.url) as connection:
        assert await soon(received(connection)) == ([str(n) for n in range(100)], (code, reason))
    words = f"the server closed the connection (code {code}{': ' * bool(reason)}{reason})"
    assert len(said(path)) == 100
    assert records(path)[-1] == (Kind.CLOSED, words.encode())


async def test_a_close_without_a_code_passes_as_the_usual_one(path):
    """Libraries cannot send one without."""

    async def talk(connection):
        connection.protocol.send_close()
        connection.send_data()
        await connection.wait_closed()

    async with feed(talk) as url, RecordingProxy(url, path) as proxy, dial(proxy.url) as connection:
        assert await soon(received(connection)) == ([], (1000, ""))


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "enough")])
async def test_the_close_of_the_client_passes(path, code, reason):
    """After its last message; the recording has its words."""
    heard = []

    async def talk(connection):
        heard.append(await received(connection))

    async with feed(talk) as url, RecordingProxy(url, path) as proxy:
        async with dial(proxy.url) as connection:
            for n in range(100):
                await connection.send(str(n))
            await connection.close(code, reason)
        await eventually(lambda: heard)
    assert heard == [([str(n) for n in range(100)], (code, reason))]
    words = f"the client closed the connection (code {code}{': ' * bool(reason)}{reason})"
    assert records(path)[-1] == (Kind.CLOSED, words.encode())


async def test_a_client_that_breaks_off(path):
    """The feed hears that it is going away."""
    heard = []

    async def talk(connection):
        heard.append(await received(connection))

    async with feed(talk) as url, RecordingProxy(url, path) as proxy:
        async with dial(proxy.url) as connection:
            connection.transport.abort()
        await eventually(lambda: heard)
    assert heard == [([], (1001, ""))]
    assert records(path)[-1] == (Kind.CLOSED, b"the client broke off")


async def test_a_feed_that_breaks_off(path):
    """The client is told so, which is recorded and reported."""

    async def talk(connection):
        await connection.send("one")
        await connection.recv()
        connection.transport.abort()

    async with feed(talk) as url, RecordingProxy(url, path) as proxy, dial(proxy.url) as connection:
        assert await soon(connection.recv()) == "one"
        await connection.send("break")
        messages, (code, reason) = await soon(received(connection))
        assert (messages, code) == ([], 1014)
        assert reason.startswith("the connection broke off")
    ((where, error),) = take_errors()
    assert where == repr(proxy)
    assert isinstance(error, ConnectError)
    assert records(path)[-1] == (Kind.CLOSED, reason.encode())


async def test_a_feed_that_is_not_there(path):
    """The client is told why; no connection is recorded."""

    def deny(connection, request):
        return connection.respond(401, "no token")

    async with feed(hold) as gone:
        pass
    async with feed(hold, process_request=deny) as denying:
        pass_on = [(gone, "nothing listens there"), (denying, "the server answered 401: no token")]
        for url, words in [*pass_on, ("ws://", "this is not a WebSocket URL")]:
            async with RecordingProxy(url, path) as proxy, dial(proxy.url) as connection:
                messages, (code, reason) = await soon(received(connection))
            assert (messages, code) == ([], 1014)
            assert reason.startswith(words)
            ((_, error),) = take_errors()
            assert words in str(error)
    assert records(path) == []


async def test_the_end_of_the_proxy(path):
    """Is the end of both connections; the recording is whole then."""
    heard = []

    async def talk(connection):
        await connection.send("one")
        heard.append(await received(connection))

    async with feed(talk) as url:
        async with RecordingProxy(url, path) as proxy:
            connection = await dial(proxy.url)
            assert await soon(connection.recv()) == "one"
        assert await soon(received(connection)) == ([], (1001, "the recording was stopped"))
        await eventually(lambda: heard)
    assert heard == [([], (1001, "the recording was stopped"))]
    assert records(path)[1:] == [(Kind.TEXT, b"one"), (Kind.CLOSED, b"the recording was stopped")]
    assert Recording(path).info().whole


async def test_its_end_does_not_wait_for_a_feed_in_its_handshake(path):
    """Which may never end."""
    began = []
    silent = await asyncio.start_server(lambda *streams: began.append(streams), "127.0.0.1", 0)
    async with RecordingProxy(f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}", path) as proxy:
        dialling = asyncio.ensure_future(dial(proxy.url).connect())
        await eventually(lambda: began)
        ending = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - ending < 8  # and not the 10 s that a handshake may take
    with pytest.raises((InvalidHandshake, OSError)):
        await soon(dialling)
    silent.close()
    began[0][1].transport.abort()


async def test_its_end_does_not_wait_for_ends_that_read_nothing(path, monkeypatch):
    """Neither the feed nor the client; both are cut off."""
    dialled, connect = [], recording_.connect

    async def noted(*arguments, **options):
        dialled.append(await connect(*arguments, **options))
        return dialled[-1]

    monkeypatch.setattr(recording_, "connect", noted)

    async def deaf(connection):
        connection.transport.pause_reading()
        for _ in range(300):
            await connection.send(bytes(100_000))
        await connection.wait_closed()

    async def say_much(connection):
        for _ in range(300):
            await connection.send(bytes(100_000))

    async with feed(deaf, close_timeout=0.1) as url, contextlib.AsyncExitStack() as clients:
        async with RecordingProxy(url, path) as proxy:
            client = await clients.enter_async_context(dial(proxy.url, max_queue=1, close_timeout=0.1))
            saying = asyncio.ensure_future(say_much(client))
            await soon(stalled(proxy))
            await eventually(lambda: client.paused)
        assert dialled[0].state is State.CLOSED
        with pytest.raises(ConnectionClosed):
            await soon(saying)
    assert records(path)[-1][0] is Kind.CLOSED


async def test_a_fault_before_the_turn_of_a_client(path, monkeypatch):
    """Is reported, and the next one has its turn."""
    async with feed(hold) as url, RecordingProxy(url, path) as proxy:
        with monkeypatch.context() as broken:
            broken.setattr(recording_, "connect", None)
            with pytest.raises(InvalidHandshake, match="500"):
                await dial(proxy.url)
        assert [type(error) for _, error in take_errors()] == [TypeError]
        async with dial(proxy.url) as connection:
            assert await soon(connection.recv()) == "hello"


# One after the other


async def test_clients_one_after_the_other(path):
    """Each gets a connection of its own, which is so in the recording; a file that is there is continued."""
    async with feed(hold) as url:
        for _ in range(2):
            async with RecordingProxy(url, path) as proxy:
                for _ in range(2):
                    async with dial(proxy.url) as connection:
                        assert await soon(connection.recv()) == "hello"
    assert [kind for kind, _ in records(path)] == [Kind.OPENED, Kind.TEXT, Kind.CLOSED] * 4


async def test_clients_at_the_same_time(path, monkeypatch):
    """The second one is sent away, with the reason; it may come when the first one has gone."""
    monkeypatch.setattr(recording_, "TURN", 0.05)
    async with feed(hold) as url, RecordingProxy(url, path) as proxy:
        async with dial(proxy.url) as first:
            assert await soon(first.recv()) == "hello"
            async with dial(proxy.url) as second:
                messages, (code, reason) = await soon(received(second))
            assert (messages, code) == ([], 1013)
            assert reason.startswith("one connection at a time is recorded here")
        async with dial(proxy.url) as third:
            assert await soon(third.recv()) == "hello"
    assert [kind for kind, _ in records(path)] == [Kind.OPENED, Kind.TEXT, Kind.CLOSED] * 2


async def test_a_client_waits_a_moment_for_its_turn(path):
    """One that comes while the one before is about to go gets its connection."""
    async with feed(hold) as url, RecordingProxy(url, path) as proxy:
        async with dial(proxy.url) as first:
            assert await soon(first.recv()) == "hello"
            second = asyncio.ensure_future(dial(proxy.url).connect())
            await eventually(lambda: proxy._turn._waiters)
        connection = await soon(second)
        assert await soon(connection.recv()) == "hello"
        await connection.close()


async def test_a_client_that_goes_before_its_turn(path):
    """Leaves the turn to the next one, and no connection to the feed."""
    waiting = []

    async def slowly(connection, request):
        waiting.append(asyncio.Event())
        if len(waiting) == 1:
            await waiting[0].wait()

    async with feed(hold, process_request=slowly) as url, RecordingProxy(url, path) as proxy:
        gone = asyncio.ensure_future(dial(proxy.url).connect())
        await eventually(lambda: waiting)
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        await eventually(lambda: all(each.state.name == "CLOSED" for each in proxy._connections))
        waiting[0].set()
        async with dial(proxy.url) as connection:
            assert await soon(connection.recv()) == "hello"
    assert [kind for kind, _ in records(path)] == [Kind.OPENED, Kind.TEXT, Kind.CLOSED]


# Use


def test_a_url_that_is_none(path):
    """Is refused in words."""
    with pytest.raises(UsageError, match="'https://x' is not a WebSocket URL: write ws://"):
        RecordingProxy("https://x", path)


async def test_a_file_that_is_no_recording(path):
    """Is left alone."""
    path.write_text("dear diary")
    with pytest.raises(UsageError):
        await RecordingProxy("ws://127.0.0.1:1", path).__aenter__()
    assert path.read_text() == "dear diary"


async def test_its_repr_has_no_secrets(path):
    """Nor has an error that names it."""
    assert repr(RecordingProxy("wss://u:p@x.org/ws?token=T", path)) == "RecordingProxy('wss://x.org/ws')"


def test_for_cells_and_plain_tests(path):
    """It runs in the background until it is stopped, twice if one likes."""
    with feeding("one") as far, BlockingRecordingProxy(far.url, path) as proxy:
        assert repr(proxy) == "BlockingRecordingProxy(running)"
        with connect_blocking(proxy.url, proxy=None) as connection:
            connection.send("go")
            assert connection.recv(timeout=30) == "one"
        proxy.stop()
    assert repr(proxy) == "BlockingRecordingProxy(stopped)"
    assert said(path) == [(Kind.SENT_TEXT, b"go"), (Kind.TEXT, b"one")]
