"""The charts in a real JupyterLab: what is drawn, what is sent, and what the tools do."""

from __future__ import annotations

import io
import re
import time

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image, ImageColor

from rtwidgets.testing import Lab
from rtwidgets.widgets.theme import COLOURS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE = 40.0

SETUP = """
%load_ext rtwidgets
import time
import rtwidgets as rt

server = rt.serve(seed=1, options={"prices": {"rate": 50, "start": "2026-01-02T14:30:00Z"}})

@rt.service("/book", time="time")
async def book(channel):
    for n in range(200):
        side = "buy" if n % 2 else "sell"
        price = 100 + (1 + n % 40) / (-10 if n % 2 else 10)
        await channel.publish({"side": side, "price": price, "size": 1 + n % 7, "time": 1_767_364_200 + n})

prices = rt.connect("prices")
changes = rt.connect("book")
prices.wait(rows=200)
changes.wait(rows=200)
""".strip()

COUNT = """() => {
  window.painted = 0;
  document.addEventListener("rtwidgets:painted", (event) => { if (event.detail.frame) window.painted += 1; });
}"""


# What a page sees of its tab being left and come back to; a headless browser never leaves one.
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

OPEN_WIDGETS = "len(__import__('ipywidgets').widgets.widget._instances)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("charts")) as lab:
        yield lab


@pytest.fixture
def opened(lab, request):
    """Opens a notebook of these cells after the set-up, which is cell 0, and runs it."""
    pages = []

    def open_cells(*sources):
        name = f"{request.node.name}.ipynb"
        cells = [new_code_cell(source) for source in (SETUP, *sources)]
        nbformat.write(new_notebook(cells=cells), lab.root / name)
        pages.append(lab.open(name))
        return pages[-1]

    yield open_cells
    for page in pages:
        page.execute("notebook:shutdown-kernel")
        page.close()


def shapes(page, cell):
    """Return what a cell's chart draws: the paths of its visible lines."""
    return page.cell(cell).evaluate(
        """cell => Array.from(cell.querySelectorAll(".bqplot path.line"))
            .filter((line) => line.getClientRects().length && getComputedStyle(line).display !== "none")
            .map((line) => line.getAttribute("d") ?? "").filter((d) => d.length > 10)"""
    )


def ticks(page, cell):
    """Return the times at the x axis of a cell's chart."""
    words = page.cell(cell).locator(".bqplot .axis text").all_text_contents()
    return [word for word in words if re.match(r"\d\d:\d\d", word)]


def until(page, reached, what):
    deadline = time.monotonic() + PATIENCE
    while not (found := reached()):
        assert time.monotonic() < deadline, what
        page.page.wait_for_timeout(50)
    return found


def moves(page, cell, times=3):
    """Wait until a cell's picture has changed so many times."""
    page.cell(cell).locator(".rtw-tools").scroll_into_view_if_needed()
    for _ in range(times):
        before = until(page, lambda: shapes(page, cell), f"cell {cell} draws nothing")
        until(page, lambda before=before: shapes(page, cell) != before, f"cell {cell} stands still")


def still(page, cell):
    """Whether a cell's picture is the same after a while in which many frames would have come."""
    before = shapes(page, cell)
    page.page.wait_for_timeout(700)
    return shapes(page, cell) == before


def tool(page, cell, words):
    return page.cell(cell).locator("button.rtw-tool", has_text=words)


