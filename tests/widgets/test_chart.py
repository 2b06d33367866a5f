"""What a chart sends to the browser, and what it leaves behind; how it looks is seen in Lab."""

from collections.abc import Iterator

import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import peek_errors, take_errors
from rtwidgets.widgets import Chart
from tests.waiting import until
from tests.widgets.browser import Browser

START = 1_700_000_000


def tick(second: float, price: float | None, symbol: str = "a") -> dict:
    return {"symbol": symbol, "price": price, "name": "x", "time": START + second}


@pytest.fixture
def frame() -> LiveFrame:
    frame = LiveFrame(key="symbol", time="time")
    frame.extend([tick(0, 1.0), tick(1, 2.0, "b")])
    return frame


@pytest.fixture(autouse=True)
def nothing_left(tidy: None) -> Iterator[None]:
    """Each test closes what it made: no widget is left, nor a thread, nor an error."""
    before = set(_instances)
    yield
    assert set(_instances) == before


@pytest.fixture
def charts() -> Iterator[list[Chart]]:
    """Charts that are closed in the end."""
    made: list[Chart] = []
    yield made
    for chart in made:
        chart.close()


@pytest.fixture
def show(charts: list[Chart]):
    def show(frame: LiveFrame, column: str = "price", *, silent: bool = False, **options: object):
        chart = Chart(frame, column, **options)
        charts.append(chart)
        return chart, Browser(chart, silent=silent)

    return show


def test_new_rows_reach_the_browser(frame: LiveFrame, show) -> None:
    """A row that the frame takes is soon a point of its key's line."""
    _, browser = show(frame)
    until(lambda: browser.values == {"a": [1.0], "b": [2.0]})
    frame.extend([tick(2, 3.0), tick(3, 4.0, "c")])
    until(lambda: browser.values == {"a": [1.0, 3.0], "b": [2.0], "c": [4.0]})
    assert browser.lines["a"][0] == [START * 1000.0, (START + 2) * 1000.0]


@pytest.mark.parametrize("window", [None, 60.0])
def test_only_new_rows_cross(window: float | None, show) -> None:
    """After the first frame a point costs 16 bytes, however many are shown, and a frame 400 more."""
    frame = LiveFrame(key="symbol", time="time")
    symbols = [f"s{n}" for n in range(20)]
    frame.extend([tick(n / 100, 1.0, symbols[n % 20]) for n in range(5_000)])
    _, browser = show(frame, window=window)
    until(lambda: browser.full == 1)
    before = browser.rows
    for batch in range(5):
        frame.extend([tick(50 + batch + n / 100, 1.0, symbols[n % 20]) for n in range(40)])
        until(lambda batch=batch: browser.rows >= before + 40 * (batch + 1))
    assert browser.full == 1
    assert sum(sent.rows for sent in browser.news) == 200
    for sent in browser.news:
        assert sent.payload <= 16 * sent.rows
        assert sent.content <= 400


def test_paused_chart_gets_one_window_and_nothing_more_until_it_goes_on(frame: LiveFrame, show) -> None:
    """Pausing sends the window once; what came meanwhile is there when the chart goes on."""
    chart, browser = show(frame)
    until(lambda: browser.full == 1)
    chart.paused = True
    assert chart.at == (START + 1) * 1000.0
    until(lambda: browser.full == 2)
    frame.extend([tick(2, 3.0)])
    # Another chart of the frame shows that the clock goes on meanwhile.
    _, other = show(frame, window=None)
    until(lambda: other.values == {"a": [1.0, 3.0], "b": [2.0]})
    assert browser.values == {"a": [1.0], "b": [2.0]}
    assert chart.paused
    chart.paused = False
    until(lambda: browser.values == {"a": [1.0, 3.0], "b": [2.0]})
    assert [sent.full for sent in browser.frames] == [True, True, True]


def test_place_and_window_may_be_chosen(show) -> None:
    """Another window, and one that ends in the past, each come as a full frame with those rows."""
    frame = LiveFrame(key="symbol", time="time")
    frame.extend([tick(n, float(n)) for n in range(100)])
    chart, browser = show(frame, window=None)
    until(lambda: len(browser.values.get("a", [])) == 100)
    assert browser.range == [START * 1000.0, (START + 99) * 1000.0]
    chart.window = 10.0
    until(lambda: browser.values["a"] == [float(n) for n in range(89, 100)])
    chart.at = (START + 50) * 1000.0
    until(lambda: browser.values["a"] == [float(n) for n in range(40, 51)])
    assert browser.full == 3


