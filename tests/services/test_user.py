import asyncio

import msgspec
import pytest

from rtwidgets.errors import Refused
from rtwidgets.loop import take_errors
from rtwidgets.messages import Cursor
from rtwidgets.server import Fields, Server
from rtwidgets.services import service
from tests.talking import dial_v1, eventually

pytestmark = pytest.mark.usefixtures("tidy")


async def test_a_coroutine_becomes_a_service():
    """Its channel is its path, its fields are those that were named, its docstring is kept."""

    @service("/lab/temperatures", key="room", time="at")
    async def temperatures(channel):
        """Warm or cold."""
        for n in range(3):
            await channel.publish({"room": "attic", "celsius": n, "at": n})

    assert (temperatures.name, temperatures.path) == ("lab/temperatures", "/lab/temperatures")
    assert temperatures.fields == Fields("room", "at")
    assert temperatures.__doc__ == "Warm or cold."
    async with Server([temperatures]) as server, dial_v1(server) as client:
        answer = await client.subscribe("lab/temperatures", Cursor("", 0))
        assert (answer.key, answer.time) == ("room", "at")
        assert [row["celsius"] for _, row in await client.rows(3)] == [0, 1, 2]


async def test_running_the_cell_again_replaces_it():
    """The one before is cancelled; the channel, its offsets and its followers go on."""
    ended = []

    def make(value):
        @service("/values")
        async def values(channel):
            try:
                while True:
                    await channel.publish(value)
                    await asyncio.sleep(0.001)
            finally:
                ended.append(value)

        return values

    async with Server([make("old")]) as server, dial_v1(server) as client:
        await client.subscribe("values", Cursor("", 0))
        await client.rows(2)
        await server.add(make("new"))
        assert ended == ["old"]
        seen = []
        while "new" not in seen:
            seen += [value for _, value in await client.rows(1)]
        rest = [value for _, value in await client.rows(5)]
        assert set(rest) == {"new"}
        assert server.paths == ["/values"]


async def test_a_fault_in_it_is_reported():
    """Once, with the path; its clients keep their connection."""

    @service("/broken")
    async def broken(channel):
        await channel.publish(1)
        raise ZeroDivisionError("oh")

    async with Server([broken]) as server, dial_v1(server) as client:
        await client.subscribe("broken", Cursor("", 0))
        assert await client.rows(1) == [(1, 1)]
        await eventually(server._tasks["/broken"].done)
    assert [(where, str(error)) for where, error in take_errors()] == [("service /broken", "oh")]


def test_what_a_writable_service_takes():
    """JSON, and nothing else; one that is not writable takes nothing."""

    @service("/a", writable=True)
    async def writable(channel):
        pass

    @service("/b")
    async def quiet(channel):
        pass

    hub = Server([]).hub
    assert writable(hub).accept(msgspec.Raw(b'{"a": [1, null]}'), "ada") == {"a": [1, None]}
    for data in (b"", b"hello", b"01", b'"\xff"', b"[" * 100_000):
        with pytest.raises(Refused, match="send JSON"):
            writable(hub).accept(msgspec.Raw(data), "ada")
    with pytest.raises(Refused, match="takes no messages"):
        quiet(hub).accept(msgspec.Raw(b"1"), "ada")
