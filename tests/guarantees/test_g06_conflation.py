"""G6: a slow reader of prices is sent the last row of each key, and told how many were left out."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from rtwidgets.messages import Conflated, Cursor, Gap, Messages
from rtwidgets.server import Server, outbox
from rtwidgets.services import BUILT_IN, service
from rtwidgets.testing import BlockingFaultProxy
from tests.talking import dial_v1
from tests.waiting import until

KEYS = 50


@service("/quotes", key="symbol", conflate=True)
async def quotes(channel):
    """Filled by the tests; may be conflated."""


@service("/events", key="symbol")
async def events(channel):
    """Filled by the tests; has a key too, but each message counts."""


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """However slow the machine, a reader that is slow is not taken for a stalled one."""
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 1_000)


def row(n):
    return {"symbol": n % KEYS, "n": n, "text": "x" * 400}


async def publish_past(channel, lag):
    """Publish ten times what a subscriber may be behind, and until one is; return the number of messages."""
    published = 0
    while channel.lag <= lag or published < 10 * lag:
        published = await channel.publish_many(row(n) for n in range(published, published + 100))
        await asyncio.sleep(0)
    return published


async def read_to(client, last):
    """Read up to an offset; return messages by kind, and rows by offset."""
    at, kinds, rows = 0, {Messages: [], Conflated: [], Gap: []}, {}
    while at < last:
        message = await client.hear()
        kinds[type(message)].append(message)
        if isinstance(message, Messages):
            assert message.offset == at + 1
            offsets, data, at = itertools.count(message.offset), message.data, at + message.count
        else:
            assert message.first == at + 1
            at = message.last
            offsets, data = message.latest.offsets, message.latest.data
        rows |= dict(zip(offsets, json.loads(bytes(data)), strict=False))
    return kinds, rows


async def test_a_slow_reader_ends_on_the_last_row_of_each_key():
    """What it was sent and what it was told is left out make up all there was; there is no gap."""
    async with Server([quotes]) as server, dial_v1(server, max_queue=1) as client:
        channel = await server.hub.channel("quotes")
        await client.subscribe("quotes")
        total = await publish_past(channel, outbox.CONFLATE_ABOVE)
        kinds, rows = await read_to(client, total)
        assert kinds[Conflated]
        assert not kinds[Gap]
        assert {each["symbol"]: each["n"] for each in rows.values()} == {
            n % KEYS: n for n in range(total - KEYS, total)
        }
        assert all(each["n"] == offset - 1 for offset, each in rows.items())
        assert total - len(rows) == server.statistics().conflated > 0


async def test_a_channel_that_does_not_allow_it_is_never_conflated():
    """The same reader of events gets each one that the log still has, and is told of a gap for the others."""
    async with Server([events]) as server, dial_v1(server, max_queue=1) as client:
        channel = await server.hub.channel("events")
        channel.log.max_messages = 10**6
        await client.subscribe("events")
        total = await publish_past(channel, outbox.CONFLATE_ABOVE)
        kinds, rows = await read_to(client, total)
        assert not kinds[Conflated]
        assert len(rows) == total


async def test_what_was_asked_for_comes_whole():
    """A reader that comes back is sent all the history it asked for, however slowly it reads it."""
    async with Server([quotes]) as server, dial_v1(server, max_queue=1) as client:
        channel = await server.hub.channel("quotes")
        channel.log.max_messages = 10**6
        total = await channel.publish_many(row(n) for n in range(4 * outbox.CONFLATE_ABOVE))
        await client.subscribe("quotes", Cursor("", 0))
        assert channel.lag > outbox.CONFLATE_ABOVE  # it does not fit into the buffers
        kinds, rows = await read_to(client, total)
        assert not kinds[Conflated]
        assert len(rows) == total


def test_a_stream_on_a_slow_link_ends_on_the_last_row_of_each_key(rt):
    """10 000 ticks a second over a link that is slow for a while: it says how many it was not sent."""
    server = rt.servers.serve(services=["prices"], options={"prices": {"rate": 10_000}})
    with BlockingFaultProxy(server.url) as proxy:
        proxy.slow_down(bandwidth=1_000)
        stream = rt.streams.connect("prices", server=proxy.url, token=server.token)
        [prices] = server.server.hub.channels
        until(lambda: prices.lag > outbox.CONFLATE_ABOVE, timeout=60)
        proxy.heal()
        until(lambda: stream.conflated)
        server.server._tasks["/prices"].cancel()  # the market closes
        until(lambda: stream.frame.total and stream.df["offset"].iloc[-1] == prices.log.last)
        last = {row["symbol"]: row for row in map(json.loads, prices.log.read(prices.log.last - 500).pieces)}
        assert stream.latest["price"].to_dict() == {symbol: row["price"] for symbol, row in last.items()}
        assert stream.df["offset"].is_unique
        assert stream.gaps.empty
        assert stream.frame.total == prices.log.last - stream.conflated
        assert "conflated, because this client is slow" in stream.describe().detail
        rt.stop()


def test_of_the_services_only_prices_allow_it():
    """Chat and the like never leave out a message."""
    assert [name for name, each in BUILT_IN.items() if each.fields.conflate] == ["prices"]
