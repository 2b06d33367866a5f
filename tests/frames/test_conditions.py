"""Conditions as text: what they may be, and for which rows they are true."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.conditions import Condition

SCHEMA = {
    "symbol": "category",
    "price": float,
    "size": int,
    "time": "datetime64[s]",
    "note": str,
    "halted": "boolean",
    "last-price": float,
    "from": int,
}


def framed(*rows, key="symbol", schema=SCHEMA):
    frame = LiveFrame(key=key, schema=schema)
    frame.extend(rows)
    return frame


def row(*values):
    return dict(zip(SCHEMA, values, strict=True))


ROWS = [
    row("A", 1.5, 1, 0, "a", True, 2.0, 7),
    row("B", None, 2, 1, None, None, 0.0, 0),
    row(None, 3.0, 3, None, "C", False, 0.0, 0),
]


def holds(text, frame=None):
    frame = framed(*ROWS) if frame is None else frame
    return Condition(text).holds(frame.view(), frame.schema).tolist()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("price > 1", [1, 0, 1]),
        ("1 < price <= 3", [1, 0, 1]),
        ("1 < price < 3 != size", [1, 0, 0]),
        ("price == 1.5 or size == 2", [1, 1, 0]),
        ("price > 1 and not size == 3", [1, 0, 0]),
        ("price * size > 2", [0, 0, 1]),
        ("(price + size) / 2 >= 1.25", [1, 0, 1]),
        ("-price < -2", [0, 0, 1]),
        ("size % 2 == +1", [1, 0, 1]),
        ("price / 0 > 1", [1, 0, 1]),
        ("price > 1e999", [0, 0, 0]),
        ("size < 99999999999999999999", [1, 1, 1]),
        ('symbol == "A"', [1, 0, 0]),
        ("'A' == symbol", [1, 0, 0]),
        ('symbol > "A"', [0, 1, 0]),
        ('"B" > symbol', [1, 0, 0]),
        ('note < "b"', [1, 0, 1]),
        ("note < symbol", [0, 0, 0]),
        ("symbol < note", [1, 0, 0]),
        ("halted", [1, 0, 0]),
        ("not halted", [0, 1, 1]),
        ("halted == False", [0, 0, 1]),
        ("halted or size == 3", [1, 0, 1]),
        ("True and halted", [1, 0, 0]),
        ('time > "1970-01-01T00:00:00.5"', [0, 1, 0]),
        ('"1970-01-01" == time', [1, 0, 0]),
        ("`last-price` == 2 and `from` == 7", [1, 0, 0]),
        ("`price` > 1", [1, 0, 1]),
        ("note == '`price`'", [0, 0, 0]),
        ("  price > 1\n  and size < 2", [1, 0, 0]),
    ],
)
def test_what_is_true(text, wanted):
    """Columns, numbers, text, times, comparisons, reckoning; what is missing makes a comparison false."""
    assert holds(text) == [bool(each) for each in wanted]


@pytest.mark.parametrize("text", ["price != 1.5", 'symbol != "A"', 'note != "a"', "halted != True"])
def test_what_is_missing_is_not_other_than_something(text):
    """Neither equal nor not equal: the second row has none, the third one has another."""
    rows = [ROWS[0], ROWS[1], ROWS[2] | {"symbol": "C"}]
    rows[1] = rows[1] | {"symbol": None}
    assert holds(text, framed(*rows)) == [False, False, True]


def test_whole_numbers_are_compared_exactly():
    """Also those that float64 cannot tell apart."""
    frame = framed({"n": 2**53}, {"n": 2**53 + 1}, key=None, schema={"n": int})
    assert holds(f"n > {2**53}", frame) == [False, True]
    assert holds(f"n == {2**53 + 1}", frame) == [False, True]


def test_a_key_may_be_a_number():
    """Its categories are numbers, then, of which some may be missing."""
    frame = framed({"id": 7}, {"id": None}, {"id": 9}, key="id", schema={"id": int})
    assert holds("id > 7", frame) == [False, False, True]
    assert holds("id + 1 == 8", frame) == [True, False, False]


def test_more_categories_than_rows():
    """Text is compared by row then, with the same result."""
    frame = framed(*(ROWS[0] | {"symbol": f"S{n}"} for n in range(50)))
    condition = Condition('symbol == "S49" or symbol < "S1"')
    assert condition.holds(frame.view(after=48), frame.schema).tolist() == [False, True]
    assert condition.holds(frame.view(after=0), frame.schema).tolist() == [True] + [False] * 48 + [True]


def test_no_rows_are_no_result():
    """A condition can be checked before there are rows."""
    assert holds("price > 1 and note == symbol and 2 > 1", framed()) == []


def test_a_column_in_which_nothing_has_come_may_become_anything():
    """It is missing, so that the comparison is false; not an error."""
    frame = LiveFrame()
    frame.extend([{"a": None, "b": 1}])
    assert frame.schema["a"] == "float64"
    assert holds('a == "x" or a > "2026-01-01" or a == b', frame) == [False]


def test_its_columns_are_named():
    """Once each, in the order in which they appear."""
    assert Condition('b > 1 and `a-b` == "c" and b < 2').columns == ("b", "a-b")
    assert repr(Condition(" b > 1 ")) == "Condition('b > 1')"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "price.real > 1",
        "price.__class__ == 1",
        "price[0] > 1",
        "abs(price) > 1",
        "@price > 1",
        "price ** 2 > 1",
        "price // 2 > 1",
        "price > 1 & size > 2",
        "~halted",
        "price in (1, 2)",
        "price is 1",
        "price if size else time",
        "(lambda: price)()",
        "[price for price in size]",
        "[price] > [1]",
        "{price}",
        "price > None",
        "price > 1j",
        "price > ...",
        "note == b'a'",
        'f"{note}" == "a"',
        "(price := 1) > 0",
        "*price",
        "await price",
    ],
)
def test_nothing_else_is_taken(text):
    """No calls, no attributes, nothing that runs: the error names what there is."""
    with pytest.raises(UsageError, match=r"is not a condition|has no place in a condition"):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not a condition: .*write one such as 'price > 150"),
        ("price >", "'price >' is not a condition"),
        ("price = 5", "'price = 5' is not a condition"),
        ("from > 1", "a column that is no plain word in `backticks`"),
        ("price > 1\x00", "is not a condition"),
        (5, "5 is not a condition"),
        (None, "None is not a condition"),
        ("1 < 2", "names no column"),
        ("price + 1", r"price \+ 1 is no condition: compare it with something"),
        ("price > 1 and 'a'", "'a' is no condition"),
        ("not -price", "-price is no condition"),
        ("price > 1 and" + " " * 1_000 + "size > 1", "1000 characters at the most"),
        ("not " * 60 + "halted", "more than 50 deep"),
        ("-" * 900 + "price > 1", "more than 50 deep"),
        ("(" * 450 + "price > 1" + ")" * 450, "is not a condition"),
        ("+".join(["price"] * 100) + " > 1", "more than 50 deep"),
    ],
)
def test_what_is_no_condition(text, words):
    """The sentence says what is wrong, and what one looks like."""
    with pytest.raises(UsageError, match=words):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope > 1", "no column 'nope': choose from symbol, price, size, time, .*; text goes in quotes"),
        ("symbol == A", "no column 'A'"),
        ("price > 'a'", "price is a number and 'a' is text: they cannot be compared"),
        ("note > 1", "note is text and 1 is a number"),
        ("time > 5", "time is a time and 5 is a number"),
        ("time > 'soon'", "'soon' is no time: write one such as"),
        ("time > note", "text cannot be compared with a time"),
        ("halted > 1", "halted is true or false and 1 is a number"),
        ("(price > 1) > 1", "they cannot be compared"),
        ("note + 1 > 2", "note is text: reckon with numbers only"),
        ("-halted < 1", "halted is true or false: reckon with numbers only"),
        ("price and halted", "price is a number and no condition"),
        ("note", "note is text and no condition"),
    ],
)
def test_what_does_not_fit_the_columns(text, words):
    """Is named, with what there is."""
    with pytest.raises(SchemaError, match=words):
        holds(text)


NUMBERS = st.sampled_from(["a", "b", "2", "0.5", "-1"])
SUMS = st.recursive(NUMBERS, lambda part: st.tuples(part, st.sampled_from("+-*%"), part).map(
    lambda parts: f"({' '.join(parts)})"
), max_leaves=4)  # fmt: skip
COMPARED = st.tuples(SUMS, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), SUMS).map(" ".join)
TEXTS = st.tuples(st.sampled_from(["s", "t", '"x"']), st.sampled_from(["<", "==", "!=", ">="]), st.just("s"))
CONDITIONS = st.recursive(
    COMPARED | TEXTS.map(" ".join) | st.just("h"),
    lambda part: (
        st.tuples(part, st.sampled_from(["and", "or"]), part).map(lambda parts: f"({' '.join(parts)})")
        | part.map(lambda text: f"(not {text})")
    ),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    {
        "a": st.integers(-3, 3),
        "b": st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0]),
        "s": st.sampled_from("xyz"),
        "t": st.sampled_from("xyz"),
        "h": st.booleans(),
    }
)


@settings(deadline=None)
@given(text=CONDITIONS, rows=st.lists(VALUES, min_size=1, max_size=8))
def test_it_means_what_it_means_in_python(text, rows):
    """Row by row, where nothing is missing and nothing is divided by zero."""
    schema = {"a": int, "b": float, "s": "category", "t": str, "h": bool}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = [bool(eval(f"{text} and (a, b, s, t, h)", {}, each)) for each in rows]
    except ZeroDivisionError:
        return
    condition = f"{text} and a == a"
    assert holds(condition, framed(*rows, key="s", schema=schema)) == wanted