def test_the_tools_do_what_they_say(opened):
    """Pause holds, Live resumes; the slider, the wheel, the legend and the pointer."""
    page = opened('prices.chart("price", window=10)')
    page.run_all()
    moves(page, 1)

    tool(page, 1, "Pause").click()
    until(page, lambda: still(page, 1), "Pause does not hold")
    tool(page, 1, "Live").click()
    moves(page, 1)

    # A line that is hidden stays hidden.
    key = page.cell(1).locator("button.rtw-key").first
    assert len(shapes(page, 1)) == 3
    key.click()
    until(page, lambda: len(shapes(page, 1)) == 2, "the line is still there")
    moves(page, 1)
    assert len(shapes(page, 1)) == 2
    assert key.get_attribute("aria-pressed") == "false"
    key.click()
    until(page, lambda: len(shapes(page, 1)) == 3, "the line does not come back")

    # Exact values under the pointer.
    plot = page.cell(1).locator(".bqplot .plotarea_background").first
    plot.hover(force=True)
    tip = page.cell(1).locator(".rtw-tip")
    until(page, tip.is_visible, "there are no values")
    assert re.match(r"2026-01-02 14:3\d:\d\d\.\d{3}", tip.inner_text())
    assert re.search(r"AAPL +\d+\.\d+", tip.inner_text())

    # The past, and back.
    before = ticks(page, 1)
    page.cell(1).locator("input.rtw-scrub").evaluate(
        "range => { range.value = Number(range.min) + 2000; range.dispatchEvent(new Event('input')); }"
    )
    until(
        page,
        lambda: max(ticks(page, 1), default="~") < max(before) and still(page, 1),
        "the past is not shown",
    )
    assert "paused" in page.cell(1).locator(".rtw-words").inner_text()
    tool(page, 1, "Live").click()
    moves(page, 1)

    # The wheel.
    tool(page, 1, "Zoom").click()
    plot.hover(force=True)
    page.page.mouse.wheel(0, -300)
    words = page.cell(1).locator(".rtw-words")
    until(page, lambda: "zoomed" in words.inner_text(), "the wheel does nothing")
    held = ticks(page, 1)
    page.page.wait_for_timeout(500)
    assert ticks(page, 1) == held
    tool(page, 1, "Live").click()
    moves(page, 1)
    assert page.problems == []


def test_sight_sleep_and_reload(opened):
    """Two views move, also while a cell sleeps; nothing comes out of sight; a reload shows the window."""
    page = opened(
        'chart = prices.chart("price")\nchart', "chart", "time.sleep(600)", "\n" * 120, "rt.stop()",
        "%unload_ext rtwidgets\n"
        "import ipywidgets\n"
        "alive = ipywidgets.widgets.widget._instances.values()\n"
        "[one for one in alive if type(one).__module__.startswith('rtwidgets')]",
    )  # fmt: skip
    for cell in (0, 1, 2):
        page.run_cell(cell)
    moves(page, 1)
    moves(page, 2)

    page._call("runCell", 3)
    until(page, lambda: page._call("state")["cells"][3]["running"], "the cell does not run")
    moves(page, 1, 5)
    assert page._call("state")["cells"][3]["running"]
    page.execute("notebook:interrupt-kernel")
    until(page, lambda: page._call("state")["done"], "the cell goes on")

    # Out of sight.
    page.evaluate(COUNT)
    moves(page, 1)
    assert page.evaluate("window.painted") > 0
    page.cell(5).scroll_into_view_if_needed()

    def silent():
        before = page.evaluate("window.painted")
        page.page.wait_for_timeout(700)
        return page.evaluate("window.painted") == before

    until(page, silent, "frames come although nobody sees them")
    moves(page, 1)

    page.save()
    page.reload()
    moves(page, 1)
    moves(page, 2)

    page.run_cell(5)
    until(page, lambda: "stopped" in page.cell(1).locator(".rtw-words").inner_text(), "it does not stop")
    assert len(shapes(page, 1)) == 3
    assert still(page, 1)
    page.run_cell(6)
    assert page.output_text(6) == "[]"


def test_hidden_tab_is_sent_nothing_and_shows_the_present_when_it_is_back(opened):
    """While rows come that nobody sees no frame goes out; then the picture is that of now."""
    wait = "prices.wait(rows=len(prices) + {}, timeout=30)\nchart._pace.sent"
    page = opened('chart = prices.chart("price", window=10)\nchart', wait.format(0), wait.format(150))
    page.run_cell(0)
    page.run_cell(1)
    moves(page, 1)
    page.evaluate(HIDE, True)
    until(page, lambda: still(page, 1), "frames come although nobody sees them")
    before = ticks(page, 1)
    page.run_cell(2)
    page.run_cell(3)
    assert page.output_text(2) == page.output_text(3)
    assert ticks(page, 1) == before
    page.evaluate(HIDE, False)
    moves(page, 1)
    assert max(ticks(page, 1)) > max(before)
    assert page.problems == []


