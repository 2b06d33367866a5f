"""What recording costs, and how fast a recording is read: all of it, from anywhere, and with how much memory.

Recording: a stream of any WebSocket, from a server in another process that sends as fast as it is read, into
a frame, as in `benchmarks.ingest`. Rounds without and with ``stream.record(path)`` take turns. `rows_per_s`
and `recorded` are the medians of both, `cost_percent` that of the rows a second by which the recorded one of
two neighbours was slower. `cpu_us` and `recorded_us` are the microseconds of this process's processor time
for a row, on all of its threads; `at_once` is how many messages a read of the socket brought, on average.

`runs`
    A row a message, a thousand of them in a write of the server: the socket is always full.
`single`
    A row a message, each in a write of its own. The server is the slower one of the two.
`batches`
    A hundred rows a message.

Replay: a million rows, one a message, with all of them in a frame in the end.

`replay`
    ``rt.replay(path, speed=None)`` of a recording in which each message has its own time.
`replay_runs`
    The same of one in which a thousand came at once.
`read_json`
    ``pd.read_json(path, lines=True)`` of the same messages as lines of a file.
`loop`
    A loop over these lines: ``json.loads``, a list, and a DataFrame.
`pyarrow`
    ``pyarrow.json.read_json(path).to_pandas()``, where it is installed.

Seek: ``next(Recording(path).batches(start))`` at twenty random times of a file of a gigabyte, whose messages
of 500 random bytes, one a record, do not get smaller. `cold` is after the kernel was told to forget the file,
as far as it does; `warm` the same times once more.

`fast`
    In blocks of a mebibyte, as a fast feed is written.
`slow`
    In blocks of 16 KiB, as a feed of 32 kB a second is.
`fast_cut`, `slow_cut`
    The same without the file's last byte, as if the process had been killed: there is no list of blocks then.
    At five times, and without a limit.

Memory: resident memory of a process that writes three gigabytes of messages, and of one that reads them, at a
tenth of the way, at the most from there on, and in the end.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

import rtwidgets as rt
from benchmarks._common import arguments, encoded_rows, table
from benchmarks._tapes import AT_ONCE, BEGIN, STEP, child, feed, write_noise, write_rows
from rtwidgets.recording import Kind, Recording

FEEDS = {"runs": (1, 1_000), "single": (1, 1), "batches": (100, 10)}  # rows a message, messages a write
SHARE = {"runs": 1.0, "single": 0.2, "batches": 2.0}  # of the rows of a round
BLOCKS = {"fast": AT_ONCE, "slow": 2**14}  # bytes after which one ends, if it has not ended before
PLACES = (20, 5)  # in a whole file, and in one that is cut
CUT = "_cut"

Found = dict[str, dict[str, float]]

_numbers = count()

# Recording


def ingest(url: str, rows: int, size: int, path: Path | None) -> tuple[float, float]:
    """Return the rows a second into a frame, and the microseconds of processor time for each."""
    stream = rt.connect(url, key="symbol", time="time", name=f"replay {next(_numbers)}")
    recorder = None if path is None else stream.record(path)
    began, before = time.perf_counter(), time.process_time()
    stream.send(str(rows // size))
    stream.wait(rows, timeout=60)
    took, spent = time.perf_counter() - began, time.process_time() - before
    assert stream.frame.total == rows
    stream.stop()
    assert recorder is None or recorder.messages == rows // size
    return rows / took, 1e6 * spent / rows


def recording(folder: Path, rounds: int, rows: int) -> Found:
    return {name: recorded(folder / "a.rtlog", name, rounds, rows) for name in FEEDS}


def recorded(path: Path, name: str, rounds: int, rows: int) -> dict[str, float]:
    size, together = FEEDS[name]
    asked = max(1, round(SHARE[name] * rows / size / together)) * size * together
    without: list[tuple[float, float]] = []
    with_: list[tuple[float, float]] = []
    with feed(size, together) as url:
        for turn in range(rounds + 1):
            path.unlink(missing_ok=True)
            for found, file in ((without, None), (with_, path))[:: 1 if turn % 2 else -1]:
                gc.collect()
                found.append(ingest(url, asked, size, file))
    reads = sum(batch.kind is Kind.TEXT for batch in Recording(path).batches())
    path.unlink()
    rt.health()
    both = np.array([without, with_])[:, 1:]  # the first ones import and compile
    (rate, spent), (recorded_rate, recorded_spent) = np.median(both, axis=1)
    slower = 1.0 - both[1, :, 0] / both[0, :, 0]
    return {
        "rows_per_s": round(rate),
        "recorded": round(recorded_rate),
        "cost_percent": round(100.0 * np.median(slower), 1),
        "cpu_us": round(spent, 3),
        "recorded_us": round(recorded_spent, 3),
        "at_once": round(asked / size / reads, 1),
    }


# Replay


def replayed(path: Path) -> pd.DataFrame:
    stream = rt.replay(path, speed=None, max_rows=None, name=f"replay {next(_numbers)}")
    assert isinstance(stream, rt.Stream)
    frame = stream.df
    assert stream.frame.rejected_count == 0
    stream.stop()
    return frame


def read_json(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True)


def loop(path: Path) -> pd.DataFrame:
    with path.open("rb") as lines:
        return pd.DataFrame([json.loads(line) for line in lines])


def pyarrow(path: Path) -> pd.DataFrame:
    from pyarrow import json as arrow

    frame: pd.DataFrame = arrow.read_json(path).to_pandas()
    return frame


CONTENDERS: dict[str, tuple[str, Callable[[Path], pd.DataFrame]]] = {
    "replay": ("single.rtlog", replayed),
    "replay_runs": ("runs.rtlog", replayed),
    "read_json": ("rows.jsonl", read_json),
    "loop": ("rows.jsonl", loop),
    "pyarrow": ("rows.jsonl", pyarrow),
}


def replay(folder: Path, rounds: int, count: int) -> Found:
    rows = encoded_rows(count)
    write_rows(folder / "single.rtlog", rows, 1)
    write_rows(folder / "runs.rtlog", rows, 1_000)
    (folder / "rows.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    last = json.loads(rows[-1])
    del rows
    there = {name: each for name, each in CONTENDERS.items() if name != "pyarrow" or find_spec(name)}
    took: dict[str, list[float]] = {name: [] for name in there}
    for _ in range(rounds):
        for name, (file, read) in there.items():
            gc.collect()
            began = time.perf_counter()
            frame = read(folder / file)
            took[name].append(time.perf_counter() - began)
            assert len(frame) == count
            assert frame["price"][count - 1] == last["price"]
            del frame
    for file, _ in CONTENDERS.values():
        (folder / file).unlink(missing_ok=True)
    rt.health()
    return {name: {"rows_per_s": round(count / statistics.median(each))} for name, each in took.items()}


# Seek


def forget(path: Path) -> None:
    """Let the kernel drop what it keeps of a file in memory, where it can be told to."""
    if hasattr(os, "posix_fadvise"):
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def sought(path: Path, number: int) -> float:
    """Return the milliseconds until a message is there, of a file that was not open."""
    began = time.perf_counter()
    batch = next(Recording(path).batches(BEGIN + number * STEP))
    took = time.perf_counter() - began
    assert int.from_bytes(batch.messages[0][:8]) == number
    return 1e3 * took


def seek(folder: Path, megabytes: float) -> Found:
    found: Found = {}
    for name, block in BLOCKS.items():
        path = folder / f"{name}.rtlog"
        messages = write_noise(path, megabytes, block)
        for title in (name, name + CUT):
            if title.endswith(CUT):
                os.truncate(path, path.stat().st_size - 1)
            # Only the list of blocks is cut off: all messages are there.
            places = random.Random(1).sample(range(messages), PLACES[title.endswith(CUT)])
            cold = []
            for number in places:
                forget(path)
                cold.append(sought(path, number))
            warm = [sought(path, number) for number in places]
            found[title] = {
                "megabytes": round(path.stat().st_size / 1e6),
                "cold_ms": round(statistics.median(cold), 1),
                "worst_cold_ms": round(max(cold), 1),
                "warm_ms": round(statistics.median(warm), 1),
                "worst_warm_ms": round(max(warm), 1),
            }
        path.unlink()
    return found


# Memory


def memory(folder: Path, megabytes: float) -> Found:
    path = folder / "a.rtlog"
    try:
        return {"writing": child("write", path, megabytes), "reading": child("read", path)}
    finally:
        path.unlink(missing_ok=True)


# All


def room(folder: Path, megabytes: float, what: str) -> bool:
    """Return whether the disk has room for a file; say so where it has not."""
    free = shutil.disk_usage(folder).free / 1e6
    if free < 1.2 * megabytes:
        print(
            f"Left out: {what} needs {1.2 * megabytes:,.0f} MB in {folder}, where {free:,.0f} are free; "
            "name another folder with --folder",
            file=sys.stderr,
        )
        return False
    return True


def measure(given: argparse.Namespace) -> dict[str, Found]:
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        found = {
            "recording": recording(folder, given.rounds, given.rows),
            "replay": replay(folder, max(1, given.rounds // 5), 4 * given.rows),
        }
        if room(folder, given.seek, "seeking"):
            found["seek"] = seek(folder, given.seek)
        if room(folder, given.memory, "memory"):
            found["memory"] = memory(folder, given.memory)
    return found


def limits(results: dict[str, Found]) -> list[tuple[str, str, str, str]]:
    """Return what is to be reached: what, how much it is, the limit, and whether that holds."""
    cost = max(each["cost_percent"] for each in results["recording"].values())
    rate = results["replay"]["replay"]["rows_per_s"]
    rows = [
        ("recording costs, % of rows a second", cost, 10.0, cost <= 10.0),
        ("replay at once, rows a second", rate, 300_000.0, rate >= 300_000.0),
    ]
    if "seek" in results:
        worst = max(results["seek"][name]["worst_cold_ms"] for name in BLOCKS)
        rows.append(("seek anywhere, at the worst, ms", worst, 200.0, worst <= 200.0))
    if "memory" in results:
        growth = max(each["growth_mb"] for each in results["memory"].values())
        rows.append(("growth of memory, MB", growth, 50.0, growth <= 50.0))
    return [
        (what, f"{found:,.0f}", f"{limit:,.0f}", "yes" if holds else "no")
        for what, found, limit, holds in rows
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="with and without recording")
    parser.add_argument("--rows", type=int, default=250_000, help="in one; four times as many are replayed")
    parser.add_argument("--seek", type=float, default=1_000.0, help="megabytes of the file to seek in")
    parser.add_argument("--memory", type=float, default=3_000.0, help="megabytes to write and to read")
    parser.add_argument("--folder", help="where to put the files")
    given = parser.parse_args()
    results = measure(given)
    if given.json:
        print(json.dumps(results))
        return
    replays = results["replay"]
    for each in replays.values():
        each["x_read_json"] = round(each["rows_per_s"] / replays["read_json"]["rows_per_s"], 2)
    titles = {
        "recording": "Rows a second from a socket into a frame, without and with a recording",
        "replay": f"Rows a second from a file into a frame, {4 * given.rows:,} rows",
        "seek": f"Milliseconds to open a file of {given.seek:,.0f} MB and have a message of any time",
        "memory": f"Megabytes of resident memory, {given.memory:,.0f} MB of messages",
    }
    for name, found in results.items():
        print(titles[name])
        head = ("", *next(iter(found.values())))
        print(table(head, [(row, *(f"{each:,}" for each in cells.values())) for row, cells in found.items()]))
    print(table(("", "found", "limit", "reached"), limits(results)))


if __name__ == "__main__":
    main()
