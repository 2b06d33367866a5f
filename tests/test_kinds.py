import asyncio
import json
import threading

import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Foreign, ForeignSource, Intake, State
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.kinds import OTHER, Kinds
from rtwidgets.errors import Closed, ConnectError, UsageError, WaitTimeout
from rtwidgets.frames import LiveFrame
from rtwidgets.kinds import Feed
from rtwidgets.loop import lease, take_errors
from rtwidgets.stream import Stream
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")


class Kernel:
    """A server that says what it is told to, and feeds of it, on the background loop."""

    def __init__(self):
        self.lease = lease()
        self.connections = []
        self.heard = []
        self.feeds = []
        self.server = self.lease.run(self._serve())
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self):
        async def talk(connection):
            self.connections.append(connection)
            async for message in connection:
                self.heard.append(message)

        return await serve(talk, "127.0.0.1", 0)

    def feed(self, name="mine", make=lambda kind: Intake(LiveFrame())):
        async def open_feed():
            kinds = Kinds("type", make)
            foreign = Foreign(self.url, kinds)
            await foreign.opened()
            return ForeignSource(foreign, kinds)

        feed = Feed(name, self.lease.run(open_feed()))
        self.feeds.append(feed)
        until(lambda: self.connections)
        return feed

    def say(self, *messages):
        async def say():
            for message in messages:
                await self.connections[-1].send(json.dumps(message))

        self.lease.run(say())

    def stop(self):
        async def stop():
            self.server.close()
            await self.server.wait_closed()

        for feed in self.feeds:
            feed.stop()
        self.lease.run(stop())
        self.lease.release()


@pytest.fixture
def kernel():
    kernel = Kernel()
    yield kernel
    kernel.stop()


def test_a_stream_of_each_kind(kernel):
    """The same one each time; a kind may be asked for before it comes, and fills when it does."""
    feed = kernel.feed()
    early = feed["b"]
    assert isinstance(early, Stream)
    assert (early.name, len(early), early.state) == ("mine b", 0, State.OPEN)
    kernel.say({"type": "a", "n": 1}, {"type": "b", "n": 2}, {"type": "a", "n": 3}, {"n": 4})
    assert list(early.wait()["n"]) == [2]
    assert list(feed["a"].wait(rows=2)["n"]) == [1, 3]
    assert list(feed[OTHER].wait()["n"]) == [4]
    assert feed["b"] is early
    assert feed.streams == [early, feed["a"], feed[OTHER]]
    feed["c"]
    assert list(feed) == ["a", "b", OTHER, "c"]
    assert feed._ipython_key_completions_() == ["a", "b", OTHER, "c"]
    assert "a" in feed


def test_what_came_of_each_kind(kernel):
    """As a frame with its own dtypes; also for kinds that nobody asked for."""
    feed = kernel.feed()
    assert feed.kinds.dtypes.astype(str).to_dict() == {"kind": "str", "messages": "int64", "rows": "int64"}
    kernel.say({"type": "a"}, {"type": "b"}, {"type": "a"})
    until(lambda: len(feed.kinds) == 2 and feed.kinds["rows"].sum() == 3)
    assert feed.kinds.to_dict("list") == {"kind": ["a", "b"], "messages": [2, 1], "rows": [2, 1]}


def test_how_it_shows(kernel):
    """Its repr does not change; the status tells what came."""
    feed = kernel.feed("coinbase BTC-USD")
    assert repr(feed) == "Feed('coinbase BTC-USD')"
    kernel.say(*({"type": "a"} for _ in range(1_200)), {"type": "b"})
    feed["b"].wait()
    assert repr(feed) == "Feed('coinbase BTC-USD')"
    assert feed.describe() == ("feed", "coinbase BTC-USD", "open", "a: 1,200 · b: 1")
    assert (feed.origin, feed.state, feed.stopped) == ("live", State.OPEN, False)
    feed.stop()
    line = feed.describe()
    assert (line.state, feed.state, feed.stopped) == ("closed", State.CLOSED, True)


def test_sending(kernel):
    """Goes over the one connection, from the feed and from any of its streams."""
    feed = kernel.feed()
    feed.send({"op": 1})
    feed["a"].send("two")
    until(lambda: len(kernel.heard) == 2)
    assert kernel.heard == ['{"op":1}', "two"]


