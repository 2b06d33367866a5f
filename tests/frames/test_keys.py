"""Keys as numbers that stay the same."""

import pytest

from rtwidgets.errors import SchemaError
from rtwidgets.frames import LiveFrame
from rtwidgets.frames.keys import Keys


def framed(rows, schema, **options):
    frame = LiveFrame(schema=schema, **options)
    frame.extend(rows)
    return frame.view()


@pytest.mark.parametrize(("dtype", "values"), [("category", "BAB"), (str, "BAB"), (int, [5, 3, 5])])
def test_the_same_key_has_the_same_number(dtype, values):
    """In columns of every kind that can be one, in every frame."""
    keys = Keys()
    first = framed([{"k": value} for value in values], {"k": dtype})
    assert keys.of(first, "k").tolist() == [0, 1, 0]
    other = framed([{"k": value} for value in [values[1], values[0]]], {"k": dtype})
    assert keys.of(other, "k").tolist() == [1, 0]
    assert len(keys) == 2


def test_rows_without_a_key():
    """Have -1, as have those of a column in which nothing has come."""
    keys = Keys()
    assert keys.of(framed([{"k": None}, {"k": "A"}], {"k": "category"}), "k").tolist() == [-1, 0]
    assert keys.of(framed([{"k": None}, {"k": "A"}], {"k": str}), "k").tolist() == [-1, 0]
    assert keys.of(framed([{"k": None}], {"k": float}), "k").tolist() == [-1]


def test_categories_that_come_later():
    """Are numbered when they come, in the same list."""
    keys, frame = Keys(), LiveFrame(key="k")
    for number, name in enumerate("ABC"):
        frame.extend([{"k": name}])
        assert keys.of(frame.view(after=number), "k").tolist() == [number]


def test_what_cannot_be_a_key():
    """Numbers that are not whole, times; and text here, numbers there."""
    with pytest.raises(SchemaError, match="'k' cannot be a key, for it is float64: choose a column of text"):
        Keys().of(framed([{"k": 1.5}], {"k": float}), "k")
    keys = Keys()
    keys.of(framed([{"k": 1}], {"k": int}), "k")
    with pytest.raises(SchemaError, match="the key 'k' is text here and a number there: declare it"):
        keys.of(framed([{"k": "1"}], {"k": str}), "k")
