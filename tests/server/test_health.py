"""What a server tells of itself over HTTP."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from rtwidgets.server import Server, Service
from rtwidgets.services import Chat
from tests.talking import dial

pytestmark = pytest.mark.usefixtures("tidy")


async def get(server, path, token=None):
    """Return status and body of a plain request, from a thread."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")

    def ask():
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()

    return await asyncio.to_thread(ask)


async def test_a_server_that_runs_is_alive_and_ready():
    """Both are told to anybody, token or not."""
    async with Server([Chat]) as server:
        assert (await get(server, "/live"))[::2] == (200, "alive\n")
        assert (await get(server, "/ready"))[::2] == (200, "ready\n")


async def test_metrics_want_the_token():
    """Without it, or with a wrong one, nothing is told."""
    async with Server([Chat]) as server:
        assert (await get(server, "/metrics"))[0] == 401
        assert (await get(server, "/metrics", "wrong"))[0] == 401
        status, kind, _ = await get(server, "/metrics", server.token)
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")


async def test_a_service_may_have_the_path_of_a_probe():
    """WebSockets go to the service, plain requests to the probe."""

    class Live(Service):
        name, path, has_channels = "live", "/live", False

        async def talk(self, peer):
            await peer.send("here")

    async with Server([Live]) as server, dial(server, "/live") as client:
        assert await client.recv() == "here"
        assert (await get(server, "/live"))[2] == "alive\n"
