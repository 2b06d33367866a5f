import asyncio
import contextlib

import msgspec
import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Multiplex, State, Subscription, pulse
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.messages import (
    SUBPROTOCOL,
    Messages,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    decode_client,
    encode,
    encode_run,
)
from rtwidgets.server import Server
from rtwidgets.services import service
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Pings every tenth of a second; attempts to connect again at once."""
    monkeypatch.setattr(pulse, "PING_EVERY", 0.1)
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.005, 0.02))


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


class Notes:
    """A reader that keeps offsets."""

    def __init__(self):
        self.subscription = Subscription("notes")
        self.offsets = []

    def opened(self, answer):
        pass

    def read(self, run, known):
        self.offsets += range(run.offset + known, run.offset + run.count)


class Peer:
    """A server's end of a connection that has answered a subscription."""

    def __init__(self, connection):
        self.connection = connection

    async def say(self, message):
        await self.connection.send(encode(message).decode())

    async def hear(self, kind):
        """Return the next message of a kind."""
        while True:
            message = decode_client(await asyncio.wait_for(self.connection.recv(), 20))
            if isinstance(message, kind):
                return message


@contextlib.asynccontextmanager
async def serving(talk, **options):
    """Give a reader's connection to a server that answers its subscription and then does what `talk` says."""

    async def converse(connection):
        peer = Peer(connection)
        await peer.say(Subscribed((await peer.hear(Subscribe)).id, "notes", "e", 0))
        await talk(peer)

    async with serve(converse, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], **options) as server:
        multiplex = Multiplex(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
        reader = Notes()
        await multiplex.subscribe(reader)
        yield multiplex, reader
        await multiplex.close()


async def test_a_server_that_is_stuck_behind_a_live_library_is_given_up():
    """It takes what comes, and sends and answers the pings of WebSocket, but not ours: that is no life."""

    async def stuck(peer):
        await peer.connection.wait_closed()

    # With no limit to its queue the library goes on reading, though nobody takes anything out.
    async with serving(stuck, ping_interval=0.01, max_queue=None) as (multiplex, _):
        await eventually(lambda: multiplex.link.connects > 1)
        [change, *_] = [change for change in multiplex.link.changes if change.state is State.WAITING]
        assert change.reason == (
            "the connection broke off: nothing came from the server in 0.3 s, not even an answer to a ping"
        )


async def test_each_byte_is_a_sign_of_life():
    """While a long message trickles in, with the answers to our pings behind it, the connection stays."""
    run = encode_run("notes", "e", 1, [0.0], [b'"%b"' % (b"x" * 1_000)])

    async def trickle(peer):
        transport = peer.connection.transport
        transport.write(b"\x81\x7e" + len(run).to_bytes(2))
        sent = 3 * pulse.GIVE_UP_AFTER
        for n in range(sent):
            await peer.hear(Ping)
            transport.write(run[n : n + 1])
        transport.write(run[sent:])
        await peer.connection.wait_closed()

    async with serving(trickle) as (multiplex, reader):
        await eventually(lambda: reader.offsets == [1])
        assert multiplex.link.connects == 1


async def test_any_message_is_a_sign_of_life():
    """A server that never answers pings, but sends something now and then, is not given up."""

    async def busy(peer):
        for n in range(1, 3 * pulse.GIVE_UP_AFTER):
            await peer.hear(Ping)
            await peer.say(Messages("notes", "e", n, 1, 0.0, msgspec.Raw(b"[1]")))
        await peer.connection.wait_closed()

    async with serving(busy) as (multiplex, reader):
        await eventually(lambda: len(reader.offsets) == 3 * pulse.GIVE_UP_AFTER - 1)
        assert multiplex.link.connects == 1


async def test_a_server_that_asks_is_answered():
    """A `ping` is answered with a `pong`, also by a client that has nothing else to say."""
    answers = []

    async def ask(peer):
        await peer.say(Ping())
        answers.append(await peer.hear(Pong))
        await peer.connection.wait_closed()

    async with serving(ask):
        await eventually(lambda: answers == [Pong()])


async def test_the_round_trip_is_measured():
    """`latency` is None before the first answer and when there is no connection, and seconds in between."""
    async with Server([notes]) as server:
        multiplex = Multiplex(server.url, server.token)
        await multiplex.subscribe(Notes())
        assert multiplex.link.latency is None
        await eventually(lambda: multiplex.link.latency is not None)
        assert 0.0 < multiplex.link.latency < 20.0
        await multiplex.close()
        assert multiplex.link.latency is None


async def test_answers_belong_to_the_oldest_question(monkeypatch):
    """A round trip that takes longer than it is until the next ping is measured from its own ping."""
    waited = []

    async def late(peer):
        loop = asyncio.get_running_loop()
        await peer.hear(Ping)
        heard = loop.time()
        await peer.hear(Ping)
        await peer.hear(Ping)
        waited.append(loop.time() - heard)
        await peer.say(Pong())
        await peer.connection.wait_closed()

    monkeypatch.setattr(pulse, "GIVE_UP_AFTER", 1_000)
    async with serving(late) as (multiplex, _):
        await eventually(lambda: multiplex.link.latency is not None)
        assert multiplex.link.latency >= waited[0]
