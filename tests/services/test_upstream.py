"""How a service reads another one's channel: each message once, whoever is away."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from rtwidgets.client import link
from rtwidgets.client.backoff import Backoff
from rtwidgets.engines import MemoryEngine
from rtwidgets.loop import take_errors
from rtwidgets.messages import Cursor
from rtwidgets.server import Hub, Server, Service
from rtwidgets.services import upstream
from rtwidgets.services.upstream import follow
from rtwidgets.testing import FaultProxy
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")


class Numbers(Service):
    name = "numbers"
    path = "/numbers"
    compacted = True


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Waits of a few milliseconds."""
    for module in (link, upstream):
        monkeypatch.setattr(module, "Backoff", lambda: Backoff(0.005, 0.02, 0.0))


async def publish(server, *numbers):
    channel = await server.hub.channel("numbers", compacted=True)
    await channel.publish_many(numbers)


async def take(batches, count):
    """Return so many messages, and the cursor after them."""
    numbers = []
    while len(numbers) < count:
        cursor, pieces = await anext(batches)
        numbers += [msgspec.json.decode(piece) for piece in pieces]
    return numbers, cursor


@pytest.fixture(params=["here", "there"])
def where(request):
    return request.param


def following(server, where, after=None):
    if where == "here":
        return aclosing(follow(server.hub, "numbers", None, after))
    hub = Hub(MemoryEngine())
    hub.token = server.token
    return aclosing(follow(hub, "numbers", server.url, after))


async def test_all_is_read_and_then_what_comes(where):
    """From the beginning, or from after a cursor."""
    async with Server([Numbers]) as server:
        await publish(server, 1, 2, 3)
        async with following(server, where) as batches:
            assert (await take(batches, 3))[0] == [1, 2, 3]
            await publish(server, 4)
            numbers, cursor = await take(batches, 1)
            assert (numbers, cursor.offset) == ([4], 4)
        await publish(server, 5)
        async with following(server, where, cursor) as batches:
            assert (await take(batches, 1))[0] == [5]


async def test_another_epoch_is_read_from_its_beginning(where):
    """A cursor of another life of the log says nothing about this one."""
    async with Server([Numbers]) as server:
        await publish(server, 1, 2)
        async with following(server, where, Cursor("another", 2)) as batches:
            numbers, cursor = await take(batches, 2)
        assert numbers == [1, 2]
        assert cursor.epoch != "another"


async def test_a_break_costs_nothing():
    """What came meanwhile comes after it, and nothing twice."""
    async with Server([Numbers]) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        hub = Hub(MemoryEngine())
        hub.token = server.token
        async with aclosing(follow(hub, "numbers", proxy.url, None)) as batches:
            for number in range(20):
                await publish(server, number)
                assert (await take(batches, 1))[0] == [number]
                proxy.cut()


async def test_a_server_that_is_not_there_is_waited_for():
    """Its absence is reported, once."""
    async with Server([Numbers]) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.refuse = True
        hub = Hub(MemoryEngine())
        hub.token = server.token
        async with aclosing(follow(hub, "numbers", proxy.url, None)) as batches:
            await publish(server, 1)
            waiting = asyncio.ensure_future(take(batches, 1))
            await eventually(lambda: proxy.statistics().accepted >= 4)
            proxy.heal()
            assert (await waiting)[0] == [1]
    assert len(take_errors()) == 1
