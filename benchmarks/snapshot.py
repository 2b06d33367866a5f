"""What `.df` costs right after rows came, for frames of 1 000 to 10 000 000 rows x 5 columns.

`df_ms`
    The median of the milliseconds of `.df` after an append of 100 rows, which makes the last one stale.
`append_ms`
    Milliseconds of that append.
`shares_memory`
    Whether the numeric columns of two snapshots, before and after an append, lie in the same memory. (A full
    buffer moves to one of twice the size once in a while; two snapshots around that moment do not share.)
`unchanged`
    Whether an older snapshot still has its length and its numbers after the appends that followed.
`copy_ms`
    For comparison, ``DataFrame.copy()`` of the same rows: a safe snapshot of a frame that changes in place.
`concat_ms`
    For comparison, ``pd.concat`` of the rows and 100 more, which makes a new frame at each append.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._common import arguments, table
from rtwidgets.frames import LiveFrame

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
NUMERIC = ("price", "size", "bid", "ask")
BATCH = 100
SCHEMA = {"price": "float64", "size": "int64", "bid": "float64", "ask": "float64", "time": "datetime64[ms]"}


def rows(first: int, count: int) -> list[dict[str, float]]:
    return [
        {
            "price": 100.0 + n % 97,
            "size": n,
            "bid": 99.0 + n % 89,
            "ask": 101.0 + n % 83,
            "time": 1763800000000 + n,
        }
        for n in range(first, first + count)
    ]


def filled(size: int) -> LiveFrame:
    frame = LiveFrame(None, schema=SCHEMA)
    block = json.dumps(rows(0, min(size, 100_000))).encode()
    while frame.total < size:
        frame.extend_json(block)
    return frame


def milliseconds(times: list[float]) -> float:
    return round(statistics.median(times) * 1e3, 4)


def measure(size: int) -> dict[str, Any]:
    frame = filled(size)
    old = frame.df
    sums = old[list(NUMERIC)].sum()
    last = old.iloc[-1].copy()
    appends, snapshots = [], []
    now = old
    more = rows(size, BATCH)
    for _ in range(50):
        before = now
        start = time.perf_counter()
        frame.extend(more)
        appended = time.perf_counter()
        now = frame.df
        snapshots.append(time.perf_counter() - appended)
        appends.append(appended - start)
    assert len(now) == len(before) + BATCH == size + 50 * BATCH
    shares = all(np.shares_memory(now[name].to_numpy(), before[name].to_numpy()) for name in NUMERIC)
    unchanged = len(old) == size and old[list(NUMERIC)].sum().equals(sums) and old.iloc[-1].equals(last)
    times = 3 if size > 1_000_000 else 10
    plain, tail = before.copy(), pd.DataFrame(more).astype({"time": before["time"].dtype})
    return {
        "df_ms": milliseconds(snapshots),
        "df_ms_worst": round(max(snapshots) * 1e3, 4),
        "append_ms": milliseconds(appends),
        "shares_memory": shares,
        "unchanged": bool(unchanged),
        "copy_ms": timed(plain.copy, times),
        "concat_ms": timed(lambda: pd.concat([plain, tail], ignore_index=True), times),
    }


def timed(work: Any, times: int) -> float:
    taken = []
    for _ in range(times):
        gc.collect()
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return milliseconds(taken)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    results = {str(size): measure(size) for size in given.sizes}
    if given.json:
        print(json.dumps(results))
        return
    print("Milliseconds of a snapshot right after an append, by rows; 5 columns")
    head = ("rows", *next(iter(results.values())))
    print(table(head, [(f"{int(size):,}", *map(str, found.values())) for size, found in results.items()]))


if __name__ == "__main__":
    main()
