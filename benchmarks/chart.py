"""A live line in JupyterLab: bytes, processor time, frames a second and delay, beside other charts.

All contenders get the same random walk at the same rate, in a kernel of their own, from a thread; their
window is full from the start. A window counts the rows of all series together, as a frame does.

`ours`
    ``Chart(frame, "price", window=None)`` on a `LiveFrame` that is extended; it sends when it sees fit.
`bqplot`
    ``mark.x, mark.y = ...`` with whole arrays, 20 times a second, under ``hold_sync``.
`bokeh`
    ``ColumnDataSource.stream(rows, rollover)`` and ``push_notebook``, 20 times a second; all series share
    one x, and all lines one source.
`plotly`
    ``FigureWidget.batch_update`` with whole arrays, 20 times a second.
`perspective`
    ``table.update`` of a table with a limit, 20 times a second, and a ``PerspectiveWidget`` that draws an
    "X/Y Line". It draws in a worker, out of sight of this benchmark: an answer of the kernel with data counts
    as a picture, and its delay leaves out the way to the browser and the drawing.

Kernel
    Steps of 1 000 rows, without a browser (perspective sends nothing then: it has only the cost of `update`).
    Bytes are the JSON and the buffers of all comm messages. Processor time is that of the whole process, less
    what making the rows and putting them into the frame or the arrays takes; median of the steps.
    For `ours` a stand-in says that each frame was painted as soon as it is sent.

Browser
    JupyterLab in headless Chromium, 5 000 rows a second in handfuls of 10 ms. A picture counts when the
    newest point drawn has moved on in every series: told by the path's data or, of what draws on a canvas, by
    the first stroke. Delay is from the time at which a row was due to the animation frame that shows it; rows
    that were never shown count with the time until the end. Main thread is the processor time of all tasks of
    the page (Chrome's ``TaskDuration``) for each picture. A contender whose page does nothing else for 2.5 s,
    or that has sent 150 MB, is fed no more, and what it has shown by then counts.
"""

from __future__ import annotations

import bisect
import json
import signal
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks._chart_contenders import CONTENDERS
from benchmarks._chart_lab import Window, in_a_kernel, laboratory
from benchmarks._common import arguments, table

RATE = 5_000
DRAWN = {
    "full": [(10_000, 1), (100_000, 1), (1_000_000, 1), (100_000, 10)],
    "quick": [(100_000, 1)],
}
OURS_TOO = {"full": [(1_000, 1), (1_000_000, 10), (100_000, 20)], "quick": []}
"""Drawn by ours only."""
SENT = {
    "full": [(window, series) for window in (1_000, 10_000, 100_000, 1_000_000) for series in (1, 10)],
    "quick": [(10_000, 1), (1_000_000, 10)],
}

MANY = 1_000
"""Frames over which the bytes of ours are counted in all, the first one and any that replace all included."""

_numbers = count(1)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def sent(folder: Path, names: list[str], scale: str) -> list[dict[str, Any]]:
    """Measure bytes and processor time in a kernel that nobody looks at."""
    found = []
    for name in names:
        orders = [
            {"contender": name, "window": window, "series": series, "frames": 25, "seconds": 1.0}
            for window, series in SENT[scale]
        ]
        for answer in in_a_kernel(folder, orders, seconds=40):
            point = {key: answer[key] for key in ("contender", "window", "series")}
            if "error" in answer:
                found.append(point | {"error": answer["error"]})
                continue
            sizes = answer["bytes"]
            found.append(
                point
                | {
                    "frames": len(sizes),
                    "bytes": round(statistics.median(sizes)),
                    "bytes_mean": round(statistics.fmean(sizes)),
                    "bytes_first": answer["first_bytes"],
                    "cpu_ms": round(statistics.median(answer["cpu_ms"]), 2),
                }
            )
    return found


