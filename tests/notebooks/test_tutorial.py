"""The tutorial in a real JupyterLab: what a comparison of outputs cannot see."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from rtwidgets.testing import Lab
from rtwidgets.widgets.theme import COLOURS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
QUICKSTART = NOTEBOOKS[0]
CHARTED = NOTEBOOKS[:5]  # those with a chart that moves by itself
REAL_FEED = NOTEBOOKS[8]
WITHOUT_SERVER = {"06-orders-and-inventory", "08-a-real-feed"}  # in the kernel
# A proxy where nobody listens, for all that is not on this machine: no feed can be reached.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1,localhost"}

PATIENCE = 60.0  # seconds within which what should happen has happened on a slow machine, too

# For each element of a cell that holds words: the words, and their contrast with what lies behind them, as
# WCAG 2 has it (1 to 21). In one go, since what a live widget shows is replaced all the time.
WORDS = """
(cell, selector) => {
  const numbers = (colour) => (colour.match(/[0-9.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const clear = (element) => (numbers(getComputedStyle(element).backgroundColor)[3] ?? 1) === 0;
  return Array.from(cell.querySelectorAll(selector), (element) => {
    let behind = element;
    while (clear(behind)) behind = behind.parentElement;
    const style = getComputedStyle(element);
    const ink = luminance(element instanceof SVGElement ? style.fill : style.color);
    const ground = luminance(getComputedStyle(behind).backgroundColor);
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    return [element.textContent.trim(), contrast];
  }).filter(([words]) => words);
}
"""


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(path, tag):
    """Return the place of the one cell with a tag."""
    cells = nbformat.read(path, 4).cells
    (index,) = [n for n, cell in enumerate(cells) if tag in cell.metadata.get("tags", [])]
    return index


def line_pixels(path):
    """Return where a picture has the colours of lines: for each colour the set of places."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    width, data = rgb.width, rgb.tobytes()
    places = {}
    for colour in COLOURS:
        wanted = bytes.fromhex(colour[1:])
        found = (n // 3 for n in _find_all(data, wanted) if n % 3 == 0)
        places[colour] = frozenset(divmod(n, width) for n in found)
    return places


def _find_all(data, wanted):
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def drawn(places):
    return [colour for colour, found in places.items() if len(found) > 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "recordings").symlink_to(QUICKSTART.with_name("recordings"))
    return folder


@pytest.fixture(scope="module")
def lab(folder):
    with Lab(folder, env=NO_NETWORK) as lab:
        yield lab


@pytest.fixture
def opened(lab, folder, request):
    """Opens a copy of a notebook, with a kernel of its own."""
    pages = []

    def open_copy(source, *, theme="light", change=None):
        name = f"{re.sub(r'[^a-z0-9]+', '-', request.node.name)}-{source.name}"
        notebook = nbformat.read(source, 4)
        if change is not None:
            change(notebook)
        nbformat.write(notebook, folder / name)
        pages.append(lab.open(name, theme))
        return pages[-1]

    yield open_copy
    for page in pages:
        page.execute("notebook:shutdown-kernel")
        page.close()


# As files


def test_there_is_a_tutorial():
    """The notebooks come in order, the quick start first."""
    assert [path.name for path in NOTEBOOKS][:2] == ["00-quickstart.ipynb", "01-your-own-service.ipynb"]
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(len(NOTEBOOKS))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_ends_with_its_health(path):
    """An error in the background fails the last but one cell, and the last one stops everything."""
    *_, health, stop = code_cells(nbformat.read(path, 4))
    assert health.source.splitlines()[-1] == "rt.health()"
    assert health.outputs[0].data["text/plain"] == "'healthy'"
    assert "rt.stop()" in map(str.strip, stop.source.splitlines())
    if path.stem not in WITHOUT_SERVER:
        assert stop.outputs[0].data["text/plain"] == "Server(stopped)"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean(path):
    """Outputs are stored, in order, without what differs from run to run or would fail to show."""
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any("execution" in cell.metadata for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "execute_result"}
    text = str(outputs)
    for unwanted in ("widget-view", "stderr", "/tmp", "/home", "/work", "127.0.0.1", "0x"):
        assert unwanted not in text


def test_quickstart_has_its_tags():
    """`rtwidgets demo` finds the chart, and rows to print, by tag."""
    cells = nbformat.read(QUICKSTART, 4).cells
    chart, rows = tagged(QUICKSTART, "chart"), tagged(QUICKSTART, "last-rows")
    assert chart < rows
    assert ".chart(" in cells[chart].source
    assert cells[rows].outputs[0].data["text/plain"].splitlines()[-1].split()[-1] == "100"


# In JupyterLab


@pytest.mark.browser
@pytest.mark.timeout(300)  # one of them runs pytest several times
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_cells_run(opened, path):
    """*Run All* goes through without an error, in the kernel and in the page."""
    page = opened(path)
    page.run_all(timeout=280)
    assert page.output_text(len(page) - 1) == "" or "stopped" in page.output_text(len(page) - 1)
    assert page.problems == []


@pytest.mark.browser
@pytest.mark.parametrize("path", CHARTED, ids=lambda path: path.stem)
def test_chart_is_drawn_and_moves(opened, path, tmp_path):
    """Its lines are in the page, and their pixels change while rows arrive."""
    page, chart = opened(path), tagged(path, "chart")
    for index in range(chart + 1):
        page.run_cell(index)
    lines = {"04-a-shared-document": 1}.get(path.stem, 2)
    seen = watch(page, chart, tmp_path, lines=lines)
    assert len(seen) >= 4
    keys = page.cell(chart).locator("button.rtw-key").count()
    assert {len(drawn(dict(places))) for places in seen} == {max(keys, 1)}  # without keys there is one line
    assert keys == {"00-quickstart": 3, "01-your-own-service": 2}.get(path.stem, keys)
    assert page.problems == []


@pytest.mark.browser
def test_chart_moves_while_a_cell_sleeps(opened, tmp_path):
    """The cell that sleeps is still running when the chart above it has moved several times."""

    def sleep_longer(notebook):
        (cell,) = [cell for cell in notebook.cells if "time.sleep(5)" in cell.source]
        cell.source = cell.source.replace("time.sleep(5)", "time.sleep(600)")
        cell.metadata["tags"] = ["sleeps"]

    page, chart = opened(QUICKSTART, change=sleep_longer), tagged(QUICKSTART, "chart")
    for index in range(chart + 1):
        page.run_cell(index)
    (sleeping,) = [n for n, cell in enumerate(page._call("state")["cells"]) if "sleep(600)" in cell["source"]]
    page._call("runCell", sleeping)
    wait_until(lambda: page._call("state")["cells"][sleeping]["running"], page)
    seen = watch(page, chart, tmp_path)
    assert page._call("state")["cells"][sleeping]["running"]
    assert len(seen) >= 4
    page.execute("notebook:interrupt-kernel")
    wait_until(lambda: page._call("state")["done"], page)
    assert "KeyboardInterrupt" in page.output_text(sleeping)


@pytest.mark.browser
def test_a_feed_out_of_reach_is_replayed(opened, tmp_path):
    """Without a network the recording plays, by the clock, and its charts show both products and the book."""
    page, chart = opened(REAL_FEED), tagged(REAL_FEED, "chart")
    for index in range(chart + 1):
        page.run_cell(index)
    cells = page._call("state")["cells"]
    (origin,) = [n for n, cell in enumerate(cells) if cell["source"].endswith("feed.origin")]
    assert "replay of ws-feed.exchange.coinbase.com.rtlog" in page.output_text(origin)
    (depth,) = [n for n, cell in enumerate(cells) if cell["source"].startswith("book.depth(")]
    for cell in (chart, depth):
        assert watch(page, cell, tmp_path, most=1)
    assert page.cell(chart).locator("button.rtw-key").count() == 2
    assert page.problems == []


@pytest.mark.browser
def test_a_gap_is_marked(opened):
    """The chart of a link that was down for too long has a band with a word that one can read."""
    (path,) = [path for path in NOTEBOOKS if path.stem == "03-when-the-network-fails"]
    page = opened(path)
    page.run_all()
    (index,) = [n for n, cell in enumerate(page._call("state")["cells"]) if "far.chart(" in cell["source"]]
    chart = page.cell(index)
    chart.scroll_into_view_if_needed()
    for theme in ("light", "dark"):
        page.set_theme(theme)
        chart.locator(".rtw-words", has_text="1 gap").wait_for(timeout=PATIENCE * 1000)
        chart.locator(".bqplot text", has_text="gap").wait_for(timeout=PATIENCE * 1000)
        words = dict(chart.evaluate(WORDS, ".bqplot text"))
        assert words["gap"] >= 4.5
        band = chart.locator(".bqplot path.line").first.bounding_box()
        plot = chart.locator(".bqplot .plotarea_background").bounding_box()
        assert 0.4 < band["width"] / plot["width"] < 0.6
        assert band["height"] / plot["height"] > 0.8


@pytest.mark.browser
def test_chart_and_status_can_be_read(opened, tmp_path):
    """Words and ticks stand out against what is behind them, and so do the lines, in each theme."""
    page, chart = opened(QUICKSTART), tagged(QUICKSTART, "chart")
    for index in range(chart + 1):
        page.run_cell(index)
    watch(page, chart, tmp_path)
    cells = page._call("state")["cells"]
    (status,) = [n for n, cell in enumerate(cells) if cell["source"] == "rt.status()"]
    page.run_cell(status)
    page.cell(status).locator("td").nth(4).wait_for(timeout=PATIENCE * 1000)
    for theme in ("light", "dark", "high-contrast"):
        page.set_theme(theme)
        shown = ".rtw-tool, .rtw-key, .rtw-key span, .rtw-words, .rtw-words span, .bqplot text"
        words = page.cell(chart).evaluate(WORDS, shown)
        words += page.cell(status).evaluate(WORDS, "td")
        assert {"AAPL", "time (UTC)", "server"} <= {text.split(" +")[0].split(" -")[0] for text, _ in words}
        assert [(theme, text, contrast) for text, contrast in words if contrast < 4.5] == []
        picture = next(pictures(page, chart, tmp_path))
        with Image.open(picture) as image:
            rgb = image.convert("RGB")
        _, ground = max(rgb.getcolors(rgb.width * rgb.height))
        lines = drawn(line_pixels(picture))
        assert len(lines) >= 2
        for colour in lines:
            assert ratio(bytes.fromhex(colour[1:]), ground) >= 2.9, (theme, colour)


def pictures(page, cell, folder):
    """Take pictures of a cell's chart, without end."""
    chart = page.cell(cell).locator(".bqplot").first
    chart.wait_for(timeout=PATIENCE * 1000)
    chart.scroll_into_view_if_needed()
    for number in itertools.count():
        path = folder / f"{number}.png"
        chart.screenshot(path=path)
        yield path


def watch(page, cell, folder, *, lines=2, most=4):
    """Return so many different pictures of a cell's lines, or fewer if they stood still for long."""
    began, seen = time.monotonic(), set()
    for path in pictures(page, cell, folder):
        places = line_pixels(path)
        if len(drawn(places)) >= lines:
            seen.add(frozenset(places.items()))
        if len(seen) >= most or time.monotonic() - began > PATIENCE:
            return seen
        page.page.wait_for_timeout(100)
    return seen


def wait_until(reached, page):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "it did not happen in time"
        page.page.wait_for_timeout(50)


def ratio(one, other):
    """Contrast of two colours, as WCAG 2 has it."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(rgb):
    shares = [part / 255 for part in rgb]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
