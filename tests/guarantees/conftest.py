"""What the tests of the guarantees share."""

from __future__ import annotations

from functools import partial

import pytest

from rtwidgets.client import link
from rtwidgets.client.backoff import Backoff
from rtwidgets.notebook.running import Running
from rtwidgets.testing import BlockingFaultProxy
from tests.notebook.conftest import kernel

__all__ = ["kernel"]


@pytest.fixture
def rt(tidy):
    """What runs in a kernel of its own."""
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def linked(rt, monkeypatch):
    """Makes a server with one channel; returns a stream of it, one through a proxy, and the proxy."""
    monkeypatch.setattr(link, "Backoff", partial(Backoff, 0.02, 0.1))
    proxies = []

    def open_one(**options):
        server = rt.servers.serve(services=[], **options)

        @rt.servers.service("/log", writable=True)
        async def log(channel):
            """A channel that anybody may write to."""

        proxy = BlockingFaultProxy(server.url)
        proxies.append(proxy)
        direct = rt.streams.connect("log", server=server, name="direct", history=False)
        stream = rt.streams.connect("log", server=proxy.url, token=server.token)
        return direct, stream, proxy

    yield open_one
    rt.stop()
    for proxy in proxies:
        proxy.stop()
