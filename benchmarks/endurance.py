"""A live chart for long: memory while it moves, while nobody looks, and its pace while a cell runs.

Ten series in JupyterLab and headless Chromium, 5 000 rows a second from a server in a process of its own, a
window of all rows that the stream keeps. After a warm-up that fills the window twice:

Sleep
    Pictures a second while a cell sleeps.
Hidden
    The page is told that its tab is hidden. Frames that the kernel sent meanwhile, growth of the
    page's heap, and how far behind the picture is when it is back.
Soak
    Growth over `--minutes`: Chrome's heap after a collection, and the kernel's resident memory. `--warm-up`
    minutes go before: what the kernel's allocator holds in reserve grows for about so long, with the largest
    pictures that have been asked for, and no longer.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from benchmarks._common import arguments, table
from rtwidgets.testing import Lab, NotebookPage

SETUP = """
import json, time
import psutil
import rtwidgets as rt

symbols = {{f"S{{n}}": 100.0 + n for n in range(10)}}
server = rt.serve(process=True, seed=1, options={{"prices": {{"rate": 5_000, "symbols": symbols}}}})
prices = rt.connect("prices", max_rows={window})
prices.wait(rows=1_000)
chart = prices.chart("price", window=None)
None
"""
READ = """
print(json.dumps({
    "rows": prices.frame.total,
    "sent": chart._pace.sent,
    "rss": psutil.Process().memory_info().rss,
    "newest": prices.df["time"].iloc[-1].timestamp() * 1000,
}))
"""
SHOW, READING, SLEEP = 1, 2, 3
COUNT = """() => {
  window.seen = { pictures: 0, newest: 0 };
  document.addEventListener("rtwidgets:painted", ({ detail }) => {
    if (detail.frame) window.seen.pictures += 1;
    window.seen.newest = detail.newest;
  });
}"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Watch:
    """One chart in one window."""

    def __init__(self, page: NotebookPage) -> None:
        self._page = page
        self._cdp = page.page.context.new_cdp_session(page.page)
        self._cdp.send("Performance.enable")
        self._cdp.send("HeapProfiler.enable")
        page.run_cell(0)
        page.run_cell(SHOW)
        page.cell(SHOW).scroll_into_view_if_needed()
        page.evaluate(COUNT)

    def wait(self, seconds: float) -> None:
        self._page.page.wait_for_timeout(seconds * 1000)

    def kernel(self) -> dict[str, float]:
        self._page.run_cell(READING)
        self._page.cell(SHOW).scroll_into_view_if_needed()
        said: dict[str, float] = json.loads(self._page.output_text(READING))
        return said

    def page(self) -> dict[str, float]:
        seen: dict[str, float] = self._page.evaluate("window.seen")
        return seen

    def heap(self) -> float:
        """Megabytes of the page's heap after a collection."""
        self._cdp.send("HeapProfiler.collectGarbage")
        metrics = {
            each["name"]: each["value"] for each in self._cdp.send("Performance.getMetrics")["metrics"]
        }
        return metrics["JSHeapUsedSize"] / 1e6

    def fill(self, rows: int) -> None:
        """Wait until so many rows have come."""
        while self.kernel()["rows"] < rows:
            self.wait(1)

    def sleep(self) -> dict[str, Any]:
        before, began = self.page(), time.monotonic()
        self._page.run_cell(SLEEP)
        pictures, seconds = self.page()["pictures"] - before["pictures"], time.monotonic() - began
        return {"seconds": round(seconds, 1), "pictures_per_s": round(pictures / seconds, 1)}

    def hidden(self, seconds: float) -> dict[str, Any]:
        self._page.evaluate(HIDE, True)
        self.wait(1)  # what was on its way
        before, heap = self.kernel(), self.heap()
        self.wait(seconds)
        after, grown = self.kernel(), self.heap() - heap
        self._page.evaluate(HIDE, False)
        self.wait(1)
        return {
            "seconds": seconds,
            "rows": int(after["rows"] - before["rows"]),
            "frames_sent": int(after["sent"] - before["sent"]),
            "heap_growth_mb": round(grown, 2),
            "behind_ms_when_back": round(time.time() * 1000 - self.page()["newest"]),
        }

    def soak(self, minutes: float, warm_up: float) -> dict[str, Any]:
        self.wait(warm_up * 60)
        heap, kernel, began = self.heap(), self.kernel(), time.monotonic()
        most = heap
        while time.monotonic() - began < minutes * 60:
            self.wait(min(10.0, minutes * 20))
            most = max(most, self.heap())
        after, kernel_after = self.heap(), self.kernel()
        return {
            "minutes": minutes,
            "rows": int(kernel_after["rows"] - kernel["rows"]),
            "heap_mb": [round(heap, 1), round(most, 1), round(after, 1)],
            "heap_growth": round(after / heap - 1, 4),
            "kernel_mb": [round(kernel["rss"] / 1e6, 1), round(kernel_after["rss"] / 1e6, 1)],
            "kernel_growth": round(kernel_after["rss"] / kernel["rss"] - 1, 4),
        }


def measure(
    minutes: float,
    *,
    warm_up: float = 0.0,
    hidden: float = 60.0,
    sleep: float = 30.0,
    window: int = 100_000,
) -> dict[str, dict[str, Any]]:
    """Measure all three.

    Parameters
    ----------
    minutes, warm_up
        Of the soak, and before it.
    hidden, sleep
        Seconds.
    window
        Rows that the stream keeps.
    """
    sources = [SETUP.format(window=window), "chart", READ, f"time.sleep({sleep})"]
    with tempfile.TemporaryDirectory(prefix="rtwidgets-endurance-") as folder:
        cells = [new_code_cell(source.strip()) for source in sources]
        nbformat.write(new_notebook(cells=cells), Path(folder) / "endurance.ipynb")
        with Lab(folder) as lab:
            watch = Watch(lab.open("endurance.ipynb"))
            watch.fill(2 * window)
            return {
                "sleep": watch.sleep(),
                "hidden": watch.hidden(hidden),
                "soak": watch.soak(minutes, warm_up),
            }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak")
    parser.add_argument("--warm-up", type=float, default=5.0, help="minutes before the soak")
    given = parser.parse_args()
    found = measure(given.minutes, warm_up=given.warm_up)
    if given.json:
        print(json.dumps(found))
        return
    rows = [(part, name, str(value)) for part, each in found.items() for name, value in each.items()]
    print(table(("part", "figure", "value"), rows))


if __name__ == "__main__":
    main()
