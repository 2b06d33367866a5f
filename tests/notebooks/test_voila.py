"""The charts' notebook as a page of its own, served by Voila."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02-charts.ipynb"
PATIENCE = 60.0

pytestmark = pytest.mark.browser


@pytest.fixture
def address(tmp_path):
    """Serves the notebook, with folders of its own for what Jupyter writes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    command = [
        sys.executable,
        "-m",
        "voila",
        NOTEBOOK,
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
    ]
    with (tmp_path / "voila.log").open("w+") as log:
        served = subprocess.Popen(
            command, env={**os.environ, **folders, "IPYTHONDIR": str(tmp_path)}, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while "is running at" not in (tmp_path / "voila.log").read_text():
                assert served.poll() is None, (tmp_path / "voila.log").read_text()
                assert time.monotonic() < deadline, "Voila does not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/"
        finally:
            served.terminate()
            served.wait(PATIENCE)


def test_charts_move_on_a_page_without_code(address):
    """Every chart and the table are on the page, the lines move, and no code is shown."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address, timeout=PATIENCE * 1000)
        page.locator(".rtw-table .lm-DataGrid").first.wait_for(timeout=PATIENCE * 1000)
        words = page.locator(".rtw-words").first

        def shapes() -> list[str]:
            return page.evaluate(
                """() => Array.from(document.querySelector(".bqplot").querySelectorAll("path.line"),
                                    (line) => line.getAttribute("d"))"""
            )

        seen: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while len(seen) < 4:
            assert time.monotonic() < deadline, f"the lines stand still: {words.inner_text()}"
            seen.add(str(shapes()))
            page.wait_for_timeout(50)
        assert re.search(r"live · [\d,]+ rows/s", words.inner_text())
        assert page.locator(".bqplot").count() == 8
        assert "prices.chart(" not in page.content()
        assert faults == []
        browser.close()
