"""Who is in a channel, on real sockets: clients of `rtwidgets.v1`, a plain one, and one who only watches."""

import asyncio
import json

import pytest

from rtwidgets.client import ChannelSource, Intake, Multiplex, Subscription, link
from rtwidgets.client.backoff import Backoff
from rtwidgets.frames import LiveFrame
from rtwidgets.server import Server
from rtwidgets.services import Chat, service
from rtwidgets.testing import FaultProxy
from tests.talking import dial, eventually

pytestmark = pytest.mark.usefixtures("tidy")
SECRET = "a secret of more than thirty-two bytes"


@service("/notes")
async def notes(channel):
    """A channel of which nobody can tell who is in it, unless somebody says so."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A client that lost its connection is back in a moment."""
    monkeypatch.setattr(link, "Backoff", lambda: Backoff(0.005, 0.02))


@pytest.fixture
def server():
    return Server([Chat, notes], id="here", jwt={"secret": SECRET})


class Person:
    """A client of `rtwidgets.v1` in a channel; without a name it only follows."""

    def __init__(self, server, user=None, channel="chat/lobby", *, url=None, token=None):
        self.user = user
        self.multiplex = Multiplex(url or server.url, token or server.token)
        self.source = ChannelSource(self.multiplex, Subscription(channel), lambda answer: Intake(LiveFrame()))

    async def __aenter__(self):
        await self.multiplex.subscribe(self.source, user=self.user)
        return self

    async def __aexit__(self, *exc):
        await self.source.close()

    @property
    def presence(self):
        """The frame that `stream.presence` is."""
        return self.source.presence.df

    @property
    def seen(self):
        return self.source.subscription.present

    @property
    def events(self):
        return [event[:2] for event in self.source.presence.since(0)[0]]


async def test_all_see_the_same(server):
    """Those in the room, in whatever dialect, and who only watches: who, since when, on which server."""
    async with server, Person(server, "ada") as ada:
        await eventually(lambda: ada.seen == ["ada"])
        async with Person(server, "bob") as bob:
            await eventually(lambda: bob.seen == ["ada", "bob"])
            async with dial(server, "/chat/lobby?user=cy") as cy:
                await eventually(lambda: ada.seen == ["ada", "bob", "cy"])
                async with Person(server) as watcher:
                    frame = watcher.presence
                    assert frame["user"].tolist() == ["ada", "bob", "cy"]
                    assert frame["server"].tolist() == ["here"] * 3
                    assert frame["since"].is_monotonic_increasing
                    await eventually(lambda: ada.presence.equals(frame) and bob.presence.equals(frame))
                    await cy.close()
                    await eventually(lambda: watcher.presence.equals(frame[:2]))
                    assert watcher.events[-1] == ("left", "cy")


async def test_a_plain_client_is_told_names(server):
    """As ever, of clients of either dialect."""
    async with server, dial(server, "/chat/lobby?user=cy") as cy:

        async def told():
            return json.loads(await asyncio.wait_for(cy.recv(), 20))

        assert await told() == {"type": "history", "messages": []}
        assert await told() == {"type": "joined", "user": "cy"}
        async with Person(server, "ada"):
            assert await told() == {"type": "joined", "user": "ada"}
        assert await told() == {"type": "left", "user": "ada"}


async def test_one_who_was_cut_off_is_gone_and_comes_back(server):
    """For the others it has left, and is there since it came back; it knows then who went meanwhile."""
    async with server, Person(server, "ada") as ada, FaultProxy("127.0.0.1", server.port) as proxy:
        await eventually(lambda: ada.seen == ["ada"])
        async with Person(server, "bob", url=proxy.url) as bob, Person(server, "cy") as cy:
            await eventually(lambda: ada.seen[1:] in (["bob", "cy"], ["cy", "bob"]))
            before = ada.presence.set_index("user")
            proxy.refuse = True
            proxy.cut()
            await eventually(lambda: ada.seen == ["ada", "cy"])
            assert "bob" in bob.seen  # it stands still
            await cy.source.close()
            await eventually(lambda: ada.seen == ["ada"])
            proxy.refuse = False
            await eventually(lambda: ada.seen == bob.seen == ["ada", "bob"])
            after = ada.presence.set_index("user")
            assert after["since"]["bob"] > before["since"]["bob"]
            assert after["since"]["ada"] == before["since"]["ada"]
            assert ada.events[-3:] == [("left", "bob"), ("left", "cy"), ("joined", "bob")]
            assert bob.events[-3:-1] in ([("left", "bob"), ("left", "cy")], [("left", "cy"), ("left", "bob")])
            assert bob.events[-1] == ("joined", "bob")
            assert bob.presence.equals(ada.presence)


async def test_a_half_open_connection_is_present_until_the_pulse_gives_it_up(server, monkeypatch):
    """Its bytes are swallowed and nobody says that it ended; then it is gone, and later back."""
    monkeypatch.setattr("rtwidgets.server.pulse.SWEEP_EVERY", 0.3)
    monkeypatch.setattr("rtwidgets.client.pulse.PING_EVERY", 0.2)
    async with (
        server,
        FaultProxy("127.0.0.1", server.port) as proxy,
        Person(server) as watcher,
        Person(server, "bob", url=proxy.url),
    ):
        await eventually(lambda: watcher.seen == ["bob"])
        since = watcher.presence["since"].iloc[0]
        proxy.black_hole()
        await eventually(lambda: watcher.seen == [])
        proxy.heal()
        await eventually(lambda: watcher.seen == ["bob"])
        assert watcher.presence["since"].iloc[0] > since


async def test_a_token_that_reads_hears_nobody(server):
    """It follows the room; one that has the right to presence too hears who is there."""

    def token(*scopes):
        return server.hub.tokens.issue("eve", scopes=scopes, lifetime=600.0)

    async with (
        server,
        Person(server, "ada") as ada,
        Person(server, token=token("subscribe:*")) as deaf,
        Person(server, token=token("subscribe:*", "presence:chat/*")) as hears,
    ):
        await eventually(lambda: hears.seen == ["ada"])
        async with Person(server, "bob"):
            await eventually(lambda: hears.seen == ["ada", "bob"])
            await ada.source.send({"type": "message", "text": "hello"})
            await eventually(lambda: deaf.source.frame.total == 1)
        await eventually(lambda: hears.seen == ["ada"])
        await ada.source.send({"type": "message", "text": "bye"})
        await eventually(lambda: deaf.source.frame.total == 2)
        assert deaf.events == []
        assert deaf.presence.empty


async def test_any_channel_has_presence(server):
    """Not only a room."""
    async with server, Person(server, "ada", "notes"), Person(server, channel="notes") as watcher:
        await eventually(lambda: watcher.seen == ["ada"])


async def test_a_crowd(server):
    """Five hundred in a room: one who comes knows them all, in the order they came, when it is let in."""
    async with server, Person(server) as early:
        channel = await server.hub.channel("chat/lobby")
        crowd = [object() for _ in range(500)]
        for n, each in enumerate(crowd):
            channel.join(each, f"user {n}")
        everybody = [f"user {n}" for n in range(500)]
        async with Person(server) as late:
            assert late.seen == everybody
            await eventually(lambda: early.seen == everybody)
            for each in crowd:
                channel.leave(each)
            await eventually(lambda: late.seen == early.seen == [])
        assert len(late.events) == len(early.events) == 1_000
