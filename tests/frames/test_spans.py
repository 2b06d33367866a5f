"""Spans of time as users write them."""

import datetime as dt

import pytest

from rtwidgets.errors import UsageError
from rtwidgets.frames.spans import span


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1s", 1), ("500ms", 0.5), ("1.5 min", 90), ("2h", 7_200), (dt.timedelta(seconds=3), 3)],
)
def test_what_a_span_is(written, seconds):
    """In nanoseconds."""
    assert span(written, "every") == seconds * 10**9


@pytest.mark.parametrize("written", ["", "soon", "5", 5, None, "-1s", "1 fortnight", "99999999999h"])
def test_what_is_none(written):
    """The sentence names the argument, and shows what one looks like."""
    with pytest.raises(UsageError, match=r"every=.* is no span of time: write one such as \"500ms\""):
        span(written, "every")


def test_what_is_too_short():
    """None may be nothing, unless that is allowed."""
    with pytest.raises(UsageError, match="every='0s' is too short"):
        span("0s", "every")
    assert span("0s", "lateness", least=0) == 0
