"""What three exchanges sent, through everything: preset, books, recorder and replay."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import rtwidgets as rt
from rtwidgets.books import BookStream
from rtwidgets.recording import Kind, Recording
from rtwidgets.testing import BlockingReplayServer
from tests.waiting import until

CAPTURES = Path(__file__).parents[2] / "shared" / "captures"

BITSTAMP = [
    "sgbeur",
    "ethusd",
    "xrpeur",
    "bateur",
    "usdteur",
    "usdtusd",
    "xlmgbp",
    "adaeur",
    "batbtc",
    "galaeur",
]

# Of each feed: symbols, as many as were asked for in the capture, and the kind of a message.
FEEDS = {
    "coinbase": (["BTC-USD"], lambda message: COINBASE.get(message["type"], "other")),
    "kraken_v1": (["XBT/USD"], lambda message: "book" if isinstance(message, list) else "other"),
    "bitstamp": (
        BITSTAMP,
        lambda message: {"trade": "trades", "data": "book"}.get(message["event"], "other"),
    ),
}
COINBASE = {
    "match": "trades",
    "last_match": "trades",
    "ticker": "ticker",
    "snapshot": "book",
    "l2update": "book",
}


@pytest.fixture(autouse=True)
def stopped(tidy):
    yield
    rt.stop()
    assert rt.health() == "healthy"


def received(path):
    """Return the messages that a recording received."""
    return [
        message
        for batch in Recording(path).batches()
        if batch.kind in (Kind.TEXT, Kind.BINARY)
        for message in batch.messages
    ]


@pytest.mark.parametrize("name", FEEDS)
def test_a_capture_is_the_same_after_two_recordings(name, tmp_path, monkeypatch):
    """Served, read by a preset, recorded, replayed and recorded again: the same messages, rows and books."""
    symbols, kind_of = FEEDS[name]
    capture = CAPTURES / f"{name.removesuffix('_v1')}.txt"
    messages = received(capture)
    monkeypatch.setenv("RTWIDGETS_RECORD", str(tmp_path))
    with BlockingReplayServer(capture, strict=False) as server:
        live = rt.feeds[name].open(*symbols, url=server.url, max_rows=None)
        until(lambda: sum(live.kinds["messages"]) == len(messages), timeout=60)
        live.stop()
    (first,) = tmp_path.iterdir()
    assert received(first) == messages
    counts = Counter(kind_of(json.loads(message)) for message in messages)
    assert (
        dict(zip(live.kinds["kind"], live.kinds["messages"], strict=True)) == dict.fromkeys(live, 0) | counts
    )
    with BlockingReplayServer(first) as server:
        replay = rt.feeds[name].open(*symbols, url=server.url, max_rows=None, name="replay")
        until(lambda: sum(replay.kinds["messages"]) == len(messages), timeout=60)
        replay.stop()
    (second,) = set(tmp_path.iterdir()) - {first}
    assert received(second) == messages
    monkeypatch.delenv("RTWIDGETS_RECORD")
    again = rt.replay(first, speed=None, max_rows=None, name="again")
    for kind in live:
        pd.testing.assert_frame_equal(again[kind].df, live[kind].df)
        if isinstance(live[kind], BookStream):
            assert again[kind].books == live[kind].books
            assert again[kind].mismatches == live[kind].mismatches == 0
            for book in live[kind].books:
                pd.testing.assert_frame_equal(again[kind].top(1000, book), live[kind].top(1000, book))
