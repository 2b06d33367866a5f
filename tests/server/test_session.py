import asyncio
import json

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed

from rtwidgets.errors import UsageError
from rtwidgets.messages import (
    MAX_MESSAGE,
    Cursor,
    Error,
    Joined,
    Left,
    Ping,
    Pong,
    Presence,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    encode_data,
)
from rtwidgets.server import Server, Service, outbox, session
from rtwidgets.services import BUILT_IN, Chat, Prices, service
from tests.talking import dial, dial_v1, eventually, whom

pytestmark = pytest.mark.usefixtures("tidy")


@service("/notes", key="who", time="when", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


@pytest.fixture
def server():
    return Server([notes, Chat])


def publish(number, data, key=None):
    return Publish(number, "notes", msgspec.Raw(encode_data(data)), key)


async def fill(server, count, first=1):
    channel = await server.hub.channel("notes")
    await channel.publish_many({"n": n} for n in range(first, first + count))
    return channel.log


# Subscribing


async def test_from_now_on(server):
    """With no cursor a subscriber gets what comes after its subscription, and is told the fields."""
    async with server, dial_v1(server) as client:
        log = await fill(server, 5)
        assert await client.subscribe("notes") == Subscribed(
            1, "notes", log.epoch, 5, True, 0, "who", "when", last=5
        )
        await fill(server, 2, first=6)
        assert await client.rows(2) == [(6, {"n": 6}), (7, {"n": 7})]


@pytest.mark.parametrize(
    ("kept", "epoch", "offset", "expected"),
    [
        (100, "same", 0, (0, True, 0)),
        (100, "same", 7, (7, True, 0)),
        (100, "same", 10, (10, True, 0)),
        (100, "same", 11, (0, False, 0)),
        (100, "same", -1, (0, False, 0)),
        (100, "other", 7, (0, False, 0)),
        (100, "", 0, (0, False, 0)),
        (4, "same", 6, (6, True, 0)),
        (4, "same", 5, (6, False, 1)),
        (4, "same", 0, (6, False, 6)),
        (4, "same", 10, (10, True, 0)),
        (4, "other", 0, (6, False, 0)),
        (4, "same", 99, (6, False, 0)),
    ],
)
async def test_resuming(server, kept, epoch, offset, expected):
    """A cursor in the log is gone on from, what was trimmed is counted, any other begins with what stays."""
    async with server, dial_v1(server) as client:
        channel = await server.hub.channel("notes")
        channel.log.max_messages = kept
        log = await fill(server, 10)
        answer = await client.subscribe("notes", Cursor(log.epoch if epoch == "same" else epoch, offset))
        assert (answer.offset, answer.recovered, answer.lost) == expected
        assert answer.last == 10
        rows = await client.rows(10 - answer.offset) if answer.offset < 10 else []
        assert [offset for offset, _ in rows] == list(range(answer.offset + 1, 11))
        await fill(server, 1, first=11)
        assert await client.rows(1) == [(11, {"n": 11})]


async def test_everybody_sees_everything_in_one_order(server):
    """Several publishers, several subscribers that come at different times: each sees 1..N, the same."""
    publishers, each = 4, 250

    async def write(number):
        async with dial_v1(server) as client:
            for n in range(each):
                await client.say(publish(n, [number, n]))
            offsets = [(await client.hear(Published)).offset for _ in range(each)]
            assert offsets == sorted(offsets)

    async def read(late):
        await eventually(lambda: late == 0 or server.statistics().messages > late)
        async with dial_v1(server) as client:
            await client.subscribe("notes", Cursor("", 0))
            return await client.rows(publishers * each)

    async with server:
        readers = [asyncio.ensure_future(read(late)) for late in (0, 0, 200, 700)]
        await asyncio.gather(*map(write, range(publishers)))
        seen = await asyncio.gather(*readers)
    assert [offset for offset, _ in seen[0]] == list(range(1, publishers * each + 1))
    assert all(each_sees == seen[0] for each_sees in seen)
    for number in range(publishers):
        assert [n for _, (who, n) in seen[0] if who == number] == list(range(each))


async def test_subscribing_again_moves_the_cursor(server):
    """One channel is followed once on a connection."""
    async with server, dial_v1(server) as client:
        log = await fill(server, 3)
        await client.subscribe("notes")
        await client.subscribe("notes", Cursor(log.epoch, 1))
        assert [offset for offset, _ in await client.rows(2)] == [2, 3]
        await fill(server, 1, first=4)
        assert await client.rows(1) == [(4, {"n": 4})]
        await client.say(Ping())
        assert await client.hear() == Pong()


async def test_unsubscribing(server):
    """Nothing more comes; what is not followed can be unsubscribed too."""
    async with server, dial_v1(server) as client:
        await client.subscribe("notes")
        await client.say(Unsubscribe("notes"))
        await client.say(Unsubscribe("never"))
        await client.say(Ping())
        assert await client.hear() == Pong()
        await fill(server, 3)
        await client.say(Ping())
        assert await client.hear() == Pong()
        assert not (await server.hub.channel("notes")).followers


@pytest.mark.parametrize(
    ("channel", "code"),
    [("nope", "unknown_channel"), ("chat", "unknown_channel"), ("chat/a/b", "unknown_channel"),
     ("a b", "bad_channel"), ("", "bad_channel"), ("/notes", "bad_channel"), ("x" * 300, "bad_channel")],
)  # fmt: skip
async def test_channels_that_there_are_not(server, channel, code):
    """The request is refused under its number; the connection goes on."""
    async with server, dial_v1(server) as client:
        for message in (Subscribe(5, channel), Publish(5, channel, msgspec.Raw(b"1"))):
            await client.say(message)
            answer = await client.hear(Error)
            assert (answer.id, answer.code) == (5, code)
        await client.say(Ping())
        assert await client.hear() == Pong()


# Publishing


async def test_publishing(server):
    """What is taken is answered with its offset, also twice under one key, and comes back."""
    async with server, dial_v1(server) as client:
        await client.subscribe("notes")
        for number, key in ((10, "a"), (11, "a"), (12, None), (13, "b")):
            await client.say(publish(number, {"n": number}, key))
        answers = [await client.hear(Published) for _ in range(4)]
        assert [(answer.id, answer.offset) for answer in answers] == [(10, 1), (11, 1), (12, 2), (13, 3)]
        log = (await server.hub.channel("notes")).log
        assert log.read(0).pieces == [b'{"n":10}', b'{"n":12}', b'{"n":13}']


async def test_publishing_where_nobody_may():
    """A service that takes no messages refuses them."""
    async with Server([Prices]) as server, dial_v1(server) as client:
        await client.say('{"type":"publish","id":1,"channel":"prices","data":{"price":1}}')
        answer = await client.hear(Error)
        assert (answer.id, answer.code) == (1, "read_only")


async def test_chat_signs_and_dates(server):
    """Whatever else a message claims, it has the sender's name and the server's time."""
    async with server, dial_v1(server) as client:
        await client.say(Presence("chat/a", "ada"))
        await client.subscribe("chat/a")
        await client.say(
            '{"type":"publish","id":9,"channel":"chat/a","data":{"text":"hi","user":"eve","time":0}}'
        )
        [(_, row)] = await client.rows(1)
        assert (row["type"], row["user"], row["text"]) == ("message", "ada", "hi")
        assert row["time"] > 1e12


@pytest.mark.parametrize(
    "data",
    [
        "1",
        '"hi"',
        "{}",
        '{"text":""}',
        '{"text":1}',
        '{"text":"x","type":"edit"}',
        '{"text":"%s"}' % ("x" * 4_001),
    ],
)
async def test_what_is_no_chat_message(server, data):
    """It is refused, and nothing lands."""
    async with server, dial_v1(server) as client:
        await client.say(Publish(9, "chat/a", msgspec.Raw(data.encode())))
        answer = await client.hear()
        assert (answer.id, answer.code) == (9, "bad_message")
        assert (await server.hub.channel("chat/a")).log.last == 0


class Loud(Service):
    """Does something of its own with what clients publish."""

    name, path = "loud", "/loud"

    async def publish(self, channel, data, user, idempotency=None):
        text = msgspec.json.decode(data)
        if not isinstance(text, str):
            raise UsageError("send text")
        return await channel.publish(f"{text.upper()} {user[:5]} {idempotency}")


async def test_a_service_may_publish_in_its_own_way():
    """It is asked for clients of both dialects, and what it cannot take is told to them."""
    async with Server([Loud]) as server, dial(server, "/loud") as plain, dial_v1(server) as client:
        await client.say(Publish(1, "loud", msgspec.Raw(b'"hi"'), "key"))
        assert await client.hear() == Published(1, 1)
        await client.say(Publish(2, "loud", msgspec.Raw(b"5")))
        assert await client.hear() == Error("bad_message", "send text", 2)
        assert await hear(plain) == "HI guest key"
        await plain.send('"ho"')
        assert await hear(plain) == "HO guest None"
        await plain.send("5")
        assert await hear(plain) == {"type": "error", "message": "send text"}


# Presence


async def test_presence(server):
    """Who comes is told to those there, and who is there to who comes; who goes is told, however it goes."""
    async with server, dial_v1(server) as ada:
        await ada.subscribe("chat/a")
        await ada.say(Presence("chat/a", "ada"))
        assert whom(await ada.hear()) == (Joined, "chat/a", "ada")
        async with dial_v1(server) as bob:
            await bob.subscribe("chat/a")
            await bob.say(Presence("chat/a", "bob"))
            assert whom(await bob.hear()) == (Joined, "chat/a", "ada")
            assert whom(await bob.hear()) == (Joined, "chat/a", "bob")
            assert whom(await ada.hear()) == (Joined, "chat/a", "bob")
        assert whom(await ada.hear()) == (Left, "chat/a", "bob")
        async with dial_v1(server) as eve:
            await eve.say(Presence("chat/a", "eve"))
            assert whom(await ada.hear()) == (Joined, "chat/a", "eve")
            await eve.say(Presence("chat/a", "mallory"))
            assert whom(await ada.hear()) == (Left, "chat/a", "eve")
            assert whom(await ada.hear()) == (Joined, "chat/a", "mallory")
            eve.connection.transport.abort()
            assert whom(await ada.hear()) == (Left, "chat/a", "mallory")
        assert [member.user for member in (await server.hub.channel("chat/a")).members] == ["ada"]


async def test_a_subscriber_is_told_who_is_there(server):
    """In the answer, oldest first, since when and on which server, plain clients too; then of changes."""
    async with server, dial_v1(server) as ada, dial(server, "/chat/a?user=bob") as bob:
        await ada.say(Presence("chat/a", "ada"))
        await ada.say(Ping())
        await ada.hear(Pong)
        assert (await ada.subscribe("chat/b")).present is None
        assert (await hear(bob))["type"] == "history"
        assert await hear(bob) == {"type": "joined", "user": "bob"}
        async with dial_v1(server) as watcher:
            answer = await watcher.subscribe("chat/a")
            channel = await server.hub.channel("chat/a")
            assert sorted(member.user for member in answer.present) == ["ada", "bob"]
            assert answer.present == channel.members
            assert [member.since for member in answer.present] == sorted(m.since for m in channel.members)
            assert {member.server for member in answer.present} == {server.id}
            await ada.say(Presence("chat/a", "eve"))
            left, joined = await watcher.hear(), await watcher.hear()
            assert (whom(left), whom(joined)) == ((Left, "chat/a", "ada"), (Joined, "chat/a", "eve"))
            assert left.time >= answer.present[0].since
            assert joined.since >= left.time
            assert joined.server == left.server == server.id


async def test_of_a_crowd_the_newest_are_told(server, monkeypatch):
    """In the answer to who subscribes, and one by one to who comes, in one write."""
    monkeypatch.setattr(session, "MAX_PRESENT", 3)
    writes = []
    send = outbox.Outbox.send

    def counted(self, *payloads):
        writes.append(len(payloads))
        send(self, *payloads)

    monkeypatch.setattr(outbox.Outbox, "send", counted)
    async with server, dial_v1(server) as client:
        channel = await server.hub.channel("chat/a")
        for n in range(5):
            channel.join(n, f"user {n}")
        newest = ["user 2", "user 3", "user 4"]
        assert [member.user for member in (await client.subscribe("chat/a")).present] == newest
        writes.clear()
        await client.say(Presence("chat/a", "ada"))
        assert [(await client.hear(Joined)).user for _ in range(4)] == [*newest, "ada"]
        assert writes == [3, 1]


@pytest.mark.parametrize("user", ["", "x" * 101])
async def test_names_are_bounded(server, user):
    """An empty or endless one is refused."""
    async with server, dial_v1(server) as client:
        await client.say(Presence("chat/a", user))
        assert (await client.hear(Error)).code == "bad_user"
        assert (await server.hub.channel("chat/a")).members == []


# Hostile frames


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("hello", 1008),
        ("{}", 1008),
        ('{"type":"dance"}', 1008),
        ('{"type":"subscribe","id":"x","channel":"notes"}', 1008),
        ('{"type":"publish","id":1,"channel":"notes","data":' + "[" * 50_000 + "]" * 50_000 + "}", 1008),
        ('{"type":"publish","id":1,"channel":"notes","data":1,"idempotency":"' + "k" * 300 + '"}', 1008),
        (b"\x00\xff\x17", 1008),
        (b'{"type":"publish","id":1,"channel":"notes","data":"\xff\xfe"}', 1008),
        ("x" * (MAX_MESSAGE + 5_000), 1009),
    ],
    ids=range(9),
)
async def test_hostile_frames(server, frame, code):
    """Each gets its close code, nothing of it enters a log, and no fault is reported."""
    async with server, dial_v1(server) as client:
        await client.say(frame)
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                assert (await client.hear()).code == "bad_message"
        assert caught.value.rcvd.code == code
        assert server.statistics().messages == 0


