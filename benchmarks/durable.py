"""Publishes a second that are on the disk when they are answered, through the engine `sqlite:///file.db`.

`bare`
    A loop of one INSERT and one COMMIT on a connection of its own, with the same settings (WAL, FULL).
`publishers_1`, `publishers_10`, `publishers_100`
    So many tasks, each of which publishes to one channel and waits for the answer before it goes on.
`keyed_100`
    The same with an idempotency key a publish.
`busy_100`
    The same as `publishers_100`, while another thread runs Python without a pause, as a cell may.

Each has `rate`, in messages a second, `commits`, in transactions a second, and `p50_ms` and `p99_ms`, the
milliseconds that a publish took. They take turns, in rounds, because the speed of a disk changes from one
second to the next; `rate` and `commits` are the medians of the rounds. All depend on what the disk needs to
write through: in a folder that lies in memory there is no such wait.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path

from benchmarks._common import arguments, encoded_rows, table
from rtwidgets.engines import SqliteEngine

ROWS = encoded_rows(1_000)
Round = tuple[float, float, list[float]]


def bare(path: Path, seconds: float) -> Round:
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("PRAGMA locking_mode = EXCLUSIVE")
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
        sql.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, time REAL, data BLOB)")
        times = []
        start = before = time.perf_counter()
        for row in itertools.cycle(ROWS):
            sql.execute("BEGIN")
            sql.execute("INSERT INTO messages (time, data) VALUES (?, ?)", (time.time(), row))
            sql.execute("COMMIT")
            now = time.perf_counter()
            times.append(now - before)
            before = now
            if now - start > seconds:
                break
        rate = len(times) / (before - start)
        return rate, rate, times


@contextmanager
def working() -> Iterator[None]:
    """Keep another thread busy with Python."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def through_engine(
    path: Path, seconds: float, *, publishers: int, keyed: bool = False, busy: bool = False
) -> Round:
    times: list[float] = []

    async def publisher(engine: SqliteEngine, name: int, end: float) -> None:
        before = time.perf_counter()
        for n in itertools.count():
            key = f"{name}-{n}" if keyed else None
            await engine.publish("prices", [ROWS[n % len(ROWS)]], idempotency=key)
            now = time.perf_counter()
            times.append(now - before)
            before = now
            if now > end:
                return

    async def measure() -> Round:
        engine = SqliteEngine(path)
        await engine.open("prices")
        begun = engine.statistics()
        start = time.perf_counter()
        with working() if busy else nullcontext():
            await asyncio.gather(*(publisher(engine, name, start + seconds) for name in range(publishers)))
            took = time.perf_counter() - start
        done = engine.statistics()
        await engine.close()
        assert done.messages - begun.messages == len(times)
        return len(times) / took, (done.commits - begun.commits) / took, times

    return asyncio.run(measure())


CONTENDERS: dict[str, Callable[[Path, float], Round]] = {
    "bare": bare,
    "publishers_1": partial(through_engine, publishers=1),
    "publishers_10": partial(through_engine, publishers=10),
    "publishers_100": partial(through_engine, publishers=100),
    "keyed_100": partial(through_engine, publishers=100, keyed=True),
    "busy_100": partial(through_engine, publishers=100, busy=True),
}


def summary(rounds: list[Round]) -> dict[str, float]:
    times = sorted(itertools.chain.from_iterable(taken for _, _, taken in rounds))
    return {
        "rate": round(statistics.median(rate for rate, _, _ in rounds)),
        "commits": round(statistics.median(commits for _, commits, _ in rounds)),
        "p50_ms": round(times[len(times) // 2] * 1e3, 2),
        "p99_ms": round(times[len(times) * 99 // 100] * 1e3, 2),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.8, help="of each contender in each round")
    parser.add_argument("--folder", help="where to put the files: on the disk to measure")
    given = parser.parse_args()
    rounds: dict[str, list[Round]] = {name: [] for name in CONTENDERS}
    for _ in range(given.rounds):
        for name, contender in CONTENDERS.items():
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                rounds[name].append(contender(Path(folder) / "logs.db", given.seconds))
    results = {name: summary(each) for name, each in rounds.items()}
    if given.json:
        print(json.dumps(results))
        return
    print("Durable publishes a second through sqlite:///, and what each took")
    head = ("", "rate", "x bare", "commits/s", "p50 ms", "p99 ms")
    print(
        table(
            head,
            [
                (
                    name,
                    f"{found['rate']:,}",
                    f"{found['rate'] / results['bare']['rate']:.2f}",
                    f"{found['commits']:,}",
                    f"{found['p50_ms']:.2f}",
                    f"{found['p99_ms']:.2f}",
                )
                for name, found in results.items()
            ],
        )
    )


if __name__ == "__main__":
    main()
