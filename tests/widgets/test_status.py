"""The status widget."""

from ipywidgets.widgets.widget import _instances

from rtwidgets.loop import report, take_errors
from rtwidgets.widgets import Line, Status
from tests.waiting import until

LINES = [
    Line("server", "prices", "running", "ws://127.0.0.1:1 <b>"),
    Line("stream", "prices", "open", "rows: 7"),
]


def test_text_is_short_and_leaves_out_what_changes() -> None:
    """As text the status has names and states, and neither addresses nor counts."""
    status = Status(lambda: LINES)
    try:
        assert repr(status) == "rtwidgets: healthy\n  server   prices: running\n  stream   prices: open"
    finally:
        status.close()


def test_background_error_is_shown_until_it_is_taken() -> None:
    """An error on the background loop appears in the widget with its place and its sentence, escaped."""
    status = Status(lambda: LINES)
    try:
        until(lambda: "rows: 7" in status.value)
        assert "ws://127.0.0.1:1 &lt;b&gt;" in status.value
        report("service /x", ValueError("no <air>"))
        until(lambda: "ValueError: no &lt;air&gt;" in status.value)
        assert "1 background error, see rt.health()" in repr(status)
        take_errors()
        until(lambda: "no &lt;air&gt;" not in status.value)
    finally:
        status.close()


def test_closing_leaves_no_widget() -> None:
    """A closed status leaves none of its models behind."""
    before = set(_instances)
    status = Status(list)
    status.close()
    status.close()
    assert set(_instances) == before
