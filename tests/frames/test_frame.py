"""LiveFrame: what goes in, what a snapshot shows, and that it stays."""

from __future__ import annotations

import gc
import json
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.intake import Intake

PRICE = {"symbol": "AAPL", "price": 150.12, "size": 10, "time": 1763800000123.456}


def prices(count, first=0):
    return [
        PRICE | {"symbol": f"S{i % 3}", "price": float(i), "time": 1763800000000 + i, "note": f"n{i}"}
        for i in range(first, first + count)
    ]


def encoded(rows):
    return json.dumps(rows).encode()


# What goes in


def test_extend_accepts_rows_in_all_three_forms():
    """Mappings, one JSON array and JSON messages give the same frame."""
    rows = prices(50)
    frames = [LiveFrame(key="symbol") for _ in range(3)]
    assert frames[0].extend(rows, offsets=range(1, 51)) == 50
    assert frames[1].extend_json(encoded(rows), offsets=range(1, 51)) == 50
    assert frames[2].extend_json_messages([encoded(row) for row in rows], offsets=range(1, 51)) == 50
    pd.testing.assert_frame_equal(frames[0].df, frames[1].df)
    pd.testing.assert_frame_equal(frames[0].df, frames[2].df)
    assert list(frames[0].df.columns) == ["symbol", "price", "size", "time", "note", "offset"]
    assert frames[0].df["offset"].iloc[-1] == 50


def test_every_column_has_the_dtype_of_its_kind():
    """Keys are categorical, times datetime64[ns, UTC], text str, numbers float64 or int64."""
    frame = LiveFrame(key="symbol")
    frame.extend([PRICE | {"note": "hi", "ok": True, "tags": ["a", {"b": 1}]}], offsets=[7])
    assert {name: str(dtype) for name, dtype in frame.df.dtypes.items()} == dict(frame.schema)
    assert dict(frame.schema) == {
        "symbol": "category",
        "price": "float64",
        "size": "int64",
        "time": "datetime64[ns, UTC]",
        "note": "str",
        "ok": "bool",
        "tags": "str",
        "offset": "int64",
    }
    assert frame.df["tags"].iloc[0] == '["a",{"b":1}]'
    assert frame.time == "time"
    assert frame.df["time"].iloc[0] == pd.Timestamp("2025-11-22T08:26:40.123456Z")


def test_text_that_is_not_json_is_one_rejection():
    """A piece that is not JSON is counted with its text and never raised."""
    frame = LiveFrame()
    assert frame.extend_json(b'[{"a":1},', offsets=[1]) == 0
    assert frame.extend_json(b"\xff\xfe") == 0
    assert frame.extend_json(b"[" * 100_000) == 0
    assert frame.rejected_count == 3
    assert frame.rejected["reason"].str.startswith("not JSON: ").all()
    assert frame.rejected["row"].iloc[0] == '[{"a":1},'


def test_nan_and_infinity_of_python_peers_are_numbers():
    """A message that only Python calls JSON gives float nan and inf."""
    frame = LiveFrame()
    assert frame.extend_json_messages([b'{"a":1.5}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e400}']) == 4
    assert frame.df["a"].tolist()[2:] == [-np.inf, np.inf]
    assert np.isnan(frame.df["a"].iloc[1])


@pytest.mark.parametrize(
    "messages",
    [
        [b"1],[2", b'{"a":1}'],
        [b'{"a":1},{"a":2}', b""],
        [b'{"a":[{}', b'{}]},{"a":2}'],
        [b'{"a":"}', b'{"},{"a":2}'],
    ],
)
@pytest.mark.parametrize("filler", [0, 10])
def test_a_message_cannot_pass_for_its_neighbours(messages, filler):
    """Pieces that would be good JSON together are rejected one by one, and no other row is."""
    frame = LiveFrame(schema={"a": float})
    good = [b'{"a":3}'] * filler
    alone = sum(message == b'{"a":1}' for message in messages)
    assert frame.extend_json_messages(good + messages, offsets=range(filler + 2)) == filler + alone
    assert frame.rejected_count == 2 - alone
    assert set(frame.df["a"]) <= {1.0, 3.0}


