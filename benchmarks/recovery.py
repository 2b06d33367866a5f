"""How fast a client that lost its link has what it missed, with each engine, beside other ways to it.

A client follows a channel through a relay, which then cuts the link and lets nobody in, while 100 000 rows
are published: all that the log keeps. Then the relay lets it in again. Three ways to these rows:

`recovery`
    Our client, back at its place in the log. The clock starts when its wait before that attempt is over: the
    backoff is not counted, but the handshake, all that is sent and the frame's snapshot are.
`first`
    A new client of ours that asks for the history.
`websockets`
    `websockets` alone, in the server's plain dialect: a frame a row, `json.loads`, a list, a DataFrame.

Each has `ms`, the median of the rounds, `worst_ms`, and `rows_per_s`. `waited_ms` is the median of the waits
that were left out. Each time the frame has to hold each row once, in order, with no gap known.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from websockets.asyncio.client import connect

from benchmarks._common import Feed, arguments, table
from rtwidgets.client import ChannelSource, Intake, Multiplex, State, Subscription
from rtwidgets.frames import LiveFrame
from rtwidgets.testing import FaultProxy

ROWS = 100_000
ENGINES = ("memory", "sqlite")


class Client:
    """Our client of the channel: an intake into a frame, without the rest of a notebook."""

    def __init__(self, url: str, *, history: bool) -> None:
        self.multiplex = Multiplex(url, "benchmark")
        self.source = ChannelSource(
            self.multiplex,
            Subscription("rows", history=history),
            lambda answer: Intake(LiveFrame(None, key=answer.key, time=answer.time)),
        )

    async def subscribe(self) -> None:
        await self.multiplex.subscribe(self.source)

    async def state(self, *states: State) -> float:
        """Wait until the link is in one of the states and return the time."""
        while self.multiplex.link.state not in states:  # noqa: ASYNC110 - a millisecond will do
            await asyncio.sleep(0.001)
        return time.perf_counter()

    async def rows(self, count: int) -> float:
        """Wait until the frame has so many rows, each once and in order, and return the time."""
        while self.source.frame.total < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        df = self.source.frame.df
        done = time.perf_counter()
        assert np.array_equal(df["offset"], np.arange(df["offset"].iloc[0], df["offset"].iloc[0] + count))
        assert not self.source.gaps
        return done


async def recovery(feed: Feed, rows: int) -> tuple[float, float]:
    """Return the seconds that it took, and those of the wait before it."""
    address = urlsplit(feed.url)
    assert address.hostname is not None
    assert address.port is not None
    async with FaultProxy(address.hostname, address.port) as relay:
        client = Client(relay.url, history=False)
        await client.subscribe()
        relay.refuse = True
        relay.cut()
        await asyncio.to_thread(feed.ask, rows)
        await client.state(State.WAITING)
        returned = time.perf_counter()
        relay.refuse = False
        began = await client.state(State.CONNECTING, State.OPEN)
        done = await client.rows(rows)
        await client.multiplex.close()
        return done - began, began - returned


async def first(feed: Feed, rows: int) -> float:
    began = time.perf_counter()
    client = Client(feed.url, history=True)
    await client.subscribe()
    done = await client.rows(rows)
    await client.multiplex.close()
    return done - began


async def websockets(feed: Feed, rows: int) -> float:
    began = time.perf_counter()
    headers = {"Authorization": "Bearer benchmark"}
    read: list[dict[str, Any]] = []
    async with connect(
        f"{feed.url}/rows", additional_headers=headers, compression=None, max_queue=None, proxy=None
    ) as connection:
        while len(read) < rows:
            read.append(json.loads(await connection.recv(decode=False)))
        df = pd.DataFrame(read)
        done = time.perf_counter()
    assert len(df) == rows
    return done - began


async def measure(engine: str, rows: int, rounds: int) -> dict[str, Any]:
    took: dict[str, list[float]] = {"recovery": [], "first": [], "websockets": []}
    waits = []
    with Feed(engine, rows) as feed:
        await asyncio.to_thread(feed.ask, rows)
        await first(feed, rows)  # for what is imported or compiled on the first use
        for _ in range(rounds):
            gc.collect()
            seconds, wait = await recovery(feed, rows)
            took["recovery"].append(seconds)
            waits.append(wait)
            for name, contender in {"first": first, "websockets": websockets}.items():
                gc.collect()
                took[name].append(await contender(feed, rows))
    found: dict[str, Any] = {name: summary(each, rows) for name, each in took.items()}
    found["recovery"]["waited_ms"] = round(statistics.median(waits) * 1e3)
    return found


def summary(seconds: list[float], rows: int) -> dict[str, int]:
    median = statistics.median(seconds)
    return {
        "ms": round(median * 1e3),
        "worst_ms": round(max(seconds) * 1e3),
        "rows_per_s": round(rows / median),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="that a client misses")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    results = {engine: asyncio.run(measure(engine, given.rows, given.rounds)) for engine in ENGINES}
    if given.json:
        print(json.dumps(results))
        return
    print(f"Milliseconds until {given.rows:,} missed rows are in a frame")
    lines = []
    for engine, found in results.items():
        for name, each in found.items():
            beside = found["websockets"]["ms"] / each["ms"]
            cells = (f"{each['ms']:,}", f"{each['worst_ms']:,}", f"{each['rows_per_s']:,}", f"{beside:.1f}")
            lines.append((f"{engine} {name}", *cells))
    print(table(("", "median", "worst", "rows/s", "x websockets"), lines))


if __name__ == "__main__":
    main()