def test_a_stream_that_is_stopped_leaves_the_others(kernel):
    """And goes on being the stream of its kind."""
    feed = kernel.feed()
    stopped = feed["a"]
    kernel.say({"type": "a", "n": 1})
    stopped.wait()
    stopped.stop()
    kernel.say({"type": "a", "n": 2}, {"type": "b", "n": 3})
    assert list(feed["b"].wait()["n"]) == [3]
    assert feed["a"] is stopped
    assert list(stopped.df["n"]) == [1]
    assert (stopped.state, feed["b"].state, feed.state) == (State.CLOSED, State.OPEN, State.OPEN)


def test_after_stop_the_rows_stay(kernel):
    """Of all kinds, those that are asked for afterwards too; who waits learns why; twice is harmless."""
    feed = kernel.feed()
    kernel.say({"type": "a", "n": 1}, {"type": "b", "n": 2})
    feed["b"].wait()
    raised = []

    def wait():
        try:
            feed["b"].wait(rows=2, timeout=None)
        except Closed as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: feed["b"]._bell._wakers)
    feed.stop("enough")
    feed.stop()
    thread.join(20)
    assert len(raised) == 1
    with pytest.raises(Closed, match="mine b was stopped with 1 of 2 rows: enough"):
        feed["b"].wait(rows=2)
    assert list(feed["b"].df["n"]) == [2]
    assert list(feed["a"].df["n"]) == [1]
    assert feed["a"].state is State.CLOSED
    with pytest.raises(Closed):
        feed.send(1)
    kernel.lease.run(asyncio.wait_for(kernel.connections[0].wait_closed(), 20))


def test_stopping_in_a_coroutine_of_the_loop_is_a_usage_error(kernel):
    """It goes on, and can be stopped elsewhere."""
    feed = kernel.feed()

    async def stop():
        feed.stop()

    with pytest.raises(UsageError):
        kernel.lease.run(stop())
    assert feed.state is State.OPEN
    feed.stop()
    assert feed.state is State.CLOSED


def test_a_kind_that_is_none(kernel):
    """A feed that knows its kinds refuses others, with the sentence of what makes them."""

    def make(kind):
        if kind not in ("a", OTHER):
            raise UsageError(f"no {kind}")
        return Intake(LiveFrame())

    feed = kernel.feed(make=make)
    with pytest.raises(UsageError, match="no b"):
        feed["b"]
    with pytest.raises(UsageError, match=r"feed\[5\]: give the name of a kind"):
        feed[5]


def test_waiting_in_vain(kernel):
    """The sentence names the stream of the kind."""
    with pytest.raises(WaitTimeout, match=r"mine a: 0 of 1 rows came in 0\.02 s"):
        kernel.feed()["a"].wait(timeout=0.02)


def test_a_break_is_one_of_all_kinds(kernel, monkeypatch):
    """Each stream has a gap, and goes on."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.01, 0.01))
    feed = kernel.feed()
    kernel.say({"type": "a", "n": 1}, {"type": "b", "n": 1})
    feed["b"].wait()
    kernel.lease.call(kernel.connections[0].transport.abort)
    until(lambda: len(kernel.connections) == 2)
    kernel.say({"type": "a", "n": 2}, {"type": "b", "n": 2})
    for kind in "ab":
        assert list(feed[kind].wait(rows=2)["n"]) == [1, 2]
        assert len(feed[kind].gaps) == 1


class Lost:
    """A source whose connection comes to an end for good."""

    def __init__(self, ended):
        self.intake = Kinds("type", lambda kind: Intake(LiveFrame()))
        self.link = self
        self.ended = ended
        self.state, self.reason, self.origin = State.CLOSED, "refused", "live"

    async def close(self):
        pass


def test_a_connection_that_is_lost_for_good_is_told(kernel):
    """By the feed, where nobody has asked for a stream."""

    async def lose():
        return Lost(asyncio.get_running_loop().create_future())

    source = kernel.lease.run(lose())
    feed = Feed("mine", source)
    kernel.lease.call(source.ended.set_result, ConnectError("ws://x", "refused"))
    errors = []
    until(lambda: errors.extend(take_errors()) or errors)
    assert [where for where, _ in errors] == ["feed mine"]
    assert feed.describe().detail == " · refused"
    feed.stop()
