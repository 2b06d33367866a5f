"""Rows to lines."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.frames import LiveFrame
from rtwidgets.widgets.lines import POINTS, LineCursor, Points

START = 1_700_000_000
SCHEMA = {"symbol": "category", "price": "float64", "time": "datetime64[s]"}


def frame_of(rows: list[dict], **options: object) -> LiveFrame:
    frame = LiveFrame(**({"key": "symbol", "time": "time"} | options))
    frame.extend(rows)
    return frame


def tick(second: float, price: float | None, symbol: str | None = "a") -> dict:
    return {"symbol": symbol, "price": price, "time": START + second}


def ticks(count: int, symbols: str = "ab") -> list[dict]:
    return [tick(n, float(n), symbols[n % len(symbols)]) for n in range(count)]


def cursor_on(frame: LiveFrame, **options: object) -> LineCursor:
    return LineCursor(frame, "price", **({"by": frame.key} | options))


def named(cursor: LineCursor, points: list[Points] | None) -> dict[str, list[float]]:
    assert points is not None
    return {cursor.names[line]: y.tolist() for line, _, y in points}


def test_each_key_has_its_own_line_in_order_of_arrival() -> None:
    """A frame with two keys gives two lines, each with its own times and values."""
    cursor = cursor_on(frame_of(ticks(6)))
    points = cursor.new()
    assert cursor.names == ["a", "b"]
    assert named(cursor, points) == {"a": [0.0, 2.0, 4.0], "b": [1.0, 3.0, 5.0]}
    assert points[0].x.tolist() == [(START + n) * 1000.0 for n in (0, 2, 4)]


def test_only_rows_that_have_come_since_are_new() -> None:
    """Each row is read once, whether row by row or as part of a window; a line keeps its number."""
    frame = frame_of(ticks(4))
    cursor = cursor_on(frame)
    assert cursor.waiting == 4
    cursor.window(None)
    assert cursor.new() == []
    frame.extend([tick(9, 9.0, "b"), tick(10, 10.0, "c")])
    assert cursor.waiting == 2
    assert named(cursor, cursor.new()) == {"b": [9.0], "c": [10.0]}
    assert cursor.new() == []
    assert cursor.names == ["a", "b", "c"]


def test_window_counts_back_from_the_newest_row() -> None:
    """Only rows of the window, seen from the newest one, are read."""
    cursor = cursor_on(frame_of(ticks(100)))
    values = [y for points in cursor.window(10.0) for y in points.y.tolist()]
    assert sorted(values) == [float(n) for n in range(89, 100)]


def test_window_may_end_in_the_past() -> None:
    """A window that ends at a moment has the rows up to it and none after it."""
    cursor = cursor_on(frame_of(ticks(100, "a")))
    assert named(cursor, cursor.window(3.0, at=(START + 50) * 1000.0)) == {"a": [47.0, 48.0, 49.0, 50.0]}
    assert cursor.window(3.0, at=0.0) == []


def test_ends_are_the_oldest_and_the_newest_time_kept() -> None:
    """The ends are those of the frame, whatever was read and in whatever order rows came."""
    cursor = cursor_on(frame_of([tick(5, 1.0), tick(1, 2.0), tick(3, None)]))
    assert cursor.ends() == ((START + 1) * 1000.0, (START + 5) * 1000.0)


def test_thinning_keeps_the_spike() -> None:
    """One outlier among many rows is still there when the window goes out thinned; new rows are not."""
    rows = [tick(n / 1000, 1.0) for n in range(50_000)]
    rows[31_234]["price"] = 99.0
    frame = frame_of(rows)
    (whole,) = cursor_on(frame).window(None)
    assert len(whole.y) <= POINTS
    assert whole.y.max() == 99.0
    assert (np.diff(whole.x) >= 0).all()
    (new,) = cursor_on(frame).new()
    assert len(new.y) == 50_000


def test_missing_and_infinite_values_are_left_out() -> None:
    """A line holds finite values only."""
    prices = [1.0, None, float("inf"), 3.0, float("-inf")]
    frame = frame_of([tick(n, price) for n, price in enumerate(prices)])
    for points in (cursor_on(frame).new(), cursor_on(frame).window(None)):
        assert points[0].y.tolist() == [1.0, 3.0]


def test_nothing_but_missing_values_gives_no_line() -> None:
    """Rows with no number at all are no line, and not an error."""
    frame = frame_of([tick(0, None)], schema=SCHEMA)
    assert cursor_on(frame).new() == []
    assert cursor_on(frame).window(60.0) == []


def test_times_that_run_backwards_are_drawn_in_order_of_time() -> None:
    """A line's x never falls, whatever the order in which rows came."""
    frame = frame_of([tick(at, float(n)) for n, at in enumerate([5, 1, 3, 2])])
    for (line,) in (cursor_on(frame).new(), cursor_on(frame).window(None)):
        assert line.x.tolist() == [(START + at) * 1000.0 for at in (1, 2, 3, 5)]
        assert line.y.tolist() == [1.0, 3.0, 2.0, 0.0]


