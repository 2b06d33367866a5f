"""A frame that is filled by columns, against the frame whose rows they are."""

import itertools

import numpy as np
import pandas as pd

from rtwidgets.frames import LiveFrame
from rtwidgets.frames.derived import DerivedFrame, chosen

SCHEMA = {
    "symbol": "category",
    "price": float,
    "size": int,
    "open": bool,
    "halted": "boolean",
    "note": str,
    "room": "category",
    "time": "datetime64[s]",
    "seen": "datetime64[s]",
}
ROWS = [
    dict(zip(SCHEMA, values, strict=True))
    for values in [
        ("A", 1.5, 1, True, None, "x", "r", 1_700_000_000, None),
        ("B", None, 2, False, True, None, None, None, 1_700_000_000),
        (None, 2.5, 3, True, False, "z", "s", 1_700_000_001, 5),
    ]
]


def derived(frame, positions=slice(None), *, batches=1):
    copy = DerivedFrame(100, key=frame.key, time=frame.time)
    ends = np.linspace(0, frame.total, batches + 1).astype(int)
    for first, end in itertools.pairwise(ends):
        rows = frame.view(after=first)
        part = {name: data[: end - first][positions] for name, data in chosen(rows, rows.columns).items()}
        copy.append(part, frame.schema, frame.time)
    return copy


def test_it_is_read_as_any_frame():
    """The same columns with the same dtypes, key and time."""
    frame = LiveFrame(key="symbol", schema=SCHEMA)
    frame.extend(ROWS)
    for batches in (1, 3):
        copy = derived(frame, batches=batches)
        pd.testing.assert_frame_equal(copy.df, frame.df)
        pd.testing.assert_frame_equal(copy.latest, frame.latest)
        assert (copy.key, copy.time, copy.total) == ("symbol", "time", 3)
        assert dict(copy.schema) == dict(frame.schema)


def test_some_rows_of_it():
    """Those at some positions, and only they."""
    frame = LiveFrame(key="symbol", schema=SCHEMA)
    frame.extend(ROWS)
    copy = derived(frame, positions=np.array([2, 0]))
    assert copy.df["note"].tolist() == ["z", "x"]
    assert copy.df.index.tolist() == [0, 1]


def test_whole_numbers_as_keys():
    """Also when the first rows have none."""
    frame = LiveFrame(key="id", schema={"id": int, "n": int})
    frame.extend([{"id": None, "n": 1}, {"id": 7, "n": 2}])
    for batches in (1, 2):
        pd.testing.assert_frame_equal(derived(frame, batches=batches).df, frame.df)


def test_columns_become_wider_and_more():
    """As those of the frame did; rows from before have nothing in a column that is new."""
    frame, copy = LiveFrame(), DerivedFrame(100)
    batches = [
        {"n": 1, "b": True, "later": None, "when": None},
        {"n": 2.5, "b": None, "later": "x", "when": None},
        {"n": 3, "b": False, "later": None, "when": "2026-01-02T14:30:00Z", "new": 5, "yes": True},
    ]
    for row in batches:
        frame.extend([row])
        rows = frame.view(after=frame.total - 1)
        copy.append(chosen(rows, rows.columns), frame.schema)
    assert set(copy.df) == set(frame.df)
    pd.testing.assert_frame_equal(copy.df[list(frame.df)], frame.df)


def test_whole_numbers_that_come_later():
    """Are float64 with NaN, and true and false the dtype boolean: the rows before have none."""
    copy = DerivedFrame(100)
    copy.append({"a": np.array([1])}, {"a": "int64"})
    more = {"a": np.array([2]), "n": np.array([3]), "b": np.array([True])}
    copy.append(more, {"a": "int64", "n": "int64", "b": "bool"})
    copy.append(more, {"a": "int64", "n": "int64", "b": "bool"})
    assert dict(copy.schema) == {"a": "int64", "n": "float64", "b": "boolean"}
    assert copy.df["n"].tolist()[1:] == [3.0, 3.0]
    assert copy.df["b"].isna().tolist() == [True, False, False]


def test_no_rows_change_columns_and_tell_nobody():
    """So that frames of the same columns have the same dtypes."""
    copy, told = DerivedFrame(100), []
    copy.on_change(lambda: told.append(1))
    copy.append({}, {})
    copy.append({"a": np.zeros(0)}, {"a": "float64"})
    copy.append({"a": np.zeros(0, np.object_)}, {"a": "str"})
    assert (copy.total, told, dict(copy.schema)) == (0, [], {"a": "str"})
    copy.append({"a": np.array(["x"], np.object_)}, {"a": "str"})
    assert (copy.total, told, copy.df["a"].tolist()) == (1, [1], ["x"])


def test_the_newest_rows_are_kept():
    """As many as it was told."""
    copy = DerivedFrame(3)
    for n in range(5):
        copy.append({"n": np.array([n, n])}, {"n": "int64"})
    assert copy.df["n"].tolist() == [3, 4, 4]
    assert copy.df.index.tolist() == [7, 8, 9]
