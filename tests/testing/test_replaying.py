"""A server that answers as a feed did, seen by plain clients on real sockets."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_blocking

from rtwidgets.errors import PortInUse, ServeError, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.recording import Kind, Recording
from rtwidgets.testing.recording import RecordingProxy
from rtwidgets.testing.replaying import BlockingReplayServer, ReplayServer
from tests.talking import eventually
from tests.testing.recordings import SENT, dial, opened, received, said, soon, stalled, write

pytestmark = pytest.mark.usefixtures("tidy")

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
ENDED = (1000, "")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.rtlog"


# What a client gets


async def test_messages_come_as_they_came(path):
    """Text as text and binary as binary, to the byte and in order; then the connection is closed."""
    sent = [(Kind.TEXT, "one\n"), (Kind.BINARY, b"\x00\xff"), (Kind.TEXT, ""), (Kind.TEXT, "zw\u00f6lf")]
    write(path, opened(), *sent)
    async with ReplayServer(path) as server, dial(server.url) as connection:
        assert await soon(received(connection)) == (["one\n", b"\x00\xff", "", "zw\u00f6lf"], ENDED)


async def test_every_path_is_answered(path):
    """The path and the query do not matter."""
    write(path, opened(), (Kind.TEXT, "one"))
    async with ReplayServer(path) as server, dial(f"{server.url}/any/path?token=x") as connection:
        assert await soon(received(connection)) == (["one"], ENDED)


async def test_each_client_gets_the_next_connection(path):
    """And the last one again when there are no more; what was lost between them is told by the recording."""
    write(path, opened(), (Kind.TEXT, "one"), (Kind.CLOSED, "x"), opened(), opened(), (Kind.TEXT, "three"))
    got = []
    async with ReplayServer(path) as server:
        for _ in range(5):
            async with dial(server.url) as connection:
                got.append((await soon(received(connection)))[0])
    assert got == [["one"], [], ["three"], ["three"], ["three"]]


async def test_clients_at_the_same_time_do_not_disturb_each_other(path):
    """Each has its connection of the recording, whoever is first to read."""
    write(path, opened(), (Kind.TEXT, "one"), (Kind.SENT_TEXT, "go"), opened(), (Kind.TEXT, "two"))
    async with ReplayServer(path) as server, dial(server.url) as first:
        assert await soon(first.recv()) == "one"
        async with dial(server.url) as second:
            assert await soon(received(second)) == (["two"], ENDED)
        await first.send("go")
        assert await soon(received(first)) == ([], ENDED)


async def test_a_recording_that_tells_of_no_connection(path):
    """Is one."""
    write(path, (Kind.TEXT, "one"), (Kind.TEXT, "two"))
    async with ReplayServer(Recording(path)) as server:
        for _ in range(2):
            async with dial(server.url) as connection:
                assert await soon(received(connection)) == (["one", "two"], ENDED)


@pytest.mark.parametrize(
    ("recorded", "seen"),
    [
        ("the server closed the connection (code 4001: too (much) for us)", (4001, "too (much) for us")),
        ("the server closed the connection (code 1012)", (1012, "")),
        ("the server closed the connection (code 1005)", ENDED),
        ("the client closed the connection (code 4001: enough)", ENDED),
        ("the connection broke off", ENDED),
    ],
)
async def test_the_feeds_own_close(path, recorded, seen):
    """Is the close of the replay, with its code and reason; without one the code is 1000."""
    write(path, opened(), (Kind.TEXT, "one"), (Kind.CLOSED, recorded))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        assert await soon(received(connection)) == (["one"], seen)


async def test_a_subprotocol_is_taken(path):
    """The first one that the client asks for; a client that asks for none gets none."""
    write(path, opened())
    async with ReplayServer(path) as server:
        async with dial(server.url, subprotocols=["wamp", "mqtt"]) as connection:
            assert connection.subprotocol == "wamp"
        async with dial(server.url) as connection:
            assert connection.subprotocol is None


async def test_loop(path):
    """Begins again instead of closing, and then waits for nothing."""
    write(path, opened(), (Kind.SENT_TEXT, "go"), (Kind.TEXT, "one"), (Kind.TEXT, "two"), (Kind.CLOSED, "x"))
    async with ReplayServer(path, loop=True) as server, dial(server.url) as connection:
        await connection.send("go")
        got = [await soon(connection.recv()) for _ in range(7)]
    assert got == ["one", "two"] * 3 + ["one"]


async def test_a_loop_without_messages(path):
    """Ends: there is nothing to repeat."""
    write(path, opened(), (Kind.SENT_TEXT, "go"))
    async with ReplayServer(path, loop=True) as server, dial(server.url) as connection:
        await connection.send("go")
        assert await soon(received(connection)) == ([], ENDED)


# When


async def test_without_a_speed_nobody_waits_for_recorded_times(path):
    """An hour of recording comes as fast as it is read."""
    write(path, opened(), (Kind.TEXT, "one"), (Kind.TEXT, "two"), apart=3600 * 10**9)
    async with ReplayServer(path) as server, dial(server.url) as connection:
        assert await soon(received(connection)) == (["one", "two"], ENDED)


async def test_a_speed_is_a_factor_of_recorded_times(path):
    """What took an hour takes a third of a second at 3 600 · 3 times the speed, and not less."""
    write(path, opened(), (Kind.TEXT, "one"), apart=3600 * 10**9)
    async with ReplayServer(path, speed=10_800) as server:
        began = time.monotonic()
        async with dial(server.url) as connection:
            assert await soon(received(connection)) == (["one"], ENDED)
        assert time.monotonic() - began >= 0.33


async def test_a_message_of_the_client_sets_the_clock(path):
    """What followed it in the recording follows as long after it, however late the client was."""
    write(path, opened(), (Kind.SENT_TEXT, "go"), (Kind.TEXT, "one"), apart=10**9)
    async with ReplayServer(path, speed=4) as server, dial(server.url) as connection:
        await asyncio.sleep(0.6)  # by the recorded times the message would be due now
        began = time.monotonic()
        await connection.send("go")
        assert await soon(connection.recv()) == "one"
        assert time.monotonic() - began >= 0.24


async def test_a_client_that_leaves_ends_the_wait(path):
    """A message that is due in an hour holds nothing."""
    write(path, opened(), (Kind.TEXT, "one"), (Kind.TEXT, "two"), apart=3600 * 10**9)
    async with ReplayServer(path, speed=1) as server:
        async with dial(server.url):
            await eventually(lambda: server._server.connections)
        await eventually(lambda: not server._server.handler_tasks)


async def test_a_client_that_reads_slowly_holds_the_server_back(path):
    """What it has not read waits in the file, and comes when it reads."""
    blocks = [(Kind.BINARY, bytes([n % 256]) * 100_000) for n in range(300)]
    write(path, opened(), *blocks)
    async with ReplayServer(path) as server, dial(server.url, max_queue=1) as connection:
        serving = await soon(stalled(server))
        assert serving.transport.get_write_buffer_size() < 1_000_000
        messages, ended = await soon(received(connection))
    assert [(Kind.BINARY, message) for message in messages] == blocks
    assert ended == ENDED


# What a client says


async def test_the_server_waits_for_what_the_client_said(path):
    """It goes on past a recorded message when the same message comes."""
    write(path, opened(), (Kind.TEXT, "hello"), (Kind.SENT_BINARY, b"go"), (Kind.TEXT, "one"))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        assert await soon(connection.recv()) == "hello"
        with pytest.raises(TimeoutError):  # nothing more, though that can only be made unlikely
            await asyncio.wait_for(connection.recv(), 0.1)
        await connection.send(b"go")
        assert await soon(received(connection)) == (["one"], ENDED)
        assert server.problems == []


async def test_a_client_may_say_everything_first(path):
    """Its messages are compared when the recording comes to them."""
    sent = [(Kind.SENT_TEXT, f"{n} {'x' * 100_000}") for n in range(150)]
    write(path, opened(), *[(Kind.TEXT, "y" * 100_000)] * 150, *sent, (Kind.TEXT, "done"))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        for _, message in sent:
            await soon(connection.send(message))
        messages, ended = await soon(received(connection))
    assert [len(message) for message in messages] == [*[100_000] * 150, 4]
    assert ended == ENDED


async def test_json_is_compared_by_its_values(path):
    """The order of fields and spaces do not count, nor does what may be secret."""
    write(
        path, opened(), (Kind.SENT_TEXT, '{"op":"auth","token":"***","a":[1,{"b":null}]}'), (Kind.TEXT, "in")
    )
    async with ReplayServer(path) as server, dial(server.url) as connection:
        await connection.send('{"a": [1.0, {"b": null}], "token": "other", "op": "auth"}')
        assert await soon(received(connection)) == (["in"], ENDED)


DIFFERENCES = [
    ('{"op": "a", "ids": ["x", "y"]}', '{"op": "a", "ids": ["x", "z"]}', 'ids[1] is "z" and was "y"'),
    ('{"op": {"n": 1}}', '{"op": {"n": true}}', "op.n is true and was 1"),
    ('{"op": {"n": 1}}', '{"op": {}}', "op.n is missing"),
    ('{"op": 1}', '{"op": 1, "more": 2}', "more is new"),
    ("[1, 2, 3]", "[1]", "it has 1 elements and had 3"),
    ('{"op": 1}', "[1]", 'it is [1] and was {"op": 1}'),
    ("go", "stop", "it is stop and was go"),
    ('{"op": 1}', "stop", 'it is stop and was {"op": 1}'),
    ('"' + "a" * 90 + '"', '"' + "b" * 90 + '"', f'it is "{"b" * 38}… and was "{"a" * 38}…'),
    ("[" * 300 + "1" + "]" * 300, "[" * 300 + "2" + "]" * 300, "[0]" * 300 + " is 2 and was 1"),
]


@pytest.mark.parametrize(("recorded", "sent", "difference"), DIFFERENCES, ids=range(len(DIFFERENCES)))
async def test_another_message_is_refused(path, recorded, sent, difference):
    """The close says what differs, as far as there is room; all of it is kept and reported."""
    write(path, opened(), (Kind.SENT_TEXT, recorded), (Kind.TEXT, "one"))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        await connection.send(sent)
        messages, (code, reason) = await soon(received(connection))
        assert (messages, code) == ([], 1008)
        assert f"message 1: {difference}".startswith(reason.removesuffix("…"))
        assert len(reason) >= 20
        (problem,) = server.problems
        assert problem.difference == difference
        assert (problem.connection, problem.number) == (1, 1)
        assert (problem.recorded, problem.sent) == (recorded.encode(), sent.encode())
        assert [error for _, error in take_errors()] == [problem]
        for words in (recorded, sent, difference):
            assert words in str(problem)


async def test_text_is_not_binary(path):
    """Though the bytes are the same."""
    write(path, opened(), (Kind.SENT_TEXT, "go"))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        await connection.send(b"go")
        assert await soon(received(connection)) == ([], (1008, "message 1: it is binary and was text"))
    take_errors()


async def test_a_secret_is_not_told(path):
    """Neither in the close nor in what is kept."""
    write(path, opened(), (Kind.SENT_TEXT, '{"op":"auth","token":"***"}'))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        await connection.send('{"op": "login", "token": "hush"}')
        _, (_, reason) = await soon(received(connection))
        assert reason == 'message 1: op is "login" and was "auth"'
        assert "hush" not in str(server.problems[0])
    take_errors()


async def test_a_message_more_than_was_recorded(path):
    """Is refused at the end."""
    write(path, opened(), (Kind.SENT_TEXT, "go"), (Kind.TEXT, "one"), (Kind.SENT_TEXT, "more"))
    async with ReplayServer(path) as server, dial(server.url) as connection:
        for message in ("go", "more", "and more"):
            await connection.send(message)
        messages, ended = await soon(received(connection))
        assert messages == ["one"]
        assert ended == (1008, "message 3: the recording has no more messages of the client")
        assert (server.problems[0].recorded, server.problems[0].sent) == (None, b"and more")
    take_errors()


async def test_what_differs_may_be_let_pass(path):
    """With strict=False any message will do; what differs is kept and not reported."""
    write(
        path, opened(), (Kind.SENT_TEXT, "go"), (Kind.TEXT, "one"), (Kind.SENT_TEXT, "on"), (Kind.TEXT, "two")
    )
    async with ReplayServer(path, strict=False) as server, dial(server.url) as connection:
        await connection.send(b"start")
        await connection.send("on")
        assert await soon(received(connection)) == (["one", "two"], ENDED)
        assert [problem.sent for problem in server.problems] == [b"start"]


# The server


async def test_its_end_is_the_end_of_connections(path):
    """Clients are told, and one that does not read is cut off."""
    write(path, opened(), (Kind.SENT_TEXT, "go"), *[(Kind.BINARY, bytes(100_000))] * 300)
    async with contextlib.AsyncExitStack() as clients:
        async with ReplayServer(path) as server:
            waiting = await clients.enter_async_context(dial(server.url))
            deaf = await clients.enter_async_context(dial(server.url, max_queue=1))
            await deaf.send("go")
            await soon(stalled(server))
        assert await soon(received(waiting)) == ([], (1001, "the replay was stopped"))
        messages, (code, _) = await soon(received(deaf))
        assert len(messages) < 300
        assert code == 1006
    with pytest.raises(OSError):
        await dial(server.url)


async def test_its_end_does_not_wait_for_a_handshake(path):
    """That a client has begun and not ended."""
    write(path, opened())
    async with ReplayServer(path) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await eventually(lambda: server._connections)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    writer.close()


async def test_pages_from_elsewhere_may_not_connect(path):
    """A browser's page has to be of this machine; another client may call itself from wherever it likes."""
    write(path, opened(), (Kind.TEXT, "one"))
    async with ReplayServer(path) as server:
        for origin, agent in (("http://localhost:8888", "Mozilla/5.0"), ("https://example.org", "curl/8")):
            async with dial(server.url, origin=origin, user_agent_header=agent) as connection:
                assert await soon(connection.recv()) == "one"
        with pytest.raises(InvalidStatus, match="403"):
            await dial(server.url, origin="https://example.org", user_agent_header="Mozilla/5.0")


