"""Fixtures for tests of what uses live streams. After each of them nothing of rtwidgets runs any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rtwidgets.notebook.servers import RunningServer
    from rtwidgets.testing.blocking import BlockingFaultProxy
    from rtwidgets.testing.peer import Peer

__all__ = ["rt_faults", "rt_kernel", "rt_server", "rt_stream"]


@pytest.fixture
def rt_kernel() -> Iterator[None]:
    """Everything that the test starts is stopped, and it is an error if something failed out of sight."""
    import rtwidgets as rt
    from rtwidgets.loop import take_errors

    take_errors()  # those of other tests
    yield
    rt.stop()
    rt.health()


@pytest.fixture
def rt_server(rt_kernel: None) -> RunningServer:
    """A server with every service, on a free port, whose prices are the same each time."""
    import rtwidgets as rt

    return rt.serve(seed=1)


@pytest.fixture
def rt_stream(rt_kernel: None) -> Iterator[Callable[..., Any]]:
    """Makes streams of messages: ``rt_stream([{"price": 1}])``; or of a recording: ``rt_stream(path)``.

    The messages are sent by a WebSocket server to a stream that `rtwidgets.connect` opens, with what else is
    given. Text and bytes are sent as they are, anything else as JSON. ``stream.feed([…])`` sends more.
    """
    import rtwidgets as rt

    peers: list[Peer] = []

    def make(source: str | os.PathLike[str] | Sequence[object], **arguments: Any) -> Any:
        if isinstance(source, str | os.PathLike):
            return rt.replay(os.fspath(source), speed=None, **arguments)
        from rtwidgets.testing.folders import environment
        from rtwidgets.testing.peer import Peer

        peers.append(Peer(source))
        with environment():  # this one is neither recorded nor replaced by a recording
            stream: Any = rt.connect(peers[-1].url, **{"name": f"stream {len(peers)}", **arguments})
        stream.feed = peers[-1].feed  # there for the test only
        return stream

    yield make
    rt.stop()
    for peer in peers:
        peer.stop()


@pytest.fixture
def rt_faults(rt_kernel: None) -> Iterator[Callable[[str], BlockingFaultProxy]]:
    """Makes proxies that fail as they are told, ``rt_faults(rt_server.url)``; see `BlockingFaultProxy`."""
    import rtwidgets as rt
    from rtwidgets.testing.blocking import BlockingFaultProxy

    links: list[BlockingFaultProxy] = []

    def make(url: str) -> BlockingFaultProxy:
        links.append(BlockingFaultProxy(url))
        return links[-1]

    yield make
    rt.stop()
    for link in links:
        link.stop()
