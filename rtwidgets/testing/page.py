"""One notebook in a JupyterLab window."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from rtwidgets.errors import RtError, UsageError
from rtwidgets.testing.labserver import LabServer

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page

__all__ = ["CellFailed", "KernelDied", "LabTimeout", "NotebookPage", "Theme"]

Theme = Literal["light", "dark", "high-contrast"]

_THEMES: dict[str, str] = {
    "light": "JupyterLab Light",
    "dark": "JupyterLab Dark",
    "high-contrast": "JupyterLab Dark High Contrast",
}

_SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")

# Between two looks at a running notebook, in seconds.
_POLL = 0.05

# No mark on the active cell in a picture: which one it is says nothing.
_QUIET = """
.jp-Notebook .jp-Cell.jp-mod-active { box-shadow: none !important; }
.jp-Notebook .jp-Cell .jp-Collapser { visibility: hidden !important; }
"""

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class CellFailed(RtError):
    """A cell that raised an error.

    Attributes
    ----------
    notebook
        Path of the notebook.
    index
        Position of the cell among all cells, from 0.
    name, value
        The error's class and message.
    traceback
        The traceback as text, without terminal colours.
    """

    def __init__(self, notebook: str, index: int, name: str, value: str, traceback: str) -> None:
        super().__init__(notebook, index, name, value, traceback)
        self.notebook = notebook
        self.index = index
        self.name = name
        self.value = value
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.notebook}, cell {self.index}: {self.name}: {self.value}\n{self.traceback}"


class KernelDied(RtError):
    """The kernel of a notebook ended while its cells ran."""


class LabTimeout(RtError, TimeoutError):
    """Something in JupyterLab that did not happen in time."""


class NotebookPage:
    """One notebook in a JupyterLab window; `Lab.open` makes it.

    Cells are counted from 0 and include those with text. All cells are in the page's DOM, also those out of
    sight. Times are in seconds.

    Attributes
    ----------
    page
        Playwright's page, for what is not offered here.
    notebook
        Path of the notebook, relative to the Lab's folder.
    problems
        Errors that the page has written to the browser's console, oldest first.
    """

    def __init__(
        self, page: Page, server: LabServer, notebook: str, theme: Theme, *, workspace: str, timeout: float
    ) -> None:
        self.page = page
        self.notebook = notebook
        self.problems: list[str] = []
        self._theme: Theme = theme
        self._url = f"{server.url}doc/workspaces/{workspace}/tree/{quote(notebook)}"
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.add_init_script(_SCRIPT)
        # The token becomes a cookie, and does not stay in the address.
        page.goto(f"{self._url}?token={server.token}", timeout=timeout * 1000)
        self._settle(timeout)

    # Cells

    def run_all(self, timeout: float = 120) -> None:
        """Run all cells from the top, and wait until each was executed and the kernel is idle.

        A cell with the tag ``raises-exception`` may raise.

        Raises
        ------
        CellFailed
            A cell raised an error. Those after it that had reached the kernel by then were not run.
        KernelDied
            The kernel ended.
        LabTimeout
            A cell was still running; the sentence names it.
        """
        self._run("runAll", None, timeout)

    def run_cell(self, index: int, timeout: float = 60) -> None:
        """Run one cell and wait until it was executed and the kernel is idle.

        Raises
        ------
        UsageError
            There is no such cell.
        CellFailed, KernelDied, LabTimeout
            As for `run_all`.
        """
        self._check(index)
        self._run("runCell", index, timeout)

    def output_text(self, index: int) -> str:
        """Text of a cell's output as the page shows it: printed text, reprs, tables and widgets."""
        self._check(index)
        text: str = self._call("outputText", index)
        return text

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Outputs of a cell in the notebook format: a list of dicts with an ``output_type``."""
        self._check(index)
        outputs: list[dict[str, Any]] = self._call("outputs", index)
        return outputs

    def cell(self, index: int) -> Locator:
        """Playwright's locator of a cell, input and output."""
        self._check(index)
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def __len__(self) -> int:
        """Count the cells."""
        return len(self._call("state")["cells"])

    # The page

    def wait_for(self, selector: str, timeout: float = 30) -> Locator:
        """Wait until an element that matches a CSS selector is visible; return its locator."""
        locator = self.page.locator(selector).first
        with self._in_time(f"no visible element matches {selector!r}", timeout):
            locator.wait_for(timeout=timeout * 1000)
        return locator

    def evaluate(self, js: str, argument: Any = None) -> Any:
        """Evaluate JavaScript in the page: an expression, or a function of one argument.

        ``window.jupyterapp`` is JupyterLab's application. A promise is waited for.
        """
        return self.page.evaluate(js, argument)

    def execute(self, command: str, **arguments: Any) -> None:
        """Execute one of JupyterLab's commands, such as ``notebook:restart-kernel``, and wait for its end."""
        self._call("execute", [command, arguments])

    def set_theme(self, theme: Theme, timeout: float = 30) -> None:
        """Change JupyterLab's theme and wait until the page has it."""
        if theme not in _THEMES:
            raise UsageError(f"there is no theme {theme!r}: choose one of {', '.join(map(repr, _THEMES))}")
        with self._in_time(f"the theme did not become {theme}", timeout):
            self.execute("apputils:change-theme", theme=_THEMES[theme])
            self.page.wait_for_function(
                "name => window.rtLab.hasTheme(name)", arg=_THEMES[theme], timeout=timeout * 1000
            )
        self._theme = theme

    def screenshot(
        self,
        path: str | os.PathLike[str],
        cell: int | None = None,
        *,
        selector: str | None = None,
        whole: bool = False,
    ) -> Path:
        """Write a PNG picture of the window, of one cell, of one element, or of the whole notebook.

        Parameters
        ----------
        path
            File to write; missing folders are made.
        cell
            Index of a cell: its input and output.
        selector
            CSS selector; the first element that matches.
        whole
            The window made as high as the notebook.

        Returns
        -------
        The path.
        """
        if (cell is not None) + (selector is not None) + whole > 1:
            raise UsageError("choose one of cell=, selector= and whole=True")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.mouse.move(0, 0)
        target = self.cell(cell) if cell is not None else None
        if selector is not None:
            target = self.wait_for(selector)
        with self._high_enough(target, whole=whole):
            self._call("painted")
            if target is None:
                self.page.screenshot(path=path, style=_QUIET)
            else:
                target.screenshot(path=path, style=_QUIET)
        return path

    def save(self, timeout: float = 30) -> None:
        """Save the notebook and wait until it is on disk."""
        with self._in_time("the notebook was not saved", timeout):
            self.execute("docmanager:save")
            self.page.wait_for_function("() => !window.rtLab.state().dirty", timeout=timeout * 1000)

    def reload(self, timeout: float = 60) -> None:
        """Load the page again. The kernel goes on; what was not saved is lost from the notebook."""
        with self._in_time("the page did not load again", timeout):
            self.page.goto(self._url, timeout=timeout * 1000)
        self._settle(timeout)

    def close(self) -> None:
        """Close the window. The kernel goes on until the Lab ends."""
        self.page.close()

    # Inside

    def _settle(self, timeout: float) -> None:
        with self._in_time("JupyterLab did not show the notebook with its kernel", timeout):
            self.page.wait_for_function("() => window.rtLab.ready()", timeout=timeout * 1000)
        self.set_theme(self._theme)
        self._call("tidy")

    def _run(self, method: str, argument: Any, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._call(method, argument)
        while True:
            # Through Playwright, which goes on reading the browser's events meanwhile.
            self.page.wait_for_timeout(_POLL * 1000)
            state = self._call("state")
            if state["died"]:
                raise KernelDied(f"{self.notebook}: the kernel died while its cells ran")
            if state["done"] and state["kernel"] == "idle":
                break
            if time.monotonic() > deadline:
                raise LabTimeout(
                    f"{self.notebook}: {_where(state)} was still running after {timeout:g} s{self._dialog()}"
                )
        for index in state["ran"]:
            cell = state["cells"][index]
            if cell["error"] and not cell["mayRaise"]:
                error = cell["error"]
                traceback = _ESCAPES.sub("", "\n".join(error["traceback"]))
                raise CellFailed(self.notebook, index, error["ename"], error["evalue"], traceback)
        if state["failure"]:
            raise RtError(f"{self.notebook}: JupyterLab could not run the cells: {state['failure']}")

    def _call(self, method: str, argument: Any = None) -> Any:
        return self.page.evaluate(f"argument => window.rtLab.{method}(argument)", argument)

    def _check(self, index: int) -> None:
        if not 0 <= index < (count := len(self)):
            raise UsageError(f"{self.notebook} has no cell {index}: it has {count}, counted from 0")

    def _dialog(self) -> str:
        text = self._call("dialog")
        return f"; a dialog is open: {text}" if text else ""

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    @contextmanager
    def _in_time(self, what: str, timeout: float) -> Iterator[None]:
        from playwright.sync_api import TimeoutError as PlaywrightTimeout

        try:
            yield
        except PlaywrightTimeout:
            raise LabTimeout(f"{self.notebook}: {what} within {timeout:g} s{self._dialog()}") from None

    @contextmanager
    def _high_enough(self, target: Locator | None, *, whole: bool) -> Iterator[None]:
        """Make the window as high as the notebook, or as an element in it, needs.

        The notebook scrolls inside the window, and a picture shows only what the window does.
        """
        size = self.page.viewport_size
        missing = 0
        if whole:
            missing = self._call("hiddenHeight")
        elif target is not None:
            missing = target.evaluate("element => window.rtLab.missingHeight(element)")
        if size is None or missing <= 0:
            yield
            return
        self.page.set_viewport_size({"width": size["width"], "height": size["height"] + missing})
        try:
            yield
        finally:
            self.page.set_viewport_size(size)


def _where(state: dict[str, Any]) -> str:
    for index, cell in enumerate(state["cells"]):
        if cell["running"]:
            lines = cell["source"].strip().splitlines() or [""]
            return f"cell {index} ({lines[0][:60]!r})"
    return "no cell"