async def test_binary_json_is_taken(server):
    """A client may send its messages as binary frames."""
    async with server, dial_v1(server) as client:
        await client.say(b'{"type":"ping"}')
        assert await client.hear() == Pong()


@pytest.mark.parametrize("value", [None, 1.5, "ü€😀", [], {"a": {"b": [1, None]}}, "x" * 100_000])
async def test_any_json_goes_through(server, value):
    """As it is."""
    async with server, dial_v1(server) as client:
        await client.subscribe("notes")
        await client.say(publish(7, value))
        assert await client.rows(1) == [(1, value)]


# Plain clients


async def hear(client):
    return json.loads(await asyncio.wait_for(client.recv(), 20))


async def test_the_board_comes_at_once_and_then_each_second(monkeypatch):
    """A plain client of prices gets the whole object, again and again."""
    monkeypatch.setattr("rtwidgets.services.prices._BOARD_EVERY", 0.02)
    async with (
        Server([Prices], seed=1, options={"prices": {"rate": 1_000}}) as server,
        dial(server, "/prices") as client,
    ):
        boards = [await hear(client) for _ in range(4)]
        assert all(list(board) == ["AAPL", "GOOGL", "MSFT"] for board in boards)
        assert boards[0]["AAPL"] == pytest.approx(150, rel=0.05)
        assert boards[0] != boards[3]


