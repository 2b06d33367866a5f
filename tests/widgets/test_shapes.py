"""What bars by key, histograms and depth charts send to the browser."""

from collections.abc import Iterator

import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.errors import SchemaError
from rtwidgets.frames import LiveFrame
from rtwidgets.widgets import Depth, Histogram, LatestBars, Plot
from tests.waiting import until
from tests.widgets.browser import Browser


@pytest.fixture(autouse=True)
def nothing_left(tidy: None) -> Iterator[None]:
    """No widget is left, nor a thread, nor an error."""
    before = set(_instances)
    yield
    assert set(_instances) == before


@pytest.fixture
def show() -> Iterator:
    made: list[Plot] = []

    def show(chart: Plot) -> Browser:
        made.append(chart)
        return Browser(chart)

    yield show
    for chart in made:
        chart.close()


def framed(*rows: dict, key: str | None = None) -> LiveFrame:
    frame = LiveFrame(key=key)
    frame.extend(rows)
    return frame


def test_each_key_has_a_bar_of_its_latest_value(show) -> None:
    """Bars are labelled by key and follow the latest rows; what is no finite number has no height."""
    frame = framed({"s": "a", "v": 1.0}, {"s": "b", "v": 2.0}, {"s": "a", "v": 3.0}, key="s")
    browser = show(LatestBars(frame, "v"))
    until(lambda: browser.lines == {"v": (["a", "b"], [3.0, 2.0])})
    frame.extend([{"s": "b", "v": float("inf")}, {"s": "c", "v": 4.0}])
    until(lambda: browser.lines == {"v": (["a", "b", "c"], [3.0, 0.0, 4.0])})


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e299])
def test_histogram_counts_the_rows(show, scale: float) -> None:
    """Each bar counts the rows between its edges, and rows that come are counted too."""
    frame = framed(*[{"v": n * scale} for n in (0.0, 0.0, 1.0, 4.0)])
    browser = show(Histogram(frame, "v", bins=4))
    until(lambda: browser.values == {"v": [2.0, 1.0, 0.0, 1.0]})
    assert browser.lines["v"][0] == pytest.approx([n * scale for n in (0.5, 1.5, 2.5, 3.5)])
    frame.extend([{"v": 3.5 * scale}])
    until(lambda: browser.values == {"v": [2.0, 1.0, 0.0, 2.0]})


@pytest.mark.parametrize("values", [[5.0, 5.0], [1e17, 1e17 + 16], [-1.7e308, 1.7e308], [float("inf"), 1.0]])
def test_histogram_of_strange_numbers_counts_them_all(show, values: list[float]) -> None:
    """Values all but equal, or too far apart to subtract, are counted; infinite ones are left out."""
    browser = show(Histogram(framed(*[{"v": value} for value in values]), "v"))
    until(lambda: browser.full)
    assert sum(browser.values["v"]) == sum(value != float("inf") for value in values)


def test_histogram_of_a_window_counts_its_rows_only(show) -> None:
    """Seconds are counted back from the newest row, and another window may be chosen while it is shown."""
    frame = framed(*[{"v": float(n), "time": 1_700_000_000 + n} for n in range(100)])
    chart = Histogram(frame, "v", bins=5, window=9.0)
    browser = show(chart)
    until(lambda: browser.values == {"v": [2.0] * 5})
    chart.window = None
    until(lambda: browser.values == {"v": [20.0] * 5})


def test_depth_is_summed_from_the_middle(show) -> None:
    """Sizes add up outwards from the best prices; x rises, and the best prices are told."""
    rows = [("buy", 9, 1), ("buy", 8, 2), ("buy", 7, 4), ("sell", 10, 3), ("sell", 11, 5)]
    frame = framed(*[{"side": side, "price": float(p), "size": float(n)} for side, p, n in rows])
    chart = Depth(frame, levels=2)
    browser = show(chart)
    until(lambda: browser.lines == {"bids": ([8.0, 9.0], [3.0, 1.0]), "asks": ([10.0, 11.0], [3.0, 8.0])})
    until(lambda: chart._feeder.notice == "bid 9 · ask 10")
    frame.extend([{"side": "sell", "price": price, "size": 0.0} for price in (10.0, 11.0)])
    until(lambda: list(browser.lines) == ["bids"])
    until(lambda: chart._feeder.notice == "one side of the book is empty")


@pytest.mark.parametrize("kind", [LatestBars, Histogram])
def test_column_that_cannot_be_drawn_is_refused(kind: type[Plot]) -> None:
    """A wrong column is an error that names those that would do."""
    frame = framed({"s": "a", "v": 1.0}, key="s")
    with pytest.raises(SchemaError, match="no column 'w' to draw; columns of numbers: v"):
        kind(frame, "w")


def test_depth_of_a_frame_that_is_no_book_is_refused() -> None:
    """A depth chart says which column it lacks."""
    with pytest.raises(SchemaError, match="there is no 'side' among: v"):
        Depth(framed({"v": 1.0}))
