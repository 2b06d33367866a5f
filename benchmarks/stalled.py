"""What a client that never reads does to a server and to the other clients.

A server in a process of its own publishes 10 000 rows a second to 20 clients. Phases without and with one
socket more, which says what it wants and then never reads, take turns; when the server has dropped it,
another one takes its place. The lag of a delivery is from the publish to the client's turn.

`deliveries_per_s`, `server_cpu_percent`
    Messages that came to clients, and what the server took of one core for that.
`lag_ms_p99_without`, `lag_ms_p99_with`, `ratio`
    The 99th percentile of the lag in each second, and of those the median over the seconds of each kind, so
    that a second in which the machine was busy with something else does not decide; and the quotient.
`rss_growth_mb_without`, `rss_growth_mb_with`
    The most resident memory of the server in phases of that kind, less what it had after the warm-up.
`dropped`, `dropped_after_s`
    How many were dropped, and after how many seconds: the median. The kernel's send buffer, which has to fill
    first, is part of that; the socket's receive buffer is made as small as it can be.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from typing import Any

import numpy as np

from benchmarks._common import Feed, arguments, masked, upgraded
from rtwidgets.client import Multiplex, Subscription
from rtwidgets.messages import SUBPROTOCOL, Joined, Latest, Left, Messages, Subscribe, Subscribed, encode

RATE = 10_000
CLIENTS = 20
WARM_UP = 3.0
PHASE = 10  # seconds


class Reader:
    """Notes how late messages come."""

    def __init__(self) -> None:
        self.subscription = Subscription("ticks", history=False)
        self.lags: list[tuple[float, int]] = []

    def opened(self, answer: Subscribed) -> None:
        pass

    def read(self, run: Messages, known: int) -> None:
        now = time.time() * 1e3
        if isinstance(run.time, float):
            self.lags.append((now - run.time, run.count))
        else:
            self.lags += [(now - sent, 1) for sent in run.time]

    def read_latest(self, latest: Latest) -> None:
        pass

    def event(self, event: Joined | Left) -> None:
        pass


class Stalled:
    """A socket that subscribes and reads nothing."""

    def __init__(self, url: str) -> None:
        # As little as there can be waits in the kernel: what is measured is the server.
        self._socket = upgraded(url, "/", subprotocol=SUBPROTOCOL, receive_buffer=4_096)
        self._socket.sendall(masked(1, encode(Subscribe(1, "ticks"))))
        self.since = time.monotonic()

    def close(self) -> None:
        self._socket.close()


def collect(readers: list[Reader]) -> tuple[float, int]:
    """Return the 99th percentile of the lags since the last call, and how many messages came."""
    lags = np.array([lag for reader in readers for lag in reader.lags] or [(np.nan, 0)])
    for reader in readers:
        reader.lags.clear()
    counts = lags[:, 1].astype(np.int64)
    each = np.repeat(lags[:, 0], counts)
    return (float(np.percentile(each, 99)) if each.size else math.inf), each.size


async def measure(seconds: int, clients: int) -> dict[str, Any]:
    with Feed("ticks", RATE) as feed:
        readers = [Reader() for _ in range(clients)]
        links = [Multiplex(feed.url, "benchmark") for _ in readers]
        for link, reader in zip(links, readers, strict=True):
            await link.subscribe(reader)
        await asyncio.sleep(WARM_UP)
        first = await asyncio.to_thread(feed.ask)
        base = first["rss"]
        p99: dict[bool, list[float]] = {False: [], True: []}
        most = {False: base, True: base}
        delays: list[float] = []
        dropped, received = 0, 0
        stalled: Stalled | None = None
        began = time.monotonic()
        phase = min(PHASE, seconds)
        for turn in range(2 * round(seconds / phase)):
            stalling = turn % 2 == 1
            if stalling:
                stalled = await asyncio.to_thread(Stalled, feed.url)
            collect(readers)
            for _ in range(phase):
                until = time.monotonic() + 1.0
                while (left := until - time.monotonic()) > 0:
                    await asyncio.sleep(min(left, 0.1))
                    said = await asyncio.to_thread(feed.ask)
                    most[stalling] = max(most[stalling], said["rss"])
                    if said["dropped"] > dropped and stalled is not None:
                        dropped = said["dropped"]
                        delays.append(time.monotonic() - stalled.since)
                        stalled.close()
                        stalled = await asyncio.to_thread(Stalled, feed.url)
                late, count = collect(readers)
                p99[stalling].append(late)
                received += count
            if stalled is not None:
                stalled.close()
                stalled = None
        spent = time.monotonic() - began
        cpu = (await asyncio.to_thread(feed.ask))["cpu"] - first["cpu"]
        for link in links:
            await link.close()
    without, with_ = (statistics.median(p99[kind]) for kind in (False, True))
    return {
        "deliveries_per_s": round(received / spent),
        "server_cpu_percent": round(100.0 * cpu / spent),
        "lag_ms_p99_without": round(without, 2),
        "lag_ms_p99_with": round(with_, 2),
        "ratio": round(with_ / without, 3),
        "rss_mb": round(base / 1e6, 1),
        "rss_growth_mb_without": round((most[False] - base) / 1e6, 2),
        "rss_growth_mb_with": round((most[True] - base) / 1e6, 2),
        "dropped": dropped,
        "dropped_after_s": round(statistics.median(delays), 2) if delays else None,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="with the stalled socket; as many without")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="that read")
    given = parser.parse_args()
    found = asyncio.run(measure(given.seconds, given.clients))
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24}{value}")


if __name__ == "__main__":
    main()