def test_rows_without_a_time_are_counted_on_the_axis() -> None:
    """With no time column x is the row's number, and a window is a number of rows."""
    frame = LiveFrame(max_rows=3)
    frame.extend([{"price": float(n)} for n in range(5)])
    cursor = cursor_on(frame)
    (line,) = cursor.window(None)
    assert (line.x.tolist(), cursor.names, cursor.ends()) == ([2.0, 3.0, 4.0], ["price"], (2.0, 4.0))
    assert cursor.window(1.0)[0].x.tolist() == [3.0, 4.0]


def test_of_many_keys_those_with_the_newest_rows_have_lines() -> None:
    """With more keys than lines those that spoke last get them, and the cursor knows how many there are."""
    cursor = cursor_on(frame_of([tick(n, 1.0, f"s{n}") for n in range(200)]))
    cursor.window(None)
    assert cursor.names == [f"s{n}" for n in range(180, 200)]
    assert cursor.keys == 200


def test_new_key_has_no_line_while_all_are_taken_and_gets_one_with_the_next_window() -> None:
    """New rows do not take a line away from another key; a window read as a whole hands them out anew."""
    frame = frame_of(ticks(2))
    cursor = cursor_on(frame, most=2)
    cursor.window(None)
    frame.extend([tick(2, 2.0, "c"), tick(3, 3.0, "b")])
    assert named(cursor, cursor.new()) == {"b": [3.0]}
    assert named(cursor, cursor.window(None)) == {"b": [1.0, 3.0], "c": [2.0]}


def test_text_that_is_no_category_splits_lines_too() -> None:
    """Any column of text can be split by, not only the key."""
    frame = LiveFrame(time="time", schema={"side": "str", "price": "float64", "time": "datetime64[s]"})
    frame.extend([{"side": side, "price": 1.0, "time": START} for side in ("buy", "sell", "buy")])
    cursor = cursor_on(frame, by="side")
    assert named(cursor, cursor.new()) == {"buy": [1.0, 1.0], "sell": [1.0]}


def test_rows_without_a_key_have_a_line_of_their_own() -> None:
    """A missing key is a line with a name that says so."""
    cursor = cursor_on(frame_of([tick(0, 1.0), tick(1, 2.0, None)], schema=SCHEMA))
    assert named(cursor, cursor.new()) == {"(none)": [2.0], "a": [1.0]}


def test_rows_that_left_unread_make_only_the_whole_do() -> None:
    """When rows were trimmed before they were read there is no increment, and a window sets it right."""
    frame = frame_of(ticks(3, "a"), max_rows=3)
    cursor = cursor_on(frame)
    cursor.new()
    frame.extend([tick(n, float(n)) for n in range(3, 8)])
    assert cursor.new() is None
    assert named(cursor, cursor.window(None)) == {"a": [5.0, 6.0, 7.0]}
    assert cursor.new() == []


def test_frame_that_declares_its_columns_may_be_read_before_its_first_row() -> None:
    """A frame with columns and no rows has nothing new, an empty window and no ends."""
    cursor = cursor_on(frame_of([], schema=SCHEMA))
    assert (cursor.new(), cursor.window(60.0), cursor.ends()) == ([], [], None)


rows = st.builds(
    tick,
    st.integers(0, 50),
    st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
    st.sampled_from(["a", "b", "c", None]),
)


@given(st.lists(st.lists(rows, max_size=8), max_size=8))
def test_increments_together_are_the_whole(batches: list[list[dict]]) -> None:
    """What a line was given row by row, put in order of time, is what a window of everything holds."""
    frame = frame_of([], schema=SCHEMA)
    cursor = cursor_on(frame)
    joined: dict[str, list[tuple[float, float]]] = {}
    for batch in batches:
        frame.extend(batch)
        for line, x, y in cursor.new():
            assert (np.diff(x) >= 0).all()
            joined.setdefault(cursor.names[line], []).extend(zip(x.tolist(), y.tolist(), strict=True))
    whole = cursor_on(frame)
    expected = {
        whole.names[line]: list(zip(x.tolist(), y.tolist(), strict=True)) for line, x, y in whole.window(None)
    }
    assert {name: sorted(points, key=lambda point: point[0]) for name, points in joined.items()} == expected