def test_messages_that_are_not_objects_say_what_they_are():
    """A number, a string, null and a list are rejected, each by its name, with its offset."""
    frame = LiveFrame()
    assert (
        frame.extend_json_messages([b"5", b'"x"', b"null", b"[1]", b'{"a":1}'], offsets=[4, 5, 6, 7, 8]) == 1
    )
    assert frame.rejected["reason"].str.rsplit("but ").str[-1].tolist() == [
        "a number",
        "text",
        "null",
        "a list",
    ]
    assert frame.rejected["offset"].tolist() == [4, 5, 6, 7]
    assert frame.df["offset"].tolist() == [8]


def test_a_column_that_changes_its_type_loses_the_row_only():
    """A row that does not fit is counted and kept with column, value and reason; the stream goes on."""
    frame = LiveFrame()
    frame.extend([{"a": 1.5, "b": "x"}])
    assert (
        frame.extend([{"a": "high", "b": "y"}, {"a": True, "b": "y"}, {"a": 2, "b": 5}, {"a": 2, "b": "z"}])
        == 1
    )
    rejected = frame.rejected
    assert rejected["column"].tolist() == ["a", "a", "b"]
    assert rejected["value"].tolist() == ['"high"', "true", "5"]
    assert json.loads(rejected["row"].iloc[0]) == {"a": "high", "b": "y"}
    assert rejected["offset"].isna().all()
    assert frame.df["b"].tolist() == ["x", "z"]


def test_rejections_are_bounded_in_number_and_size():
    """All rejections are counted, the last thousand kept, and a huge row as short text."""
    frame = LiveFrame(schema={"a": float})
    frame.extend([{"a": "x" * 100_000}] * 1_500)
    assert frame.rejected_count == 1_500
    assert len(frame.rejected) == 1_000
    assert frame.rejected["value"].str.len().max() <= 200
    assert frame.rejected["row"].str.len().max() <= 1_000


def test_reject_counts_what_others_could_not_read():
    """A message refused elsewhere is counted like a row that did not fit, and watchers hear of it."""
    frame = LiveFrame()
    calls = []
    frame.on_change(lambda: calls.append(1))
    frame.reject(b"\xff junk", "no records in it", offset=3)
    assert frame.rejected[["reason", "offset"]].to_numpy().tolist() == [["no records in it", 3]]
    assert calls == [1]


def test_received_is_the_time_of_rows_without_one():
    """The time of arrival fills a time column only when rows have none of their own."""
    frame = LiveFrame()
    frame.extend([{"a": 1}, {"a": 2}], offsets=[1, 2], received=1763800000000000000)
    assert list(frame.df.columns) == ["a", "time", "offset"]
    assert frame.time == "time"
    assert frame.df["time"].iloc[0] == pd.Timestamp(1763800000000000000, tz="UTC")
    own = LiveFrame()
    own.extend([PRICE], received=1)
    assert own.df["time"].iloc[0].year == 2025
    taken = LiveFrame()
    taken.extend([{"time": "noon"}], received=[5])
    assert dict(taken.schema) == {"time": "str", "received": "datetime64[ns, UTC]"}


def test_offsets_win_over_a_field_of_that_name():
    """A field named offset gives way to the channel's offsets, from the first rows on."""
    frame = LiveFrame()
    assert frame.extend([{"a": 1, "offset": "mine"}] * 3, offsets=[1, 2, 3]) == 3
    assert frame.extend_json(encoded([{"a": 1, "offset": "mine"}] * 100), offsets=range(100)) == 100
    assert dict(frame.schema) == {"a": "int64", "offset": "int64"}
    late = LiveFrame()
    late.extend([{"offset": 5}])
    with pytest.raises(SchemaError, match="offset"):
        late.extend([{"offset": 5}], offsets=[1])
    assert len(late) == 1


def test_rows_before_the_first_offset_have_none():
    """Rows that came with no offset show -1."""
    frame = LiveFrame()
    frame.extend([{"a": 1}])
    frame.extend([{"a": 2}], offsets=[9])
    frame.extend([{"a": 3}])
    assert frame.df["offset"].tolist() == [-1, 9, -1]


