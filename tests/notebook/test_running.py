import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import pytest

from rtwidgets.client import State
from rtwidgets.errors import (
    BackgroundErrors,
    ChannelNameError,
    Closed,
    NotRunning,
    PortInUse,
    Refused,
    SchemaError,
    ServeError,
    Unauthorized,
    Unreachable,
    UsageError,
    WaitTimeout,
)
from rtwidgets.loop import lease, report
from rtwidgets.notebook import running as running_module
from rtwidgets.notebook.running import Running
from rtwidgets.server import session
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def rt(tidy):
    """What `import rtwidgets as rt` offers, in a kernel of its own."""

    class Face(Running):
        def __init__(self):
            super().__init__()
            self.serve, self.service = self.servers.serve, self.servers.service
            self.connect, self.chat = self.streams.connect, self.streams.chat

    face = Face()
    yield face
    face.stop()


def listening(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def port_of(server):
    return int(server.url.rpartition(":")[2])


def test_a_server_and_a_stream(rt):
    """The first lines of the README."""
    server = rt.serve(seed=1)
    prices = rt.connect("prices")
    frame = prices.wait(rows=5)
    assert list(frame.columns) == ["symbol", "price", "size", "time", "offset"]
    assert str(frame["symbol"].dtype) == "category"
    assert list(frame["offset"][:5]) == [1, 2, 3, 4, 5]
    assert rt.health() == "healthy"
    assert repr(server) == "Server(running)"
    server.stop()
    server.stop()
    assert repr(server) == "Server(stopped)"


def test_connecting_twice_is_the_same_stream(rt):
    """With the same arguments; with others it is replaced, and the one before is stopped."""
    rt.serve()
    one = rt.connect("prices")
    assert rt.connect("prices") is one
    two = rt.connect("prices", max_rows=10)
    assert two is not one
    assert (one.state, two.state) == (State.CLOSED, State.OPEN)
    assert rt.connect("prices", max_rows=10) is two
    three = rt.connect("prices", name="mine")
    assert three is not two
    assert rt.streams.streams == [two, three]
    two.stop()
    assert rt.connect("prices", max_rows=10) is not two


def test_what_took_a_stream_s_place_is_told(rt):
    """Whoever waits for the one before hears why it came to its end, and how to keep both."""
    rt.serve()
    one = rt.connect("prices")
    rt.connect("prices", max_rows=10)
    with pytest.raises(Closed, match=r"another one with other arguments took its place: give each a name="):
        one.wait(rows=10_000)


def test_streams_of_two_servers_run_beside_each_other(rt):
    """A channel of one server is not that of another, and two paths of a host are two feeds."""
    one, two = rt.serve(options={"prices": {"rate": 100}}), rt.serve()
    streams = [rt.connect("prices", server=server) for server in (one, two)]
    feeds = [
        rt.connect(f"{one.url}{path}?token={one.token}", key="symbol", records=records)
        for path, records in (("/prices", "items()"), ("/chat/lobby", None))
    ]
    assert [stream.state for stream in (*streams, *feeds)] == [State.OPEN] * 4
    assert [feed.name for feed in feeds] == [
        f"127.0.0.1:{port_of(one)}{path}" for path in ("/prices", "/chat/lobby")
    ]


def test_a_stream_that_is_lost_for_good_is_told(rt):
    """A server that is started again with another token is no end in silence: the health has it."""
    server = rt.serve(token="one")
    stream = rt.connect("prices")
    port = port_of(server)
    server.stop()
    rt.serve(port=port, token="two")
    until(lambda: stream.state is State.CLOSED)
    with pytest.raises(BackgroundErrors, match=r"stream prices: Unauthorized: .* answered 401"):
        rt.health()


def test_a_foreign_server_that_wants_a_token_is_told_from_a_feed(rt, monkeypatch):
    """It closes the connection for good: the stream ends, says why, and where a token goes."""
    monkeypatch.setattr(session, "AUTH_TIMEOUT", 0.1)
    server = rt.serve()
    stream = rt.connect(f"{server.url}/prices")
    until(lambda: stream.state is State.CLOSED)
    assert "code 1008: no token came" in stream.reason
    with pytest.raises(BackgroundErrors, match="code 1008"):
        rt.health()
    with pytest.raises(Unauthorized, match=r"Put the token into the URL as \?token=…, or into headers="):
        rt.connect(f"{server.url}/prices?token=wrong")


def test_a_wait_in_vain_says_what_is_odd(rt):
    """Messages that `where` leaves out, a key that no row has, and a service that failed."""
    rt.serve()
    with pytest.raises(WaitTimeout, match=r"not taken by where=: [1-9]"):
        rt.connect("prices", where={"type": "match"}).wait(timeout=1)
    with pytest.raises(WaitTimeout, match="no row has a 'sybol', which is to be the key"):
        rt.connect("prices", key="sybol", name="misspelt").wait(rows=10_000, timeout=1)

    @rt.service("/boom")
    async def boom(channel):
        raise ValueError("boom")

    with pytest.raises(WaitTimeout, match=r"something failed in the background, see rt\.health\(\)"):
        rt.connect("boom").wait(timeout=0.1)
    with pytest.raises(BackgroundErrors):
        rt.health()


def test_a_new_server_gets_new_streams(rt):
    """A stream of a server that was stopped is not handed out again."""
    first = rt.serve()
    one = rt.connect("prices")
    first.stop()
    rt.serve()
    two = rt.connect("prices")
    assert two is not one
    assert len(two.wait()) >= 1
    assert one.state is State.CLOSED


def test_with_no_server_there_is_a_sentence(rt):
    """It says how to start one."""
    for connect in (lambda: rt.connect("prices"), lambda: rt.chat("lobby", name="ada")):
        with pytest.raises(NotRunning, match=r"start one with rt\.serve\(\) or %rt up"):
            connect()
    rt.serve().stop()
    with pytest.raises(NotRunning):
        rt.connect("prices")


def test_a_server_elsewhere(rt):
    """By its URL and token; a wrong token or a dead port raises at once."""
    server = rt.serve()
    with pytest.raises(Unauthorized):
        rt.connect("prices", server=server.url, token="wrong")
    with pytest.raises(Unauthorized):
        rt.connect("prices", server=server.url)
    stream = rt.connect("prices", server=server.url, token=server.token)
    assert len(stream.wait())
    assert len(rt.connect("prices", server=server, name="again").wait())
    server.stop()
    with pytest.raises(Unreachable, match="Is the server running"):
        rt.connect("prices", server=server.url, token=server.token, name="third")
    assert [each.name for each in rt.streams.streams] == ["prices", "again"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "nope"}, Refused),
        ({"channel": "chat"}, Refused),
        ({"channel": "a b"}, ChannelNameError),
        ({"channel": "prices", "subscribe": {}}, UsageError),
        ({"channel": "prices", "headers": {}}, UsageError),
        ({"channel": "prices", "records": "a..b"}, UsageError),
        ({"channel": "prices", "max_rows": 0}, UsageError),
        ({"channel": "prices", "max_age": "5min"}, UsageError),
        ({"channel": "prices", "where": "type=match"}, UsageError),
        ({"channel": "/prices"}, UsageError),
        ({"channel": 8080}, UsageError),
        ({"channel": "prices", "schema": {"price": "no-such-type"}}, SchemaError),
        ({"channel": "prices", "key": "symbol", "time": "symbol"}, SchemaError),
        ({"channel": "ws://127.0.0.1:1", "token": "x"}, UsageError),
        ({"channel": "ws://127.0.0.1:1"}, Unreachable),
        ({"channel": "ws://["}, Exception),
    ],
)
def test_arguments_that_do_not_hold_together(rt, arguments, error):
    """Each raises its own error; nothing is left, and the streams that run go on."""
    rt.serve()
    prices = rt.connect("prices", name="before")
    with pytest.raises(error):
        rt.connect(**arguments)
    assert rt.streams.streams == [prices]
    before = len(prices)
    until(lambda: len(prices) > before)
    assert prices.state is State.OPEN
    assert rt.health() == "healthy"