async def test_a_fault_is_reported(path, monkeypatch):
    """The client is told as well, and the others go on."""
    write(path, opened(), (Kind.TEXT, "one"))
    async with ReplayServer(path) as server:
        with monkeypatch.context() as broken:
            broken.setattr(server, "_find", None)
            async with dial(server.url) as connection:
                _, (code, reason) = await soon(received(connection))
        assert code == 1011
        assert reason.startswith("the replay failed: ")
        assert [type(error) for _, error in take_errors()] == [TypeError]
        async with dial(server.url) as connection:
            assert await soon(received(connection)) == (["one"], ENDED)


async def test_a_port_that_is_taken(path):
    """Is an error that says so, and so is a host that is not this machine's."""
    write(path, opened())
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortInUse):
        await ReplayServer(path, port=other.getsockname()[1]).__aenter__()
    with pytest.raises(ServeError, match="cannot listen on 192"):
        await ReplayServer(path, host="192.0.2.1").__aenter__()


@pytest.mark.parametrize("speed", [0, -1, True, "fast", float("inf"), float("nan")])
def test_a_speed_that_is_none(path, speed):
    """Is refused in words."""
    write(path, opened())
    with pytest.raises(UsageError, match="give how many times as fast"):
        ReplayServer(path, speed=speed)


