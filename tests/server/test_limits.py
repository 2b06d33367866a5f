"""How much one client may ask of a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from rtwidgets.messages import Error, Publish, Published, Subscribe, Subscribed
from rtwidgets.server import Server, limits
from rtwidgets.server.limits import TokenBucket
from rtwidgets.services import Echo, service
from tests.talking import dial, dial_v1


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


@service("/other")
async def other(channel):
    """Another channel."""


def test_a_full_bucket_lets_a_burst_through_and_then_the_rate():
    """What waits has its place in the row; a pause fills the bucket, and no more than that."""
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(0.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    assert [bucket.take(100.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


@given(st.lists(st.floats(0, 1), max_size=200), st.floats(1, 100), st.integers(1, 20))
def test_no_span_has_more_than_burst_and_rate_allow(pauses, rate, burst):
    """Whenever messages come, any span lets through at most the burst and the rate's share of it."""
    bucket, now, passed = TokenBucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        now += bucket.take(now)  # who waits comes no sooner with the next one
        passed.append(now)
    for first, began in enumerate(passed):
        for count, ended in enumerate(passed[first:], start=1):
            assert count <= burst + rate * (ended - began) + 1 + 1e-6


async def test_a_connection_that_publishes_too_fast_waits_and_loses_nothing(monkeypatch):
    """Everything lands, in order, and takes the time that the rate wants."""
    monkeypatch.setattr(limits, "PUBLISH_RATE", 100.0)
    monkeypatch.setattr(limits, "PUBLISH_BURST", 10.0)
    async with Server([notes]) as server, dial_v1(server) as client:
        for number in range(30):
            await client.say(Publish(number, "notes", number))
        offsets = [(await client.hear(Published)).offset for _ in range(30)]
        assert offsets == list(range(1, 31))
        log = (await server.hub.channel("notes")).log
        times = log.read(0).times
        assert times[-1] - times[0] >= 1000 * (30 - 10 - 1) / 100 * 0.9


async def test_a_connection_follows_so_many_channels_and_no_more(monkeypatch):
    """One more is refused, with what to do; one that is followed may be asked for again."""
    monkeypatch.setattr(limits, "MAX_SUBSCRIPTIONS", 1)
    async with Server([notes, other]) as server, dial_v1(server) as client:
        assert isinstance(await client.subscribe("notes"), Subscribed)
        await client.say(Subscribe(7, "other"))
        refusal = await client.hear()
        assert isinstance(refusal, Error)
        assert (refusal.code, refusal.id) == ("too_many_subscriptions", 7)
        assert "unsubscribe from some" in refusal.message
        assert isinstance(await client.subscribe("notes"), Subscribed)


async def test_a_server_has_so_many_connections_and_no_more(monkeypatch):
    """One more is turned away before it is a WebSocket; the others go on."""
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    async with Server([Echo]) as server, dial(server, "/echo") as one, dial(server, "/echo") as two:
        with pytest.raises(InvalidStatus) as refused:
            async with dial(server, "/echo"):
                pass
        assert refused.value.response.status_code == 503
        for client in (one, two):
            await client.send("a")
            assert await client.recv() == "Echo: a"
