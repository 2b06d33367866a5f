import asyncio
import itertools

import pytest

from rtwidgets.engines import MemoryEngine, SqliteEngine
from rtwidgets.errors import ChannelNameError, Refused, UsageError
from rtwidgets.messages import Joined, Left, Present
from rtwidgets.server import Fields, Hub
from rtwidgets.server import hub as hub_


class Box:
    """Stands for an outbox."""

    def __init__(self):
        self.told, self.pumped = [], 0

    def tell(self, event):
        self.told.append(event)

    def pump(self):
        self.pumped += 1


def shape(channel, run):
    return b"%d:" % run.offset + b",".join(run.pieces)


def other(channel, run):
    return b"other"


async def test_a_name_has_one_channel():
    """Made on first use, refused when it is no name."""
    hub = Hub(MemoryEngine())
    one, two = await asyncio.gather(hub.channel("a"), hub.channel("a", Fields(time="t")))
    assert one is two
    assert one.fields.time == "t"
    with pytest.raises(ChannelNameError):
        await hub.channel("a b")
    assert [repr(channel) for channel in hub.channels] == ["Channel('a')"]


async def test_channels_are_bounded(monkeypatch):
    """Asking for one more is refused, those that are there go on."""
    monkeypatch.setattr(hub_, "MAX_CHANNELS", 2)
    hub = Hub(MemoryEngine())
    first = await hub.channel("a")
    await hub.channel("b")
    with pytest.raises(Refused) as caught:
        await hub.channel("c")
    assert caught.value.code == "too_many_channels"
    assert await hub.channel("a") is first


async def test_limits_of_an_engine_in_memory_count_for_every_channel(tmp_path):
    """Durable or not; what is in memory beside another engine has the usual ones."""
    hub = Hub(MemoryEngine(max_messages=3))
    assert [(await hub.channel(str(n), durable=bool(n))).log.max_messages for n in (0, 1)] == [3, 3]
    engine = SqliteEngine(tmp_path / "log.db", max_messages=3)
    hub = Hub(engine)
    assert [(await hub.channel(str(n), durable=bool(n))).log.max_messages for n in (0, 1)] == [10_000, 3]
    await engine.close()


async def test_what_is_sent_is_encoded_once():
    """Followers at the same place get the same bytes object; another encoder or place gets its own."""
    channel = await Hub(MemoryEngine()).channel("a")
    await channel.publish_many([1, 2, 3])
    assert channel.encoded(shape, 0) == (b"1:1,2,3", 3)
    assert channel.encoded(shape, 0)[0] is channel.encoded(shape, 0)[0]
    assert channel.encoded(shape, 1) == (b"2:2,3", 3)
    assert channel.encoded(other, 0) == (b"other", 3)


async def test_what_was_encoded_goes_stale_with_the_log_and_the_fields():
    """After an append, a trimming or a change of fields it is encoded again."""
    hub = Hub(MemoryEngine())
    channel = await hub.channel("a")
    channel.log.max_messages = 2
    await channel.publish_many([1, 2])
    assert channel.encoded(shape, 0) == (b"1:1,2", 2)
    await channel.publish(3)
    assert channel.encoded(shape, 0) == (b"2:2,3", 3)
    named = lambda channel, run: str(channel.fields.time).encode()  # noqa: E731
    assert channel.encoded(named, 0)[0] == b"None"
    await hub.channel("a", Fields(time="when"))
    assert channel.encoded(named, 0)[0] == b"when"


async def test_encoded_pieces_do_not_pile_up():
    """Many followers in many places leave a bounded number of them."""
    channel = await Hub(MemoryEngine()).channel("a")
    await channel.publish_many(range(1_000))
    for after in range(1_000):
        channel.encoded(shape, after)
    assert len(channel._encoded) <= 16


async def test_the_bell_wakes_each_follower_once_a_flush():
    """Several publishes at a time make one flush; who follows two channels is pumped once."""
    hub = Hub(MemoryEngine())
    one, two = await hub.channel("a"), await hub.channel("b")
    both, single = Box(), Box()
    one.followers |= {both, single}
    two.followers.add(both)
    for n in range(5):
        await one.publish(n)
        await two.publish(n)
    assert (both.pumped, single.pumped) == (0, 0)
    await asyncio.sleep(0.01)
    assert (both.pumped, single.pumped) == (1, 1)
    await one.publish(5)
    hub.close()
    await asyncio.sleep(0.01)
    assert (both.pumped, single.pumped) == (1, 1)