async def test_a_plain_chat(server):
    """History first, then messages, joined and left; a name is given in the query."""
    async with server, dial(server, "/chat/a?user=ada") as ada:
        assert await hear(ada) == {"type": "history", "messages": []}
        assert await hear(ada) == {"type": "joined", "user": "ada"}
        await ada.send('{"type":"message","text":"hi"}')
        said = await hear(ada)
        assert (said["type"], said["user"], said["text"]) == ("message", "ada", "hi")
        async with dial(server, "/chat/a") as guest:
            assert await hear(guest) == {"type": "history", "messages": [said]}
            joined = await hear(guest)
            assert joined["user"].startswith("guest-")
            assert await hear(ada) == joined
            await guest.send("what?")
            assert "text" in (await hear(guest))["message"]
            await guest.send(b"\xff")
            assert (await hear(guest))["type"] == "error"
            await guest.send("[" * 100_000)
            assert (await hear(guest))["type"] == "error"
            guest.transport.abort()
            assert await hear(ada) == joined | {"type": "left"}


async def test_a_chat_shows_the_newest_hundred(server):
    """What does not fit in the history message follows, so that nothing is missing."""
    async with server:
        channel = await server.hub.channel("chat/a")
        await channel.publish_many({"type": "message", "n": n} for n in range(300))
        async with dial(server, "/chat/a") as client:
            history = await hear(client)
            assert [row["n"] for row in history["messages"]] == list(range(200, 300))
        await channel.publish_many({"type": "message", "n": n, "text": "x" * 4_000} for n in range(100))
        async with dial(server, "/chat/a") as client:
            frame = await client.recv()
            assert len(frame) < 2**20
            numbers = [row["n"] for row in json.loads(frame)["messages"]]
            while len(numbers) < 100:
                message = await hear(client)
                if message["type"] == "message":
                    numbers.append(message["n"])
            assert numbers == list(range(100))