def test_servers_that_cannot_be(rt):
    """Nothing is left of one, and the error says why."""
    server = rt.serve()
    with pytest.raises(PortInUse):
        rt.serve(port=port_of(server))
    with pytest.raises(ServeError):
        rt.serve(host="203.0.113.9")
    with pytest.raises(UsageError):
        rt.serve(services=["nope"])
    with pytest.raises(
        UsageError, match=r"'prices' is a service and not a host: write services=\['prices'\]"
    ):
        rt.serve("prices")
    with pytest.raises(UsageError):
        rt.serve(options={"prices": {"speed": 1}})
    assert rt.servers.alive() == [server]


def test_a_service_in_a_cell(rt):
    """It runs on the servers that are there and on those that come; running the cell again replaces it."""
    before = rt.serve(services=["echo"])

    @rt.service("/values", key="who")
    async def values(channel):
        await channel.publish({"who": "a", "n": 1})
        await asyncio.sleep(1000)

    after = rt.serve(services=["echo"])
    for server in (before, after):
        assert list(rt.connect("values", server=server, name=server.url).wait()["n"]) == [1]

    @rt.service("/values", key="who")
    async def values_again(channel):
        await channel.publish({"who": "a", "n": 2})

    stream = rt.connect("values", server=after, name="new")
    assert list(stream.wait(rows=2)["n"]) == [1, 2]


