import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.client.paths import UNREADABLE, Probe, at, steps
from rtwidgets.errors import UsageError

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2)
MESSAGES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0", "-1"]), inner)
    ),
    max_leaves=12,
)
PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "0", "1", "-1"]), min_size=1, max_size=3), min_size=1, max_size=3
)


@settings(deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=5), PATHS)
def test_a_probe_finds_what_is_found_in_the_decoded_message(messages, paths):
    """For objects and lists of any shape, and for several paths at once, some of which begin alike."""
    encoded = [json.dumps(message).encode() for message in messages]
    assert Probe(paths).values(encoded) == [[at(message, path) for message in messages] for path in paths]


def test_messages_that_msgspec_does_not_read():
    """What Python's JSON reads is read; the rest has `UNREADABLE` everywhere; neither hurts the others."""
    messages = [b'{"a":1,"b":NaN}', b"nonsense", b'{"a":2}', b"[" * 100_000, b"", b'{"a":3},{"a":4}']
    (a, b) = Probe([["a"], ["b"]]).values(messages)
    assert a == [1, UNREADABLE, 2, UNREADABLE, UNREADABLE, UNREADABLE]
    assert b[0] != b[0]


def test_pieces_in_lists_that_msgspec_does_not_read():
    """Likewise."""
    assert Probe([["0", "a"]]).values([b'[{"a":1}]', b'[{"a":2,"b":NaN}]']) == [[1, 2]]


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "items()", "a.x()", 5, None])
def test_what_is_no_path(path):
    """The sentence says what was written, and how to write it."""
    with pytest.raises(
        UsageError, match=r"by=x is not a path: write names, .* such as 'data\.symbol' or '-1'"
    ):
        steps(path, "by=x")
