"""Joins of streams, as a user has them."""

import json

import pandas as pd
import pytest

import rtwidgets as rt
from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.joins import EVERY, asof
from rtwidgets.loop import take_errors
from rtwidgets.widgets import close_all
from rtwidgets.widgets.pacing import pacemaker
from tests.feeding import feeding
from tests.waiting import until

START = 1_700_000_000


@pytest.fixture(autouse=True)
def stopped(tidy):
    yield
    rt.stop()
    close_all()
    assert rt.health() == "healthy"


class Fed:
    """A stream of which nothing but its rows is of interest."""

    def __init__(self, name, frame):
        self.name, self.frame = name, frame


def lines(kind, *rows):
    return [json.dumps({"symbol": "A", "time": START + second, kind: value}) for second, value in rows]


@pytest.fixture
def feeds():
    """Two feeds that have said nothing yet, and the streams of them."""
    with feeding(greetings=0) as a, feeding(greetings=0) as b:
        trades = rt.connect(a.url, key="symbol", name="trades")
        quotes = rt.connect(b.url, key="symbol", name="quotes")
        until(lambda: a.connections and b.connections)
        yield a, b, trades, quotes
        rt.stop()


def test_two_live_streams(feeds):
    """By the key of both; what comes is joined when it is asked for."""
    a, b, trades, quotes = feeds
    joined = asof(trades, quotes)
    a.say(*lines("price", (1, 100.0), (3, 101.0), (9, 102.0)))
    b.say(*lines("bid", (0, 99.0), (2, 99.5), (5, 100.5)))
    trades.wait(3)
    quotes.wait(3)
    assert joined.df["bid"].tolist() == [99.0, 99.5, 100.5]
    assert joined.frame.df["bid"].tolist() == [99.0, 99.5]
    assert (len(joined), joined.missed, repr(joined)) == (3, 0, "Asof('trades as of quotes')")
    wanted = pd.merge_asof(
        trades.df.astype({"symbol": str}), quotes.df.astype({"symbol": str}), on="time", by="symbol"
    )
    pd.testing.assert_frame_equal(joined.df.astype({"symbol": str}), wanted)
    b.say(*lines("bid", (8, 101.5)))
    quotes.wait(4)
    assert joined.df["bid"].tolist() == [99.0, 99.5, 101.5]


def test_arguments(feeds):
    """Are those of the join, with spans as text."""
    a, b, trades, quotes = feeds
    joined = asof(
        trades,
        quotes,
        by="symbol",
        columns=["time", "bid"],
        tolerance="1s",
        suffix="_q",
        lateness="0s",
        max_rows=2,
    )
    a.say(*lines("price", (1, 100.0), (3, 101.0), (9, 102.0)))
    b.say(*lines("bid", (0, 99.0), (2, 99.5), (5, 100.5)))
    trades.wait(3)
    quotes.wait(3)
    assert joined.df["bid"].fillna(0).tolist() == [99.5, 0]
    assert list(joined.df) == ["symbol", "time", "price", "time_q", "bid"]
    assert len(joined.frame) == 2


def test_it_is_read_before_rows_leave_though_nobody_asks(monkeypatch):
    """And now and then, for charts; no more when it was stopped."""
    monkeypatch.setattr("rtwidgets.joins.EVERY", 1e9)
    a, b = LiveFrame(10, time="time"), LiveFrame(10, time="time")
    joined = asof(Fed("a", a), Fed("b", b))
    for second in range(100):
        a.extend([{"time": START + second, "price": second}])
        b.extend([{"time": START + second, "bid": second}])
    assert joined._join._settled.total > 80
    assert joined.missed == 0
    assert joined.df["bid"].tolist() == list(range(100))
    joined.stop()
    joined.stop()
    settled = joined._join._settled.total
    for second in range(100, 120):
        b.extend([{"time": START + second, "bid": second}])
    assert joined._join._settled.total == settled
    assert EVERY < 1


def test_it_is_drawn_as_a_stream(feeds):
    """With the rows that are settled, by themselves."""
    a, b, trades, quotes = feeds
    joined = asof(trades, quotes, lateness="0s")
    a.say(*lines("price", (1, 100.0), (3, 101.0)))
    b.say(*lines("bid", (0, 99.0), (5, 100.5)))
    trades.wait(2)
    quotes.wait(2)
    assert len(joined.frame) == 2
    chart = joined.chart("bid")
    assert joined.chart("bid") is chart
    assert chart in pacemaker._charts
    joined.stop()
    assert chart not in pacemaker._charts


def test_what_goes_wrong_out_of_sight_is_reported_once():
    """And asked for something, the join says it too."""
    a, b = LiveFrame(time="time"), LiveFrame()
    joined = asof(Fed("a", a), Fed("b", b))
    a.extend([{"time": START, "n": 1}])
    b.extend([{"n": 1}])
    b.extend([{"n": 2}] * 5)
    [(where, error)] = take_errors()
    assert where == "the join a as of b"
    assert isinstance(error, SchemaError)
    with pytest.raises(SchemaError, match="the second stream has no column of times"):
        _ = joined.df


def test_what_cannot_be_joined(feeds):
    """The sentence says what to give."""
    _, _, trades, quotes = feeds
    with pytest.raises(UsageError, match=r"the second is 'quotes': give rt.connect\(...\)"):
        asof(trades, "quotes")
    with pytest.raises(UsageError, match="columns='bid': give a list of names"):
        asof(trades, quotes, columns="bid")
    with pytest.raises(UsageError, match="suffix=None: give text"):
        asof(trades, quotes, suffix=None)
    with pytest.raises(UsageError, match="max_rows=0: keep at least 1 row"):
        asof(trades, quotes, max_rows=0)
    with pytest.raises(UsageError, match="tolerance='soon' is no span of time"):
        asof(trades, quotes, tolerance="soon")
    with pytest.raises(
        SchemaError, match="the first stream has no key, that of the second is 'symbol': name"
    ):
        asof(Fed("plain", LiveFrame()), quotes)
    with pytest.raises(UsageError, match=r"by=\('a',\): give a column that both have, or two"):
        asof(trades, quotes, by=("a",))