def test_one_service_may_be_named_by_itself(rt):
    """A name is as good as a list of one."""
    with pytest.raises(Refused, match="it has: none"):
        rt.serve(services="echo")
        rt.connect("prices")
    with pytest.raises(UsageError, match="a service needs a path"):
        rt.service(print)


def test_a_dashboard_shows_what_there_is(rt, monkeypatch):
    """A stream with no row yet, or no number, is a table; what is neither stream nor widget is refused."""
    monkeypatch.setattr(running_module, "FIRST_ROW", 0.1)
    rt.serve()

    @rt.service("/silent")
    async def silent(channel):
        """Says nothing."""

    prices, chat = rt.connect("prices"), rt.chat("lobby", name="ada")
    chat.send("hi")
    prices.wait()
    chat.wait()
    dashboard = rt.dashboard(prices, chat, rt.connect("silent"))
    assert [type(part).__name__ for part in dashboard.parts] == ["Chart", "Table", "Table"]
    with pytest.raises(UsageError, match="neither a stream nor a widget"):
        rt.dashboard("prices")
    rt.close()


def test_two_people_in_a_room(rt):
    """Each has a connection of its own, and both see what is said."""
    rt.serve()
    ada, bob = rt.chat("lobby", name="ada"), rt.chat("lobby", name="bob")
    assert rt.chat("lobby", name="ada") is ada
    ada.send("hi")
    bob.send("ho")
    assert list(ada.wait(rows=2)["text"]) == list(bob.wait(rows=2)["text"]) == ["hi", "ho"]
    assert list(ada.df["user"]) == ["ada", "bob"]


def test_health(rt):
    """It raises each error once."""
    assert rt.health() == "healthy"
    report("somewhere", ValueError("odd"))
    with pytest.raises(BackgroundErrors, match="1 background error\n  somewhere: ValueError: odd"):
        rt.health()
    assert rt.health() == "healthy"


def test_stop_leaves_nothing(rt):
    """No thread, no port, no stream, no server, no service; everything can be started again."""
    for _ in range(2):
        server = rt.serve(seed=1)
        stream = rt.connect("prices")
        rt.chat("lobby", name="ada")
        rt.service("/mine")(lambda_service)
        rt.stop()
        rt.stop()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtwidgets")]
        assert not listening(port_of(server))
        assert (stream.state, rt.streams.streams, rt.servers.alive()) == (State.CLOSED, [], [])
        assert not rt.servers._services
    assert rt.health() == "healthy"


async def lambda_service(channel):
    await channel.publish(1)


