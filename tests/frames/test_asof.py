"""The as-of join of two frames that grow, against `pandas.merge_asof` on all of their rows."""

import datetime as dt
import itertools

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import SchemaError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.asof import AsofJoin

SECOND = 1_000_000_000
START = 1_700_000_000


def trade(second, symbol="A", price=1.0):
    return {"symbol": symbol, "time": START + second, "price": price}


def quote(second, bid, symbol="A", **more):
    return {"symbol": symbol, "time": START + second, "bid": bid, **more}


def joined(trades=(), quotes=(), **options):
    a, b = LiveFrame(key="symbol", time="time"), LiveFrame(key="symbol", time="time")
    a.extend(trades)
    b.extend(quotes)
    return AsofJoin(a, b, by="symbol", **options), a, b


def bids(join):
    return [None if pd.isna(bid) else bid for bid in join.df["bid"]]


def test_each_row_has_the_newest_one_at_its_time():
    """Of the same key; one at the very time counts, a newer one does not, and the last of several does."""
    join, _, _ = joined(
        [trade(0), trade(5), trade(6, "B"), trade(9), trade(7, "C"), trade(7, None)],
        [quote(0, 30, None), quote(1, 10), quote(5, 11), quote(5, 12), quote(6, 20, "B"), quote(10, 13)],
    )
    assert bids(join) == [None, 12, 20, 12, None, None]
    assert list(join.df) == ["symbol", "time", "price", "bid"]


def test_it_is_settled_once_the_second_frame_is_further():
    """By more than the lateness; until then it is joined with what is there, anew each time."""
    join, _, b = joined([trade(5), trade(8)], [quote(4, 10)], lateness=2 * SECOND)
    assert (len(join.frame), bids(join)) == (0, [10, 10])
    b.extend([quote(7, 11)])
    assert (len(join.frame), bids(join)) == (0, [10, 11])
    b.extend([quote(8, 12)])
    assert (join.frame.df["bid"].tolist(), bids(join)) == ([10], [10, 12])
    assert join.df.index.tolist() == [0, 1]


def test_a_row_that_comes_too_late_counts_from_then_on():
    """Within the lateness it is as if it had come in time; later it counts from the newest time less that."""
    late = [quote(0, 10), quote(9, 11, "B"), quote(5, 12)]
    rows = [trade(second) for second in (5, 6, 7, 8)]
    for lateness, wanted in ((4, [12, 12, 12, 12]), (2, [10, 10, 12, 12]), (0, [10, 10, 10, 10])):
        join, a, b = joined([], late, lateness=lateness * SECOND)
        a.extend(rows)
        assert bids(join) == wanted
    b.extend([quote(9, 13)])
    a.extend([trade(9)])
    assert bids(join)[-1] == 13


def test_one_that_is_older_than_one_before_it_is_of_no_use():
    """However late it is taken into account."""
    join, a, b = joined([], [quote(5, 10), quote(9, 11, "B"), quote(4, 12)], lateness=SECOND)
    a.extend([trade(7), trade(8)])
    assert bids(join) == [10, 10]
    b.extend([quote(5, 13)])
    assert bids(join) == [10, 13]


def test_the_row_may_not_be_too_old():
    """By its own time, also when it counts only from a later one."""
    join, _, _ = joined([trade(6), trade(7)], [quote(5, 10)], tolerance=SECOND)
    assert bids(join) == [10, None]
    join, _, _ = joined([trade(10)], [quote(9, 1, "B"), quote(5, 10)], tolerance=3 * SECOND)
    assert bids(join) == [None]


def test_without_keys_time_alone_decides():
    """Whatever the key of the frames is."""
    a, b = LiveFrame(key="symbol", time="time"), LiveFrame(time="time")
    a.extend([trade(5), trade(6, "B"), trade(7, None)])
    b.extend([{"time": START + 5, "degrees": 20}, {"time": START + 7, "degrees": 21}])
    assert AsofJoin(a, b).df["degrees"].tolist() == [20, 20, 21]


