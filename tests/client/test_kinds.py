import asyncio
import json
import threading
import time

import numpy as np
import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Foreign, ForeignSource, Intake, State
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.kinds import MAX_KINDS, OTHER, Kinds, KindSource
from rtwidgets.client.sequence import NumberedIntake
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import take_errors

pytestmark = pytest.mark.usefixtures("tidy")


def kinds(by="type", make=lambda kind: Intake(LiveFrame()), **options):
    return Kinds(by, make, **options)


def put(kinds, *messages, received=0):
    kinds.messages([json.dumps(message).encode() for message in messages], received)


def test_each_kind_has_its_messages_in_order():
    """With the times at which they came, one for all or one each."""
    sorter = kinds()
    put(
        sorter,
        {"type": "a", "n": 1},
        {"type": "b", "n": 2},
        {"type": "a", "n": 3},
        received=np.array([5, 6, 7]),
    )
    put(sorter, {"type": "a", "n": 4}, {"type": "b", "n": 5}, received=8)
    put(sorter, {"type": "a", "n": 6}, received=np.array([9]))
    rows = {kind: sorter.taking(kind).frame.df for kind in sorter.counts}
    assert {kind: list(df["n"]) for kind, df in rows.items()} == {"a": [1, 3, 4, 6], "b": [2, 5]}
    assert list(rows["a"]["time"].astype("int64")) == [5, 7, 8, 9]
    assert sorter.counts == {"a": 4, "b": 2}
    assert sorter.skipped == 0


@pytest.mark.parametrize(
    ("by", "message", "kind"),
    [
        ("type", {"type": "x"}, "x"),
        ("type", {"type": 5}, "5"),
        ("data.e", {"data": {"e": "x"}}, "x"),
        ("-2", [0, {}, "trade", "A/B"], "trade"),
        ("type", {"type": ""}, OTHER),
        ("type", {"type": None}, OTHER),
        ("type", {"type": True}, OTHER),
        ("type", {"type": 1.5}, OTHER),
        ("type", {"type": ["x"]}, OTHER),
        ("type", {"type": {"x": 1}}, OTHER),
        ("type", {"event": "x"}, OTHER),
        ("type", [1, 2], OTHER),
        ("-2", {"event": "x"}, OTHER),
    ],
)
def test_what_tells_the_kind(by, message, kind):
    """Text, or a whole number; everything else is of kind other, and is kept there."""
    sorter = kinds(by)
    put(sorter, message)
    assert sorter.counts == {kind: 1}
    assert len(sorter.taking(kind).frame) == 1


def test_what_is_no_json_is_of_kind_other():
    """And is rejected there with its reason; the messages beside it are taken."""
    sorter = kinds()
    sorter.messages([b'{"type":"a"}', b"nonsense", b'{"type":"a"}'], 0)
    assert sorter.counts == {"a": 2, OTHER: 1}
    assert "not JSON" in sorter.frame.rejected["reason"].iloc[0]


def test_several_values_may_be_one_kind_and_some_are_not_wanted():
    """The order of all its messages is kept; those that are not wanted are counted."""
    sorter = kinds(kind_of={"snapshot": "book", "update": "book", "ping": None, "x": OTHER}.__getitem__)
    put(
        sorter,
        {"type": "snapshot", "n": 1},
        {"type": "ping"},
        {"type": "update", "n": 2},
        {"type": "x"},
        {"type": "snapshot", "n": 3},
    )
    assert list(sorter.taking("book").frame.df["n"]) == [1, 2, 3]
    assert sorter.counts == {"book": 3, OTHER: 1}
    assert sorter.skipped == 1


def test_a_kind_that_was_left_is_not_wanted():
    """The others go on."""
    sorter = kinds()
    put(sorter, {"type": "a"}, {"type": "b"})
    sorter.leave("a")
    put(sorter, {"type": "a"}, {"type": "b"})
    assert sorter.counts == {"a": 1, "b": 2}
    assert sorter.skipped == 1


def test_a_break_is_told_to_all_kinds():
    """Rows are missing in each of them."""
    sorter = kinds()
    put(sorter, {"type": "a"}, {"type": "b"})
    sorter.broke()
    assert [len(sorter.taking(kind).frame.gaps) for kind in ("a", "b")] == [1, 1]


