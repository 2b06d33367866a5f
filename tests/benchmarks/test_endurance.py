"""The benchmark of a chart's endurance, in short: what it says of memory holds for less than a minute too."""

import pytest

from benchmarks.endurance import measure


@pytest.mark.browser
def test_a_chart_keeps_no_more_than_its_window():
    """It moves while a cell sleeps, costs nothing in a hidden tab, and grows neither page nor kernel."""
    found = measure(0.25, hidden=4.0, sleep=3.0, window=20_000)
    assert found["sleep"]["pictures_per_s"] > 0
    assert found["hidden"]["rows"] > 0
    assert found["hidden"]["frames_sent"] == 0
    assert found["soak"]["rows"] > 0
    assert found["soak"]["heap_growth"] < 0.1
    assert found["soak"]["kernel_growth"] < 0.1
