"""The server of a Lab starts privately and ends with all that it started; its errors say what to do."""

from __future__ import annotations

import asyncio
import sys

import psutil
import pytest

from rtwidgets.errors import Closed, ServeError, UsageError
from rtwidgets.testing import Lab
from rtwidgets.testing.labserver import LabServer

from .test_lab import write

pytestmark = pytest.mark.browser


def test_leaving_ends_every_process(tmp_path):
    """The server, its kernels and the browser are gone after the block, and the log stays."""
    mine = psutil.Process()
    before = set(mine.children(recursive=True))
    with Lab(tmp_path) as lab:
        page = lab.open(write(tmp_path, "a.ipynb", "import os; os.getpid()"))
        page.run_all()
        kernel = psutil.Process(int(page.output_text(1)))
        started = set(mine.children(recursive=True)) - before
        assert kernel in started
        home = lab.server._home
    assert psutil.wait_procs([*started], timeout=10)[1] == []
    assert not home.exists()
    assert "Kernel started" in lab.log
    with pytest.raises(Closed):
        lab.open("a.ipynb")


def test_leaving_by_an_error_ends_the_server(tmp_path):
    """An error in the block passes through, and nothing is left running."""
    with pytest.raises(ZeroDivisionError), Lab(tmp_path) as lab:
        server = psutil.Process(lab.server.pid)
        _ = 1 / 0
    assert not server.is_running()


def test_unstarted_lab():
    """A Lab outside its block says how it is used."""
    with pytest.raises(Closed, match="with"):
        _ = Lab().server


def test_missing_folder(tmp_path):
    """A folder that is not there is named."""
    with pytest.raises(UsageError, match="is not a folder"):
        LabServer(tmp_path / "no")


def test_missing_browser(tmp_path):
    """A browser that is not there is named, and no server is left behind."""
    with (
        pytest.raises(UsageError, match="there is no browser at /no/chromium"),
        Lab(executable="/no/chromium"),
    ):
        pass


def test_no_browser_at_all(tmp_path, monkeypatch):
    """Without any browser the sentence says how to get one."""
    monkeypatch.setattr("rtwidgets.testing.lab._SYSTEM_BROWSER", str(tmp_path / "none"))
    monkeypatch.setattr("rtwidgets.testing.lab.shutil.which", lambda name: None)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt install chromium"), Lab(tmp_path):
        pass


def test_missing_playwright(tmp_path, monkeypatch):
    """Without Playwright the sentence says how to get it."""
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(UsageError, match="pip install 'rtwidgets\\[demo\\]'"), Lab(tmp_path):
        pass


def test_inside_an_event_loop(tmp_path):
    """In async code the sentence says where a Lab can be used."""

    async def enter():
        Lab(tmp_path).__enter__()

    with pytest.raises(UsageError, match="event loop is running"):
        asyncio.run(enter())


def test_server_that_cannot_start(tmp_path, monkeypatch):
    """The end of its log is in the error."""
    monkeypatch.setattr("rtwidgets.testing.labserver.sys.executable", "/bin/false")
    with pytest.raises(ServeError, match="ended with code 1"):
        LabServer(tmp_path)
