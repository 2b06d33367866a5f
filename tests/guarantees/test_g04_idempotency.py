"""G4: a publish with an idempotency key lands once."""

from __future__ import annotations

import asyncio

import pytest

from rtwidgets.messages import Publish, Published
from rtwidgets.server import Server
from rtwidgets.services import service
from tests.talking import dial_v1


@service("/log", writable=True)
async def log(channel):
    """A channel that anybody may write to."""


@pytest.fixture(params=["memory://", "sqlite:///log.db"])
def engine(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return request.param


async def test_racing_duplicates_land_once(engine):
    """Ten connections publish the same hundred keys at once: each key lands once, and all are told where."""

    async def race(client):
        for key in range(100):
            await client.say(Publish(key, "log", key, idempotency=f"key-{key}"))
        answers = [await client.hear(Published) for _ in range(100)]
        return {answer.id: answer.offset for answer in answers}

    async with Server([log], engine=engine) as server, asyncio.TaskGroup() as tasks:

        async def racer():
            async with dial_v1(server) as client:
                return await race(client)

        racers = [tasks.create_task(racer()) for _ in range(10)]
        told = [await racer for racer in racers]
        kept = (await server.hub.channel("log")).log.read(0, limit=1_000)
        assert sorted(map(int, kept.pieces)) == list(range(100))
        where = {int(piece): offset for offset, piece in enumerate(kept.pieces, start=1)}
        assert all(each == where for each in told)
