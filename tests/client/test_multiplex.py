import asyncio
import gc
import json

import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Multiplex, State, Subscription
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.errors import Closed, ConnectError, Refused, SchemaError, Unauthorized, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.messages import MAX_MESSAGE, SUBPROTOCOL, Joined, Left, Subscribed, encode
from rtwidgets.server import Server
from rtwidgets.services import Chat, Echo, service
from tests.talking import Proxy, eventually, whom
from tests.wire import Network, settled

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Waits of a few milliseconds."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.005, 0.02, 0.0))


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


@service("/quotes", key="symbol")
async def quotes(channel):
    """Filled by the tests."""


class Notes:
    """A reader that keeps offsets and events."""

    def __init__(self, channel="notes", *, history=True, fault=None):
        self.subscription = Subscription(channel, history=history)
        self.answers, self.offsets, self.events = [], [], []
        self.fault = fault

    def opened(self, answer):
        if self.fault is not None:
            raise self.fault
        self.answers.append(answer)

    def read(self, run, known):
        self.offsets += range(run.offset + known, run.offset + run.count)

    def read_latest(self, latest):
        self.offsets += latest.offsets

    def event(self, event):
        self.events.append(event)


def to(server, port=None, token=...):
    return Multiplex(f"ws://127.0.0.1:{port or server.port}", server.token if token is ... else token)


async def test_several_channels_on_one_connection():
    """Each reader gets its own; the last row is where the cursor stands."""
    async with Server([notes, Chat]) as server:
        multiplex = to(server)
        one, two = Notes(), Notes("chat/a")
        await multiplex.subscribe(one)
        await multiplex.subscribe(two, user="ada")
        assert multiplex.channels == ["notes", "chat/a"]
        assert await multiplex.publish("notes", {"n": 1}) == 1
        assert await multiplex.publish("notes", {"n": 1}, "key") == 2
        assert await multiplex.publish("notes", {"n": 1}, "key") == 2
        await multiplex.publish("chat/a", {"type": "message", "text": "hi"})
        await eventually(lambda: one.offsets == [1, 2] and two.offsets == [1])
        assert [whom(event) for event in two.events] == [(Joined, "chat/a", "ada")]
        assert server.statistics().connections == 1
        await multiplex.unsubscribe("notes")
        await multiplex.publish("notes", 0)
        assert one.offsets == [1, 2]
        await multiplex.close()


async def test_each_row_once_however_often_the_transport_is_cut():
    """Between cuts at any moment while rows come, nothing is lost and nothing comes twice."""
    async with Server([notes]) as server, Proxy(server.port) as proxy:
        channel = await server.hub.channel("notes")
        multiplex = to(server, proxy.port)
        reader = Notes()
        await multiplex.subscribe(reader)
        for n in range(1, 1_001):
            await channel.publish(n)
            if n % 5 == 0:
                await asyncio.sleep(0.001)
            if n % 120 == 0:
                proxy.cut()
        await eventually(lambda: len(reader.offsets) >= 1_000)
        assert reader.offsets == list(range(1, 1_001))
        assert not reader.subscription.gaps
        assert multiplex.link.connects > 3
        await multiplex.close()


async def test_what_left_the_log_during_a_break_is_a_gap():
    """The rest comes; the gap has its offsets."""
    async with Server([notes]) as server, Proxy(server.port) as proxy:
        channel = await server.hub.channel("notes")
        channel.log.max_messages = 10
        multiplex = to(server, proxy.port)
        reader = Notes()
        await channel.publish_many(range(10))
        await multiplex.subscribe(reader)
        await eventually(lambda: reader.offsets == list(range(1, 11)))
        proxy.accepting = False
        proxy.cut()
        await channel.publish_many(range(50))
        proxy.accepting = True
        await eventually(lambda: len(reader.offsets) == 20)
        assert reader.offsets == [*range(1, 11), *range(51, 61)]
        assert [gap[1:3] for gap in reader.subscription.gaps] == [(11, 50)]
        await multiplex.close()


async def test_after_a_gap_comes_the_last_message_of_each_key_that_is_missing():
    """Where a channel has keys; those of which the log still has a message need no such thing."""
    async with Server([quotes]) as server, Proxy(server.port) as proxy:
        channel = await server.hub.channel("quotes", quotes.fields)
        channel.log.max_messages = 10
        multiplex = to(server, proxy.port)
        reader = Notes("quotes")
        await channel.publish_many({"symbol": symbol} for symbol in "ABC")
        await multiplex.subscribe(reader)
        await eventually(lambda: reader.offsets == [1, 2, 3])
        proxy.accepting = False
        proxy.cut()
        await channel.publish_many({"symbol": symbol} for symbol in ["B", "C", "B", *"C" * 30])
        proxy.accepting = True
        await eventually(lambda: reader.offsets[-1] == 36)
        assert reader.offsets == [1, 2, 3, 6, *range(27, 37)]  # the last B; A was read before the break
        assert [gap[1:3] for gap in reader.subscription.gaps] == [(4, 26)]
        await multiplex.close()


