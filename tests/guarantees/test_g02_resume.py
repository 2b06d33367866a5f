"""G2: within history each message is in the frame once; beyond it an explicit gap, and never a silent one."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rtwidgets.client import ChannelSource, Intake, Multiplex, Subscription, link
from rtwidgets.engines import open_engine
from rtwidgets.errors import Closed
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import peek_errors
from rtwidgets.messages import encode_run
from rtwidgets.server import Server, hub, outbox
from rtwidgets.services import service
from tests.waiting import until
from tests.wire import Network, settled

HISTORY = 6  # messages that the log keeps
BUFFER = 300  # bytes that may wait for a slow reader: a few messages

pytestmark = pytest.mark.usefixtures("tidy")


# In memory, in any order


@service("/log")
async def log(channel):
    """Filled by the tests."""


class AtOnce:
    """A backoff without a clock."""

    failures = 0

    def opened(self, now):
        pass

    def lost(self, now):
        return 0.0


class Reading(ChannelSource):
    """A real source that notes where it began, and where in each epoch."""

    def __init__(self, multiplex, *, history):
        super().__init__(
            multiplex,
            Subscription("log", history=history),
            lambda answer: Intake(LiveFrame(max_rows=None)),
        )
        self.history = history
        self.began = {}
        self.seen = 0  # gaps that were looked at
        self.asking = asyncio.get_running_loop().create_task(multiplex.subscribe(self))

    def opened(self, answer):
        super().opened(answer)
        self.began.setdefault(answer.epoch, answer.offset)

    @property
    def rows(self):
        """Number and offset of each row, in the order of the frame."""
        columns = self.frame.view().columns
        return list(zip(columns["n"].tolist(), columns["offset"].tolist(), strict=True)) if columns else []


class Resume(RuleBasedStateMachine):
    """A server and a client, a network between them that is at hand, and a list of all that was published.

    The list is what both are measured by: a message has its number in the list as its data, and the list has
    its epoch (a number too) and its offset.
    """

    engine = "memory://"
    current = None

    def __init__(self):
        super().__init__()
        Resume.current = self
        self.folder = tempfile.mkdtemp(prefix="rtwidgets-")
        self.published = []
        self.epochs = []
        self.reading = None
        self.loop = asyncio.new_event_loop()
        self.do(self.set_up())

    def do(self, coroutine):
        """Run it, and all that comes of it."""

        async def all_of_it():
            await coroutine
            await self.settled()

        self.loop.run_until_complete(all_of_it())

    async def settled(self):
        hub = self.server.hub
        await settled(lambda: hub._flush is not None, lambda: _works(hub.engine))

    async def set_up(self):
        await self.serve()
        self.network = Network(self.server, high=BUFFER)
        self.multiplex = Multiplex("ws://127.0.0.1:1", None)

    async def serve(self):
        """Start a server, without a socket."""
        self.server = Server([log], open=True)
        self.server.hub.engine = open_engine(
            f"{self.engine.format(folder=self.folder)}?max_messages={HISTORY}"
        )
        self.channel = await self.server.hub.channel("log")
        epoch = self.channel.log.epoch
        if epoch not in self.epochs:
            assert self.channel.log.last == 0
            self.epochs.append(epoch)
        assert epoch == self.epochs[-1]
        assert (self.channel.log.first, self.channel.log.last) == self.extent(len(self.epochs) - 1)

    def extent(self, epoch):
        """The first and last offset that a log keeps, or kept."""
        last = sum(each == epoch for each, _ in self.published)
        return max(1, last - HISTORY + 1), last

    # What happens

    # Some of it comes as several rules, so that it is drawn more often.

    @initialize(history=st.sampled_from([True, True, False, None]))
    def begin(self, history):
        if history is not None:
            self.subscribe(history)

    @rule(count=st.integers(1, 3))
    def publish(self, count):
        epoch = len(self.epochs) - 1
        _, last = self.extent(epoch)
        rows = [{"n": n} for n in range(len(self.published), len(self.published) + count)]
        self.published += [(epoch, last + n) for n in range(1, count + 1)]
        self.do(self.channel.publish(rows[0]) if count == 1 else self.channel.publish_many(rows))

    @rule(count=st.integers(HISTORY - 2, 2 * HISTORY))
    def publish_much(self, count):
        self.publish(count)

    @precondition(lambda self: self.connected)
    @rule(counts=st.lists(st.integers(1, 3), min_size=2, max_size=2 * HISTORY))
    def fall_behind(self, counts):
        """The client does not read, so that its buffer at the server may get full, and the log go on."""
        self.network.wire.down.flowing = False
        for count in counts:
            self.publish(count)

    @rule()
    def cut_the_link(self):
        self.do(self.act(self.network.cut))

    @rule(up=st.booleans())
    def take_the_network_away_or_bring_it_back(self, up):
        self.do(self.act(setattr, self.network, "up", up))

    @rule(flush=st.booleans())
    def restart(self, flush):
        self.do(self.start_again(flush=flush))

    @precondition(lambda self: self.connected)
    @rule(ways=st.sampled_from(["up", "down", "both"]))
    def stop_reading(self, ways):
        for way in ("up", "down"):
            if ways in {way, "both"}:
                getattr(self.network.wire, way).flowing = False

    @precondition(lambda self: self.connected)
    @rule(count=st.integers(1, 2 * BUFFER))
    def read_some(self, count):
        self.do(self.act(self.network.wire.down.pass_on, count))

    @precondition(lambda self: self.connected)
    @rule()
    def read_on(self):
        self.do(self.act(self.flow))

    @precondition(lambda self: self.reading is None)
    @rule(history=st.booleans())
    def subscribe(self, history):
        async def ask():
            self.reading = Reading(self.multiplex, history=history)

        self.do(ask())

    @precondition(lambda self: self.idle)
    @rule()
    def unsubscribe(self):
        self.do(self.multiplex.unsubscribe("log"))
        self.check()
        self.reading = None

    @precondition(lambda self: self.idle and self.connected and self.published)
    @rule(data=st.data())
    def deliver_again(self, data):
        """A run of messages that the client has, or of an epoch that is over, comes once more."""
        cursor = self.reading.subscription.cursor
        here, now = self.epochs.index(cursor.epoch), len(self.epochs) - 1
        first = data.draw(st.integers(0, len(self.published) - 1))
        epoch, offset = self.published[first]
        if offset > cursor.offset + 1 if epoch == here else epoch == now:
            return  # it would be one that was never sent
        count = data.draw(st.integers(1, HISTORY))
        run = [n for n in range(first, first + count) if n < len(self.published)]
        pieces = [json.dumps({"n": n}).encode() for n in run if self.published[n][0] == epoch]
        frame = encode_run("log", self.epochs[epoch], offset, [0.0], pieces)
        self.do(self.act(self.network.wire.write_down, frame))

    @precondition(lambda self: self.idle and self.channel.followers)
    @rule(data=st.data())
    def send_again(self, data):
        """The server goes back to a place that it has been at, and goes on with old and new in one run."""
        cursor = self.reading.subscription.cursor
        here = cursor.offset if cursor.epoch == self.epochs[-1] else 0
        after = data.draw(st.integers(0, here))

        for follower in self.channel.followers:
            follower.places["log"].after = min(after, follower.places["log"].after)
        self.publish(1)

    @rule()
    def heal(self):
        """With nothing in the way, the client has all there is."""
        self.do(self.act(setattr, self.network, "up", True))
        self.do(self.act(self.flow))
        if self.reading is not None:
            self.take_answer()
        if self.reading is not None:
            cursor = self.reading.subscription.cursor
            assert (cursor.epoch, cursor.offset) == (self.epochs[-1], self.extent(len(self.epochs) - 1)[1])

    def teardown(self):
        try:
            self.heal()
            self.check()
            assert not peek_errors()
            assert not self.multiplex.link.ended.done()
        finally:
            self.do(self.act(setattr, self.network, "up", False))
            self.do(self.multiplex.close())
            self.do(self.server.hub.engine.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    # How

    @staticmethod
    async def act(function, *arguments):
        function(*arguments)

    def flow(self):
        for way in (self.network.wire.up, self.network.wire.down):
            way.flowing = True
            way.look()

    async def start_again(self, *, flush):
        up, self.network.up = self.network.up, False
        await self.settled()
        await self.server.hub.engine.close()
        if flush:
            shutil.rmtree(self.folder)
            self.folder = tempfile.mkdtemp(prefix="rtwidgets-")
        await self.serve()
        self.network.server = self.server
        self.network.up = up

    @property
    def connected(self):
        return self.network.wire is not None and not self.network.wire.lost

    @property
    def idle(self):
        return self.reading is not None and self.reading.asking.done()

    # What has to hold

    @invariant()
    def take_answer(self):
        """A subscription is answered, or fails with the connection."""
        if self.idle and (error := self.reading.asking.exception()) is not None:
            assert isinstance(error, Closed)
            if self.reading.began:
                self.check()
            self.reading = None

    @invariant()
    def check(self):
        """Each message up to the cursor is in the frame or in a gap, and what could be had is in no gap."""
        reading = self.reading
        if reading is None or not reading.began:
            return
        rows = reading.rows
        numbers = [n for n, _ in rows]
        assert numbers == sorted(set(numbers)), "each once, and in order"
        assert all(self.published[n][1] == offset for n, offset in rows)
        assert not reading.frame.rejected_count

        (first_epoch, first_offset), *_ = reading.began.items()
        cursor = reading.subscription.cursor
        start = self.epochs.index(first_epoch), first_offset
        here = self.epochs.index(cursor.epoch), cursor.offset
        due = {n: place for n, place in enumerate(self.published) if start < place <= here}
        assert due.keys() >= set(numbers)

        missing, anew = [], []
        for gap in reading.gaps:
            epoch = self.epochs.index(gap.epoch)
            if gap.first is None:
                anew.append(epoch)
            else:
                missing += [n for n, place in due.items() if (epoch, gap.first) <= place <= (epoch, gap.last)]
        assert len(reading.gaps) == reading.subscription.breaks
        assert not set(missing) & set(numbers), "what is in the frame is in no gap"
        assert len(missing) == len(set(missing)), "no gap has what another one has"
        assert len(anew) == len(set(anew))
        for n in due.keys() - set(numbers) - set(missing):
            epoch, offset = due[n]
            # Nobody can count what was never read of an epoch that is over, and what the next one had lost.
            over = (
                anew
                and epoch < max(anew)
                and not any(due[other] > due[n] for other in (*numbers, *missing) if due[other][0] == epoch)
            )
            lost = epoch in anew and offset <= reading.began[self.epochs[epoch]]
            assert over or lost, f"message {n} is missing, and nothing says so"

        for gap in reading.gaps[reading.seen :]:
            first, _ = self.extent(self.epochs.index(gap.epoch))
            last = reading.began[gap.epoch] if gap.last is None else gap.last
            assert last < first, "what the log still has is in no gap"
        if reading.history and not reading.seen:
            assert first_offset < self.extent(start[0])[0]
        reading.seen = len(reading.gaps)


def _works(engine):
    """Whether an engine has something under way: one in memory never has, and a closed one no more."""
    return getattr(engine, "_busy", False) and engine._ended is None


class DurableResume(Resume):
    """The same with an engine in a file: a restart goes on in the same epoch, unless the file is gone."""

    engine = "sqlite:///{folder}/log.db"


@pytest.fixture
def at_hand(monkeypatch):
    """No clock and no socket."""
    monkeypatch.setattr(hub, "FLUSH_INTERVAL", 0.0)
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 1e6)
    monkeypatch.setattr(link, "Backoff", AtOnce)
    monkeypatch.setattr(link, "connect", lambda *_, **__: Resume.current.network.connect())


@pytest.mark.parametrize(("machine", "examples"), [(Resume, 1_000), (DurableResume, 100)])
def test_whatever_happens_each_message_is_in_the_frame_or_in_a_gap(at_hand, machine, examples):
    """Once and in order, in any order of events; nothing that the log still has is in a gap."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            phases=[Phase.generate, Phase.shrink],  # to explain takes ten times as long
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