def many(folder: Path) -> dict[str, Any]:
    """Count what very many frames of ours bring, of ten series."""
    asked = {"contender": "ours", "window": 100_000, "series": 10, "frames": MANY, "seconds": 90.0}
    (answer,) = in_a_kernel(folder, [asked], seconds=120)
    if "error" in answer:
        return {"error": answer["error"]}
    sizes = [answer["first_bytes"], *answer["bytes"]]
    return {"frames": len(sizes), "bytes_a_frame": round(statistics.fmean(sizes))}


def order(name: str, window: int, series: int, seconds: float, warm: float = 1.5) -> dict[str, Any]:
    return {
        "number": next(_numbers),
        "contender": name,
        "window": window,
        "series": series,
        "rate": RATE,
        "warm": warm,
        "seconds": seconds,
        "most_bytes": 1.5e8,
    }


def judge(asked: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Work out what one chart did from what its kernel and its page have noted."""
    point = {key: asked[key] for key in ("contender", "window", "series")}
    if "error" in said:
        return point | {"error": said["error"]}
    began, ended, paints = said["began"], said["ended"], said["paints"]
    messages = said["messages"]
    if asked["contender"] == "perspective":
        with_data = (
            [(at, size) for at, size in messages if size > max(5_000, max(s for _, s in messages) / 2)]
            if messages
            else []
        )
        paints = [{"at": at, "newest": at} for at, _ in with_data]
    late = said["cut"] or said["hung"] or not any(began < paint["at"] < ended for paint in paints)
    last = max([paint["at"] for paint in paints], default=ended)
    until = max(ended, last) if late else ended
    shown = [paint for paint in paints if began < paint["at"] <= until]
    # How far the series that is furthest behind may be from the row that came last, and the cut to whole ms.
    slack = asked["series"] * 1000 / asked["rate"] + 1
    newest = [paint["newest"] + slack for paint in paints]
    delays = []
    for tick in said["ticks"]:
        if began <= tick < ended - 10:
            place = bisect.bisect_left(newest, tick)
            delays.append((paints[place]["at"] if place < len(paints) else until) - tick)
    frames = (
        len(shown)
        if asked["contender"] in ("ours", "perspective")
        else sum(began < at <= ended for at, _ in said["updates"])
    )
    result = point | {
        "fps": round(len(shown) * 1000 / (until - began), 2) if until > began else 0.0,
        "delay_p50_ms": round(percentile(delays, 0.5)) if delays else None,
        "delay_p95_ms": round(percentile(delays, 0.95)) if delays else None,
        "main_ms": round(said["main_ms"], 1) if said.get("main_ms") else None,
        "kernel_ms": round(1000 * said["cpu_s"] / frames, 2) if frames else None,
        "bytes": round(sum(size for _, size in messages) / frames) if frames else None,
        "cut_off": late,
    }
    told = [paint for paint in shown if paint.get("told")]
    if len(told) > 1:
        paints_told = told[-1]["told"] - told[0]["told"]
        result["took_ms"] = (
            round((told[-1]["took"] - told[0]["took"]) / paints_told, 1) if paints_told else None
        )
    return result


def drawn(folder: Path, names: list[str], scale: str, deadline: float) -> list[dict[str, Any]]:
    """Measure in a browser what can be begun before a deadline."""
    found = []
    with laboratory(folder) as lab:
        for name in names:
            window: Window | None = None
            for rows, series in DRAWN[scale] + (OURS_TOO[scale] if name == "ours" else []):
                asked = order(name, rows, series, 3.0 if scale == "full" else 2.0)
                print(f"{name} {rows:,} x {series}", file=sys.stderr, flush=True)
                if time.monotonic() > deadline:
                    continue
                try:
                    window = window or Window(lab, folder)
                    said = window.draw(asked)
                except Exception as error:  # noqa: BLE001 - a peer that fails is shown as failed
                    said = {"error": f"{type(error).__name__}: {error}", "hung": True}
                found.append(judge(asked, said))
                # perspective cannot be shown twice in one page.
                if window is not None and (said.get("hung", True) or name == "perspective"):
                    window.close()
                    window = None
            if window is not None:
                window.close()
    return found


def goals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Hold our figures against what we promise."""
    kernel = {
        (p["window"], p["series"]): p
        for p in found["kernel"]
        if p["contender"] == "ours" and "error" not in p
    }
    browser = {
        (p["window"], p["series"]): p
        for p in found["browser"]
        if p["contender"] == "ours" and "error" not in p
    }
    said = []

    def goal(what: str, value: float | None, most: float | None = None, least: float | None = None) -> None:
        if value is not None:
            holds = (most is None or value <= most) and (least is None or value >= least)
            said.append(
                {"goal": what, "value": value, "limit": most if least is None else least, "holds": holds}
            )

    for (window, series), point in kernel.items():
        goal(f"bytes a frame, {window:,} x {series}", point["bytes"], most=16 * 1000 + 400)
        if window == 1_000_000:
            goal(f"kernel ms a frame, {window:,} x {series}", point["cpu_ms"], most=2)
    whole = found.get("many", {})
    goal(f"bytes a frame, of {MANY:,} in all", whole.get("bytes_a_frame"), most=16 * (1000 + 10) + 400)
    for (window, series), point in browser.items():
        several = series >= 10
        goal(f"fps, {window:,} x {series}", point["fps"], least=10 if several else 20)
        goal(f"delay p95 ms, {window:,} x {series}", point["delay_p95_ms"], most=250 if several else 150)
    if (10_000, 1) in browser and (1_000_000, 1) in browser:
        small, large = browser[10_000, 1]["main_ms"], browser[1_000_000, 1]["main_ms"]
        if small and large:
            goal("main thread, 1,000,000 to 10,000", round(large / small, 2), most=1.5)
    return said


def cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def report(title: str, points: list[dict[str, Any]], columns: dict[str, str]) -> str:
    rows = [
        (
            p["contender"],
            cell(p["window"]),
            cell(p["series"]),
            *(["failed"] if "error" in p else [cell(p.get(name)) for name in columns]),
        )
        for p in points
    ]
    rows = [row + ("",) * (3 + len(columns) - len(row)) for row in rows]
    return f"\n{title}\n" + table(("", "window", "series", *columns.values()), rows)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, with fewer points")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=300.0, help="to begin nothing new after")
    parser.add_argument("--kernel-only", action="store_true", help="without a browser")
    given = parser.parse_args()
    scale = "quick" if given.quick else "full"
    deadline = time.monotonic() + given.seconds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the browser and the server end too
    with tempfile.TemporaryDirectory(prefix="rtwidgets-chart-") as name:
        folder = Path(name)
        found: dict[str, Any] = {
            "kernel": sent(folder, given.only, scale),
            "browser": [] if given.kernel_only else drawn(folder, given.only, scale, deadline),
        }
        if "ours" in given.only and scale == "full":
            found["many"] = many(folder)
    found["goals"] = goals(found)
    if given.json:
        print(json.dumps(found))
        return
    print(
        report(
            "Kernel, 1 000 rows a frame",
            found["kernel"],
            {"bytes": "bytes", "bytes_mean": "mean", "bytes_first": "first", "cpu_ms": "cpu ms"},
        )
    )
    columns = {
        "fps": "frames/s",
        "delay_p50_ms": "delay p50 ms",
        "delay_p95_ms": "p95",
        "main_ms": "main thread ms",
        "took_ms": "of it feeder",
        "kernel_ms": "kernel ms",
        "bytes": "bytes",
        "cut_off": "cut off",
    }
    print(report(f"Browser, {RATE:,} rows/s", found["browser"], columns))
    print()
    print(
        table(
            ("our goal", "value", "limit", "holds"),
            [
                (g["goal"], cell(g["value"]), cell(g["limit"]), "yes" if g["holds"] else "NO")
                for g in found["goals"]
            ],
        )
    )
    for point in found["kernel"] + found["browser"]:
        if "error" in point:
            print(f"\n{point['contender']} {point['window']:,} x {point['series']}: {point['error'][-500:]}")


if __name__ == "__main__":
    main()
