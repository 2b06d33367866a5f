"""What a server tells of itself over HTTP."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtwidgets.messages import Cursor
from rtwidgets.server import Server, Service, health
from rtwidgets.server.hub import FLUSH_INTERVAL
from rtwidgets.services import Chat
from tests.talking import dial, dial_v1, eventually, upgrade

pytestmark = pytest.mark.usefixtures("tidy")


class Notes(Service):
    name, path = "notes", "/notes"

    def accept(self, data, user):
        return data


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


def values(text):
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("rtwidgets_") and not sample.name.endswith("_created")
    }


async def test_a_server_that_runs_is_alive_and_ready():
    """Both are told to anybody, token or not."""
    async with Server([Chat]) as server:
        assert (await get(server, "/live"))[::2] == (200, "alive\n")
        assert (await get(server, "/ready"))[::2] == (200, "ready\n")


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_a_server_without_its_engine_is_alive_and_not_ready(monkeypatch, trouble):
    """Within the time that the engine is given; with it back the server is ready again."""
    monkeypatch.setattr(health, "ENGINE_TIMEOUT", 0.1)

    async def ping():
        if trouble == "hangs":
            await asyncio.Event().wait()
        raise OSError("the disk is gone")

    async with Server([Chat]) as server:
        with monkeypatch.context() as lost:
            lost.setattr(server.hub.engine, "ping", ping)
            status, _, reason = await get(server, "/ready")
            assert status == 503
            assert ("OSError: the disk is gone" in reason) == (trouble == "fails")
            assert (await get(server, "/live"))[0] == 200
        assert (await get(server, "/ready"))[0] == 200


async def test_metrics_want_the_token():
    """Without it, or with a wrong one, nothing is told."""
    async with Server([Chat]) as server:
        assert (await get(server, "/metrics"))[0] == 401
        assert (await get(server, "/metrics", "wrong"))[0] == 401
        status, kind, _ = await get(server, "/metrics", server.token)
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")


async def test_metrics_are_what_prometheus_reads():
    """Counts of what went on, by names that say their unit."""
    async with Server([Notes]) as server, dial_v1(server) as one, dial_v1(server) as two:
        answer = await one.subscribe("notes")
        await two.subscribe("notes")
        channel = await server.hub.channel("notes")
        for number in range(3):
            await channel.publish({"n": number})
        await one.rows(3)
        await two.rows(3)
        await two.subscribe("notes", Cursor(answer.epoch, 1))
        told = values((await get(server, "/metrics", server.token))[2])
        assert told == {
            "rtwidgets_connections": 2,
            "rtwidgets_channels": 1,
            "rtwidgets_lag": 0,
            "rtwidgets_queue_bytes": 0,
            "rtwidgets_messages_total": 3,
            "rtwidgets_deliveries_total": 3 + 3 + 2,
            "rtwidgets_dropped_total": 0,
            "rtwidgets_gaps_total": 0,
            "rtwidgets_recoveries_total": 1,
        }


async def test_who_reads_nothing_shows_in_the_metrics():
    """The messages and bytes that wait for a slow reader are counted, and so is its end."""
    async with Server([Notes]) as server:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(upgrade(f"/notes?token={server.token}"))
            await eventually(lambda: server.statistics().connections == 1)
            channel = await server.hub.channel("notes")
            while not (server.statistics().queue_bytes and server.statistics().lag):
                await channel.publish("x" * 100_000)
                await asyncio.sleep(2 * FLUSH_INTERVAL)
            told = values((await get(server, "/metrics", server.token))[2])
            assert told["rtwidgets_lag"] > 0
            assert told["rtwidgets_queue_bytes"] > 0
            await eventually(lambda: server.statistics().dropped)
        assert values((await get(server, "/metrics", server.token))[2])["rtwidgets_dropped_total"] == 1


async def test_a_service_may_have_the_path_of_a_probe():
    """WebSockets go to the service, plain requests to the probe."""

    class Live(Service):
        name, path, has_channels = "live", "/live", False

        async def talk(self, peer):
            await peer.send("here")

    async with Server([Live]) as server, dial(server, "/live") as client:
        assert await client.recv() == "here"
        assert (await get(server, "/live"))[2] == "alive\n"
