"""Lab drives a real JupyterLab; these tests run notebooks of their own in it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from PIL import Image

from rtwidgets.errors import UsageError
from rtwidgets.testing import CellFailed, KernelDied, Lab, LabTimeout

pytestmark = pytest.mark.browser

SLIDER = "import ipywidgets\nipywidgets.IntSlider(value=7, description='size')"
LINE = """\
import bqplot, numpy
x = numpy.arange(200)
scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale()}
line = bqplot.Lines(x=x, y=numpy.sin(x / 9), scales=scales, colors=["#d55e00"])
bqplot.Figure(marks=[line], axes=[bqplot.Axis(scale=scales["x"])], animation_duration=0)"""


def write(folder: Path, name: str, *sources: str, tags: dict[int, list[str]] | None = None) -> str:
    """Write a notebook without a kernel's name: one cell of text, then one a source. Return its name."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("# A notebook")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    for index, names in (tags or {}).items():
        notebook.cells[index].metadata["tags"] = names
    nbformat.write(notebook, folder / name)
    return name


def pixels(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def brightness(path: Path) -> float:
    """Mean of a picture's brightness, 0 to 255."""
    counts = pixels(path).convert("L").histogram()
    return sum(value * count for value, count in enumerate(counts)) / sum(counts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def lab(folder):
    with Lab(folder) as lab:
        yield lab


@pytest.fixture(scope="module")
def shown(lab, folder):
    """A notebook that prints, shows a slider and draws a line, with all cells run."""
    page = lab.open(write(folder, "shown.ipynb", "print('hello')\n6 * 7", SLIDER, LINE))
    page.run_all()
    page.wait_for(".bqplot path.line")
    return page


def test_output_text_is_what_the_page_shows(shown):
    """Printed text, results and widgets are read from the page."""
    assert len(shown) == 4
    assert shown.output_text(0) == ""
    assert shown.output_text(1) == "hello\n42"
    assert shown.output_text(2).split() == ["size", "7"]


def test_outputs_are_those_of_the_notebook_format(shown):
    """Outputs come as the notebook format has them."""
    stream, result = shown.outputs(1)
    assert (stream["output_type"], stream["text"]) == ("stream", "hello\n")
    assert result["data"]["text/plain"] == "42"


def test_a_good_page_has_no_problems(shown):
    """Nothing that JupyterLab does by itself counts as a problem; an error of the page does."""
    assert shown.problems == []
    shown.evaluate("() => console.error('made up')")
    assert shown.problems.pop() == "made up"


def test_evaluate_reaches_the_application(shown):
    """JavaScript gets its argument and JupyterLab's application."""
    assert shown.evaluate("n => n + 1", 1) == 2
    assert shown.evaluate("() => window.jupyterapp.shell.mode") == "single-document"


def test_themes_change_the_page(shown, tmp_path):
    """A picture is bright in the light theme and dark in the other two, and the line is in each."""
    for theme, low, high in [("dark", 0, 60), ("high-contrast", 0, 60), ("light", 200, 255)]:
        shown.set_theme(theme)
        picture = shown.screenshot(tmp_path / "pictures" / f"{theme}.png")
        assert low < brightness(picture) < high, theme
        reddish = [rgb for _, rgb in pixels(picture).getcolors(1_000_000) if rgb == (0xD5, 0x5E, 0x00)]
        assert reddish, theme


def test_screenshot_of_a_cell_holds_that_cell(shown, tmp_path):
    """A cell's picture has the cell's size, also when the cell is higher than the window."""
    box = shown.cell(2).bounding_box()
    small = pixels(shown.screenshot(tmp_path / "slider.png", 2))
    assert abs(small.height - box["height"]) <= 2
    shown.evaluate("() => { document.querySelectorAll('.bqplot')[0].style.height = '1500px' }")
    high = pixels(shown.screenshot(tmp_path / "high.png", 3))
    whole = pixels(shown.screenshot(tmp_path / "whole.png", whole=True))
    shown.evaluate("() => { document.querySelectorAll('.bqplot')[0].style.height = '' }")
    assert high.height > 1500
    assert whole.height > high.height + small.height
    assert pixels(shown.screenshot(tmp_path / "window.png")).size == (1280, 900)


def test_screenshot_of_a_selector(shown, tmp_path):
    """A picture of one element is as large as the element."""
    picture = pixels(shown.screenshot(tmp_path / "slider.png", selector=".widget-slider"))
    box = shown.wait_for(".widget-slider").bounding_box()
    assert abs(picture.width - box["width"]) <= 2
    assert len(picture.getcolors(100_000)) > 10


def test_screenshot_takes_one_target(shown, tmp_path):
    """A cell and a selector at once make no sense."""
    with pytest.raises(UsageError, match="choose one"):
        shown.screenshot(tmp_path / "x.png", 1, selector="p")


def test_failed_cell_is_named_with_its_traceback(lab, folder):
    """The error has the cell's index and the traceback."""
    page = lab.open(write(folder, "raises.ipynb", "x = 0", "def f():\n    return 1 / x\nf()"))
    with pytest.raises(CellFailed, match=r"raises\.ipynb, cell 2: ZeroDivisionError") as caught:
        page.run_all()
    assert (caught.value.index, caught.value.name) == (2, "ZeroDivisionError")
    assert "return 1 / x" in caught.value.traceback
    assert "\x1b" not in caught.value.traceback
    page.close()


def test_a_cell_may_be_marked_to_raise(lab, folder):
    """The tag that nbval and JupyterLab know lets the run go on."""
    name = write(folder, "tagged.ipynb", "1 / 0", "print('on')", tags={1: ["raises-exception"]})
    page = lab.open(name)
    page.run_all()
    assert page.output_text(2) == "on"
    page.close()


def test_run_cell_runs_one_cell(lab, folder):
    """Only the cell asked for is executed, whether or not an earlier one would fail."""
    page = lab.open(write(folder, "one.ipynb", "print('a')", "print('b')", "1 / 0"))
    page.run_cell(2)
    assert [page.output_text(i) for i in (1, 2)] == ["", "b"]
    with pytest.raises(CellFailed):
        page.run_cell(3)
    page.run_cell(1)
    assert page.output_text(1) == "a"
    with pytest.raises(UsageError, match="no cell 4: it has 4"):
        page.run_cell(4)
    page.close()


def test_slow_cell_is_named(lab, folder):
    """A run that takes too long says which cell it was in."""
    page = lab.open(write(folder, "slow.ipynb", "import time", "time.sleep(30)"))
    with pytest.raises(
        LabTimeout, match=r"cell 2 \('time.sleep\(30\)'\) was still running after 1 s"
    ) as caught:
        page.run_all(timeout=1)
    assert isinstance(caught.value, TimeoutError)
    page.execute("notebook:interrupt-kernel")
    page.close()


def test_death_of_the_kernel_is_noticed(lab, folder):
    """A kernel that ends in a cell fails the run at once."""
    page = lab.open(write(folder, "dies.ipynb", "import os", "os._exit(3)"))
    with pytest.raises(KernelDied, match=r"dies\.ipynb: the kernel died"):
        page.run_all(timeout=30)
    page.close()


def test_saved_notebook_survives_a_reload(lab, folder):
    """After a reload the page shows what was saved, in its theme, and the kernel has kept its state."""
    page = lab.open(write(folder, "saved.ipynb", "value = 41", "value += 1; print(value)", SLIDER), "dark")
    page.run_all()
    page.save()
    assert nbformat.read(folder / "saved.ipynb", 4).cells[2].outputs[0].text == "42\n"
    page.reload()
    assert page.output_text(2) == "42"
    page.wait_for(".widget-slider")
    assert page.evaluate("() => document.body.dataset.jpThemeName") == "JupyterLab Dark"
    page.run_cell(2)
    assert page.output_text(2) == "43"
    page.close()


def test_waiting_in_vain_says_for_what(shown):
    """A missing element gives an error with the selector."""
    with pytest.raises(LabTimeout, match=r"no visible element matches '\.nothing' within 0\.2 s"):
        shown.wait_for(".nothing", timeout=0.2)


@pytest.mark.parametrize("name", ["missing.ipynb", "../outside.ipynb"])
def test_unknown_notebook(lab, name):
    """Only notebooks in the Lab's folder can be opened."""
    with pytest.raises(UsageError, match="there is no notebook"):
        lab.open(name)


def test_unknown_theme(shown):
    """A wrong theme names the right ones."""
    with pytest.raises(UsageError, match="'light', 'dark', 'high-contrast'"):
        shown.set_theme("blue")


def test_server_is_private(lab):
    """The server asks for its token, listens on loopback and does not write the token to its log."""
    assert lab.server.url.startswith("http://127.0.0.1:")
    assert lab.server.request("GET", "api/status")["kernels"] >= 0
    assert lab.server.token not in lab.log
    assert "Serving notebooks from local directory" in lab.log


def test_one_lab_at_a_time(lab, tmp_path):
    """A second Lab in the same thread is refused with a sentence, not with Playwright's error."""
    with pytest.raises(UsageError, match="one at a time"), Lab(tmp_path):
        pass