def test_offsets_of_the_wrong_number_are_the_callers_error():
    """Too few offsets raise and accept nothing."""
    frame = LiveFrame()
    with pytest.raises(UsageError, match="2 rows came with 1 offsets"):
        frame.extend([{"a": 1}, {"a": 2}], offsets=[1])
    with pytest.raises(UsageError, match="times of arrival"):
        frame.extend([{"a": 1}, {"a": 2}], received=[1])
    assert frame.total == 0


# What a snapshot shows


def test_an_empty_frame_has_an_empty_snapshot():
    """Before the first row there is a frame with no rows, of the declared columns if any."""
    assert LiveFrame().df.empty
    assert LiveFrame(key="symbol").latest.empty
    declared = LiveFrame(key="s", schema={"s": "category", "p": float})
    assert [str(dtype) for dtype in declared.df.dtypes] == ["category", "float64"]
    assert declared.latest.empty


def test_the_index_counts_rows_since_the_frame_began():
    """Labels stay with their rows as old ones leave."""
    frame = LiveFrame(max_rows=10)
    frame.extend(prices(25))
    assert list(frame.df.index) == list(range(15, 25))
    assert frame.df.loc[20, "price"] == 20.0
    assert (len(frame), frame.total) == (10, 25)


def test_a_snapshot_shares_memory_with_the_next():
    """Numbers, times, codes and text of two snapshots are the same memory."""
    frame = LiveFrame(key="symbol")
    frame.extend(prices(10))
    first = frame.df
    frame.extend(prices(5, 10))
    second = frame.df
    for name in ("price", "size"):
        assert np.shares_memory(first[name].to_numpy(), second[name].to_numpy())
    assert np.shares_memory(first["symbol"].array.codes, second["symbol"].array.codes)
    assert np.shares_memory(first["time"].array._ndarray, second["time"].array._ndarray)
    assert np.shares_memory(first["note"].array._ndarray, second["note"].array._ndarray)


def change_cell(df):
    df.loc[df.index[0], "price"] = -1


def change_column(df):
    df["price"] = df["price"] * 2
    df["new"] = 1


def change_text(df):
    df.loc[df.index[0], "note"] = "changed"


def change_key(df):
    df.loc[df.index[0], "symbol"] = "S2"


def change_time(df):
    df.loc[df.index[0], "time"] = pd.Timestamp("2001-01-01", tz="UTC")


def change_in_place(df):
    df["price"] += 1
    df.iloc[:, 1] = 0.0
    df.pop("size")


def change_array(df):
    for array in (df["price"].to_numpy(), df["price"].values, df["time"].array, df["note"].array):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    df.to_numpy()[0] = 5


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    "change",
    [change_cell, change_column, change_text, change_key, change_time, change_in_place, change_array],
)
def test_changing_a_snapshot_changes_nothing_else(change, kept):
    """The user's writing reaches neither the frame nor another snapshot, the cache moved on or not."""
    frame = LiveFrame(key="symbol")
    frame.extend(prices(10))
    mine, other = frame.df, frame.df
    before = other.copy(deep=True)
    if not kept:
        frame.extend(prices(1, 10))
        assert len(frame.df) == 11
        gc.collect()
    change(mine)
    pd.testing.assert_frame_equal(other, before)
    pd.testing.assert_frame_equal(frame.df.iloc[:10], before)


def test_a_column_outlives_its_snapshot_and_can_be_changed():
    """A series taken from a snapshot that is gone is writeable and writes to itself only."""
    frame = LiveFrame()
    frame.extend(prices(10))
    column = frame.df["price"]
    part = frame.df.iloc[2:5]
    frame.extend(prices(1, 10))
    assert len(frame.df) == 11
    gc.collect()
    column.iloc[0] = -1
    part.loc[2, "note"] = "changed"
    assert column.iloc[0] == -1
    assert frame.df["price"].tolist() == [float(i) for i in range(11)]
    assert frame.df["note"].iloc[2] == "n2"


def test_no_snapshot_is_kept_alive_by_the_frame():
    """Snapshots that were dropped free the buffers that the frame has left."""
    frame = LiveFrame(max_rows=100)
    for start in range(0, 10_000, 100):
        frame.extend(prices(100, start))
        _ = frame.df
    gc.collect()
    owned = [a for a in gc.get_objects() if isinstance(a, pd.DataFrame) and "note" in a.columns]
    assert len(owned) <= 2


# Oracle

