"""The driver's side of `benchmarks.chart`: a notebook in JupyterLab, and a kernel that nobody looks at."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._common import ROOT
from rtwidgets.testing import lab as lab_module
from rtwidgets.testing.lab import Lab

SCRIPT = Path(__file__).with_name("_chart_page.js").read_text()
# WebGL in software, for the peer that draws with it.
lab_module._FLAGS = (*lab_module._FLAGS, "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"}


def notebook(folder: Path, source: str) -> str:
    """Write a notebook of one cell and return its name."""
    cell = {
        "cell_type": "code",
        "id": "one",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": source,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": [cell]}
    (folder / "chart.ipynb").write_text(json.dumps(book))
    return "chart.ipynb"


class Window:
    """A notebook's window with a kernel of its own, for the charts of one contender."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._page = lab.open(notebook(folder, "from benchmarks import _chart_kernel; _chart_kernel.go()"))
        self.page = self._page.page
        self._cdp = self.page.context.new_cdp_session(self.page)
        self.paints: list[dict[str, float]] = []
        self._alive = time.monotonic()
        self._cdp.on("Runtime.bindingCalled", self._called)
        self._cdp.send("Runtime.enable")
        for name in ("rtBenchPaint", "rtBenchAlive"):
            self._cdp.send("Runtime.addBinding", {"name": name})
        # Processor time, not time by the clock: other programs run too.
        self._cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

    def _called(self, event: dict[str, Any]) -> None:
        self._alive = time.monotonic()
        if event["name"] == "rtBenchPaint":
            self.paints.append(json.loads(event["payload"]))

    @property
    def answers(self) -> bool:
        """Whether the page's thread has done something lately."""
        return time.monotonic() - self._alive < 0.7

    def metrics(self) -> dict[str, float]:
        """Chrome's counts, such as processor seconds of the main thread's tasks."""
        return {each["name"]: each["value"] for each in self._cdp.send("Performance.getMetrics")["metrics"]}

    def draw(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have one chart drawn."""
        number, folder = order["number"], self._folder
        (folder / "order.json").write_text(json.dumps(order))
        self.page.evaluate("kind => Object.assign(rtBench, {kind: '', newest: -Infinity, took: 0, told: 0})")
        self._page.run_cell(0, timeout=60)
        self.page.evaluate("kind => { rtBench.kind = kind }", order["contender"])
        self.page.wait_for_timeout(500)
        self._wait_awake(20)
        self.paints.clear()
        before = self.metrics() if self.answers else None
        (folder / f"go-{number}").touch()
        answer = folder / f"answer-{number}.json"
        deadline = time.monotonic() + order["warm"] + order["seconds"] + 15
        measured_from = time.time() * 1000
        warmed = False
        while not answer.exists() and time.monotonic() < deadline:
            self.page.wait_for_timeout(20)
            if not self.answers and time.monotonic() - self._alive > 2.5:
                (folder / f"stop-{number}").touch()  # it cannot keep up: enough is waiting already
            if not warmed and time.time() * 1000 > measured_from + order["warm"] * 1000 and self.answers:
                warmed, before, from_paint = True, self.metrics(), len(self.paints)
        if not answer.exists():
            (folder / f"stop-{number}").touch()
            return {"error": "the kernel did not answer"}
        said = json.loads(answer.read_text())
        if "error" in said:
            return said
        self.page.wait_for_timeout(300)
        awake = self._wait_awake(12)
        after = self.metrics() if awake else None
        said["paints"] = list(self.paints)
        if before and after and awake:
            count = len(self.paints) - (from_paint if warmed else 0)
            spent = after["TaskDuration"] - before["TaskDuration"]
            said["main_ms"] = 1000 * spent / count if count else None
        said["hung"] = not awake
        return said

    def _wait_awake(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.page.wait_for_timeout(250)
            if self.answers:
                return True
        return False

    def close(self) -> None:
        """Close the window, also one whose page hangs, and end its kernel."""
        with contextlib.suppress(Exception):
            browser = self.page.context.browser
            session = browser.new_browser_cdp_session()
            for target in session.send("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    session.send("Target.closeTarget", {"targetId": target["targetId"]})
            session.detach()
        for kernel in self._lab.server.request("GET", "api/kernels"):
            with contextlib.suppress(OSError):
                self._lab.server.request("DELETE", f"api/kernels/{kernel['id']}")


@contextlib.contextmanager
def laboratory(folder: Path) -> Iterator[Lab]:
    with Lab(folder, env=ENVIRONMENT) as lab:
        lab._browser.add_init_script(SCRIPT)
        yield lab


def in_a_kernel(folder: Path, orders: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """Have charts made in a kernel without a browser; a reader takes what it sends, as a server would."""
    import os

    from jupyter_client.manager import KernelManager

    (folder / "orders.json").write_text(json.dumps(orders))
    answers = folder / "alone.jsonl"
    answers.unlink(missing_ok=True)
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder), env={**os.environ, **ENVIRONMENT})
    try:
        client = manager.client()
        socket = manager.connect_iopub()
        done = threading.Event()

        def drain() -> None:
            while not done.is_set():
                if socket.poll(100):
                    socket.recv_multipart(copy=False)
            socket.close(0)

        reader = threading.Thread(target=drain)
        reader.start()
        client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)
        client.execute("from benchmarks import _chart_kernel; _chart_kernel.alone()")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)
            if answers.exists() and answers.read_text().count("\n") == len(orders):
                break
        client.stop_channels()
    finally:
        done.set()
        reader.join()
        manager.shutdown_kernel(now=True)
    return [json.loads(line) for line in answers.read_text().splitlines()] if answers.exists() else []
