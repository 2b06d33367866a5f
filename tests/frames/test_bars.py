"""Bars against pandas' own resampling."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import SchemaError
from rtwidgets.frames import Bars, LiveFrame

START = 1763800000
SCHEMA = {"symbol": "category", "price": float, "size": float, "time": "datetime64[s]"}


def tick(second, price, size=1.0, symbol="A"):
    return {"symbol": symbol, "price": price, "size": size, "time": START + second}


def framed(*rows, **options):
    frame = LiveFrame(key="symbol", schema=SCHEMA, **options)
    frame.extend(rows)
    return frame


def test_rows_of_one_span_are_one_bar():
    """Open is the first price to arrive, close the last, volume the sum of sizes."""
    frame = framed(tick(0, 2.0), tick(0.5, 5.0, 3.0), tick(0.9, 1.0), tick(1, 7.0))
    bars = Bars(frame, "1s").df
    assert list(bars.columns) == ["symbol", "time", "open", "high", "low", "close", "volume", "count"]
    assert bars.drop(columns=["symbol", "time"]).to_numpy().tolist() == [
        [2, 5, 1, 1, 5, 3],
        [7, 7, 7, 7, 1, 1],
    ]
    assert bars["time"].tolist() == [pd.Timestamp(START + i, unit="s", tz="UTC") for i in (0, 1)]
    assert bars["symbol"].dtype == "category"


def test_reading_goes_on_where_it_stopped():
    """Each row is folded once, into the open bar if it belongs there."""
    frame = framed(tick(0, 2.0))
    bars = Bars(frame)
    assert bars.df["close"].tolist() == [2.0]
    frame.extend([tick(0.5, 3.0)])
    assert bars.df[["close", "count"]].to_numpy().tolist() == [[3.0, 2.0]]
    assert bars.df["count"].tolist() == [2]


def test_a_late_row_goes_to_its_own_bar():
    """A row older than the open bar changes the bar of its time, as its close."""
    frame = framed(tick(0, 2.0), tick(5, 9.0))
    bars = Bars(frame)
    assert len(bars.df) == 2
    frame.extend([tick(0.5, 1.0), tick(3, 4.0)])
    assert bars.df[["open", "low", "close"]].to_numpy().tolist() == [[2, 1, 1], [4, 4, 4], [9, 9, 9]]


def test_rows_without_price_or_time_are_left_out():
    """NaN prices and missing times make no bar."""
    frame = framed(tick(0, None), {"symbol": "A", "price": 1.0}, tick(0, 3.0, None))
    assert Bars(frame).df[["count", "volume"]].to_numpy().tolist() == [[1, 0]]


def test_rows_that_left_unread_are_counted():
    """A reader that comes too late is told how many rows it missed."""
    frame = framed(max_rows=10)
    bars = Bars(frame)
    frame.extend([tick(i, 1.0) for i in range(25)])
    assert len(bars.df) == 10
    assert bars.missed == 15


def test_bars_are_bounded():
    """The newest bars are kept, and the keys that have some."""
    frame = LiveFrame(key="symbol", schema=SCHEMA)
    bars = Bars(frame, max_bars=20)
    for start in range(0, 1_000, 50):
        frame.extend([tick(i, 1.0, symbol=f"S{i}") for i in range(start, start + 50)])
        assert len(bars.df) == 20
    assert bars.df["symbol"].tolist() == [f"S{i}" for i in range(980, 1_000)]
    assert len(bars.df["symbol"].cat.categories) <= 120


def test_a_frame_without_key_or_size_has_bars_without_them():
    """Columns that the frame cannot give are not there."""
    frame = LiveFrame()
    frame.extend([{"price": 1, "time": START}])
    assert list(Bars(frame).df.columns) == ["time", "open", "high", "low", "close", "count"]
    assert Bars(LiveFrame()).df.empty


def test_other_columns_can_be_priced():
    """Price and size may have any name; whole numbers are prices too."""
    frame = LiveFrame(key="id")
    frame.extend([{"id": 7, "p": 3, "q": 2, "time": START}])
    assert Bars(frame, "1min", price="p", size="q").df[["id", "open", "volume"]].to_numpy().tolist() == [
        [7, 3, 2]
    ]


@pytest.mark.parametrize("every", ["", "5", "1 parsec", "-1s", "0s", None, 5j])
def test_a_width_that_is_no_duration_says_what_to_write(every):
    """A bad `every` is a SchemaError."""
    with pytest.raises(SchemaError, match="every="):
        Bars(LiveFrame(), every)


@pytest.mark.parametrize(
    ("every", "spans"), [("500ms", 120), ("1s", 60), ("1min", 2), (dt.timedelta(hours=1), 1)]
)
def test_a_width_is_any_duration(every, spans):
    """Widths are read as pandas reads them."""
    frame = framed(*[tick(i / 2, 1.0) for i in range(120)])
    assert len(Bars(frame, every).df) == spans


def test_a_frame_that_cannot_have_bars_says_what_is_missing():
    """Without times, or without such a column of numbers, reading is a SchemaError."""
    frame = LiveFrame()
    frame.extend([{"price": 1.0, "note": "x"}])
    with pytest.raises(SchemaError, match="need a time column"):
        _ = Bars(frame).df
    with pytest.raises(SchemaError, match="numbers 'note': choose from price, size"):
        _ = Bars(framed(tick(0, 1.0)), price="note").df


TICK = st.builds(
    tick,
    st.integers(-20, 200).map(lambda i: i / 10),
    st.none() | st.integers(-50, 50).map(float),
    st.none() | st.integers(0, 9).map(float),
    st.sampled_from(["A", "B", "C", None]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(TICK, max_size=20), max_size=5), st.sampled_from(["500ms", "1s", "3s"]))
def test_bars_agree_with_pandas(batches, every):
    """However the rows come in and are read, the bars are those of pandas over all rows as they arrived."""
    frame = LiveFrame(key="symbol", schema=SCHEMA)
    bars = Bars(frame, every)
    for batch in batches:
        frame.extend(batch)
        assert bars.df["count"].sum() == frame.df["price"].notna().sum()
    rows = frame.df.dropna(subset="price")
    rows["bar"] = rows["time"].dt.floor(every)
    grouped = rows.groupby(["symbol", "bar"], observed=True, dropna=False)
    expected = {
        (None if pd.isna(key) else key, start): [
            *(group["price"].iloc[0], group["price"].max(), group["price"].min(), group["price"].iloc[-1]),
            *(group["size"].sum(), len(group)),
        ]
        for (key, start), group in grouped
    }
    actual = {
        (None if pd.isna(row[0]) else row[0], row[1]): list(row[2:])
        for row in bars.df.itertuples(index=False)
    }
    assert actual == expected
    for _, group in bars.df.groupby("symbol", observed=True):
        assert group["time"].is_monotonic_increasing
