"""The bands that mark gaps: where they are; how they look is seen in Lab."""

from __future__ import annotations

import numpy as np
import pytest

from rtwidgets.frames import LiveFrame
from rtwidgets.widgets import Candles, Chart, Histogram
from tests.waiting import until
from tests.widgets.browser import Browser

START = 1_700_000_000


def ticks(*seconds: float) -> list[dict]:
    return [{"symbol": "a", "price": 1.0 + second, "time": START + second} for second in seconds]


@pytest.fixture
def frame() -> LiveFrame:
    return LiveFrame(8, key="symbol", time="time")


@pytest.fixture
def show(tidy: None):
    """Opens a chart, whose bands are then read as pairs of seconds since the start."""
    made = []

    def show(chart):
        made.append(chart)
        Browser(chart)

        def bands():
            x = np.asarray(chart.children[1].marks[0].x).reshape(-1, 4)
            if x.dtype.kind == "M":
                x = x.astype("datetime64[ms]").astype(np.int64) / 1e3 - START
            return [(float(left), float(right)) for left, _, right, _ in x]

        return bands

    yield show
    for chart in made:
        chart.close()


@pytest.mark.parametrize("kind", [Chart, Candles])
def test_a_band_goes_from_the_last_row_before_a_gap_to_the_first_after_it(frame, show, kind):
    """It is there as soon as that row has come, and the chart says in words that there is a gap."""
    frame.extend(ticks(0, 1))
    chart = kind(frame) if kind is Candles else kind(frame, "price")
    bands = show(chart)
    frame.mark_gap(frame.total)
    frame.extend(ticks(7, 8))
    until(lambda: bands() == [(1, 7)])
    until(lambda: "1 gap" in chart.children[0].notice)


def test_rows_that_stand_for_the_missing_ones_lie_within_the_band(frame, show):
    """The last row of each key, say, is not the end of the gap."""
    frame.extend(ticks(0, 1))
    bands = show(Chart(frame, "price"))
    before = frame.total
    frame.extend(ticks(5))
    frame.mark_gap(before)
    frame.extend(ticks(7))
    until(lambda: bands() == [(1, 7)])


def test_several_gaps_and_one_that_leaves_the_frame(frame, show):
    """Each has its band, until the rows on its sides are no longer kept."""
    bands = show(Chart(frame, "price"))
    for second in (0, 10, 20):
        frame.mark_gap(frame.total)  # before the very first row there is nothing to mark
        frame.extend(ticks(second, second + 1))
    until(lambda: bands() == [(1, 10), (11, 20)])
    frame.extend(ticks(22, 23, 24, 25))
    until(lambda: bands() == [(11, 20)])
    frame.extend(ticks(26, 27, 28, 29))
    until(lambda: bands() == [])


def test_a_frame_without_times_is_marked_by_row_numbers(show):
    """As its axis is."""
    frame = LiveFrame()
    frame.extend([{"n": 1}, {"n": 2}])
    bands = show(Chart(frame, "n"))
    frame.mark_gap(2)
    frame.extend([{"n": 3}])
    until(lambda: bands() == [(1, 2)])


def test_a_histogram_has_no_bands(frame, show):
    """Its axis is one of values: only words tell of the gap."""
    frame.extend(ticks(0, 1))
    chart = Histogram(frame, "price")
    show(chart)
    frame.mark_gap(2)
    frame.extend(ticks(5))
    until(lambda: "1 gap" in chart.children[0].notice)
    assert len(chart.children[1].marks) == 1


def test_a_chart_that_nobody_looked_at_tells_of_its_gaps_after_it_has_stopped(frame, tidy):
    """Who scrolls to it later sees the last picture whole: the band and the words too."""
    frame.extend(ticks(0, 1))
    chart = Chart(frame, "price")
    frame.mark_gap(2)
    frame.extend(ticks(7))
    chart.stop()
    assert "1 gap" in chart.children[0].notice
    assert np.asarray(chart.children[1].marks[0].x).reshape(-1, 4).shape == (1, 4)
    chart.close()
