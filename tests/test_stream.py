import asyncio
import contextlib
import re
import threading

import pandas as pd
import pytest

from rtwidgets.client import (
    ChannelSource,
    Foreign,
    ForeignSource,
    Intake,
    Missing,
    Multiplex,
    State,
    Subscription,
    pulse,
)
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.presence import PresenceEvent
from rtwidgets.client.room import RoomSource
from rtwidgets.errors import Closed, Refused, UsageError, WaitTimeout
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease
from rtwidgets.rooms import Chat
from rtwidgets.server import Server
from rtwidgets.services import Chat as ChatService
from rtwidgets.services import service
from rtwidgets.stream import Stream
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


@service("/quiet")
async def quiet(channel):
    """Nobody writes to it."""


class Kernel:
    """A server, and streams of it, on the background loop."""

    def __init__(self):
        self.lease = lease()
        self.server = Server([notes, quiet, ChatService])
        self.lease.run(self.server.start())
        self.streams = []
        self.multiplexes = {}

    def stream(self, channel="notes", *, shared=True, user=None, kind=Stream):
        async def make():
            multiplex = self.multiplexes.get(shared)
            if multiplex is None or not shared:
                multiplex = self.multiplexes[shared] = Multiplex(self.server.url, self.server.token)
            if kind is Chat:
                room = RoomSource(multiplex, channel, user, lambda answer: Intake(LiveFrame()))
                await room.start()
                return room
            source = ChannelSource(multiplex, Subscription(channel), lambda answer: Intake(LiveFrame()))
            await multiplex.subscribe(source, user=user)
            return source

        stream = kind(channel, self.lease.run(make()))
        self.streams.append(stream)
        return stream

    def publish(self, *rows, channel="notes"):
        async def publish():
            await (await self.server.hub.channel(channel)).publish_many(rows)

        self.lease.run(publish())

    def stop(self):
        for stream in self.streams:
            stream.stop()
        self.lease.run(self.server.stop())
        self.lease.release()


@pytest.fixture
def kernel():
    kernel = Kernel()
    yield kernel
    kernel.stop()


def test_rows_arrive(kernel):
    """`wait` returns the frame once so many have come; the snapshot stays as it is."""
    stream = kernel.stream()
    kernel.publish({"n": 1}, {"n": 2})
    frame = stream.wait(rows=2)
    kernel.publish({"n": 3})
    stream.wait(rows=3)
    assert list(frame["n"]) == [1, 2]
    assert list(stream.df["n"]) == [1, 2, 3]
    assert list(stream.df["offset"]) == [1, 2, 3]
    assert len(stream) == 3
    assert repr(stream) == "Stream('notes')"
    assert list(stream.latest["n"]) == [3]


def test_waiting_in_vain_says_how_many_came(kernel):
    """And what the connection is doing; it is a TimeoutError too."""
    stream = kernel.stream()
    kernel.publish({"n": 1}, {"n": 2})
    stream.wait(rows=2)
    with pytest.raises(TimeoutError) as caught:
        stream.wait(rows=5, timeout=0.05)
    assert isinstance(caught.value, WaitTimeout)
    assert str(caught.value) == "notes: 2 of 5 rows came in 0.05 s (the connection is open)"
    assert (caught.value.came, caught.value.wanted) == (2, 5)


def test_waiting_in_vain_tells_of_rejections_and_gaps(kernel):
    """Where to look is in the sentence."""
    stream = kernel.stream()
    kernel.publish({"n": 1}, 5)
    stream._source.subscription.gaps.append(Missing("e", 1, 2, "lost"))
    until(lambda: stream.frame.rejected_count)
    with pytest.raises(WaitTimeout, match=r"rejected: 1, .* a number \(see \.rejected\); gaps: 1 \(see"):
        stream.wait(rows=5, timeout=0.02)
    assert list(stream.gaps.columns) == ["epoch", "first", "last", "reason"]
    assert list(stream.gaps.iloc[0]) == ["e", 1, 2, "lost"]
    assert len(stream.rejected) == 1


