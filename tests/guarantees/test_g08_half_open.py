"""G8: a link that is broken in any way is noticed, and the stream comes back whole."""

from __future__ import annotations

import pytest

from rtwidgets.client import State, link
from rtwidgets.loop import lease
from rtwidgets.server import listener
from tests.waiting import until

ROWS = 40

# What is done to the link while rows are published, and again after each ten of them.
FAULTS = {
    "black hole": lambda proxy: proxy.black_hole(),
    "reset": lambda proxy: proxy.reset(),
    "cut": lambda proxy: proxy.cut(),
    "cut in the middle of a frame": lambda proxy: proxy.cut_after(7),
    "bytes one by one": lambda proxy: setattr(proxy, "chunk", 1),
    "latency": lambda proxy: setattr(proxy, "latency", 0.05),
    "little bandwidth": lambda proxy: setattr(proxy, "bandwidth", 2_000),
}


def on_the_loop(function, *arguments):
    """Call on the background loop's thread, where the proxy lives."""

    async def call():
        return function(*arguments)

    held = lease()
    try:
        return held.run(call())
    finally:
        held.release()


def test_a_dead_link_is_noticed_in_fifteen_seconds_by_both_ends():
    """The time between two pings and the time for an answer are no more than that, together."""
    assert link.PING_INTERVAL + link.PING_TIMEOUT <= 15
    assert listener.PING_INTERVAL + listener.PING_TIMEOUT <= 15


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_breaks_the_link_each_row_comes_once(linked, monkeypatch, fault):
    """The frame has every row, once and in order; a fault that ends connections leaves no gap behind."""
    for module in (link, listener):
        monkeypatch.setattr(module, "PING_INTERVAL", 0.2)
        monkeypatch.setattr(module, "PING_TIMEOUT", 0.2)
    direct, stream, proxy = linked()
    for number in range(ROWS):
        if number % 10 == 0:
            on_the_loop(FAULTS[fault], proxy)
        direct.send({"n": number})
        if number % 10 == 9:
            if fault == "black hole":
                until(lambda: stream.state is not State.OPEN)
            on_the_loop(proxy.heal)
            until(lambda number=number: len(stream) >= number + 1)
    assert stream.df["n"].tolist() == list(range(ROWS))
    assert stream.df["offset"].tolist() == list(range(1, ROWS + 1))
    assert stream.gaps.empty
