"""The table in a real JupyterLab."""

from __future__ import annotations

import nbformat
import pytest
from PIL import Image, ImageColor

from rtwidgets.testing import Lab

pytestmark = pytest.mark.browser

FEED = """
import threading, time
from rtwidgets.frames import LiveFrame
from rtwidgets.widgets import Table

frame = LiveFrame(key="symbol", time="time")
going = threading.Event()

def rows(step):
    return [
        {"symbol": name, "price": 10.0 * n + step % 7, "size": step, "time": time.time()}
        for n, name in enumerate(["B", "A", "<i>C</i>"])
    ]

def feed():
    step = 0
    while not going.wait(0.05):
        frame.extend(rows(step))
        step += 1

frame.extend(rows(0))
threading.Thread(target=feed, daemon=True).start()
table = Table(frame, title="prices")
table
"""
BUSY = "time.sleep(20)"
NEWEST = "newest = Table(frame, latest=False); newest"
DONE = "going.set(); table.stop()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("table")


@pytest.fixture(scope="module")
def lab(folder):
    with Lab(folder) as lab:
        yield lab


@pytest.fixture
def page(lab, folder):
    cells = [nbformat.v4.new_code_cell(source) for source in (FEED, BUSY, DONE, NEWEST)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "table.ipynb")
    page = lab.open("table.ipynb")
    page.run_cell(0)
    yield page
    page.execute("notebook:shutdown-kernel")
    page.close()


def picture(page, path, cell=0):
    page.screenshot(path, selector=f".jp-Cell:nth-child({cell + 1}) .rtw-table .lm-DataGrid")
    with Image.open(path) as image:
        return image.convert("RGB").copy()


def changed(page, path, before):
    """Take pictures until one differs."""
    for _ in range(200):
        after = picture(page, path)
        if after.tobytes() != before.tobytes():
            return after
        page.page.wait_for_timeout(50)
    raise AssertionError("the picture stays the same")


def contrast(one, other):
    def luminance(colour):
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def legible(image, top, bottom):
    """Contrast of the strongest ink between two heights with the ground there."""
    band = image.crop((4, top, image.width - 4, bottom))
    colours = sorted(band.getcolors(maxcolors=1 << 20), reverse=True)
    ground = colours[0][1]
    return ground, max(contrast(ground, colour) for count, colour in colours if count > 2)


def test_values_change_in_the_page_also_while_a_cell_runs(page, tmp_path):
    """New rows are painted with the kernel idle, and while a cell keeps it from reading any answer."""
    page.wait_for(".rtw-table .lm-DataGrid")
    before = picture(page, tmp_path / "1.png")
    idle = changed(page, tmp_path / "2.png", before)
    page._call("runCell", 1)
    page.page.wait_for_function("() => window.rtLab.state().kernel === 'busy'")
    changed(page, tmp_path / "3.png", changed(page, tmp_path / "4.png", idle))
    assert page._call("state")["kernel"] == "busy"
    assert page.problems == []


def test_sorting_by_a_click_holds_while_live(page, tmp_path):
    """The menu of a column's head sorts the live rows in the kernel; the table goes on moving."""
    grid = page.wait_for(".rtw-table .lm-DataGrid")
    box = grid.bounding_box()
    # The icon is at the right end of the head of the first column.
    image = picture(page, tmp_path / "head.png")
    page.page.mouse.click(box["x"] + _edge(image) - 5, box["y"] + 3 + 28 - 8)
    page.wait_for(".lm-Menu-itemLabel:has-text('Sort Ascending')").click()
    transforms = "print(table._sheet.transforms, [table._picture.rows.symbol.iloc[n] for n in table._order])"
    for _ in range(100):
        text = _say(page, transforms)
        if "'type': 'sort'" in text:
            break
        page.page.wait_for_timeout(50)
    assert text.endswith("['<i>C</i>', 'A', 'B']")
    changed(page, tmp_path / "b.png", picture(page, tmp_path / "a.png"))
    assert page.problems == []


def _edge(image):
    """Where the first column ends: the first upright line in the head."""
    for x in range(20, image.width):
        column = {image.getpixel((x, y)) for y in range(6, 26)}
        if len(column) == 1 and column != {image.getpixel((5, 6))}:
            return x
    raise AssertionError("no line between the columns")


def _say(page, source):
    page.evaluate(
        """source => {
          for (const widget of window.jupyterapp.shell.widgets("main")) {
            if (widget.content?.widgets) widget.content.widgets[2].model.sharedModel.setSource(source);
          }
        }""",
        source,
    )
    page.run_cell(2)
    return page.output_text(2)


def _more_rows(page):
    def count():
        return page.evaluate("() => document.querySelectorAll('.rtw-table .rtw-dim')[1].textContent")

    before = count()
    for _ in range(200):
        if count() != before:
            return
        page.page.wait_for_timeout(50)
    raise AssertionError("no rows come")


@pytest.mark.parametrize("theme", ["light", "dark", "high-contrast"])
def test_head_and_cells_can_be_read_in_a_theme(page, tmp_path, theme):
    """After a change of the theme the ground is the theme's, and words stand out from it by 4.5 to 1, also in
    a table that the browser has told the kernel something of."""
    page.run_cell(3)
    page.wait_for(".jp-Cell:nth-child(4) .rtw-table .lm-DataGrid")
    for _ in range(3):  # each new number of rows makes the grid save its state
        _more_rows(page)
    page.set_theme("light" if theme == "dark" else "dark")
    page.set_theme(theme)
    ground = page.evaluate("() => getComputedStyle(document.body).getPropertyValue('--jp-layout-color0')")
    wanted = ImageColor.getrgb({"white": "#ffffff"}.get(ground.strip(), ground.strip()))
    for cell in (0, 3):
        for _ in range(60):
            image = picture(page, tmp_path / f"{theme}.png", cell)
            cells, body = legible(image, 34, 34 + 3 * 24)
            if cells == wanted:
                break
            page.page.wait_for_timeout(50)
        _, head = legible(image, 6, 28)
        assert cells == wanted
        assert body >= 4.5
        assert head >= 4.5
