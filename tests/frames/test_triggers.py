"""The rows with which a condition comes true, against a loop over the rows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rtwidgets.frames.triggers as module
from rtwidgets.errors import SchemaError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.conditions import Condition
from rtwidgets.frames.triggers import Trigger

SECOND = 1_000_000_000
SCHEMA = {"symbol": "category", "room": str, "n": int, "price": float, "time": "datetime64[s]"}


def row(price, symbol="A", time=0, room="x", n=1):
    return {"symbol": symbol, "room": room, "n": n, "price": price, "time": time}


def framed(**options):
    return LiveFrame(key="symbol", time="time", schema=SCHEMA, **options)


def read(trigger, frame, after=0):
    rows = frame.view(after=after)
    return [rows.first + each for each in trigger.read(rows, frame.schema, frame.time).tolist()]


def fired(rows, *, by="symbol", every=None, cuts=()):
    """Return the numbers of the rows that count, read in batches that end at these rows."""
    frame, trigger, found = framed(), Trigger(Condition("price > 1"), by, every), []
    for first, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        frame.extend(rows[first:end])
        if end > first:
            found += read(trigger, frame, after=first)
    return found


def test_it_counts_when_it_comes_true():
    """Not while it is true; again once it was not."""
    prices = [0, 2, 3, 0, 2, None, 2]
    for cuts in ([], range(1, 7), [2, 4]):
        assert fired([row(price) for price in prices], cuts=cuts) == [1, 4, 6]


def test_each_key_has_its_own_past():
    """Rows without a key are those of one key; without a column of keys all rows follow each other."""
    rows = [row(2, "A"), row(2, "B"), row(3, "A"), row(0, "B"), row(2, None), row(2, None), row(2, "B")]
    assert fired(rows) == [0, 1, 4, 6]
    assert fired(rows, by=None) == [0, 4]


@pytest.mark.parametrize("by", ["room", "n"])
def test_any_column_of_text_or_whole_numbers_may_be_the_key(by):
    """Beside the frame's own."""
    rows = [row(2, room="x", n=1), row(2, room="y", n=2), row(2, room="x", n=1)]
    assert fired(rows, by=by) == [0, 1]


def test_again_after_the_span_while_it_is_true():
    """And at most once in it, by the times of the rows; not for rows that have none."""
    rows = [row(2, time=t) for t in (0, 5, 9, 10, 12, 20, None, 31)]
    assert fired(rows, every=10 * SECOND) == [0, 3, 5, 7]
    flickers = [row(price, time=t) for t, price in enumerate([2, 0, 2, 0, 2, 0])]
    assert fired(flickers, every=4 * SECOND) == [0, 4]


def test_a_late_row_does_not_count_in_the_span():
    """The span goes on from the row that counted."""
    assert fired([row(2, time=t) for t in (100, 50, 109, 110)], every=10 * SECOND) == [0, 3]


TICKS = st.lists(
    st.builds(
        row,
        st.sampled_from([0.0, 2.0, None]),
        st.sampled_from(["A", "B", None]),
        st.integers(0, 12) | st.none(),
    ),
    max_size=30,
)


def model(rows, every):
    """Find them one after the other."""
    was, last, found = {}, {}, []
    for number, each in enumerate(rows):
        key, time, true = each["symbol"], each["time"], (each["price"] or 0) > 1
        if every is None:
            counts = true and not was.get(key, False)
        else:
            counts = true and time is not None and (key not in last or time >= last[key] + every)
        was[key] = true
        if counts:
            last[key] = time
            found.append(number)
    return found


@settings(deadline=None)
@given(rows=TICKS, every=st.none() | st.integers(1, 6), cuts=st.lists(st.integers(0, 30), max_size=5))
def test_batches_make_no_difference(rows, every, cuts):
    """However the rows come, the same ones count: those that a loop over them finds."""
    cuts = sorted(min(cut, len(rows)) for cut in cuts)
    assert fired(rows, every=every and every * SECOND, cuts=cuts) == model(rows, every)


def test_rows_that_are_skipped_are_before_those_that_come():
    """What was true already does not come true; a span begins with the first row that comes."""
    frame = framed()
    frame.extend([row(2, "A"), row(0, "B")])
    for every, wanted in ((None, [3]), (10 * SECOND, [2, 3])):
        trigger = Trigger(Condition("price > 1"), "symbol", every)
        trigger.skip(frame.view(), frame.schema, frame.time)
        more = framed()
        more.extend([row(2, "A"), row(0, "B"), row(2, "A"), row(2, "B")])
        assert read(trigger, more, after=2) == wanted


def test_a_key_keeps_its_past_when_the_frame_numbers_keys_anew():
    """A frame forgets keys whose rows have left."""
    frame = framed(max_rows=1_000)
    trigger = Trigger(Condition("price > 1"), "symbol")
    frame.extend([row(0, "B"), row(2, "A")])
    found = read(trigger, frame)
    for number in range(6):
        frame.extend([row(0, f"{number}-{each}") for each in range(999)] + [row(2, "A")])
        found += read(trigger, frame, after=frame.total - 1_000)
    assert found == [1]
    assert len(frame.view().categories["symbol"]) < 6_000


def test_with_too_many_keys_it_begins_anew(monkeypatch):
    """Memory has an end; what was true counts again then."""
    rows = [row(2, room="x"), row(2, room="y"), row(2, room="z"), row(2, room="x")]
    assert fired(rows, by="room", cuts=[2, 3]) == [0, 1, 2]
    monkeypatch.setattr(module, "MOST_KEYS", 2)
    assert fired(rows, by="room", cuts=[2, 3]) == [0, 1, 2, 3]


def test_what_the_rows_do_not_have_is_named():
    """A key that is no column or cannot be one, and a span without times."""
    frame = framed()
    frame.extend([row(2)])
    with pytest.raises(SchemaError, match=r"by='nope' is no column: choose from symbol, room"):
        read(Trigger(Condition("price > 1"), "nope"), frame)
    with pytest.raises(SchemaError, match="'price' cannot be a key, for it is float64"):
        read(Trigger(Condition("price > 1"), "price"), frame)
    timeless = LiveFrame()
    timeless.extend([{"price": 2}])
    with pytest.raises(SchemaError, match=r"every= needs a column of times: name it with time="):
        read(Trigger(Condition("price > 1"), None, SECOND), timeless)
    with pytest.raises(SchemaError, match="every= needs"):
        trigger = Trigger(Condition("price > 1"), None, SECOND)
        trigger.skip(timeless.view(), timeless.schema, timeless.time)
