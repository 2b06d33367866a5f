"""What a server tells of itself over HTTP: that it lives, that it is ready, and its counts for Prometheus.

``/live`` and ``/ready`` are for whoever restarts servers and shares load out among them; they say nothing
that a stranger may not know, and ask for no token. ``/metrics`` does. They answer plain requests only: a
WebSocket may have a service at the same path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["LIVE", "METRICS", "METRICS_TYPE", "READY", "Counts", "Statistics", "prometheus", "readiness"]

LIVE, READY, METRICS = "/live", "/ready", "/metrics"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ENGINE_TIMEOUT = 2.0
"""Seconds that the engine may take for a round trip before the server counts as not ready."""


@dataclass(slots=True)
class Counts:
    """What only goes up while a server runs."""

    deliveries: int = 0
    dropped: int = 0
    gaps: int = 0
    recoveries: int = 0
    conflated: int = 0


class Statistics(NamedTuple):
    """How a server is doing.

    Attributes
    ----------
    connections
        Open now.
    channels
        Used since the start.
    messages
        Published since the start, over all channels.
    dropped
        Peers cut off because they did not read, or did not answer a ping of the `rtwidgets.v1` dialect.
    deliveries
        Messages of channels that were written to subscribers.
    gaps
        Times that messages left the history before a subscriber could be sent them.
    recoveries
        Subscribers that came back and went on exactly where they were.
    conflated
        Messages that slow subscribers were not sent because the last one of their key was.
    lag
        Messages that the subscriber furthest behind has still to be sent.
    queue_bytes
        Bytes that wait in the buffers of all connections.
    """

    connections: int
    channels: int
    messages: int
    dropped: int
    deliveries: int
    gaps: int
    recoveries: int
    conflated: int
    lag: int
    queue_bytes: int


async def readiness(*, draining: bool, ping: Callable[[], Awaitable[None]]) -> tuple[HTTPStatus, str]:
    """Return whether a server takes new clients, with the reason.

    Parameters
    ----------
    draining
        Whether it is about to stop.
    ping
        A round trip to the engine; raises when it fails.
    """
    if draining:
        return HTTPStatus.SERVICE_UNAVAILABLE, "not ready: this server is about to stop\n"
    try:
        async with asyncio.timeout(ENGINE_TIMEOUT):
            await ping()
    except TimeoutError:
        reason = f"not ready: the engine does not answer in {ENGINE_TIMEOUT:g} s\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, reason
    except Exception as error:  # noqa: BLE001 - whatever an engine may raise: it is what the answer tells
        return (
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"not ready: the engine fails: {type(error).__name__}: {error}\n",
        )
    return HTTPStatus.OK, "ready\n"


_GAUGES = {
    "connections": "Open connections.",
    "channels": "Channels used since the start.",
    "lag": "Messages that the subscriber furthest behind has still to be sent.",
    "queue_bytes": "Bytes that wait in the buffers of all connections.",
}
_COUNTERS = {
    "messages": "Messages published since the start.",
    "deliveries": "Messages written to subscribers.",
    "dropped": "Peers cut off because they did not read or did not answer.",
    "gaps": "Times that messages left the history before a subscriber could be sent them.",
    "recoveries": "Subscribers that came back and went on exactly where they were.",
    "conflated": "Messages that slow subscribers were not sent because the last one of their key was.",
}


class _Snapshot(Collector):
    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        values = self._statistics._asdict()
        for name, meaning in _GAUGES.items():
            yield GaugeMetricFamily(f"rtwidgets_{name}", meaning, value=values[name])
        for name, meaning in _COUNTERS.items():
            yield CounterMetricFamily(f"rtwidgets_{name}", meaning, value=values[name])


def prometheus(statistics: Statistics) -> str:
    """Write statistics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(statistics))
    return generate_latest(registry).decode()
