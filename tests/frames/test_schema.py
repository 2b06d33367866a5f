"""Inference, declared schemas and how single values fit."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from rtwidgets.errors import SchemaError
from rtwidgets.frames import LiveFrame, Schema


def framed(*values, **options):
    """Return a frame fed with rows of one field, a batch for each value that is a list."""
    frame = LiveFrame(**options)
    for batch in values:
        frame.extend([{"a": value} for value in (batch if isinstance(batch, list) else [batch])])
    return frame


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"),
        ([1, 2.5], "float64"),
        ([2.5, 1], "float64"),
        ([1, None], "float64"),
        ([None, None], "float64"),
        ([True, False], "bool"),
        ([True, None], "boolean"),
        (["x", None], "str"),
        (["0.00001305", "-12", "1e-7", None], "float64"),
        (["007", "1"], "str"),
        (["1", "12345678901234567"], "str"),
        (["2026-01-31T00:00:00Z"], "str"),
        ([[1], {"b": 2}], "str"),
        ([2**64], "float64"),
        ([1, 2**64 + 1], "str"),
        ([10**400], "str"),
        ([2**53 + 1, None], "str"),
        ([dt.datetime(2026, 1, 31, tzinfo=dt.UTC)], "datetime64[ns, UTC]"),
    ],
)
def test_the_first_rows_decide_the_dtype(values, dtype):
    """Each mix of first values gives its dtype, and every one of them fits it."""
    frame = framed(values)
    assert frame.schema["a"] == dtype == str(frame.df.dtypes["a"])
    assert frame.total == len(values)
    assert frame.rejected_count == 0


def test_integers_too_large_for_any_number_are_kept_as_text():
    """Integers that neither int64 nor float64 hold keep their digits."""
    assert framed([1, 2**64 + 1], 5).df["a"].tolist() == ["1", "18446744073709551617", "5"]


def test_where_the_first_rows_disagree_the_first_value_decides():
    """The others are rejected."""
    frame = framed([1, "x", 2])
    assert frame.df["a"].tolist() == [1, 2]
    assert frame.rejected["value"].tolist() == ['"x"']


@pytest.mark.parametrize("later", [1.5, None, float("nan"), float("inf"), 1e20])
def test_an_inferred_integer_column_widens_and_old_snapshots_do_not(later):
    """A fraction or a null makes int64 float64 from then on."""
    frame = framed([1, 2])
    before = frame.df
    assert frame.extend([{"a": later}, {"a": 3}]) == 2
    assert before["a"].dtype == "int64"
    np.testing.assert_array_equal(frame.df["a"], np.array([1, 2, later, 3], float))


def test_a_large_integer_forbids_widening():
    """A column that holds what float64 cannot is not widened; the row is rejected with the reason."""
    frame = framed([1, 2**53 + 1], 1.5, 3)
    assert frame.df["a"].tolist() == [1, 2**53 + 1, 3]
    assert (
        frame.rejected["reason"].iloc[0]
        == "not an integer, and the column has integers that float64 cannot hold"
    )
    assert frame.rejected["value"].iloc[0] == "1.5"


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [
        ("int64", 1.5, 'a fraction where the column is declared int64: declare it "float64" to allow it'),
        ("int64", None, 'null where the column is declared int64: declare it "float64" to allow it'),
        ("int64", 2**63, 'an integer beyond int64: declare the column "float64" or "str"'),
        ("int64", True, "not a number"),
        ("int64", "x", "text where the column has numbers"),
        (
            "float64",
            2**53 + 1,
            'an integer that float64 cannot hold exactly: declare the column "str" to keep it',
        ),
        (
            "float64",
            10**400,
            'an integer that float64 cannot hold exactly: declare the column "str" to keep it',
        ),
        ("float64", "high", "text where the column has numbers"),
        ("float64", False, "not a number"),
        ("float64", "1e999", "a number beyond float64"),
        ("bool", 1, "not true or false"),
        ("bool", None, 'null where the column is declared bool: declare it "boolean" to allow null'),
        ("boolean", "true", "not true or false"),
        ("str", "\ud800", "text that is not Unicode: half a surrogate pair"),
        ("datetime", "noon", "text that is not an ISO 8601 time"),
        ("datetime", "2026-02-31", "text that is not an ISO 8601 time"),
        ("datetime", "2026-01-31T12:30.5", "text that is not an ISO 8601 time"),
        ("datetime", "2026-01-31T24:00:00", "text that is not an ISO 8601 time"),
        ("datetime", "9999-01-01", "a time outside the years 1678 to 2261"),
        ("datetime64[s]", 1e11, "a time outside the years 1678 to 2261"),
        ("datetime64[s]", 1.7e308, "a time outside the years 1678 to 2261"),
        ("datetime64[s]", float("inf"), "an infinite time"),
        ("datetime", True, "not a time"),
        ("float64", 1 + 2j, "a Python complex has no place in a column"),
    ],
)
def test_what_a_declared_column_refuses(dtype, value, reason):
    """A declared column is never widened: the row is rejected, with a reason that says what would help."""
    frame = framed(value, schema={"a": dtype})
    assert frame.rejected[["column", "reason"]].to_numpy().tolist() == [["a", reason]]
    assert frame.schema["a"] == framed(schema={"a": dtype}).schema["a"]


@pytest.mark.parametrize(
    ("dtype", "value", "kept"),
    [
        ("int64", 3.0, 3),
        ("int64", "12", 12),
        ("int64", np.int32(5), 5),
        (int, Decimal(7), 7),
        ("float64", "0.00001305", 0.00001305),
        (float, 2**60, float(2**60)),
        ("float64", np.float32(0.5), 0.5),
        ("str", 2**70, "1180591620717411303424"),
        (str, True, "true"),
        ("str", {"b": [1, "é"]}, '{"b":[1,"é"]}'),
        ("category", 7, "7"),
        (bool, np.True_, True),
    ],
)
def test_what_a_declared_column_takes(dtype, value, kept):
    """A declared dtype reads what can be read as it without loss."""
    frame = framed([value] * 10, [value] * 10, schema={"a": dtype})
    assert frame.df["a"].tolist() == [kept] * 20


def test_null_is_what_the_dtype_has_for_it():
    """A null, a missing field and a missing declared column are NaN, missing text, NaT or missing."""
    frame = LiveFrame(schema={"f": float, "s": str, "c": "category", "t": "datetime", "b": "boolean"})
    frame.extend([{}, {"f": None, "s": pd.NA, "c": float("nan"), "t": pd.NaT, "b": None}])
    frame.extend_json(json.dumps([{"f": None, "s": None, "c": None, "t": None, "b": None}] * 50).encode())
    assert frame.total == 52
    assert frame.df.isna().all(axis=None)


def test_a_declared_schema_is_complete():
    """Other fields of the rows are left out."""
    frame = LiveFrame(schema={"a": float})
    assert frame.extend([{"a": 1, "b": 2}]) == 1
    assert frame.extend_json(json.dumps([{"a": 1, "b": 2}] * 100).encode()) == 100
    assert list(frame.df.columns) == ["a"]


def test_a_new_field_adds_a_column():
    """Rows before it are null there; an integer is float64 for that."""
    frame = LiveFrame()
    frame.extend([{"a": 1}])
    frame.extend([{"a": 2, "n": 5, "s": "x", "ok": True}], offsets=[1])
    assert dict(frame.schema) == {
        "a": "int64",
        "n": "float64",
        "s": "str",
        "ok": "boolean",
        "offset": "int64",
    }
    assert frame.df.isna().sum().to_dict() == {"a": 0, "n": 1, "s": 1, "ok": 1, "offset": 0}


def test_columns_are_bounded():
    """A row that would make more than 256 columns is rejected with the reason."""
    frame = LiveFrame()
    frame.extend([{f"c{i}": 1 for i in range(200)}])
    assert frame.extend([{f"c{i}": 1 for i in range(256)}, {f"c{i}": 1 for i in range(257)}]) == 1
    assert len(frame.schema) == 256
    assert frame.rejected["reason"].iloc[0] == "a new field, and the frame has 256 columns already"


def test_a_field_that_was_null_becomes_what_comes():
    """A field that was null so far takes the kind of its first value."""
    frame = framed(None, "x")
    assert frame.schema["a"] == "str"
    assert frame.df["a"].isna().tolist() == [True, False]


@pytest.mark.parametrize("name", ["", "a.b", "class", 'q"q', "a\\b", "a\nb", "日本", "f0", "a b", "index"])
def test_a_field_may_have_any_name(name):
    """Names that are no identifiers are columns like others, in every form."""
    frame = LiveFrame()
    raw = json.dumps([{name: i, "f1": 2} for i in range(100)]).encode()
    for _ in range(2):
        assert frame.extend_json(raw) == 100
    assert frame.df[name].tolist() == [*range(100)] * 2


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1763800000, "2025-11-22T08:26:40"),
        (1763800000.123456, "2025-11-22T08:26:40.123456"),
        (1763800000123, "2025-11-22T08:26:40.123"),
        (1763800000123.456, "2025-11-22T08:26:40.123456"),
        (1763800000123456, "2025-11-22T08:26:40.123456"),
        (1763800000123456789, "2025-11-22T08:26:40.123456789"),
        ("1763800000123", "2025-11-22T08:26:40.123"),
        (-86400, "1969-12-31"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31 12:30", "2026-01-31T12:30"),
        ("2026-01-31T12:30:00Z", "2026-01-31T12:30"),
        ("2026-01-31T12:30:00+02:00", "2026-01-31T10:30"),
        ("2026-01-31T12:30:00.5-0130", "2026-01-31T14:00:00.5"),
        ("2026-01-31T12:30:00.123456789Z", "2026-01-31T12:30:00.123456789"),
        (pd.Timestamp("2026-01-31T12:30", tz="Europe/Berlin"), "2026-01-31T11:30"),
        (dt.datetime(2026, 1, 31, 12, 30), "2026-01-31T12:30"),  # noqa: DTZ001
        (np.datetime64("2026-01-31T12:30"), "2026-01-31T12:30"),
    ],
)
@pytest.mark.parametrize("rows", [1, 20])
def test_times_are_read_to_the_nanosecond(value, moment, rows):
    """Epoch numbers of any unit, ISO text and Python times are the moment they mean."""
    frame = LiveFrame(time="a")
    for _ in range(2):
        frame.extend([{"a": value}] * rows)
        if not isinstance(value, dt.date | np.datetime64):
            frame.extend_json(json.dumps([{"a": value}] * rows).encode())
    assert frame.rejected_count == 0
    assert set(frame.df["a"]) == {pd.Timestamp(moment, tz="UTC")}


def test_a_unit_in_the_schema_is_the_unit_on_the_wire():
    """datetime64[ms] reads small numbers as milliseconds."""
    assert framed(1000, schema={"a": "datetime64[ms]"}).df["a"].iloc[0] == pd.Timestamp(
        "1970-01-01T00:00:01Z"
    )


@pytest.mark.parametrize(
    ("row", "time"),
    [
        ({"ts": 1763800000}, "ts"),
        ({"date": "2026-01-31"}, "date"),
        ({"date": "2026-01-31", "timestamp": 1763800000123}, "timestamp"),
        ({"time": 12}, None),
        ({"time": "noon"}, None),
        ({"when": 1763800000}, None),
    ],
)
def test_a_time_column_is_recognised_by_name_and_value(row, time):
    """A field must be named like a time and look like one."""
    frame = LiveFrame()
    frame.extend([row])
    assert frame.time == time


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": {"a": "flaot"}}, "column 'a' cannot be 'flaot': choose float64"),
        ({"schema": {"a": 5}}, "column 'a' cannot be '5'"),
        ({"schema": {}}, "a schema is a mapping"),
        ({"schema": ["a"]}, "a schema is a mapping"),
        ({"schema": {1: float}}, "column name 1 is not text"),
        ({"schema": {"a": float}, "key": "b"}, "key='b' is not in the schema: add it, or choose one of a"),
        ({"schema": {"a": float}, "time": "b"}, "time='b' is not in the schema"),
        ({"schema": {"a": float}, "key": "a"}, "a key is"),
        ({"schema": {"a": float}, "time": "a"}, 'declare it "datetime"'),
        ({"key": ("a", "b")}, "give one name as text"),
        ({"key": "a", "time": "a"}, "both the key and the time"),
    ],
)
def test_a_schema_that_does_not_hold_together_says_what_to_do(options, message):
    """Every mistake in a schema is a SchemaError with a way out."""
    with pytest.raises(SchemaError) as caught:
        LiveFrame(**options)
    assert message in str(caught.value)


def test_the_schema_of_one_frame_is_good_for_another():
    """A schema reads as a mapping and can be given to the next frame."""
    frame = LiveFrame(key="s")
    frame.extend([{"s": "x", "n": 1, "time": "2026-01-31", "t": "y", "ok": True, "f": 1.5}])
    again = LiveFrame(key="s", schema=frame.schema)
    assert again.schema == frame.schema == Schema(dict(frame.schema))
    assert again.time == "time"
    assert repr(Schema({"a": "int64"})) == "Schema({'a': 'int64'})"


def test_a_dtype_may_be_a_numpy_or_pandas_one():
    """Dtype objects are named by themselves."""
    frame = LiveFrame(schema={"a": np.dtype("int64"), "b": np.float64, "c": pd.CategoricalDtype()})
    assert list(frame.schema.values()) == ["int64", "float64", "category"]