async def test_who_begins_late_is_told_the_last_message_of_each_key():
    """Also of those whose messages have left the log before its first connection."""
    async with Server([quotes]) as server:
        channel = await server.hub.channel("quotes", quotes.fields)
        channel.log.max_messages = 2
        await channel.publish_many({"symbol": symbol} for symbol in "ABABCC")
        multiplex = to(server)
        reader = Notes("quotes")
        await multiplex.subscribe(reader)
        await eventually(lambda: reader.offsets[-1:] == [6])
        assert reader.offsets == [3, 4, 5, 6]
        assert not reader.subscription.gaps
        await multiplex.close()


async def test_a_server_that_was_started_anew_is_another_epoch():
    """The reader goes on with the new log from its beginning, and says so."""
    first = Server([notes], token="t")
    await first.start()
    multiplex = to(first)
    reader = Notes()
    await multiplex.subscribe(reader)
    await multiplex.publish("notes", 1)
    await eventually(lambda: reader.offsets == [1])
    await first.stop()
    async with Server([notes], port=first.port, token="t") as second:
        channel = await second.hub.channel("notes")
        await channel.publish_many([1, 2])
        await eventually(lambda: reader.offsets == [1, 1, 2])
        assert "another epoch" in reader.subscription.gaps[0].reason
        await multiplex.close()


async def test_presence_comes_back_after_a_break():
    """The others see that somebody left and joined again."""
    async with Server([Chat]) as server, Proxy(server.port) as proxy:
        ada, bob = to(server), to(server, proxy.port)
        reader = Notes("chat/a")
        await ada.subscribe(reader, user="ada")
        await bob.subscribe(Notes("chat/a"), user="bob")
        await eventually(lambda: len(reader.events) == 2)
        proxy.cut()
        await eventually(lambda: len(reader.events) == 4)
        joined, left, again = reader.events[1:]
        assert [whom(event) for event in (left, again)] == [
            (Left, "chat/a", "bob"),
            (Joined, "chat/a", "bob"),
        ]
        assert joined.since <= left.time <= again.since
        await ada.close()
        await bob.close()


async def test_who_is_there_is_known_when_subscribing_returns():
    """To who only follows, before any event; and is told anew after a break, as it is then."""
    async with Server([Chat], id="here") as server, Proxy(server.port) as proxy:
        ada, watcher = to(server), to(server, proxy.port)
        await ada.subscribe(Notes("chat/a"), user="ada")
        channel = await server.hub.channel("chat/a")
        await eventually(lambda: channel.members)
        reader = Notes("chat/a")
        await watcher.subscribe(reader)
        assert reader.subscription.people.members == channel.members
        assert channel.members[0].server == "here"
        proxy.accepting = False
        proxy.cut()
        await ada.close()
        await eventually(lambda: not channel.members)
        proxy.accepting = True
        await eventually(lambda: len(reader.answers) == 2)
        assert reader.subscription.present == []
        assert not reader.events
        await watcher.close()


async def test_subscriptions_while_the_connection_breaks():
    """Each either stands or raises; none hangs, no reader of a failed one is left, the link survives."""
    async with Server([Chat]) as server, Proxy(server.port) as proxy:
        multiplex = to(server, proxy.port)
        await multiplex.subscribe(Notes("chat/keep"))
        results = []

        async def subscribe(n):
            reader = Notes(f"chat/{n}")
            try:
                await multiplex.subscribe(reader)
            except Closed:
                results.append(None)
            else:
                results.append(reader.subscription.channel)

        tasks = []
        for n in range(60):
            tasks.append(asyncio.ensure_future(subscribe(n)))
            await asyncio.sleep(0.001)
            if n % 15 == 7:
                proxy.cut()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert sorted(multiplex.channels) == sorted(["chat/keep", *filter(None, results)])
        assert not multiplex._pending
        assert multiplex.link.state is not State.CLOSED
        await multiplex.close()


async def test_a_break_while_subscribing_again_is_a_break_like_any_other(monkeypatch):
    """The link tries once more, and the reader misses nothing."""
    async with Server([notes]) as server, Proxy(server.port) as proxy:
        multiplex = to(server, proxy.port)
        reader = Notes()
        await multiplex.subscribe(reader)
        send = multiplex._send

        async def send_too_late(frame):
            connection = multiplex._connection
            if multiplex.link.connects == 2:
                proxy.cut()
                await connection.wait_closed()
            await send(frame)

        monkeypatch.setattr(multiplex, "_send", send_too_late)
        proxy.cut()
        channel = await server.hub.channel("notes")
        await channel.publish_many(range(5))
        await eventually(lambda: reader.offsets == [1, 2, 3, 4, 5])
        assert multiplex.link.connects > 2
        await multiplex.close()


async def test_a_publish_during_the_farewell_fails_once(monkeypatch):
    """It waits for the connection to end, is told so, and leaves no second error that nobody looks at."""
    server = Server([notes], open=True)
    network = Network(server, high=1_000)
    monkeypatch.setattr(link_, "connect", network.connect)
    multiplex = Multiplex("ws://127.0.0.1:1", None)
    await multiplex.subscribe(Notes())
    network.wire.up.flowing = False  # so that the server waits for the answer to its farewell
    farewell = asyncio.ensure_future(network.wire.server.close())
    await settled()
    publishing = asyncio.ensure_future(multiplex.publish("notes", 1))
    await settled()
    network.up = False
    with pytest.raises(Closed):
        await publishing
    await farewell
    await multiplex.close()
    del publishing
    gc.collect()