async def test_a_publisher_that_never_waits_lets_others_run():
    """A loop of publishes does not hold the event loop for ever."""
    channel = await Hub(MemoryEngine()).channel("a")

    async def flood():
        while True:
            await channel.publish(1)

    task = asyncio.ensure_future(flood())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert channel.log.last > 0


async def test_what_cannot_be_published():
    """Neither what is no JSON nor what is too large; nothing of several lands when one cannot."""
    channel = await Hub(MemoryEngine()).channel("a")
    with pytest.raises(UsageError):
        await channel.publish(object())
    with pytest.raises(UsageError, match="too large"):
        await channel.publish_many([1, "x" * 600_000])
    assert channel.log.last == 0
    assert await channel.publish_many([]) == 0


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock is a millisecond later."""
    monkeypatch.setattr(hub_, "clock", itertools.count(1_000.0).__next__)


async def test_a_name_is_present_once(clock):
    """Two connections of one name join once, and leave when the last one goes or takes another name."""
    channel = await Hub(MemoryEngine(), id="one").channel("a")
    watcher, one, two = Box(), Box(), Box()
    channel.followers.add(watcher)
    channel.join(one, "ada")
    channel.join(one, "ada")
    channel.join(two, "ada")
    assert channel.members == [Present("ada", 1_000.0, "one")]
    channel.leave(one)
    assert watcher.told == [Joined("a", "ada", 1_000.0, "one")]
    channel.join(two, "eve")
    channel.leave(two)
    channel.leave(two)
    assert watcher.told[1:] == [
        Left("a", "ada", 1_001.0, "one"),
        Joined("a", "eve", 1_002.0, "one"),
        Left("a", "eve", 1_003.0, "one"),
    ]
    assert channel.members == []


async def test_who_joins_under_a_name_that_is_there_is_told_since_when(clock):
    """Only itself: to the others nothing has changed. Who comes back later is there since then, and last."""
    channel = await Hub(MemoryEngine(), id="one").channel("a")
    one, two, three = Box(), Box(), Box()
    channel.followers |= {one, two}
    channel.join(one, "ada")
    channel.join(two, "ada")
    assert one.told == two.told[:1] == [Joined("a", "ada", 1_000.0, "one")]
    assert two.told[1:] == one.told
    channel.join(three, "eve")
    channel.leave(one)
    channel.leave(two)
    channel.join(two, "ada")
    assert channel.members == [Present("eve", 1_001.0, "one"), Present("ada", 1_003.0, "one")]


def test_a_hub_is_told_from_others():
    """By the id it was given, or by a short random one."""
    assert Hub(MemoryEngine(), id="left").id == "left"
    one, two = Hub(MemoryEngine()).id, Hub(MemoryEngine()).id
    assert one != two
    assert len(one) == len(two) == 8


async def test_a_channel_may_be_compacted(tmp_path):
    """In the engine's log and in one in memory: it keeps all, and one message takes the place of many."""
    engine = SqliteEngine(tmp_path / "log.db", max_messages=2)
    hub = Hub(engine)
    for name, durable in (("a", True), ("b", False)):
        channel = await hub.channel(name, durable=durable, compacted=True)
        channel.log.max_messages = 2
        await channel.publish_many([1, 2, 3, 4])
        assert channel.log.first == 1
        await channel.compact(3, b"[1,2,3]")
        assert channel.encoded(shape, 0) == (b"3:[1,2,3],4", 4)
        with pytest.raises(ValueError, match="cannot compact"):
            await channel.compact(2, b"no")
    other = await hub.channel("c")
    assert not other.log.compacted
    await engine.close()


async def test_what_was_encoded_goes_stale_when_a_channel_is_compacted():
    """Also at the very offset that the one message takes, and when nobody waits for it any more."""
    channel = await Hub(MemoryEngine()).channel("a", compacted=True)
    await channel.publish_many([1, 2, 3])
    assert channel.encoded(shape, 1) == (b"2:2,3", 3)
    await channel.compact(2, b"[1,2]")
    assert channel.encoded(shape, 1) == (b"2:[1,2],3", 3)
    channel.log.compact(2, b"[12]")
    assert channel.encoded(shape, 1) == (b"2:[12],3", 3)
