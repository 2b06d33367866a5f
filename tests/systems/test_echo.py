"""Echo and raw echo, to any WebSocket client."""

import pytest
from websockets.exceptions import ConnectionClosed

from rtwidgets.server import Server
from rtwidgets.services import Echo, RawEcho
from tests.talking import dial, dial_v1

pytestmark = pytest.mark.usefixtures("tidy")


async def test_echo():
    """Text comes back with a word before it."""
    async with Server([Echo, RawEcho]) as server, dial(server, "/echo") as client:
        for text in ("hello", "", "grüß 😀"):
            await client.send(text)
            assert await client.recv() == f"Echo: {text}"


async def test_raw_echo():
    """All comes back as it was, text as text and binary as binary."""
    async with Server([Echo, RawEcho]) as server, dial(server, "/ws") as client:
        for message in ("hello", b"\x00\xff", "", b""):
            await client.send(message)
            assert await client.recv() == message


async def test_they_have_no_channel():
    """So there is nothing to follow in `rtwidgets.v1`, which says what there is."""
    async with Server([Echo, RawEcho]) as server, dial_v1(server) as client:
        for name in ("echo", "ws"):
            assert (await client.subscribe(name)).code == "unknown_channel"


async def test_they_have_no_end():
    """A client may come back as often as it likes."""
    async with Server([Echo]) as server:
        for _ in range(3):
            async with dial(server, "/echo") as client:
                await client.send("again")
                assert await client.recv() == "Echo: again"
            with pytest.raises(ConnectionClosed):
                await client.recv()
