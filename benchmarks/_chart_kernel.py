"""What `benchmarks.chart` runs inside a kernel: the load, and the meters of bytes and processor time.

The driver writes an order into the working directory, runs one cell that calls `go`, and finds the answer in
a file: the kernel and the browser may be too busy to be asked.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from ipykernel.comm.comm import BaseComm

from benchmarks._chart_contenders import CONTENDERS, ROW_MS, Contender, Rows

TICK = 0.01
"""Seconds between two handfuls of rows."""
FRAME = 0.05
"""Seconds between two updates of a peer."""

_open: list[Contender] = []


class Meter:
    """Counts what leaves on comms: the JSON and the buffers, without the envelope that all messages have."""

    def __init__(self) -> None:
        self.sizes: list[tuple[float, int]] = []  # Unix ms and bytes
        self.cost = 0.0  # processor seconds that the counting itself took
        publish = BaseComm.publish_msg

        def counted(
            comm: Any, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
        ) -> None:
            if msg_type == "comm_msg":
                began = time.thread_time()
                size = len(json.dumps(data, default=str)) + len(json.dumps(metadata or {}, default=str))
                size += sum(memoryview(buffer).nbytes for buffer in buffers or ())
                self.sizes.append((time.time() * 1000, size))
                self.cost += time.thread_time() - began
            publish(comm, msg_type, data, metadata, buffers, **keys)

        BaseComm.publish_msg = counted


METER = Meter()


def go() -> None:
    """Do what ``order.json`` says; the answer comes from a thread."""
    order = json.loads(Path("order.json").read_text())
    while _open:
        _open.pop().close()
    contender = CONTENDERS[order["contender"]](Rows(order["series"], 1000.0 / order["rate"]), order["window"])
    _open.append(contender)
    contender.show()
    threading.Thread(target=_answer, args=(contender, order), daemon=True).start()


def _answer(contender: Contender, order: dict[str, Any]) -> None:
    try:
        answer = _load(contender, order)
    except Exception:  # noqa: BLE001 - told where the answer is looked for
        answer = {"error": traceback.format_exc()}
    path = Path(f"answer-{order['number']}.json")
    path.with_suffix(".part").write_text(json.dumps(answer))
    path.with_suffix(".part").rename(path)


class _Count:
    """Readings of the meters, of which two make a difference."""

    def __init__(self, contender: Contender, made: float) -> None:
        self.at = time.time() * 1000
        self.cpu = time.process_time() - made - METER.cost
        self.messages = len(METER.sizes)


def _load(contender: Contender, order: dict[str, Any]) -> dict[str, Any]:
    """Make rows at an even rate, hand them on, and say what that took."""
    number = order["number"]
    deadline = time.monotonic() + 60
    while not Path(f"go-{number}").exists() and not order.get("alone"):
        time.sleep(0.02)
        if time.monotonic() > deadline:
            return {"error": "nobody said go"}
    contender.start()
    stop = Path(f"stop-{number}")
    rate, series = order["rate"], contender.rows.series
    at_once = max(series, round(rate * TICK / series) * series)
    every = at_once / rate
    made = sent = 0.0
    ticks: list[float] = []
    updates: list[tuple[float, int]] = []
    del METER.sizes[:]
    METER.cost = 0.0
    started = due = time.time()
    update_due = started + FRAME
    begin = _Count(contender, made)
    warm = False
    cut = False
    while True:
        now = time.time()
        if not warm and now >= started + order["warm"]:
            warm, begin = True, _Count(contender, made)
        if warm and now * 1000 >= begin.at + order["seconds"] * 1000:
            break
        if stop.exists() or sent > order["most_bytes"]:
            cut = True
            break
        clock = time.thread_time()
        while due <= now:
            # The time at which a row was due counts as its birth, however late the thread gets to it.
            contender.add(*contender.rows.until(due * 1000, at_once))
            ticks.append(due * 1000)
            due += every
            now = max(now, time.time())
            if len(ticks) % 64 == 0 and contender.pushes:
                break
        made += time.thread_time() - clock
        if contender.pushes and now >= update_due:
            before = len(METER.sizes)
            contender.update()
            updates.append((time.time() * 1000, sum(size for _, size in METER.sizes[before:])))
            sent = sum(size for _, size in METER.sizes)
            update_due = max(update_due + FRAME, now)
        time.sleep(max(0.0005, min(due, update_due if contender.pushes else due) - time.time()))
    end = _Count(contender, made)
    return {
        "began": begin.at,
        "ended": end.at,
        "cut": cut,
        "ticks": ticks,
        "updates": updates,
        "cpu_s": end.cpu - begin.cpu,
        "messages": METER.sizes[begin.messages : end.messages],
    }


def alone() -> None:
    """Do what ``orders.json`` says, in a kernel that nobody looks at; the answers come from a thread."""
    threading.Thread(target=_all_alone, daemon=True).start()


def _all_alone() -> None:
    for order in json.loads(Path("orders.json").read_text()):
        try:
            answer = _alone(order)
        except Exception:  # noqa: BLE001 - told where the answer is looked for
            answer = {"error": traceback.format_exc()}
        with Path("alone.jsonl").open("a") as answers:
            answers.write(json.dumps({**order, **answer}) + "\n")


def _alone(order: dict[str, Any]) -> dict[str, Any]:
    """Steps of 1 000 rows, each handed on before the next."""
    rows = Rows(order["series"], ROW_MS)
    contender = CONTENDERS[order["contender"]](rows, order["window"])
    first = len(METER.sizes)
    contender.show()
    painter = None if contender.pushes else Painter(contender.widget)
    cpu: list[float] = []
    sizes: list[int] = []
    began = time.monotonic()
    while len(cpu) < order["frames"] and (time.monotonic() - began < order["seconds"] or len(cpu) < 3):
        clock, cost = time.process_time(), METER.cost
        before = len(METER.sizes) if cpu else first
        making = time.thread_time()
        contender.add(*rows.until(time.time() * 1000, 1000))
        making = time.thread_time() - making
        if painter is None:
            contender.update()
            time.sleep(0.005)  # for the thread that writes to the socket
        else:
            painter.wait()
        cpu.append(1000 * (time.process_time() - clock - making - (METER.cost - cost)))
        sizes.append(sum(size for _, size in METER.sizes[before:]))
    contender.close()
    # The first one brings the window and the widgets, and what is made on first use.
    return {"cpu_ms": cpu[1:], "bytes": sizes[1:], "first_bytes": sizes[0]}


class Painter:
    """Stands in for a browser that shows our chart and paints each frame at once."""

    def __init__(self, chart: Any) -> None:
        from IPython import get_ipython

        self._feeder = chart._feeder
        self._frames = threading.Semaphore(0)
        self._greeted = False
        put = self._feeder.put

        def painted(number: int, *given: Any, **more: Any) -> None:
            put(number, *given, **more)
            if self._greeted:
                self._say({"painted": number})
            self._frames.release()

        self._feeder.put = painted
        self.wait()  # as in a page: the cell that shows the chart sends the window before the page can speak
        get_ipython().events.trigger("post_run_cell", None)
        self._greeted = True
        self._say({"hello": True, "last": chart._pace.sent})

    def wait(self) -> None:
        """Wait for the next frame."""
        while self._frames.acquire(blocking=False):
            pass
        if not self._frames.acquire(timeout=3):
            raise TimeoutError("no frame was sent in 3 s")
        time.sleep(0.001)

    def _say(self, content: dict[str, Any]) -> None:
        self._feeder._handle_custom_msg({"client": "benchmark", **content}, [])