async def test_the_echoes():
    """One says so, the other is raw, with text as text and binary as binary."""
    async with Server(list(BUILT_IN.values())) as server:
        async with dial(server, "/echo") as client:
            await client.send("ü")
            assert await client.recv() == "Echo: ü"
            await client.send(b"bytes")
            assert await client.recv() == "Echo: bytes"
        async with dial(server, "/ws") as client:
            for message in ("", "ü", b"\x00\xff", b""):
                await client.send(message)
                assert await client.recv() == message


async def test_a_user_service_in_the_plain_dialect(server):
    """What its channel keeps, then what comes; where it is writable a client's message is published."""
    async with server:
        await fill(server, 2)
        async with dial(server, "/notes") as client:
            assert [await hear(client) for _ in range(2)] == [{"n": 1}, {"n": 2}]
            await client.send('{"n":3}')
            assert await hear(client) == {"n": 3}
            for bad in (
                "no json",
                b"\xff",
                '"\ud800"'.encode("utf-8", "surrogatepass"),
                b'{"n":01}',
                "[" * 100_000,
            ):
                await client.send(bad)
                assert (await hear(client))["type"] == "error"
        assert server.statistics().messages == 3


async def test_a_service_that_is_not_writable():
    """It says that it takes no messages."""

    @service("/quiet")
    async def quiet(channel):
        await channel.publish({"n": 1})

    async with Server([quiet]) as server, dial(server, "/quiet") as client:
        assert await hear(client) == {"n": 1}
        await client.send('{"n":2}')
        assert await hear(client) == {"type": "error", "message": "/quiet takes no messages from clients"}