def test_streams_opened_from_several_threads(rt):
    """Each call returns a stream that works, and one connection is enough for what can share it."""
    server = rt.serve()
    streams, failures = [], []

    def connect(n):
        try:
            streams.append(rt.connect("prices", name=f"prices {n % 4}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=connect, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(rt.streams.streams) == 4
    for stream in rt.streams.streams:
        assert len(stream.wait())
    assert server.running
    rt.stop()
    assert all(stream.state is State.CLOSED for stream in rt.streams.streams)


def test_a_blocking_call_in_a_service_is_a_usage_error(rt):
    """It is reported instead of standing still for ever."""
    rt.serve(services=["prices"])

    @rt.service("/blocking")
    async def blocking(channel):
        rt.connect("prices")

    def failed():
        try:
            rt.health()
        except BackgroundErrors as error:
            return "await the async form" in str(error)
        return False

    until(failed)


# A process of its own


def test_a_server_process(rt):
    """It serves as any other; stopping ends it; a user's service cannot run there."""
    server = rt.serve(seed=1, process=True, options={"prices": {"rate": 500}})
    assert server.in_process
    assert len(rt.connect("prices").wait(rows=20)) >= 20
    with pytest.raises(UsageError, match="process of its own"):
        rt.service("/mine")(lambda_service)
    process = server._child._process
    rt.stop()
    assert process.poll() == 0
    assert not server.running
    assert rt.health() == "healthy"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_server_process_that_dies_is_a_background_error(rt):
    """It is known by `health`, and the server no longer runs."""
    server = rt.serve(process=True)
    os.kill(server._child._process.pid, signal.SIGKILL)
    until(lambda: not server.running)

    def told():
        try:
            rt.health()
        except BackgroundErrors as error:
            return "it ended by itself" in str(error)
        return False

    until(told)
    with pytest.raises(NotRunning):
        rt.connect("prices")
    server.stop()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_server_process_dies_with_its_kernel():
    """Even when that is killed with no chance to say good-bye."""
    script = textwrap.dedent("""
        import sys, time
        from rtwidgets.notebook.running import running
        server = running.servers.serve(process=True)
        print(server.url, server._child._process.pid, flush=True)
        time.sleep(1000)
    """)
    kernel = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        url, pid = kernel.stdout.readline().split()
        port = int(url.rpartition(":")[2])
        assert listening(port)
        kernel.kill()
        kernel.wait()
        until(lambda: not listening(port))
        until(lambda: not alive(int(pid)))
    finally:
        kernel.kill()
        kernel.wait()
        kernel.stdout.close()


def alive(pid):
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_while_connecting_leaves_nothing():
    """The cell ends, its half-open connection too; what ran before goes on."""
    script = textwrap.dedent("""
        import asyncio, os, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job of a shell
        from rtwidgets.loop import lease, peek_errors
        from rtwidgets.notebook.running import running
        held = lease()
        asked = threading.Event()
        gone = threading.Event()
        async def silent(reader, writer):
            await reader.read(1000)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await reader.read()
            gone.set()
            writer.close()
        async def start():
            server = await asyncio.start_server(silent, "127.0.0.1", 0)
            return server, server.sockets[0].getsockname()[1]
        server, port = held.run(start())
        running.servers.serve()
        prices = running.streams.connect("prices")
        for connect in (
            lambda: running.streams.connect("x", server=f"ws://127.0.0.1:{port}"),
            lambda: running.streams.connect(f"ws://127.0.0.1:{port}"),
            lambda: running.streams.chat("x", name="ada", server=f"ws://127.0.0.1:{port}"),
        ):
            try:
                connect()
            except KeyboardInterrupt:
                print("interrupted", gone.wait(20))
            gone.clear()
        before = len(prices)
        prices.wait(rows=before + 3)
        print([stream.name for stream in running.streams.streams], peek_errors())
        running.stop()
        held.release()
        print(threading.active_count())
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["interrupted True"] * 3 + ["['prices'] []", "1"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_while_a_server_starts_leaves_no_server():
    """Even when it had begun to listen just then, and the loop goes on for others."""
    script = textwrap.dedent("""
        import signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job of a shell
        from rtwidgets.loop import lease, peek_errors
        from rtwidgets.notebook.running import running
        from rtwidgets.server import Server
        held = lease()
        start, started = Server.start, []
        async def interrupted(self):
            await start(self)
            started.append(self)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        Server.start = interrupted
        try:
            running.servers.serve()
        except KeyboardInterrupt:
            print("interrupted", started[0]._server, running.servers.alive(), peek_errors())
        held.release()
        print(threading.active_count())
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.splitlines(), done.stderr) == (["interrupted None [] []", "1"], "")


def test_leases_are_given_back(rt):
    """Whatever failed, the thread ends when nothing runs any more."""
    held = lease()
    for _ in range(3):
        with pytest.raises(Unreachable):
            rt.connect("ws://127.0.0.1:1")
        with pytest.raises(ServeError):
            rt.serve(host="203.0.113.9")
    held.release()
    assert not [thread for thread in threading.enumerate() if thread.name == "rtwidgets"]