# Over real sockets


def test_within_history_each_row_comes_once(linked):
    """However often the link is cut; there is no gap."""
    direct, stream, proxy = linked()
    for number in range(60):
        if number % 15 == 0:
            proxy.cut()
        direct.send({"n": number})
    until(lambda: stream.frame.total >= 60)
    assert stream.df["n"].tolist() == list(range(60))
    assert stream.df["offset"].tolist() == list(range(1, 61))
    assert stream.gaps.empty
    assert (stream.states["state"] == "open").sum() > 1


def test_beyond_history_the_gap_is_named_to_the_message(linked):
    """What the log still has comes; what it has not is a gap with its first and last offset, and marked."""
    direct, stream, proxy = linked(engine="memory://?max_messages=10")
    for number in range(5):
        direct.send({"n": number})
    until(lambda: stream.frame.total == 5)
    proxy.refuse()
    proxy.cut()
    for number in range(5, 40):
        direct.send({"n": number})
    proxy.heal()
    until(lambda: stream.frame.total == 15)
    assert stream.df["offset"].tolist() == [*range(1, 6), *range(31, 41)]
    assert stream.gaps[["first", "last"]].to_numpy().tolist() == [[6, 30]]
    assert stream.frame.gaps == [(4, 5)]
    assert "gaps: 1" in stream.describe().detail
