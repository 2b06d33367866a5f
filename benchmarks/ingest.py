"""Rows a second from a real socket into something that can be looked at, beside other libraries.

Every contender reads from a server in another process that sends as fast as it is read. All but `native` get
the same stream: one row a text message. They take turns for several short rounds, and the best round of each
counts, so that what else the machine does hits none of them alone. The clock runs from before the connection
to the last row in its place.

`bare`
    `recv()` of `websockets` and a typed msgspec decode; nothing is kept. A careful hand-written loop.
`foreign`
    ``rt.connect(url, key="symbol", time="time")``: any WebSocket, into a live frame.
`native`
    ``rt.connect("rows")``: a channel of our server, which sends what waits in runs, into a live frame.
`streamz`
    The same loop as `bare`; every 1 000 messages are one batch that goes into a `streamz.Stream`, becomes a
    DataFrame and joins a window of 100 000 rows. (One `emit` a message and `partition(1000)` is far slower.)
`perspective`
    The same loop as `bare`; every 5 000 messages are one `table.update` of JSON text, which perspective
    decodes itself. Decoding in Python and updating with rows or columns is slower. Done when `size()` has all
    the rows.
`concat`
    The same loop as `bare`; ``pd.concat`` of a window of 10 000 rows and one row, a message at a time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Callable
from itertools import count

import msgspec
import pandas as pd
import perspective
from streamz import Stream
from websockets.asyncio.client import connect

import rtwidgets as rt
from benchmarks._common import Feed, Row, arguments, table

PLAIN = 100_000  # distinct rows of the plain feed
NATIVE = 300_000  # rows in the log of the native one
ROWS = {
    "bare": 50_000,
    "foreign": 150_000,
    "native": NATIVE,
    "streamz": 50_000,
    "perspective": 50_000,
    "concat": 300,
}
WINDOW = 100_000

_decode = msgspec.json.Decoder(Row).decode
_numbers = count()


async def messages(url: str, rows: int) -> AsyncIterator[bytes]:
    """The loop that all but our own share; bytes, no queue limit and no compression are its fastest form."""
    async with connect(f"{url}/{rows}", compression=None, max_queue=None, proxy=None) as connection:
        for _ in range(rows):
            yield await connection.recv(decode=False)


async def batches(url: str, rows: int, size: int) -> AsyncIterator[list[bytes]]:
    batch = []
    async with connect(f"{url}/{rows}", compression=None, max_queue=None, proxy=None) as connection:
        for _ in range(rows):
            batch.append(await connection.recv(decode=False))
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def bare(plain: str, native: str, rows: int) -> float:
    async def run() -> float:
        async with connect(f"{plain}/{rows}", compression=None, max_queue=None, proxy=None) as connection:
            for _ in range(rows):
                _decode(await connection.recv(decode=False))
            return time.perf_counter()

    return asyncio.run(run())


def foreign(plain: str, native: str, rows: int) -> float:
    return into_frame(
        rt.connect(f"{plain}/{rows}", key="symbol", time="time", name=f"foreign {next(_numbers)}"), rows
    )


def native(plain: str, native: str, rows: int) -> float:
    name = f"native {next(_numbers)}"
    return into_frame(rt.connect("rows", server=native, token="benchmark", max_rows=WINDOW, name=name), rows)


def into_frame(stream: rt.Stream, rows: int) -> float:
    frame = stream.wait(rows, timeout=60)
    done = time.perf_counter()
    assert stream.frame.total == rows
    assert len(frame) == WINDOW
    assert stream.frame.rejected_count == len(stream.gaps) == 0
    stream.stop()
    return done


def streamz(plain: str, native: str, rows: int) -> float:
    def to_frame(batch: list[bytes]) -> pd.DataFrame:
        decoded = [_decode(message) for message in batch]
        return pd.DataFrame({name: [getattr(row, name) for row in decoded] for name in Row.__struct_fields__})

    def join(window: pd.DataFrame | None, frame: pd.DataFrame) -> pd.DataFrame:
        return frame if window is None else pd.concat([window, frame], ignore_index=True).iloc[-WINDOW:]

    async def run() -> float:
        last = []
        source = Stream()
        source.map(to_frame).accumulate(join, start=None).sink(
            lambda frame: last.__setitem__(slice(None), [frame])
        )
        async for batch in batches(plain, rows, 1_000):
            source.emit(batch)
        assert len(last[0]) == min(rows, WINDOW)
        return time.perf_counter()

    return asyncio.run(run())


def perspective_(plain: str, native: str, rows: int) -> float:
    async def run() -> float:
        table = (
            perspective.Server()
            .new_local_client()
            .table({"symbol": "string", "price": "float", "size": "integer", "time": "datetime"})
        )
        async for batch in batches(plain, rows, 5_000):
            table.update((b"[" + b",".join(batch) + b"]").decode(), format="json")
        assert table.size() == rows
        return time.perf_counter()

    return asyncio.run(run())


def concat(plain: str, native: str, rows: int) -> float:
    async def run() -> float:
        window = None
        async for message in messages(plain, rows):
            row = pd.DataFrame([msgspec.json.decode(message)])
            window = row if window is None else pd.concat([window, row], ignore_index=True).iloc[-10_000:]
        assert window is not None
        assert len(window) == rows
        return time.perf_counter()

    return asyncio.run(run())


CONTENDERS: dict[str, Callable[[str, str, int], float]] = {
    "bare": bare,
    "native": native,
    "foreign": foreign,
    "streamz": streamz,
    "perspective": perspective_,
    "concat": concat,
}


def measure(rounds: int, seconds: float) -> dict[str, int]:
    """Return the rows a second of each contender: the best of `rounds`, or of those that fit the time."""
    best = dict.fromkeys(CONTENDERS, 0.0)
    with Feed("plain", PLAIN) as plain, Feed("native", NATIVE) as native:
        for run in CONTENDERS.values():  # for what is imported or compiled on the first use
            run(
                plain.url,
                native.url,
                NATIVE if run is CONTENDERS["native"] else WINDOW if run is foreign else 100,
            )
        gc.collect()
        gc.freeze()  # the collections to come look at what the rounds leave
        began = time.perf_counter()
        names = list(CONTENDERS)
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                gc.collect()
                start = time.perf_counter()
                done = CONTENDERS[name](plain.url, native.url, ROWS[name])
                best[name] = max(best[name], ROWS[name] / (done - start))
            spent = time.perf_counter() - began
            if spent + spent / (turn + 1) > seconds:
                break
    rt.health()
    return {name: round(rate) for name, rate in best.items()}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="at the most")
    parser.add_argument("--seconds", type=float, default=28.0, help="for the rounds together, about")
    given = parser.parse_args()
    rates = measure(given.rounds, given.seconds)
    if given.json:
        print(json.dumps(rates))
        return
    print("Rows a second from a socket, one process each side")
    print(
        table(("", "rows/s", "x bare"), [(n, f"{r:,}", f"{r / rates['bare']:.3f}") for n, r in rates.items()])
    )


if __name__ == "__main__":
    main()