def test_names_of_columns():
    """Those that both have get a suffix; the time of the second frame comes where it has another name."""
    a, b = LiveFrame(key="symbol", time="time"), LiveFrame(key="symbol", time="at")
    a.extend([trade(5)])
    b.extend([{"symbol": "A", "at": START + 4, "price": 2.0, "size": 3, "up": True}])
    join = AsofJoin(a, b, by="symbol", suffix="_quote")
    assert list(join.df) == ["symbol", "time", "price", "at", "price_quote", "size", "up"]
    assert [str(dtype) for dtype in join.df.dtypes][3:] == [
        "datetime64[ns, UTC]",
        "float64",
        "float64",
        "boolean",
    ]
    assert list(AsofJoin(a, b, by="symbol", columns=["size"]).df) == ["symbol", "time", "price", "size"]
    join, _, _ = joined([trade(5)], [quote(4, 1)], columns=["time", "bid"])
    assert list(join.df) == ["symbol", "time", "price", "time_b", "bid"]
    assert join.df["time_b"].tolist() == [pd.Timestamp(START + 4, unit="s", tz="UTC")]
    with pytest.raises(SchemaError, match="would have two columns 'price': give another suffix="):
        _ = AsofJoin(a, b, by="symbol", suffix="").df


def test_columns_that_come_later():
    """Are there from then on, with nothing in the rows before."""
    join, a, b = joined([trade(1)], [quote(0, 10), quote(5, 11)])
    assert len(join.frame) == 1
    a.extend([trade(6) | {"note": "x", "count": 3}])
    b.extend([quote(6, 12, venue="V")])
    df = join.df
    assert df["note"].isna().tolist() == [True, False]
    assert (df["note"][1], df["count"][1], df["venue"][1]) == ("x", 3, "V")
    b.extend([quote(9, 13)])
    pd.testing.assert_frame_equal(join.frame.df[sorted(df)], df[sorted(df)])


def test_rows_without_a_time():
    """Find nothing in the second frame, and are found by none."""
    timeless = {"symbol": "A", "price": 2.0, "time": None, "bid": 11}
    join, _, _ = joined(
        [trade(2), trade(5), timeless], [timeless, quote(4, 10)], columns=["bid"], suffix="_b"
    )
    assert join.df["bid_b"].fillna(0).tolist() == [0, 10, 0]


def test_nothing_to_join():
    """An empty frame, or the rows of the first one as they are."""
    join, a, b = joined()
    assert len(join.df) == 0
    a.extend([trade(5)])
    assert list(join.df) == ["symbol", "time", "price"]
    b.extend([quote(5, 10)])
    assert bids(join) == [10]


def test_memory_has_an_end():
    """The newest rows are kept, settled or not, and the newest row of each key of the second frame."""
    join, a, b = joined([], [quote(0, 1, "quiet")], max_rows=10)
    for second in range(1, 100):
        b.extend([quote(second, second)])
        a.extend([trade(second)])
        join.read()
    assert len(join._right) <= 21
    assert bids(join) == list(range(90, 100))
    a.extend([trade(99, "quiet")] * 30)
    assert bids(join) == [1] * 10
    assert len(join._left) <= 10
    assert join.missed == 0


def test_rows_that_have_left_before_they_were_read():
    """Are counted."""
    a, b = LiveFrame(5, time="time"), LiveFrame(time="time")
    a.extend([{"time": START, "n": 1}])
    join = AsofJoin(a, b)
    assert join.unread == 1
    join.read()
    assert join.unread == 0
    a.extend([{"time": START, "n": n} for n in range(8)])
    assert join.unread == 8 / 5
    assert (len(join.df), join.missed) == (6, 3)


def test_what_the_frames_do_not_have_is_named():
    """When the join is made, or when the first rows come."""
    good = LiveFrame(key="symbol", time="time")
    good.extend([trade(0)])
    timeless, late = LiveFrame(), LiveFrame()
    timeless.extend([{"symbol": "A"}])
    with pytest.raises(SchemaError, match=r"the second stream has no column of times: name it with time="):
        AsofJoin(good, timeless)
    with pytest.raises(
        SchemaError, match="the first stream has no column 'room': choose from symbol, time, price"
    ):
        AsofJoin(good, good, by="room")
    with pytest.raises(SchemaError, match="the second stream has no column 'nope'"):
        AsofJoin(good, good, columns=["nope"])
    join = AsofJoin(good, late, by="symbol")
    late.extend([{"price": 1}])
    with pytest.raises(SchemaError, match="the second stream has no column 'symbol'"):
        _ = join.df
    numbers = LiveFrame(time="time")
    numbers.extend([{"symbol": 1, "time": START}])
    with pytest.raises(SchemaError, match="'symbol' is text here and a number there"):
        _ = AsofJoin(good, numbers, by="symbol").df


