import json

import msgspec
import numpy as np
import pytest

from rtwidgets.client import Intake, Records
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame


def rows(message, path=None, **options):
    return list(Records(path, **options).rows(message))


@pytest.mark.parametrize(
    ("path", "options", "message", "expected"),
    [
        (None, {}, {"a": 1}, [{"a": 1}]),
        (None, {}, [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        (None, {}, [], []),
        (None, {}, [1, "x"], [{"0": 1, "1": "x"}]),
        (None, {"columns": ["t", "p"]}, [1, 2], [{"t": 1, "p": 2}]),
        (None, {"columns": ["t", "p"]}, [[1, 2], [3, 4]], [{"t": 1, "p": 2}, {"t": 3, "p": 4}]),
        ("data", {}, {"data": {"a": 1}}, [{"a": 1}]),
        (
            "data",
            {},
            {"id": 7, "x": [1], "data": [{"a": 1}, {"a": 2}]},
            [{"id": 7, "a": 1}, {"id": 7, "a": 2}],
        ),
        ("data", {}, {"id": 7, "data": {"id": 8}}, [{"id": 8}]),
        ("data.items", {}, {"id": 1, "data": {"n": 2, "items": [{"a": 3}]}}, [{"id": 1, "n": 2, "a": 3}]),
        ("1.rows", {"columns": ["p"]}, ["x", {"rows": [[1], [2]]}], [{"p": 1}, {"p": 2}]),
        ("-1", {}, [1, {"a": 2}], [{"a": 2}]),
        (
            "1",
            {"columns": ["price", "volume"], "beside": {"pair": "-1", "channel": "-2"}},
            [7, [["1.5", "2"], ["1.6", "3"]], "trade", "XBT/USD"],
            [
                {"pair": "XBT/USD", "channel": "trade", "price": "1.5", "volume": "2"},
                {"pair": "XBT/USD", "channel": "trade", "price": "1.6", "volume": "3"},
            ],
        ),
        ("-1", {"beside": {"first": "0"}}, [1, {"a": 2}], [{"first": 1, "a": 2}]),
        (
            None,
            {"beside": {"b": "a.0.b", "none": "a.5", "a": "c"}},
            {"a": [{"b": 1}]},
            [{"b": 1, "none": None, "a": None}],
        ),
        (
            None,
            {"beside": {"first": "0.a"}},
            [{"a": 1}, {"a": 2}],
            [{"first": 1, "a": 1}, {"first": 1, "a": 2}],
        ),
        (
            "d.items()",
            {"beside": {"t": "at", "value": "x"}},
            {"at": 5, "x": 6, "d": {"A": 1}},
            [{"at": 5, "x": 6, "t": 5, "value": 6, "key": "A"}],
        ),
        ("items()", {}, {"A": 1.5, "B": 2}, [{"key": "A", "value": 1.5}, {"key": "B", "value": 2}]),
        ("items()", {"key": "symbol"}, {"A": {"p": 1}}, [{"symbol": "A", "p": 1}]),
        ("items()", {}, {}, []),
        ("d.items()", {}, {"t": 5, "d": {"A": 1}}, [{"t": 5, "key": "A", "value": 1}]),
    ],
)
def test_where_rows_are(path, options, message, expected):
    """A path leads to an object, a list of objects, lists, or the entries of an object."""
    assert rows(message, path, **options) == expected


@pytest.mark.parametrize(
    ("path", "message", "sentence"),
    [
        ("data", {"a": 1}, "there is no 'data' in an object with a"),
        ("data", [1], "there is no 'data' in a list"),
        ("5", [1], "there is no '5' in a list"),
        ("data", "text", "there is no 'data' in text"),
        ("data", None, "there is no 'data' in null"),
        ("data.x", {"data": 5}, "there is no 'x' in a number"),
        ("items()", [1], "needs an object there, not a list"),
        (None, 5, "a row is an object or a list, not a number"),
        (None, True, "not true or false"),
        (None, [{"a": 1}, 5], "not a number"),
        ("data", {"data": None}, "not null"),
    ],
)
def test_messages_without_rows(path, message, sentence):
    """The sentence says what is there instead."""
    with pytest.raises(UsageError, match=r"records=|where the rows are") as caught:
        rows(message, path)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "items().a", "x()", "a.items().b", "keys()"])
def test_what_is_no_path(path):
    """The sentence shows how to write one."""
    with pytest.raises(UsageError, match=r"write 'data\.items'"):
        Records(path)


@pytest.mark.parametrize("beside", [{"pair": ""}, {"pair": "a..b"}, {"pair": "items()"}, {"pair": 1}, "pair"])
def test_what_cannot_stand_beside(beside):
    """The sentence shows how to write it."""
    with pytest.raises(UsageError, match=r"beside=.*(write names, or places|\{\"pair\": \"-1\"\})"):
        Records(None, beside=beside)


# Into a frame


def intake(*, where=None, records=None, **frame):
    return Intake(LiveFrame(**frame), where=where, records=records)


def test_flat_objects():
    """Each becomes a row."""
    taker = intake()
    taker.messages([b'{"a":1}', b' {"a":2}', b'{"a":3}'], 0)
    assert list(taker.frame.df["a"]) == [1, 2, 3]


def test_where_takes_some():
    """Messages that have all the fields with the values; the others are counted, whatever they are."""
    taker = intake(where={"type": "match", "n": 1})
    taker.messages(
        [
            b'{"type":"match","n":1,"a":1}',
            b'{"type":"match","n":2,"a":2}',
            b'{"type":"status"}',
            b"[1]",
            b'"text"',
            b"{}",
            b'{"a":3,"n":1,"type":"match"}',
        ],
        0,
    )
    assert list(taker.frame.df["a"]) == [1, 3]
    assert taker.skipped == 5
    assert taker.frame.rejected_count == 0