def test_a_field_that_tells_no_kinds():
    """Only so many kinds are made, what comes of others is of kind other, and it is told once."""
    sorter = kinds("id")
    put(sorter, *({"id": n} for n in range(MAX_KINDS + 500)))
    put(sorter, *({"id": n} for n in range(MAX_KINDS + 500)))
    counts = sorter.counts
    assert len(counts) == MAX_KINDS + 1
    assert counts[OTHER] == 2 * 500
    assert {counts[kind] for kind in counts if kind != OTHER} == {2}
    ((_, error),) = take_errors()
    assert "by='id' has more than 256 values" in str(error)


def test_a_kind_is_made_once():
    """However many threads ask for it while its messages come."""
    made = []

    def make(kind):
        made.append(kind)
        time.sleep(0.01)  # long enough for the others to ask
        return Intake(LiveFrame())

    sorter = kinds(make=make)
    threads = [threading.Thread(target=sorter.taking, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    put(sorter, {"type": "a"})
    for thread in threads:
        thread.join(20)
    assert made == ["a"]
    assert len(sorter.taking("a").frame) == 1


def test_what_is_no_path():
    """The sentence says how to write one."""
    with pytest.raises(UsageError, match=r"by='a\.\.b' is not a path"):
        kinds("a..b")


# As the source of a stream


async def open_feed(url, sorter):
    foreign = Foreign(url, sorter, subscribe="go")
    await foreign.opened()
    return ForeignSource(foreign, sorter)


async def arrived(frame, rows):
    changed = asyncio.Event()
    unsubscribe = frame.on_change(changed.set)
    async with asyncio.timeout(20):
        while frame.total < rows:
            changed.clear()
            await changed.wait()
    unsubscribe()


async def test_sources_of_one_connection(monkeypatch):
    """They share it, and its breaks; each has rows and gaps of its own; one that ends leaves the others."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.01, 0.01))
    sent = []

    async def talk(connection):
        sent.append(await connection.recv())
        for n in (1, 2, 5) if len(sent) == 1 else (6, 7):
            await connection.send(json.dumps({"type": "trade", "id": n}))
            await connection.send(json.dumps({"type": "tick", "id": n}))
        if len(sent) > 1:
            sent.append(await connection.recv())
            await connection.wait_closed()

    def make(kind):
        return NumberedIntake(LiveFrame(), "id") if kind == "trade" else Intake(LiveFrame())

    sorter = kinds(make=make)
    async with serve(talk, "127.0.0.1", 0) as server:
        shared = await open_feed(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", sorter)
        trades, ticks = (KindSource(shared, sorter, kind) for kind in ("trade", "tick"))
        await arrived(ticks.frame, 5)
        assert trades.link is ticks.link is shared.link
        assert (trades.origin, trades.skipped, trades.conflated, trades.presence.members) == (
            "live",
            0,
            0,
            [],
        )
        assert [gap[:3] for gap in ticks.gaps] == [("", None, None)]
        assert [gap[:3] for gap in trades.gaps] == [("", None, None), ("", 3, 4)]
        await ticks.send({"op": "more"})
        await trades.close()
        assert shared.link.state is State.OPEN
        alone = KindSource(shared, sorter, "tick", alone=True)
        alone.advance(lambda: False)
        await alone.close()
        assert shared.link.state is State.CLOSED
    assert sent == ["go", "go", '{"op":"more"}']


async def test_a_tap_hears_all_kinds():
    """Recording the stream of one kind records the connection."""

    class Tap:
        def __init__(self):
            self.heard = []

        def opened(self, url):
            pass

        def sent(self, message, binary):
            pass

        def received(self, time, messages):
            self.heard += messages

        def closed(self, reason):
            pass

    async def talk(connection):
        await connection.recv()
        await connection.recv()
        await connection.send('{"type":"a"}')
        await connection.send('{"type":"b"}')
        await connection.wait_closed()

    sorter, tap = kinds(), Tap()
    async with serve(talk, "127.0.0.1", 0) as server:
        shared = await open_feed(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", sorter)
        source = KindSource(shared, sorter, "a")
        source.tap = tap
        await source.send("now")
        await arrived(sorter.taking("b").frame, 1)
        assert source.tap is tap
        await shared.close()
    assert [bytes(message) for message in tap.heard] == [b'{"type":"a"}', b'{"type":"b"}']
