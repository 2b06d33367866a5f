"""Several servers of the same services, as behind a load balancer.

They have no log in common, so what is said on one is not heard on the others.
"""

import contextlib

import pytest

from rtwidgets.messages import Cursor
from rtwidgets.server import Server
from rtwidgets.services import Chat, Echo, Prices
from tests.talking import dial, dial_v1

pytestmark = pytest.mark.usefixtures("tidy")
SECRET = "a secret of more than thirty-two bytes"


@contextlib.asynccontextmanager
async def instances():
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Server([Echo, Prices, Chat], token="of all", jwt={"secret": SECRET}, seed=1)
            )
            for _ in range(3)
        ]


async def test_each_answers_alike():
    """To the same token, the server's own or one that any of them has signed."""
    async with instances() as servers:
        signed = servers[0].hub.tokens.issue("ada", scopes=["subscribe:prices"], lifetime=600)
        for server in servers:
            async with dial(server, "/echo", token=signed) as client:
                await client.send("hello")
                assert await client.recv() == "Echo: hello"
            async with dial_v1(server, token=signed) as client:
                assert (await client.subscribe("prices")).key == "symbol"


async def test_who_comes_back_to_another_one_is_told():
    """Its cursor is of another log: nothing is taken for what it has missed."""
    async with instances() as servers:
        channels = [await server.hub.channel("chat/lobby") for server in servers]
        for channel, count in zip(channels, (5, 3, 0), strict=True):
            await channel.publish_many(range(count))
        async with dial_v1(servers[0]) as client:
            answer = await client.subscribe("chat/lobby", Cursor("", 0))
            assert [row for _, row in await client.rows(5)] == list(range(5))
            cursor = Cursor(answer.epoch, 5)
        for server in servers[1:]:
            async with dial_v1(server) as client:
                answer = await client.subscribe("chat/lobby", cursor)
                assert not answer.recovered
                assert (answer.epoch != cursor.epoch, answer.offset) == (True, 0)
