"""``rtwidgets demo``: a notebook run in a real JupyterLab, left behind as a page and a picture."""

from __future__ import annotations

import base64
import html
import importlib.util
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rtwidgets.errors import RtError, UsageError

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from rtwidgets.testing import NotebookPage

__all__ = ["demo"]

_QUICKSTART = "00-quickstart.ipynb"
_VIEW = "application/vnd.jupyter.widget-view+json"

_MOVES_WITHIN = 60.0  # seconds that the chart has to be drawn and to move
_FILLS_WITHIN = 12.0  # seconds that it is then given to have something to show
_POINTS = 80  # of one line that are something to show

_SHAPES = """
cell => Array.from(cell.querySelectorAll(".bqplot path.line"), line => line.getAttribute("d") ?? "")
"""

# What of the standard page would be fetched from other hosts, taken out.
_OFFLINE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


@click.command(short_help="Run the quick start in JupyterLab; leave a page and a picture.")
@click.argument("notebook", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out",
    default=Path("build"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for demo.html and demo.png.",
)
@click.option(
    "--theme",
    default="light",
    show_default=True,
    type=click.Choice(["light", "dark"]),
    help="JupyterLab's theme.",
)
def demo(notebook: Path | None, out: Path, theme: Literal["light", "dark"]) -> None:
    """Run NOTEBOOK, or the quick start, in a real JupyterLab in a headless Chromium.

    Prints the output of its cell tagged last-rows. Leaves demo.png, a picture of the window with the chart
    of the cell tagged chart while it moves, and demo.html, the executed notebook as a page that needs no
    network. The notebook itself is not changed.

    \b
    rtwidgets demo
    rtwidgets demo my.ipynb --out pictures --theme dark
    """  # noqa: D301 (click reads the escape)
    source = notebook or _quickstart()
    cells = _tagged(source)
    if importlib.util.find_spec("nbconvert") is None:
        raise UsageError("nbconvert is not installed: pip install 'rtwidgets[demo]'")

    import nbformat

    from rtwidgets.testing import Lab

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rtwidgets-demo-") as folder:
        copy = Path(shutil.copy(source, folder))
        chart = Path(folder) / "chart.png"
        with Lab(folder, scale=2) as lab:
            page = lab.open(copy.name, theme=theme)
            for index in range(cells["chart"] + 1):
                page.run_cell(index)
            _watch(page, cells["chart"])
            page.screenshot(out / "demo.png")
            output = page.cell(cells["chart"]).locator(".jp-OutputArea-output")
            output.filter(has=page.page.locator(".bqplot")).first.screenshot(path=chart)
            for index in range(cells["chart"] + 1, len(page)):
                page.run_cell(index)
            page.save()
        executed = nbformat.read(copy, as_version=4)  # type: ignore[no-untyped-call]
        picture = chart.read_bytes()
    click.echo(_text(executed["cells"][cells["last-rows"]]))
    _replace_widgets(executed, cells["chart"], picture)
    (out / "demo.html").write_text(_page(executed, source.stem, theme), encoding="utf-8")
    click.echo(f"\n{out / 'demo.html'}: the executed notebook, with the picture of its chart")
    click.echo(f"{out / 'demo.png'}: the chart in JupyterLab")


def _quickstart() -> Path:
    package = Path(__file__).parents[1]
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / _QUICKSTART).is_file():
            return folder / _QUICKSTART
    raise UsageError(f"{_QUICKSTART} did not come with this installation: name a notebook to run")


def _tagged(path: Path) -> dict[str, int]:
    """Return the places of the cells that are needed, by tag."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found = {
            tag: index for index, cell in enumerate(cells) for tag in cell.get("metadata", {}).get("tags", [])
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read as a notebook: {error}") from error
    for tag in ("chart", "last-rows"):
        if tag not in found:
            raise UsageError(f"{path} has no cell tagged {tag!r}: add the tag to the cell in JupyterLab")
    return found


def _watch(page: NotebookPage, index: int) -> None:
    """Wait until the chart of a cell is in sight, drawn and moving, and then until there is something to see.

    Raises
    ------
    RtError
        When nothing is drawn, or it stands still.
    """
    cell = page.cell(index)
    cell.scroll_into_view_if_needed()
    began, moved_at = time.monotonic(), 0.0
    shapes: set[str] = set()
    while True:
        lines: list[str] = cell.evaluate(_SHAPES)
        shapes.add("".join(lines))
        now = time.monotonic()
        if len(shapes - {""}) > 3:
            moved_at = moved_at or now
            points = max(line.count("L") for line in lines) if lines else 0
            if points >= _POINTS or now - moved_at > _FILLS_WITHIN:
                break
        elif now - began > _MOVES_WITHIN:
            seen = "stands still" if shapes - {""} else "draws no line"
            raise RtError(f"the chart of cell {index} {seen} after {_MOVES_WITHIN:g} s")
        page.page.wait_for_timeout(100)
    cell.scroll_into_view_if_needed()


def _text(cell: NotebookNode) -> str:
    """Return what a cell printed or returned, as text."""
    outputs = cell["outputs"]
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join(part.strip("\n") for part in parts)


def _replace_widgets(notebook: NotebookNode, chart: int, picture: bytes) -> None:
    """Put the picture where the chart was, and text where other widgets were: none lives without a kernel."""
    notebook["metadata"].pop("widgets", None)
    for index, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            if output.get("data", {}).pop(_VIEW, None) is None:
                continue
            if index == chart:
                caption = html.escape(f"Cell {index}: the live chart, as the browser drew it while it moved")
                image = base64.b64encode(picture).decode()
                output["data"] = {
                    "text/html": f'<figure id="chart" style="margin: 0"><img alt="{caption}" '
                    f'style="max-width: 100%" src="data:image/png;base64,{image}">'
                    f"<figcaption>{caption}</figcaption></figure>"
                }


def _page(notebook: NotebookNode, title: str, theme: str) -> str:
    """Return a notebook as a page that fetches nothing."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        theme=theme,
        extra_loaders=[DictLoader({"offline.html.j2": _OFFLINE})],
        template_file="offline.html.j2",
    )
    notebook.metadata.setdefault("title", title)
    body, _ = exporter.from_notebook_node(notebook)
    return str(body)