async def test_names_of_plain_clients_are_bounded(server):
    """A long one is cut, an empty one is a guest's."""
    async with server:
        async with dial(server, f"/chat/a?user={'x' * 500}") as client:
            await hear(client)
            assert await hear(client) == {"type": "joined", "user": "x" * 100}
        async with dial(server, "/chat/a?user=") as client:
            await hear(client)
            assert (await hear(client))["user"].startswith("guest-")


async def test_too_many_rooms(server, monkeypatch):
    """A plain client that asks for one more is told so, and nothing is reported."""
    monkeypatch.setattr("rtwidgets.server.hub.MAX_CHANNELS", 3)
    async with server:
        for n in range(2):
            async with dial(server, f"/chat/{n}") as client:
                await hear(client)
        async with dial(server, "/chat/2") as client:
            assert "makes no more" in (await hear(client))["message"]
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
            assert caught.value.rcvd.code == 1013
        async with dial_v1(server) as client:
            await client.say(Subscribe(1, "chat/3"))
            assert (await client.hear(Error)).code == "too_many_channels"


async def test_plain_message_that_is_too_large_is_refused_and_no_fault_of_the_server(server):
    """The client is told and stays connected; the `tidy` fixture sees that nothing was reported."""
    async with server, dial(server, "/notes") as plain:
        await plain.send(json.dumps("x" * (MAX_MESSAGE - 2)))
        await plain.send('"small"')
        assert json.loads(await plain.recv()) == "x" * (MAX_MESSAGE - 2)
        assert json.loads(await plain.recv()) == "small"
        await plain.send(json.dumps("x" * MAX_MESSAGE))
        assert "too large" in json.loads(await plain.recv())["message"]