def test_a_wait_ends_when_the_stream_stops(kernel):
    """With Closed, not with a timeout; what waits in another loop ends too."""
    stream = kernel.stream()
    raised = []

    def wait():
        try:
            stream.wait(rows=1, timeout=None)
        except BaseException as error:
            raised.append(error)

    def wait_async():
        try:
            asyncio.run(stream.wait_async(rows=1, timeout=None))
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=target) for target in (wait, wait, wait_async)]
    for thread in threads:
        thread.start()
    until(lambda: len(stream._bell._wakers) == 3)
    stream.stop()
    for thread in threads:
        thread.join(20)
    assert [type(error) for error in raised] == [Closed] * 3


def test_after_stop_the_rows_stay(kernel):
    """A wait for what is there returns, a wait for more is Closed, and so is sending."""
    stream = kernel.stream()
    kernel.publish({"n": 1})
    stream.wait()
    stream.stop()
    assert (stream.state, stream.stopped) == (State.CLOSED, True)
    assert list(stream.wait(rows=1)["n"]) == [1]
    for blocking in (lambda: stream.wait(rows=2), lambda: stream.send(1)):
        with pytest.raises(Closed):
            blocking()
    with pytest.raises(Closed, match="has ended with 1 of 2 rows"):
        asyncio.run(stream.wait_async(rows=2))


def test_iteration_in_another_loop_yields_everything_once(kernel):
    """First what is there, then what comes; it ends when the stream stops, with nothing left behind."""
    stream = kernel.stream()
    kernel.publish({"n": 0}, {"n": 1})
    stream.wait(rows=2)
    seen = []

    async def read():
        async for batch in stream:
            assert isinstance(batch, pd.DataFrame)
            seen.extend(batch["n"])

    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    for n in range(2, 200):
        kernel.publish({"n": n})
    stream.wait(rows=200)
    stream.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert seen == list(range(200))
    assert not stream._bell._wakers


def test_a_waiter_whose_loop_is_gone_hurts_nobody(kernel):
    """Rows keep coming after the loop of an iteration was closed in the middle."""
    stream = kernel.stream()
    loop = asyncio.new_event_loop()
    iterator = stream.__aiter__()
    task = loop.create_task(iterator.__anext__())
    loop.run_until_complete(asyncio.sleep(0.01))
    waker = next(iter(stream._bell._wakers))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    stream._bell._wakers.add(waker)  # as if the rows came just then
    kernel.publish({"n": 1})
    assert len(stream.wait()) == 1


def test_sending(kernel):
    """What is published comes back; refusals and what is no JSON are raised."""
    stream = kernel.stream()
    stream.send({"n": 1})
    assert list(stream.wait()["n"]) == [1]
    with pytest.raises(UsageError, match="Publish what JSON can hold"):
        stream.send(object())
    with pytest.raises(Refused, match="takes no messages"):
        kernel.stream("quiet").send({"n": 1})