TRADES = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("ABC")), min_size=1, max_size=20)
QUOTES = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from("ABC"), st.none() | st.integers(0, 3)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=50, deadline=None)
@given(
    trades=TRADES,
    quotes=QUOTES,
    lateness=st.integers(0, 4),
    tolerance=st.none() | st.integers(0, 5),
    by=st.sampled_from(["symbol", None]),
    cuts=st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.booleans()), max_size=30),
)
def test_it_is_what_pandas_joins(*, trades, quotes, lateness, tolerance, by, cuts):
    """Whatever order the two come in, and whenever somebody looks, where nothing is later than is allowed."""
    furthest, rows_b = 0, []
    for number, (second, symbol, size) in enumerate(quotes):
        furthest = max(furthest, second)
        rows_b.append(quote(max(second, furthest - lateness), number, symbol, size=size))
    rows_a = [trade(second, symbol, number) for number, (second, symbol) in enumerate(trades)]
    a, b = LiveFrame(key="symbol", time="time"), LiveFrame(key="symbol", time="time")
    limit = None if tolerance is None else tolerance * SECOND
    join = AsofJoin(a, b, by=by, lateness=lateness * SECOND, tolerance=limit)
    at_a = at_b = 0
    for first, count, look in [*cuts, (True, 20, True), (False, 20, False)]:
        if first:
            a.extend(rows_a[at_a : at_a + count])
            at_a += count
        else:
            b.extend(rows_b[at_b : at_b + count])
            at_b += count
        if look:
            join.read()
    wanted = pd.merge_asof(
        plain(a.df).sort_values("time", kind="stable"),
        plain(b.df).sort_values("time", kind="stable"),
        on="time",
        by=by,
        suffixes=("", "_b"),
        tolerance=None if tolerance is None else pd.Timedelta(seconds=tolerance),
    )
    found = plain(join.df).sort_values("time", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    settled = plain(join.frame.df)
    pd.testing.assert_frame_equal(settled, plain(join.df).iloc[: len(settled)], check_dtype=False)


def plain(df):
    """Return a frame with its keys as text: the categories of two frames are not the same."""
    return df.astype(dict.fromkeys(df.select_dtypes("category"), str))


@settings(max_examples=50, deadline=None)
@given(
    trades=TRADES, quotes=QUOTES, lateness=st.integers(0, 4), cuts=st.lists(st.integers(1, 5), max_size=15)
)
def test_how_the_two_come_in_makes_no_difference(trades, quotes, lateness, cuts):
    """Also where rows come too late: all of one and then the other, or in turns, with looks between."""
    rows_a = [trade(second, symbol, number) for number, (second, symbol) in enumerate(trades)]
    rows_b = [quote(second, number, symbol) for number, (second, symbol, _) in enumerate(quotes)]
    results = []
    for order in ([20], [1], cuts or [3]):
        join, a, b = joined(lateness=lateness * SECOND)
        at, steps = 0, itertools.cycle(order)
        while at < max(len(rows_a), len(rows_b)):
            step = next(steps)
            b.extend(rows_b[at : at + step])
            join.read()
            a.extend(rows_a[at : at + step])
            at += step
        results.append(plain(join.df))
    pd.testing.assert_frame_equal(results[0], results[1])
    pd.testing.assert_frame_equal(results[0], results[2])


def test_times_are_compared_to_the_nanosecond():
    """And not as float64, which has no room for that."""
    a, b = LiveFrame(time="time"), LiveFrame(time="time")
    moment = pd.Timestamp(dt.datetime(2026, 1, 2, tzinfo=dt.UTC)).as_unit("ns")
    a.extend([{"time": moment + pd.Timedelta(1, "ns"), "n": 1}])
    b.extend([{"time": moment + pd.Timedelta(n, "ns"), "n": n} for n in (0, 2)])
    assert AsofJoin(a, b).df["n_b"].tolist() == [0]


def test_keys_may_be_called_differently():
    """With a pair of names; the second one's key is no column of the join then."""
    a, b = LiveFrame(key="product", time="time"), LiveFrame(key="symbol", time="time")
    a.extend([{"product": "A", "time": START, "price": 1.0}, {"product": "B", "time": START, "price": 2.0}])
    b.extend([quote(0, 10), quote(0, 20, "B")])
    join = AsofJoin(a, b, by=("product", "symbol"))
    assert bids(join) == [10, 20]
    assert list(join.df) == ["product", "time", "price", "bid"]
