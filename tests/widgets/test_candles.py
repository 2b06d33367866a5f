"""Which candles a chart sends to the browser."""

from collections.abc import Iterator

import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.errors import SchemaError
from rtwidgets.frames import LiveFrame
from rtwidgets.widgets import Candles
from rtwidgets.widgets.candles import SHOWN
from tests.waiting import until
from tests.widgets.browser import Browser

START = 1_700_000_000


def tick(second: float, price: float, symbol: str = "a") -> dict:
    return {"symbol": symbol, "price": price, "name": "x", "time": START + second}


@pytest.fixture(autouse=True)
def nothing_left(tidy: None) -> Iterator[None]:
    """No widget is left, nor a thread, nor an error."""
    before = set(_instances)
    yield
    assert set(_instances) == before


@pytest.fixture
def show() -> Iterator:
    made = []

    def show(frame: LiveFrame, *arguments: str, **options: object):
        chart = Candles(frame, *arguments, **options)
        made.append(chart)
        return chart, Browser(chart)

    yield show
    for chart in made:
        chart.close()


@pytest.fixture
def frame() -> LiveFrame:
    frame = LiveFrame(key="symbol", time="time")
    frame.extend([tick(0, 2.0), tick(0.5, 3.0), tick(1, 5.0), tick(1, 9.0, "b")])
    return frame


def test_open_candle_changes_in_place_and_only_what_changed_crosses(frame: LiveFrame, show) -> None:
    """A row of the open candle changes it, one of the next span adds another; closed candles stay at home."""
    _, browser = show(frame)
    until(lambda: browser.values == {"a": [[2.0, 3.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]]})
    frame.extend([tick(1.5, 4.0)])
    until(lambda: browser.values["a"][1:] == [[5.0, 5.0, 4.0, 4.0]])
    frame.extend([tick(2, 6.0)])
    until(lambda: browser.values["a"][2:] == [[6.0, 6.0, 6.0, 6.0]])
    assert browser.lines["a"][0] == [(START + n) * 1000.0 for n in range(3)]
    assert [(sent.rows, sent.payload) for sent in browser.news] == [(1, 40), (1, 40)]


def test_row_that_comes_late_changes_its_own_candle(frame: LiveFrame, show) -> None:
    """A late row belongs to the candle of its time, and that candle alone crosses."""
    _, browser = show(frame)
    until(lambda: browser.full == 1)
    frame.extend([tick(0.2, 1.0)])
    until(lambda: browser.values["a"][0] == [2.0, 3.0, 1.0, 1.0])
    assert [sent.rows for sent in browser.news] == [1]


def test_another_key_may_be_shown(frame: LiveFrame, show) -> None:
    """A key's candles are its own rows', and those of other keys send none."""
    _, browser = show(frame, "1s", key="b")
    until(lambda: browser.values == {"b": [[9.0] * 4]})
    frame.extend([tick(1.2, 1.0)])
    frame.extend([tick(1.3, 10.0, "b")])
    until(lambda: browser.values == {"b": [[9.0, 10.0, 9.0, 10.0]]})
    assert sum(sent.rows for sent in browser.news) == 1


def test_newest_candles_are_shown_and_the_past_may_be(show) -> None:
    """Of many candles the newest go out; a place in the past shows those up to it."""
    frame = LiveFrame(time="time")
    frame.extend([tick(n, float(n)) for n in range(1_000)])
    chart, browser = show(frame)
    until(lambda: browser.full == 1)
    assert [bar[0] for bar in browser.values["price"]] == [float(n) for n in range(1_000 - SHOWN, 1_000)]
    chart.at = (START + 500) * 1000.0
    until(lambda: browser.values["price"][-1][0] == 500.0)
    assert browser.range == [START * 1000.0, (START + 999) * 1000.0]


def test_more_new_candles_than_are_shown_go_as_a_whole(show) -> None:
    """A leap in time that leaves no shown candle in its place is sent as a full frame."""
    frame = LiveFrame(time="time")
    frame.extend([tick(0, 0.0)])
    _, browser = show(frame)
    until(lambda: browser.full == 1)
    frame.extend([tick(n, float(n)) for n in range(1, 1_000)])
    until(lambda: browser.full == 2)
    assert len(browser.values["price"]) == SHOWN


def test_candles_of_a_frame_with_no_rows_wait_for_them(show) -> None:
    """Candles may be asked for before the first row."""
    frame = LiveFrame(key="symbol", time="time")
    _, browser = show(frame)
    frame.extend([tick(0, 1.0)])
    until(lambda: browser.values == {"a": [[1.0] * 4]})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"every": "soon"}, "every='soon' is not a duration"),
        ({"price": "prize"}, "no column 'prize' to draw; columns of numbers: price"),
        ({"key": "z"}, "there is no symbol 'z'; there is: a, b"),
    ],
)
def test_candles_that_cannot_be_drawn_are_refused(frame: LiveFrame, options: dict, sentence: str) -> None:
    """What is wrong is an error that names the choice, and leaves no widget behind."""
    with pytest.raises(SchemaError, match=sentence):
        Candles(frame, **options)


def test_candles_need_times() -> None:
    """A frame with rows and no time is refused at once."""
    frame = LiveFrame()
    frame.extend([{"price": 1.0}])
    with pytest.raises(SchemaError, match="need a time column"):
        Candles(frame)