def test_stopping_from_several_threads(kernel):
    """Once is enough, often is harmless, and the others' streams go on."""
    one, two = kernel.stream(), kernel.stream("quiet")
    threads = [threading.Thread(target=one.stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    one.stop()
    kernel.publish({"n": 1}, channel="quiet")
    assert len(two.wait()) == 1
    assert kernel.lease.run(asyncio.sleep(0, "alive")) == "alive"


def test_stopping_one_while_the_connection_is_down(kernel, monkeypatch):
    """The other stream of the same connection comes back."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.2, 0.2))
    one, two = kernel.stream(), kernel.stream("quiet")
    connections = list(kernel.server._server.connections)
    for connection in connections:
        kernel.lease.call(connection.abort)
    until(lambda: one.state is State.WAITING)
    one.stop()
    assert two.state is not State.CLOSED
    kernel.publish({"n": 1}, channel="quiet")
    assert len(two.wait(timeout=30)) == 1
    assert kernel.multiplexes[True].channels == ["quiet"]


def test_stopping_in_a_coroutine_of_the_loop_is_a_usage_error(kernel):
    """It cannot wait for itself; the stream is as it was and can be stopped elsewhere."""
    stream = kernel.stream()

    async def stop():
        stream.stop()

    with pytest.raises(UsageError, match="await the async form"):
        kernel.lease.run(stop())
    assert stream.state is State.OPEN
    stream.stop()
    assert stream.state is State.CLOSED


def test_what_a_server_that_stopped_looks_like(kernel):
    """The stream waits for it, and says why."""
    stream = kernel.stream()
    kernel.lease.run(kernel.server.stop())
    until(lambda: stream.state is State.WAITING)
    with pytest.raises(WaitTimeout, match=r"the connection is (waiting|connecting): .+"):
        stream.wait(timeout=0.02)
    line = stream.describe()
    assert (line.name, line.state) == ("notes", stream.state.value) or line.state in {"waiting", "connecting"}


def cut(kernel):
    for connection in list(kernel.server._server.connections):
        kernel.lease.call(connection.abort)


def test_what_the_connection_went_through(kernel, monkeypatch):
    """`states` is a frame of the changes; after `stop` it stays, though others use the connection."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.01, 0.01))
    one, two = kernel.stream(), kernel.stream("quiet")
    cut(kernel)
    until(lambda: len(one.states) == 5)
    one.stop("enough of it")
    cut(kernel)
    until(lambda: len(two.states) == 8)
    assert one.states["state"].tolist() == ["connecting", "open", "waiting", "connecting", "open", "closed"]
    assert one.states["reason"].iloc[[2, 5]].tolist() == ["the connection broke off", "stopped: enough of it"]
    assert str(one.states.dtypes["time"]) == "datetime64[ns, UTC]"
    assert one.states["time"].is_monotonic_increasing
    assert one.reason == "stopped: enough of it"
    assert two.states["state"].iloc[-1] == "open"


def test_the_status_tells_of_the_connection(kernel, monkeypatch):
    """How long a round trip takes; which attempt is next, when, and why it waits; why it is closed."""
    monkeypatch.setattr(pulse, "PING_EVERY", 0.1)
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(1_000.0, 1_000.0))
    stream = kernel.stream()
    until(lambda: stream.latency is not None)
    assert re.fullmatch(r"rows: 0 · kept: 0 · round trip: [\d.e+]+ ms", stream.describe().detail)
    cut(kernel)
    until(lambda: stream.state is State.WAITING)
    waiting = r"rows: 0 · kept: 0 · attempt 1 in \d+\.\d s · the connection broke off"
    assert re.fullmatch(waiting, stream.describe().detail)
    stream.stop()
    assert stream.describe().detail == "rows: 0 · kept: 0 · stopped"
    assert stream.latency is None


def test_chat(kernel):
    """Something is said; who is there is known, in the order they came, to late comers too."""
    ada = kernel.stream("chat/a", user="ada", shared=False, kind=Chat)
    ada.send("hi")
    assert list(ada.wait()["text"]) == ["hi"]
    bob = kernel.stream("chat/a", user="bob", shared=False, kind=Chat)
    until(lambda: ada.present == bob.present == ["ada", "bob"])
    bob.stop()
    until(lambda: ada.present == ["ada"])
    with pytest.raises(Refused, match="1 to 4000 characters"):
        ada.send("")
    with pytest.raises(Refused):
        ada.send(5)


def test_presence_after_a_break_is_told_anew(kernel, monkeypatch):
    """Who went meanwhile is no longer there."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.01, 0.01))
    ada = kernel.stream("chat/a", user="ada", shared=False, kind=Chat)
    bob = kernel.stream("chat/a", user="bob", shared=False, kind=Chat)
    until(lambda: ada.present == ["ada", "bob"])
    for connection in list(kernel.server._server.connections):
        kernel.lease.call(connection.abort)
    until(lambda: sorted(ada.present) == sorted(bob.present) == ["ada", "bob"])
    bob.stop()
    until(lambda: ada.present == ["ada"])


def test_presence(kernel):
    """Who is in the channel, since when and where, oldest first; known at once to who is not in it."""
    assert kernel.stream("chat/b").presence.empty
    ada = kernel.stream("chat/a", user="ada", shared=False, kind=Chat)
    until(lambda: ada.present == ["ada"])
    bob = kernel.stream("chat/a", user="bob", shared=False, kind=Chat)
    until(lambda: bob.present == ["ada", "bob"])
    watcher = kernel.stream("chat/a")
    frame = watcher.presence
    assert frame.columns.tolist() == ["user", "since", "server"]
    assert [str(each) for each in frame.dtypes] == ["str", "datetime64[ns, UTC]", "str"]
    assert frame["user"].tolist() == ["ada", "bob"]
    assert frame["server"].tolist() == [kernel.server.id] * 2
    assert frame["since"].is_monotonic_increasing
    assert abs(frame["since"].iloc[0] - pd.Timestamp.now("UTC")) < pd.Timedelta("1h")
    until(lambda: ada.presence.equals(frame) and bob.presence.equals(frame))
    bob.stop()
    until(lambda: watcher.presence.equals(frame[:1]))
    assert frame["user"].tolist() == ["ada", "bob"]  # a snapshot


def test_presence_of_nobody_has_the_same_columns(kernel):
    """Nor is there anybody in a foreign feed, and no event ever comes from one."""
    empty = kernel.stream().presence

    async def open_foreign():
        foreign = Foreign(kernel.server.url + "/notes", intake, headers={"Authorization": f"Bearer {token}"})
        await foreign.opened()
        return ForeignSource(foreign, intake)

    intake, token = Intake(LiveFrame()), kernel.server.token
    feed = Stream("feed", kernel.lease.run(open_foreign()))
    kernel.streams.append(feed)
    kernel.publish({"n": 1})
    feed.wait()
    for frame in (empty, feed.presence):
        assert len(frame) == 0
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
            "user": "str",
            "since": "datetime64[ns, UTC]",
            "server": "str",
        }
    feed.stop()
    assert asyncio.run(read_events(feed)) == []


async def read_events(stream):
    return [event async for event in stream.presence_events()]


def test_presence_events(kernel):
    """Those who were there, then who comes and who goes; it ends when the stream stops, with all told."""
    ada = kernel.stream("chat/a", user="ada", shared=False, kind=Chat)
    until(lambda: ada.present)
    watcher, seen = kernel.stream("chat/a"), []

    async def read():
        async for event in watcher.presence_events():
            assert isinstance(event, PresenceEvent)
            seen.append(event)

    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    until(lambda: len(seen) == 1)
    bob = kernel.stream("chat/a", user="bob", shared=False, kind=Chat)
    until(lambda: len(seen) == 2)
    bob.stop()
    until(lambda: len(seen) == 3)
    ada.stop()
    until(lambda: len(watcher.presence) == 0)
    watcher.stop()
    thread.join(20)
    assert not thread.is_alive()
    told = [("joined", "ada"), ("joined", "bob"), ("left", "bob"), ("left", "ada")]
    assert [event[:2] for event in seen] == told
    assert {event.server for event in seen} == {kernel.server.id}
    times = [event.time for event in seen]
    assert times == sorted(times)
    assert not watcher._bell._wakers
    assert asyncio.run(read_events(watcher)) == seen  # another reader begins with what is kept


def test_the_token_is_nowhere_to_be_seen(kernel):
    """Not in reprs, reasons or errors."""
    stream = kernel.stream()
    kernel.lease.run(kernel.server.stop())
    until(lambda: stream.state is State.WAITING)
    with pytest.raises(Closed) as caught:
        stream.send(1)
    shown = repr(stream) + stream.reason + str(caught.value) + str(stream.describe())
    assert kernel.server.token not in shown
    assert re.search(r"127\.0\.0\.1", str(caught.value))
