"""G8: a link that is broken in any way is noticed, and the stream comes back whole."""

from __future__ import annotations

import pytest

from rtwidgets.client import State, link
from rtwidgets.client import pulse as client_pulse
from rtwidgets.server import listener
from rtwidgets.server import pulse as server_pulse
from tests.waiting import until

ROWS = 40

# What is done to the link while rows are published, and again after each ten of them.
FAULTS = {
    "black hole": lambda proxy: proxy.black_hole(),
    "reset": lambda proxy: proxy.reset(),
    "cut": lambda proxy: proxy.cut(),
    "cut in the middle of a frame": lambda proxy: proxy.cut_after(7),
    "bytes one by one": lambda proxy: proxy.slow_down(chunk=1),
    "latency": lambda proxy: proxy.slow_down(latency=0.05),
    "little bandwidth": lambda proxy: proxy.slow_down(bandwidth=2_000),
}


@pytest.fixture
def soon(monkeypatch):
    """A dead link is noticed within less than a second."""
    for module in (link, listener):
        monkeypatch.setattr(module, "PING_INTERVAL", 0.2)
        monkeypatch.setattr(module, "PING_TIMEOUT", 0.2)
    monkeypatch.setattr(client_pulse, "PING_EVERY", 0.1)
    monkeypatch.setattr(server_pulse, "SWEEP_EVERY", 0.1)


def test_a_dead_link_is_noticed_in_fifteen_seconds_by_both_ends():
    """The time between two pings and for an answer are no more than that, together, in each dialect."""
    assert link.PING_INTERVAL + link.PING_TIMEOUT <= 15
    assert listener.PING_INTERVAL + listener.PING_TIMEOUT <= 15
    assert client_pulse.PING_EVERY * client_pulse.GIVE_UP_AFTER <= 15
    assert server_pulse.SWEEP_EVERY * server_pulse.GIVE_UP_AFTER + listener.CLOSE_TIMEOUT <= 15


def test_a_client_that_pings_need_not_be_asked():
    """Between two pings of ours the server looks less often than it would take to ask."""
    assert client_pulse.PING_EVERY / server_pulse.SWEEP_EVERY < server_pulse.ASK_AFTER


def test_a_slow_line_is_not_a_dead_one(linked, soon):
    """While a backlog comes through a little at a time, with all answers behind it, the connection stays."""
    direct, stream, proxy = linked()
    proxy.bandwidth = 50_000
    for _ in range(100):
        direct.send({"text": "x" * 1_000})
    until(lambda: len(stream) == 100)
    assert stream.states["state"].tolist() == ["connecting", "open"]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_breaks_the_link_each_row_comes_once(linked, soon, fault):
    """The frame has every row, once and in order; a fault that ends connections leaves no gap behind."""
    direct, stream, proxy = linked()
    for number in range(ROWS):
        if number % 10 == 0:
            FAULTS[fault](proxy)
        direct.send({"n": number})
        if number % 10 == 9:
            if fault == "black hole":
                until(lambda: stream.state is not State.OPEN)
            proxy.heal()
            until(lambda number=number: len(stream) >= number + 1)
    assert stream.df["n"].tolist() == list(range(ROWS))
    assert stream.df["offset"].tolist() == list(range(1, ROWS + 1))
    assert stream.gaps.empty