def test_where_goes_by_paths():
    """Into objects and lists; what has nothing there is not taken, and null is the same as nothing."""
    messages = [
        b'{"a":{"b":[1,{"c":"x"}]}}',
        b'[1,"trade","P"]',
        b"[1]",
        b"5",
        b'{"a":5}',
        b'{"a":{"b":{"-1":{"c":"x"}}}}',
    ]
    for where, taken in [
        ({"a.b.-1.c": "x"}, [0, 5]),
        ({"a.b.0": 1}, [0]),
        ({"-2": "trade"}, [1]),
        ({"0": 1, "a.b": None}, [1, 2]),
        ({"a": 5}, [4]),
    ]:
        taker = intake(where=where)
        assert taker._choose(messages) == taken
        assert taker._choose([*messages, b"nonsense"]) == [*taken, 6]
    with pytest.raises(UsageError, match=r"where=\{'a\.\.b': …\} is not a path"):
        intake(where={"a..b": 1})


def test_rows_of_lists_with_what_stands_beside_them():
    """Each has the value of its own message, and goes on having it when the messages come in one batch."""
    taker = intake(
        where={"-2": "trade"}, records=Records("1", columns=["price"], beside={"pair": "-1"}), key="pair"
    )
    taker.messages(
        [b'[0,[["1.5"],["1.6"]],"trade","A/B"]', b'{"event":"heartbeat"}', b'[1,[["2.5"]],"trade","C/D"]'], 0
    )
    assert list(taker.frame.df["pair"]) == ["A/B", "A/B", "C/D"]
    assert list(taker.frame.df["price"]) == [1.5, 1.6, 2.5]
    assert taker.skipped == 1


@pytest.mark.parametrize("where", [None, {"type": "x"}])
@pytest.mark.parametrize(
    "bad", [b"", b"hello", b'{"type":"x","a":', b'{"type":"x","a":"\xff"}', b'{"a":' + b"[" * 100_000]
)
def test_what_is_no_json_is_rejected(bad, where):
    """With its reason; the messages beside it are taken."""
    taker = intake(where=where)
    taker.messages([b'{"type":"x","a":1}', bad, b'{"type":"x","a":2}'], 0)
    assert list(taker.frame.df["a"]) == [1, 2]
    assert taker.frame.rejected_count == 1
    taker.messages([bad], 0)
    assert taker.frame.rejected_count == 2


@pytest.mark.parametrize("records", [None, "data", "items()"])
def test_deep_json_ends_nothing(records):
    """It is rejected like anything else that cannot be read."""
    taker = intake(records=Records(records))
    taker.messages([b"[" * 100_000 + b"]" * 100_000], 0)
    taker.messages([b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"], 0)
    taker.run(msgspec.Raw(b"[" + b"[" * 100_000 + b"]" * 100_000 + b"]"), np.array([1]), 0.0)
    assert taker.frame.rejected_count >= 2


def test_numbers_that_python_writes():
    """NaN and Infinity are no JSON, but Python servers send them."""
    taker = intake(where={"type": "x"}, records=Records("rows"))
    taker.messages([b'{"type":"x","rows":[{"a":NaN},{"a":Infinity},{"a":1.5}]}'], 0)
    assert len(taker.frame) == 3
    assert taker.frame.df["a"].isna().sum() == 1


def test_a_message_without_rows_is_rejected():
    """With the sentence of `Records`."""
    taker = intake(records=Records("data"))
    taker.messages([b'{"data":{"a":1}}', b'{"dat":1}'], 0)
    assert len(taker.frame) == 1
    assert "there is no 'data'" in taker.frame.rejected["reason"].iloc[0]


# Runs of a channel


def test_a_run():
    """Each row has its offset."""
    taker = intake()
    taker.run(msgspec.Raw(b'[{"a":1},{"a":2}]'), np.array([5, 6]), 1e12)
    assert list(taker.frame.df["offset"]) == [5, 6]


@pytest.mark.parametrize("times", [1e12, [1e12, 1e12 + 1, 1e12 + 2]])
@pytest.mark.parametrize("path", [None, "d"])
def test_a_run_of_which_some_is_known(times, path):
    """The rest is taken, with its own offsets and times."""
    taker = intake(records=Records(path))
    row = {"a": 1} if path is None else {"d": {"a": 1}}
    taker.run(msgspec.Raw(json.dumps([row] * 3).encode()), np.array([5, 6, 7]), times, 1)
    assert list(taker.frame.df["offset"]) == [6, 7]
    whole = intake(records=Records(path))
    whole.run(msgspec.Raw(json.dumps([row] * 3).encode()), np.array([5, 6, 7]), times)
    assert list(whole.frame.df["time"])[1:] == list(taker.frame.df["time"])


def test_rows_of_one_message_share_its_offset():
    """Where a message has several."""
    taker = intake(records=Records("items()"))
    taker.run(msgspec.Raw(b'[{"A":1,"B":2},{"A":3}]'), np.array([1, 2]), [1e12, 1e12 + 1])
    assert list(taker.frame.df["offset"]) == [1, 1, 2]
    assert list(taker.frame.df["key"]) == ["A", "B", "A"]


def test_where_in_a_run():
    """What is not taken leaves a hole in the offsets, and no gap."""
    taker = intake(where={"k": 1})
    taker.run(msgspec.Raw(b'[{"k":1},{"k":2},5,{"k":1}]'), np.array([1, 2, 3, 4]), 1e12)
    assert list(taker.frame.df["offset"]) == [1, 4]
    assert taker.skipped == 2
    assert np.issubdtype(taker.frame.df["offset"].dtype, np.integer)