async def test_refusals():
    """What the server does not have or take is raised, and the connection goes on for others."""
    async with Server([notes, Chat]) as server:
        multiplex = to(server)
        await multiplex.subscribe(Notes())
        with pytest.raises(Refused, match="no channel 'nope'"):
            await multiplex.subscribe(Notes("nope"))
        with pytest.raises(Refused, match="characters"):
            await multiplex.publish("chat/a", {"type": "message", "text": ""})
        with pytest.raises(UsageError, match="cannot be published"):
            await multiplex.publish("notes", object())
        with pytest.raises(UsageError, match="too large"):
            await multiplex.publish("notes", "x" * MAX_MESSAGE)
        assert await multiplex.publish("notes", "x" * (MAX_MESSAGE - 2)) == 1
        assert multiplex.channels == ["notes"]
        assert multiplex.link.connects == 1
        await multiplex.close()


async def test_a_reader_that_cannot_take_the_answer():
    """Its error is raised where it was subscribed; the other readers go on."""
    async with Server([notes, Chat]) as server:
        multiplex = to(server)
        one = Notes()
        await multiplex.subscribe(one)
        with pytest.raises(SchemaError, match="no such"):
            await multiplex.subscribe(Notes("chat/a", fault=SchemaError("no such column")))
        await multiplex.publish("notes", 1)
        await eventually(lambda: one.offsets == [1])
        assert multiplex.channels == ["notes"]
        await multiplex.close()


async def test_a_cancelled_subscription_leaves_nothing():
    """Neither a reader here nor a follower there."""
    async with Server([notes]) as server, Proxy(server.port) as proxy:
        multiplex = to(server, proxy.port)
        await multiplex.subscribe(Notes())
        await multiplex.unsubscribe("notes")
        proxy.silent = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await multiplex.subscribe(Notes())
        assert multiplex.channels == []
        assert not multiplex._pending
        await multiplex.close()


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_token_that_is_missing_or_wrong(token):
    """`Unauthorized` is raised, with what to do; the link does not try on; the token is not in the text."""
    async with Server([notes], token="s3cret-right") as server:
        multiplex = to(server, token=token)
        with pytest.raises(Unauthorized, match="token") as caught:
            await multiplex.subscribe(Notes())
        await asyncio.wait_for(asyncio.shield(multiplex.link.ended), 20)
        assert multiplex.link.state is State.CLOSED
        assert "s3cret" not in str(caught.value)
        with pytest.raises(Unauthorized):
            await multiplex.subscribe(Notes())
        await multiplex.close()


async def test_a_server_of_another_kind():
    """One that speaks WebSocket but not our dialect is not spoken to."""

    async def echo(connection):
        await connection.wait_closed()

    async with serve(echo, "127.0.0.1", 0) as server:
        multiplex = Multiplex(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
        with pytest.raises(ConnectError, match="no rtwidgets server"):
            await multiplex.subscribe(Notes())
        await multiplex.close()


async def test_a_path_that_there_is_not():
    """The server's sentence is in the error."""
    async with Server([Echo]) as server:
        multiplex = Multiplex(server.url + "/nope", server.token)
        with pytest.raises(ConnectError, match="Nothing is served at /nope; there is: /echo"):
            await multiplex.subscribe(Notes())
        await multiplex.close()


async def test_what_cannot_be_decoded_is_reported_and_passed_over():
    """A newer server may say what this client has no word for."""

    async def talk(connection):
        request = json.loads(await connection.recv())
        await connection.send('{"type":"novelty","x":1}')
        await connection.send(encode(Subscribed(request["id"], "notes", "e", 0)).decode())
        await connection.send(
            '{"type":"messages","channel":"notes","epoch":"e","offset":1,"count":1,"time":0,"data":'
            + "[" * 99_999
        )
        await connection.send(
            '{"type":"messages","channel":"notes","epoch":"e","offset":2,"count":1,"time":0,"data":[1]}'
        )
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
        multiplex = Multiplex(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
        reader = Notes()
        await multiplex.subscribe(reader)
        await eventually(lambda: reader.offsets == [2])
        assert [gap[1:3] for gap in reader.subscription.gaps] == [(1, 1)]
        assert len(take_errors()) == 2
        await multiplex.close()


async def test_after_close_everything_is_closed():
    """Publishing and subscribing raise; closing twice is harmless; what waited is told."""
    async with Server([notes]) as server, Proxy(server.port) as proxy:
        multiplex = to(server, proxy.port)
        await multiplex.subscribe(Notes())
        proxy.silent = True
        waiting = asyncio.ensure_future(multiplex.publish("notes", 1))
        await asyncio.sleep(0)
        await multiplex.close()
        await multiplex.close()
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(Closed):
            await multiplex.publish("notes", 1)
        with pytest.raises(Closed):
            await multiplex.subscribe(Notes())