def test_for_cells_and_plain_tests(path):
    """It runs in the background until it is stopped, twice if one likes."""
    write(path, opened(), (Kind.SENT_TEXT, "go"), (Kind.TEXT, "one"))
    with BlockingReplayServer(path) as server:
        assert repr(server) == "BlockingReplayServer(running)"
        with connect_blocking(server.url, proxy=None) as connection:
            connection.send("stop")
            with pytest.raises(ConnectionClosed, match="1008"):
                connection.recv(timeout=30)
        assert [problem.difference for problem in server.problems] == ["it is stop and was go"]
    server.stop()
    assert repr(server) == "BlockingReplayServer(stopped)"
    take_errors()


# Of a replay


async def talk(url, script):
    """Say and hear, in order, what was said and heard."""
    async with dial(url) as connection:
        for kind, message in script:
            text = kind in (Kind.TEXT, Kind.SENT_TEXT)
            if kind in SENT:
                await connection.send(message, text=text)
            else:
                heard = await soon(connection.recv())
                assert isinstance(heard, str) is text
        assert await soon(received(connection)) == ([], ENDED)


@pytest.mark.parametrize("name", ["bitstamp", "coinbase", "kraken"])
async def test_a_replay_of_a_replay_is_the_same(name, tmp_path):
    """To the byte, and in the same order: what a client of the replay hears and says is recorded again."""
    source = CAPTURES / f"{name}.txt"
    script = said(source)
    assert len(script) > 500
    for generation in ("first", "second"):
        copy = tmp_path / f"{generation}.rtlog"
        async with ReplayServer(source) as server, RecordingProxy(server.url, copy) as proxy:
            await talk(proxy.url, script)
            assert server.problems == []
        assert said(copy) == script
        source = copy


async def test_what_a_client_reads_of_a_capture(tmp_path):
    """Is the received part of the file, line by line."""
    lines = [line for line in (CAPTURES / "coinbase.txt").read_text().splitlines() if line]
    wanted = [line.partition(": ")[2] for line in lines if " " not in line.partition(": ")[0]]
    greetings = [line.partition(": ")[2] for line in lines if " <- " in line.partition(": ")[0]]
    async with ReplayServer(CAPTURES / "coinbase.txt") as server, dial(server.url) as connection:
        for greeting in greetings:
            await connection.send(json.dumps(json.loads(greeting), indent=1))  # the same, by its values
        assert await soon(received(connection)) == (wanted, ENDED)
    assert len(wanted) == 9946
