"""G1: total order in a channel; offsets are contiguous in an epoch."""

from __future__ import annotations

import asyncio

from rtwidgets.messages import Cursor, Publish, Published
from rtwidgets.server import Server
from rtwidgets.services import service
from tests.talking import dial_v1

PUBLISHERS, EACH = 4, 10_000


@service("/log", writable=True)
async def log(channel):
    """A channel that anybody may write to."""


async def publish(server, name):
    """Publish so many messages, each after the answer to the one two hundred before it."""
    async with dial_v1(server) as client:
        for number in range(EACH):
            await client.say(Publish(number, "log", [name, number]))
            if number >= 200:
                await client.hear(Published)


async def read(server, start):
    """Follow the log from the start and return what came, as offset and data."""
    async with dial_v1(server) as client:
        await client.subscribe("log", Cursor("", 0))
        start.release()
        return await client.rows(PUBLISHERS * EACH)


async def test_every_subscriber_sees_every_message_in_one_order():
    """Four publish ten thousand messages each: three subscribers see 1 to 40 000, and the same data."""
    async with Server([log]) as server:
        reading = asyncio.Semaphore(0)
        readers = [asyncio.create_task(read(server, reading)) for _ in range(3)]
        for _ in readers:
            await reading.acquire()
        await asyncio.gather(*(publish(server, name) for name in range(PUBLISHERS)))
        one, *others = await asyncio.gather(*readers)
    assert [offset for offset, _ in one] == list(range(1, PUBLISHERS * EACH + 1))
    assert all(other == one for other in others)
    for name in range(PUBLISHERS):
        assert [number for _, (publisher, number) in one if publisher == name] == list(range(EACH))
