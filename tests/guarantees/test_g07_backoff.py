"""G7: full jitter from 0.2 to 20 s, and from the beginning only after 10 s of a stable connection."""

from __future__ import annotations

import random
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Link, link
from rtwidgets.client.backoff import Backoff
from tests.talking import eventually
from tests.waits import Lowest, attempts

pytestmark = pytest.mark.usefixtures("tidy")

MOST, IN_SECONDS = 10, 10.0
SCALE = 0.1  # of the seconds in the tests with a socket


async def idle(connection):
    await connection.messages()


def address(server):
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("lasts", [0.0, 0.01, 0.5])
def test_ten_attempts_in_ten_seconds_at_the_most(lasts):
    """Whatever is drawn, a server that accepts and soon closes sees no more of one client."""
    draws = [Lowest(), *map(random.Random, range(1_000))]
    assert max(attempts(Backoff(draw=draw), IN_SECONDS, lasts=lasts) for draw in draws) <= MOST


def test_the_waits_are_spread_over_all_there_may_be():
    """A thousand clients that wait for the same attempt: each eighth of the range has its share of them."""
    for attempt in (1, 5, 20):
        waits = []
        for seed in range(1_000):
            backoff = Backoff(draw=random.Random(seed))
            waits.append([backoff.lost(0.0) for _ in range(attempt)][-1])
        low, high = min(waits), max(waits)
        assert low >= 0.2
        assert high <= 20.0
        assert high - low > 0.7 * high
        shares = Counter(min(7, int((wait - low) / (high - low) * 8)) for wait in waits)
        assert min(shares[n] for n in range(8)) > 80


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_server_that_accepts_and_closes_is_not_hammered(monkeypatch, how):
    """With seconds a tenth as long and the worst of luck, the eleventh attempt comes after ten of them."""
    policy = Backoff()
    scaled = Backoff(policy.first * SCALE, policy.longest * SCALE, policy.stable * SCALE, Lowest())
    monkeypatch.setattr(link, "Backoff", lambda: scaled)
    arrivals = []

    async def accept(connection):
        arrivals.append(time.monotonic())
        if how == "abort":
            connection.transport.abort()

    async with serve(accept, "127.0.0.1", 0) as server:
        began = time.monotonic()
        linked = Link(address(server), idle)
        await eventually(lambda: len(arrivals) > MOST)
        await linked.close()
    assert arrivals[MOST] - began >= IN_SECONDS * SCALE


async def test_the_waits_start_over_after_ten_seconds_of_a_stable_connection(monkeypatch):
    """And not before, by the clock of the link."""
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now, time_ns=time.time_ns)
    monkeypatch.setattr(link, "time", clock)
    monkeypatch.setattr(link, "Backoff", lambda: Backoff(0.001, 0.001))
    accepted = []

    async def accept(connection):
        accepted.append(connection)
        await connection.wait_closed()

    async with serve(accept, "127.0.0.1", 0) as server:
        linked = Link(address(server), idle)
        seen = []
        for lasts in (0.0, 5.0, 9.5, 10.0, 9.5, 60.0):
            await eventually(lambda: linked.connects == len(accepted) == len(seen) + 1)
            now += lasts
            await accepted[-1].close()
            await eventually(lambda: linked.connects == len(seen) + 2)
            seen.append(linked.attempt)
        await linked.close()
    assert seen == [1, 2, 3, 1, 2, 1]