def test_what_is_shown_can_be_saved(opened):
    """CSV has the rows of the window, exactly; PNG is a picture in the lines' colours."""
    known = (
        "print(prices.df.set_index('time')[['symbol', 'price']].to_csv(date_format='%Y-%m-%dT%H:%M:%S.%f'))"
    )
    page = opened('prices.chart("price", window=4)', known)
    page.run_cell(0)
    page.run_cell(1)
    moves(page, 1)
    tool(page, 1, "Pause").click()
    until(page, lambda: still(page, 1), "Pause does not hold")
    with page.page.expect_download() as saving:
        tool(page, 1, "CSV").click()
    saved = pd.read_csv(saving.value.path(), parse_dates=["time"])
    page.run_cell(2)
    rows = pd.read_csv(io.StringIO(page.output_text(2)), parse_dates=["time"])
    rows["time"] = rows["time"].dt.tz_localize("UTC")
    inside = rows[rows["time"].between(saved["time"].min(), saved["time"].max())]
    assert len(saved) == len(inside) > 100
    merged = saved.merge(inside, left_on=["time", "key"], right_on=["time", "symbol"])
    assert (merged["price_x"] == merged["price_y"]).all()
    assert len(merged) == len(saved)

    with page.page.expect_download() as saving:
        tool(page, 1, "PNG").click()
    with Image.open(saving.value.path()) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert {ImageColor.getrgb(colour) for colour in COLOURS[:3]} <= colours


def test_closed_chart_is_gone_and_leaves_nothing(opened):
    """Closing takes the picture off the page, in each place, and every widget of the chart with it."""
    page = opened(
        OPEN_WIDGETS, 'chart = prices.chart("price")\nchart', "chart", "chart.close()", OPEN_WIDGETS
    )
    for cell in range(4):
        page.run_cell(cell)
    moves(page, 2)
    moves(page, 3)
    page.run_cell(4)
    until(page, lambda: not page.page.locator(".bqplot, .rtw-feeder").count(), "the chart is still there")
    page.run_cell(5)
    assert page.output_text(5) == page.output_text(1)
    assert page.problems == []


def test_every_kind_is_drawn(opened):
    """Candles, bars, a histogram and a depth chart draw something; Pause holds them too."""
    page = opened(
        'prices.candles("500ms")', 'prices.bars("price")', 'prices.histogram("price")', "changes.depth()"
    )
    page.run_all()
    for cell, selector in ((1, ".stick, .bqplot path"), (2, "rect.bar"), (3, "rect.bar"), (4, "path.line")):
        page.cell(cell).scroll_into_view_if_needed()
        marks = page.cell(cell).locator(f".bqplot :is({selector.replace('.bqplot ', '')})")
        until(page, lambda marks=marks: marks.count() >= 2, f"cell {cell} draws nothing")
    # Exact values under the pointer, and in words for those who see no picture.
    for cell, value in (
        (2, r"(AAPL|GOOGL|MSFT)\s+price +\d+\.\d+$"),
        (3, r"[\d.]+\s+price +\d+$"),
        (4, r"asks +\d+"),
    ):
        page.cell(cell).locator(".bqplot .plotarea_background").first.hover(force=True)
        tip = page.cell(cell).locator(".rtw-tip")
        until(page, tip.is_visible, f"cell {cell} tells no values")
        assert re.search(value, tip.inner_text()), tip.inner_text()
        words = page.cell(cell).locator("table.rtw-only-read")
        assert re.search(r"price|asks", words.text_content())
    tops = """cell => Array.from(cell.querySelectorAll("rect.bar"), (bar) => bar.getAttribute("height"))"""
    page.cell(3).scroll_into_view_if_needed()
    tool(page, 3, "Pause").click()
    until(page, lambda: "paused" in page.cell(3).locator(".rtw-words").inner_text(), "it is not held")
    page.page.wait_for_timeout(300)
    before = page.cell(3).evaluate(tops)
    page.page.wait_for_timeout(700)
    assert page.cell(3).evaluate(tops) == before
    tool(page, 3, "Live").click()
    until(page, lambda: page.cell(3).evaluate(tops) != before, "it does not go on")
    assert page.problems == []
