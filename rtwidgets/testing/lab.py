"""A real JupyterLab in a real browser, driven from Python.

::

    with Lab("notebooks") as lab:
        page = lab.open("00-quickstart.ipynb", theme="dark")
        page.run_all()
        print(page.output_text(2))
        page.screenshot("quickstart-dark.png")
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rtwidgets.errors import Closed, UsageError
from rtwidgets.testing.labserver import LabServer
from rtwidgets.testing.page import NotebookPage, Theme

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Playwright

__all__ = ["Lab"]

_SYSTEM_BROWSER = "/usr/bin/chromium"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")

_FLAGS = (
    "--no-sandbox",  # containers and root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Lab:
    """A JupyterLab server and a headless Chromium, for as long as the ``with`` block lasts.

    The server runs the interpreter's own JupyterLab on a free port of the loopback address with a random
    token; the user's settings, workspaces and kernels are neither read nor written. On leaving the block the
    browser, the server and every kernel that it started are ended.

    Playwright's synchronous interface is used: it needs a thread without a running event loop, and while the
    block lasts ``asyncio.run`` is refused in that thread.

    Parameters
    ----------
    root
        The folder that holds the notebooks. Paths of notebooks are relative to it.
    viewport
        Width and height of the browser's window, in CSS pixels.
    scale
        Device pixels a CSS pixel: 2 gives sharp pictures for a page or a paper.
    executable
        The browser; by default ``/usr/bin/chromium`` or what is found on ``PATH`` as ``chromium``,
        ``chromium-browser`` or ``google-chrome``.
    headless
        False shows the window.
    env
        Variables to add to the environment of the server and of its kernels.
    timeout
        Seconds that the server may take to start.

    Raises
    ------
    UsageError
        On entering: Playwright, a browser or JupyterLab is missing, or an event loop is running here.
    ServeError
        On entering: JupyterLab did not start.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = ".",
        *,
        # The picture
        viewport: tuple[int, int] = (1280, 900),
        scale: float = 1,
        # The processes
        executable: str | os.PathLike[str] | None = None,
        headless: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> None:
        self.root = Path(root).resolve()
        self._viewport = viewport
        self._scale = scale
        self._executable = executable
        self._headless = headless
        self._env = env
        self._timeout = timeout
        self._closing = contextlib.ExitStack()
        self._server: LabServer | None = None
        self._browser: BrowserContext | None = None
        self._opened = 0

    def __enter__(self) -> Self:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise UsageError(
                "an event loop is running in this thread (a notebook, async code, or another Lab): "
                "use Lab from a plain script or test, one at a time"
            )
        try:
            from playwright.sync_api import sync_playwright
        except ImportError as error:
            raise UsageError("Playwright is not installed: pip install 'rtwidgets[demo]'") from error

        with contextlib.ExitStack() as stack:
            playwright = stack.enter_context(sync_playwright())
            executable = _find_browser(self._executable, playwright)
            self._server = LabServer(self.root, env=self._env, timeout=self._timeout)
            stack.callback(self._server.stop)
            browser = playwright.chromium.launch(
                executable_path=executable, headless=self._headless, args=list(_FLAGS)
            )
            stack.callback(browser.close)
            width, height = self._viewport
            # One context for all windows: they share the cache, and the second one opens faster.
            self._browser = browser.new_context(
                viewport={"width": width, "height": height}, device_scale_factor=self._scale
            )
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._browser = None
        self._closing.close()

    @property
    def server(self) -> LabServer:
        """The server's process: its ``url``, ``token``, ``pid``, ``log`` and REST ``request``."""
        if self._server is None:
            raise Closed("the Lab has not started: use it in a `with` block")
        return self._server

    @property
    def log(self) -> str:
        """What the server has written so far, or in all once it has ended."""
        return self.server.log

    def open(
        self, notebook: str | os.PathLike[str], theme: Theme = "light", *, timeout: float = 60
    ) -> NotebookPage:
        """Open a notebook in a new window, with its kernel started and idle.

        Parameters
        ----------
        notebook
            Path of the notebook, relative to the Lab's folder.
        theme
            One of JupyterLab's three.
        timeout
            Seconds.

        Raises
        ------
        UsageError
            There is no such notebook in the Lab's folder.
        Closed
            The Lab is not running.
        LabTimeout
            JupyterLab or the kernel was not ready in time.
        """
        if self._browser is None:
            raise Closed("the Lab is not running: open notebooks inside its `with` block")
        path = (self.root / notebook).resolve()
        if not path.is_file() or not path.is_relative_to(self.root):
            raise UsageError(f"there is no notebook {os.fspath(notebook)!r} in {self.root}")
        window = self._browser.new_page()
        self._opened += 1
        try:
            return NotebookPage(
                window,
                self.server,
                path.relative_to(self.root).as_posix(),
                theme,
                # Windows of one workspace would overwrite each other's layout.
                workspace=f"page-{self._opened}",
                timeout=timeout,
            )
        except BaseException:
            window.close()
            raise


def _find_browser(given: str | os.PathLike[str] | None, playwright: Playwright) -> str:
    """Path of the browser to drive: the one given, the system's, or the one that Playwright has installed."""
    if given is not None:
        if not Path(given).is_file():
            raise UsageError(f"there is no browser at {os.fspath(given)}")
        return os.fspath(given)
    own = playwright.chromium.executable_path
    for candidate in (_SYSTEM_BROWSER, *map(shutil.which, _BROWSERS), own):
        if candidate is not None and Path(candidate).is_file():
            return candidate
    raise UsageError(
        "no Chromium was found: install one (`apt install chromium`, or `playwright install chromium`), "
        "or name it with executable="
    )