NAMES = ["AAPL", "MSFT", "Zürich", "日本"]
ROW = st.fixed_dictionaries(
    {
        "key": st.sampled_from(NAMES),
        "x": st.floats(-1e6, 1e6),
        "n": st.integers(-1000, 1000),
        "t": st.text(max_size=3),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 40))
def test_a_frame_agrees_with_a_list_of_rows(data, max_rows):
    """Under any run of extends each snapshot holds the newest rows, and older snapshots stay as they were."""
    frame = LiveFrame(max_rows, key="key", schema={"key": "category", "x": float, "n": int, "t": str})
    rows, latest, snapshots = [], {}, []
    for _ in range(data.draw(st.integers(1, 6))):
        batch = data.draw(st.lists(ROW, max_size=30))
        batch *= data.draw(st.sampled_from([1, 1, 50]))
        way = data.draw(st.sampled_from(["rows", "json", "messages"]))
        offsets = range(len(rows), len(rows) + len(batch))
        if way == "rows":
            frame.extend(batch, offsets=offsets)
        elif way == "json":
            frame.extend_json(encoded(batch), offsets=offsets)
        else:
            frame.extend_json_messages([encoded(row) for row in batch], offsets=offsets)
        rows += batch
        latest |= {row["key"]: row["x"] for row in batch}
        df = frame.df
        assert len(df) == len(frame) == min(len(rows), max_rows)
        assert df.drop(columns="offset", errors="ignore").to_dict("records") == rows[len(rows) - len(df) :]
        if len(df):
            assert df["offset"].tolist() == list(df.index) == list(range(len(rows) - len(df), len(rows)))
        if len(latest) <= max_rows:
            assert frame.latest["x"].to_dict() == latest
        snapshots.append((df, df.copy(deep=True)))
        for snapshot, copy in snapshots:
            pd.testing.assert_frame_equal(snapshot, copy)


JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400]),
    st.floats(),
    st.sampled_from(
        ["", "1.5", "-3", "007", "nan", "1e400", "1_0", " 1", "12345678901234567890", "\ud800", "é"]
    ),
    st.sampled_from(
        ["2026-01-31T12:30:00Z", "2026-01-31T12:30:00.123456789Z", "2026-02-31T00:00:00Z", "2026-01-31"]
    ),
    st.sampled_from([1763800000, 1763800000123, 1763800000123.456, 1763800000123456789]),
    st.text(max_size=2),
    st.lists(st.integers(0, 2), max_size=2),
    st.dictionaries(st.text(max_size=1), st.integers(0, 1), max_size=1),
)
ANY_ROW = st.dictionaries(st.sampled_from(["time", "a", "b", "key", 'q"', ""]), JSON, max_size=5)
TYPED = st.one_of(
    st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.floats(allow_nan=False, allow_infinity=False)}),
    st.fixed_dictionaries({"a": st.none() | st.text(max_size=2), "time": st.floats(1.7e12, 1.8e12)}),
    st.fixed_dictionaries(
        {"a": st.decimals(-5, 5, places=3).map(str), "key": st.none() | st.text(max_size=1)}
    ),
    st.fixed_dictionaries({"time": st.datetimes().map(lambda t: t.isoformat() + "Z"), "a": st.booleans()}),
)
BATCH = (
    st.lists(TYPED, max_size=12)
    | st.lists(ANY_ROW, max_size=12)
    | TYPED.flatmap(lambda row: st.just([row] * 9))
)
SCHEMAS = st.sampled_from(
    [
        None,
        {"key": "category", "a": float, "b": int, "time": "datetime64[ms]"},
        {"key": int, "a": str, "b": "boolean", "time": "datetime"},
        {"key": str, "a": bool, "b": "category", "time": "datetime64[ns]"},
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(BATCH, min_size=1, max_size=4), SCHEMAS, st.sampled_from(["rows", "json", "messages"]))
@example([[{"a": 1.5}] * 7, [{"a": 2**53 + 1}] * 7], None, "json")
@example([[{"a": True}] * 7, [{"a": None}] * 7, [{"a": False}, {}] * 7], None, "json")
@example([[{"time": "2026-01-31T12:30:00Z"}] * 7] * 2, None, "messages")
@example([[{"time": 1.7e12}] * 7, [{"time": 1.7e305}] * 7], None, "json")
def test_the_fast_way_agrees_with_the_careful_one(batches, schema, way):
    """Whatever rows come, decoding through msgspec gives the columns and rejections that row by row gives."""

    def fed(fast):
        frame = LiveFrame(max_rows=20, key="key", schema=schema)
        if not fast:
            frame._intake._row_type = lambda: None
        done = 0
        for batch in batches:
            offsets = range(done, done + len(batch))
            done += len(batch)
            if way == "rows":
                frame.extend(batch, offsets=offsets)
            elif way == "json":
                frame.extend_json(encoded(batch) + b" " * 400, offsets=offsets)
            else:
                frame.extend_json_messages([encoded(row) for row in batch], offsets=offsets)
        return frame

    fast, careful = fed(fast=True), fed(fast=False)
    pd.testing.assert_frame_equal(fast.df, careful.df)
    pd.testing.assert_frame_equal(fast.latest, careful.latest)
    pd.testing.assert_frame_equal(fast.rejected, careful.rejected)
    assert fast.total + fast.rejected_count == sum(map(len, batches))


def test_plain_rows_take_the_fast_way(monkeypatch):
    """Rows that fit go through msgspec in all three forms."""
    frame = LiveFrame(key="symbol")
    frame.extend(prices(200))
    monkeypatch.setattr(Intake, "_careful", None)
    frame.extend(prices(200))
    frame.extend_json(encoded(prices(200)))
    frame.extend_json_messages([encoded(row) for row in prices(200)])
    assert frame.total == 800


# Retention


@pytest.mark.parametrize("max_rows", [1, 2, 3])
def test_a_frame_of_few_rows_goes_on(max_rows):
    """It keeps that many however often its buffers are full."""
    frame = LiveFrame(max_rows)
    for n in range(3_000):
        frame.extend([{"n": n}])
    assert frame.df["n"].tolist() == list(range(3_000 - max_rows, 3_000))


def test_rows_leave_by_age():
    """Rows older than the newest time less max_age leave, from the front only."""
    frame = LiveFrame(max_age=10)
    frame.extend([{"time": 1763800000 + s, "n": s} for s in range(30)])
    assert frame.df["n"].tolist() == list(range(19, 30))
    frame.extend([{"time": 1763800000, "n": -1}])
    assert frame.df["n"].tolist() == [*range(19, 30), -1]
    frame.extend([{"time": 1763800000 + 40, "n": 40}])
    assert frame.df["n"].tolist() == [40]


def test_a_slow_key_keeps_its_latest_row():
    """The last row of a key is in latest long after it has left the frame."""
    frame = LiveFrame(max_rows=50, key="symbol")
    frame.extend([PRICE | {"symbol": "SLOW", "price": 1.0}], offsets=[1])
    for start in range(0, 20_000, 500):
        frame.extend([PRICE | {"symbol": "FAST", "price": float(i)} for i in range(start, start + 500)])
    assert frame.latest["price"].to_dict() == {"SLOW": 1.0, "FAST": 19_999.0}
    assert frame.latest.loc["SLOW", "offset"] == 1
    assert len(frame.df) == 50
    assert set(frame.df["symbol"]) == {"FAST"}


def test_keys_that_never_come_again_are_forgotten():
    """The categories of a stream of ever new keys stay bounded."""
    frame = LiveFrame(max_rows=100, key="id")
    for start in range(0, 60_000, 500):
        frame.extend([{"id": f"order-{i}", "n": i} for i in range(start, start + 500)])
    assert len(frame.df["id"].cat.categories) < 5_000
    assert frame.df["id"].tolist() == [f"order-{i}" for i in range(59_900, 60_000)]
    assert 100 <= len(frame.latest) <= 10_000
    assert frame.latest.loc["order-59999", "n"] == 59_999


def test_latest_without_a_key_is_the_last_row():
    """Without a key there is one stream, and its last row is the latest."""
    frame = LiveFrame()
    frame.extend(prices(5))
    assert frame.latest["price"].tolist() == [4.0]
    assert frame.latest.index.tolist() == [4]


def test_rows_without_a_key_have_no_latest():
    """A row whose key is null is in the frame and not in latest; a whole-number key stays a number."""
    frame = LiveFrame(key="id")
    frame.extend([{"id": 7, "n": 1}, {"id": None, "n": 2}, {"n": 3}])
    assert frame.latest["n"].to_dict() == {7: 1}
    assert frame.df["id"].isna().tolist() == [False, True, True]


# Cursors


def test_since_reads_each_row_once():
    """A cursor gets the rows after it that are still here, and where to go on."""
    frame = LiveFrame(max_rows=10)
    frame.extend(prices(5))
    first, cursor = frame.since(0)
    assert (len(first), cursor) == (5, 5)
    assert frame.since(cursor)[0].empty
    frame.extend(prices(20, 5))
    rest, cursor = frame.since(cursor)
    assert list(rest.index) == list(range(15, 25))
    assert cursor == 25
    assert frame.since(99)[0].empty


def test_view_gives_arrays_without_a_copy():
    """A chart reads numbers, UTC times and codes as read-only views from a row number on."""
    frame = LiveFrame(max_rows=10, key="symbol")
    frame.extend(prices(25))
    rows = frame.view(["price", "time", "symbol"], after=20)
    assert (rows.first, rows.end) == (20, 25)
    assert rows.columns["price"].tolist() == [20.0, 21.0, 22.0, 23.0, 24.0]
    assert rows.columns["time"].dtype == "datetime64[ns]"
    assert [rows.categories["symbol"][code] for code in rows.columns["symbol"]] == [
        "S2",
        "S0",
        "S1",
        "S2",
        "S0",
    ]
    assert all(not array.flags.writeable for array in rows.columns.values())
    assert np.shares_memory(rows.columns["price"], frame.df["price"].to_numpy())
    assert frame.view(after=0).first == 15
    with pytest.raises(UsageError, match="no column 'x': choose from symbol, price"):
        frame.view(["x"])


# Watching


def test_on_change_calls_after_rows_and_rejections_until_unsubscribed():
    """Every extend that changed something is told once; one that did not is not."""
    frame = LiveFrame(schema={"a": float})
    totals = []
    unsubscribe = frame.on_change(lambda: totals.append((frame.total, frame.rejected_count)))
    frame.extend([{"a": 1}, {"a": 2}])
    frame.extend([{"a": "x"}])
    frame.extend([])
    unsubscribe()
    unsubscribe()
    frame.extend([{"a": 3}])
    assert totals == [(2, 0), (2, 1)]


def test_readers_in_other_threads_see_whole_rows():
    """While rows come, every snapshot is consistent: all columns of a row are of the same row."""
    frame = LiveFrame(max_rows=500, key="k")
    done = threading.Event()
    bad = []

    def read():
        while not done.is_set():
            df = frame.df
            latest = frame.latest
            if len(df) and not ((df["a"] == df["b"]).all() and (df["k"] == df["t"]).all()):
                bad.append(df)
            if len(latest) and not (latest["a"] == latest["b"]).all():
                bad.append(latest)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(0, 30_000, 30):
        frame.extend(
            [{"k": f"k{i % 700}", "t": f"k{i % 700}", "a": i, "b": i} for i in range(start, start + 30)]
        )
    done.set()
    for reader in readers:
        reader.join()
    assert not bad


# Errors


@pytest.mark.parametrize("options", [{"max_rows": 0}, {"max_age": 0}, {"max_age": -1}])
def test_limits_must_be_positive(options):
    """A frame that could hold nothing is an error that says what to do."""
    with pytest.raises(UsageError, match="keep"):
        LiveFrame(**options)


def test_the_repr_is_short_and_stable():
    """The repr counts rows and shows the schema, with no address."""
    frame = LiveFrame()
    frame.extend([{"a": 1}])
    assert repr(frame) == "LiveFrame(1 rows of 1, 0 rejected, Schema({'a': 'int64'}))"


def test_gaps_are_between_two_rows():
    """The last one before and the first one after; what stands for the missing ones is in between."""
    frame = LiveFrame()
    frame.mark_gap(0)
    assert frame.gaps == []  # nothing was before it
    frame.extend([{"n": 1}, {"n": 2}])
    frame.mark_gap(2)
    frame.extend([{"n": 5}])
    frame.extend([{"n": 7}])
    frame.mark_gap(3)
    assert frame.gaps == [(1, 2), (2, 4)]