def test_window_may_be_all_or_any_number_of_seconds(frame: LiveFrame, show) -> None:
    """The window that was asked for is among those to choose from, whether the list had it or not."""
    for window, label in ((None, "all"), (60.0, "1 min"), (7.5, "7.5 s")):
        chart, _ = show(frame, window=window)
        assert chart.window == window
        assert (label, window) in chart._feeder.windows


def test_lost_frame_is_made_good(frame: LiveFrame, show) -> None:
    """When the browser misses a number it says so and gets the whole."""
    _, browser = show(frame)
    until(lambda: browser.full == 1)
    browser.losing = 1
    frame.extend([tick(2, 3.0)])
    until(lambda: browser.losing == 0)
    frame.extend([tick(3, 4.0)])
    until(lambda: browser.values == {"a": [1.0, 3.0, 4.0], "b": [2.0]})
    assert browser.full == 2


def test_slow_browser_is_not_sent_more_than_it_draws(frame: LiveFrame, show) -> None:
    """With two frames unanswered the chart waits; after an answer all that came goes as one frame."""
    _, browser = show(frame, silent=True)
    until(lambda: browser.full == 1)
    frame.extend([tick(2, 3.0)])
    until(lambda: len(browser.frames) == 2)
    _, other = show(frame)
    for n in range(3, 8):
        frame.extend([tick(n, float(n))])
        until(lambda n=n: float(n) in other.values.get("a", []))
    assert len(browser.frames) == 2
    browser.silent = False
    browser.say(painted=2)
    until(lambda: browser.values["a"] == [1.0, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert [sent.rows for sent in browser.frames] == [2, 1, 5]


def test_nothing_is_sent_while_nobody_looks(frame: LiveFrame, show) -> None:
    """A chart out of sight is sent nothing, and a full frame when it is seen again."""
    _, browser = show(frame)
    until(lambda: browser.full == 1)
    browser.say(visible=False)
    until(lambda: not browser._feeder._said)
    _, other = show(frame)
    frame.extend([tick(2, 3.0)])
    until(lambda: other.values == {"a": [1.0, 3.0], "b": [2.0]})
    assert len(browser.frames) == 1
    browser.say(visible=True)
    until(lambda: browser.values == {"a": [1.0, 3.0], "b": [2.0]})
    assert browser.full == 2


def test_second_page_gets_the_whole(frame: LiveFrame, show) -> None:
    """A page that is reloaded says hello and sees all of the window."""
    chart, browser = show(frame)
    until(lambda: browser.full == 1)
    second = Browser(chart, name="two")
    until(lambda: second.values == {"a": [1.0], "b": [2.0]})
    assert second.full == 1


def test_stopped_chart_keeps_its_last_picture(frame: LiveFrame, show) -> None:
    """`stop` sends the rest, nothing after it is drawn, and stopping twice is harmless."""
    chart, browser = show(frame)
    until(lambda: browser.full == 1)
    frame.extend([tick(2, 3.0)])
    chart.stop()
    chart.stop()
    assert browser.values == {"a": [1.0, 3.0], "b": [2.0]}
    frame.extend([tick(3, 4.0)])
    _, other = show(frame)
    until(lambda: other.values == {"a": [1.0, 3.0, 4.0], "b": [2.0]})
    assert browser.values == {"a": [1.0, 3.0], "b": [2.0]}
    assert chart._feeder.stopped
    assert not chart.closed


def test_closing_leaves_no_widget(frame: LiveFrame) -> None:
    """Every widget that a chart has made is closed with it, and closing twice is harmless."""
    before = set(_instances)
    chart = Chart(frame, "price", by="name")
    browser = Browser(chart)
    until(lambda: browser.values == {"x": [1.0, 2.0]})
    chart.close()
    chart.close()
    assert set(_instances) == before
    assert chart.closed


def test_frame_without_times_is_drawn_against_row_numbers(show) -> None:
    """A frame used with no stream and no time column gets a chart too."""
    frame = LiveFrame()
    frame.extend([{"price": 1.0}, {"price": 5.0}])
    chart, browser = show(frame, window=None)
    until(lambda: browser.lines == {"price": ([0.0, 1.0], [1.0, 5.0])})
    assert not chart._feeder.timed
    assert chart._feeder.x_axis.label == "row"


def test_chart_of_a_frame_with_no_rows_waits_for_them(show) -> None:
    """A chart may be asked for before the first row; pausing it then is harmless."""
    frame = LiveFrame(key="symbol", time="time")
    chart, browser = show(frame)
    chart.paused = True
    assert not chart.paused
    until(lambda: not browser._feeder._said)
    assert browser.frames == []
    frame.extend([tick(0, 1.0)])
    until(lambda: browser.values == {"a": [1.0]})


def test_rows_that_were_all_rejected_are_told_of(show) -> None:
    """A frame that has only turned rows away has no error; the chart says how many."""
    frame = LiveFrame(key="symbol", time="time")
    chart, _ = show(frame)
    frame.reject("?", "no row")
    until(lambda: "1 rejected" in chart._feeder.notice)
    assert peek_errors() == []


def test_column_of_nothing_but_missing_numbers_is_told_of(show) -> None:
    """A chart with rows and no line says why, until there is one."""
    schema = {"symbol": "category", "price": float, "time": "datetime"}
    frame = LiveFrame(key="symbol", time="time", schema=schema)
    frame.extend([tick(0, None), tick(1, float("inf"))])
    chart, browser = show(frame)
    until(lambda: chart._feeder.notice == "no numbers in 'price' yet")
    assert browser.values == {}
    frame.extend([tick(2, 1.0)])
    until(lambda: chart._feeder.notice == "" and browser.values == {"a": [1.0]})


def test_lines_that_are_not_drawn_are_told_of(show) -> None:
    """With more keys than lines the chart says how many of them it draws."""
    frame = LiveFrame(key="symbol", time="time")
    frame.extend([tick(n, 1.0, f"s{n}") for n in range(30)])
    chart, browser = show(frame)
    until(lambda: browser.full == 1)
    assert list(browser.lines) == [f"s{n}" for n in range(10, 30)]
    until(lambda: chart._feeder.notice == "20 of 30 lines drawn")


@pytest.mark.parametrize(
    ("column", "by", "sentence"),
    [
        ("prize", None, "no column 'prize' to draw; columns of numbers: price"),
        ("name", None, "'name' is str, and a chart needs numbers: price"),
        ("price", "colour", "no column 'colour' to split by; columns: symbol, price, name, time"),
    ],
)
def test_column_that_cannot_be_drawn_is_refused_with_the_choice(
    frame: LiveFrame, column: str, by: str | None, sentence: str
) -> None:
    """A wrong column is an error that names those that would do, and leaves no widget behind."""
    before = set(_instances)
    with pytest.raises(SchemaError, match=sentence):
        Chart(frame, column, by=by)
    assert set(_instances) == before


@pytest.mark.parametrize(
    ("column", "options", "sentence"),
    [
        (["price", "size"], {}, "give one name as text"),
        ("price", {"window": "1min"}, "give seconds as a number above 0"),
        ("price", {"window": 0}, "give seconds as a number above 0"),
        ("price", {"window": -5}, "give seconds as a number above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(frame: LiveFrame, column, options, sentence) -> None:
    """Each says what to give instead, and leaves no widget behind."""
    with pytest.raises(UsageError, match=sentence):
        Chart(frame, column, **options)


def test_column_that_proves_wrong_with_the_first_rows_is_told_once(show) -> None:
    """A chart made before the first row says in words and in the health what its column lacks, once."""
    frame = LiveFrame(key="symbol", time="time")
    chart, browser = show(frame, "prize")
    frame.extend([tick(0, 1.0)])
    until(lambda: "no column 'prize' to draw; columns of numbers: price" in chart._feeder.notice)
    _, other = show(frame)
    frame.extend([tick(1, 2.0)])
    until(lambda: other.values == {"a": [1.0, 2.0]})
    assert [str(error) for _, error in take_errors()] == [chart._feeder.notice]
    assert browser.frames == []
