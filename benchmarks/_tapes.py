"""What the benchmark of recordings needs: processes of their own, and files to look into.

`python -m benchmarks._tapes feed ROWS WRITE` serves messages of so many rows, so many of them in one write,
until its input ends; its address is a JSON line. `write PATH MEGABYTES` and `read PATH` write and read a
recording, and print as a JSON line what memory that took.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import psutil
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks._common import ROOT, encoded_rows
from rtwidgets.recording import Kind, Recording, Writer
from rtwidgets.server.outbox import text_frame

BEGIN = 1_763_800_000 * 10**9
STEP = 10**6  # nanoseconds between two messages
AT_ONCE = 16 * 2**20  # bytes that are written before the file is waited for
DISTINCT = 100_000  # rows


def packed(rows: list[bytes], size: int) -> list[bytes]:
    """Return messages of so many rows; one row is not in a list."""
    if size == 1:
        return rows
    return [b"[" + b",".join(rows[at : at + size]) + b"]" for at in range(0, len(rows), size)]


# Processes of their own


@contextmanager
def feed(size: int, together: int) -> Iterator[str]:
    """Let a process serve messages of so many rows, so many of them in one write; yield its URL."""
    command = [sys.executable, "-m", "benchmarks._tapes", "feed", str(size), str(together)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.stdin.close()
        process.wait(timeout=15)
        process.stdout.close()


def child(*arguments: object) -> dict[str, float]:
    """Return what another process says when it is done."""
    command = [sys.executable, "-m", "benchmarks._tapes", *map(str, arguments)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


async def serve_feed(size: int, together: int) -> None:
    """Send as many messages as the first message of a connection asks for, as fast as they are read."""
    frames = list(map(text_frame, packed(encoded_rows(DISTINCT), size)))
    chunks = [b"".join(frames[at : at + together]) for at in range(0, len(frames), together)]

    async def send(connection: ServerConnection) -> None:
        try:
            left = int(await connection.recv())
            for chunk in cycle(chunks):
                connection.transport.write(chunk)
                await connection.drain()
                await asyncio.sleep(0)
                left -= together
                if left <= 0:
                    break
            await connection.wait_closed()
        except ConnectionClosed:
            pass

    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        print(json.dumps({"url": f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


class Memory:
    """Looks at this process's resident memory while something goes on, from a tenth of the way."""

    def __init__(self, total: float) -> None:
        self._process = psutil.Process()
        self._next = self._step = total / 10
        self._seen: list[float] = []
        self._began = time.perf_counter()

    def at(self, done: float) -> None:
        """Look, if there is reason to."""
        if done >= self._next:
            self._next += self._step / 5
            self._look()

    def found(self) -> dict[str, float]:
        """Look for the last time."""
        seconds = time.perf_counter() - self._began
        gc.collect()
        self._look()
        tenth, end = self._seen[0], self._seen[-1]
        found = {"seconds": seconds, "tenth_mb": tenth, "most_mb": max(self._seen), "end_mb": end}
        return {name: round(value, 1) for name, value in (found | {"growth_mb": end - tenth}).items()}

    def _look(self) -> None:
        self._seen.append(self._process.memory_info().rss / 1e6)


def write(path: Path, megabytes: float) -> dict[str, float]:
    """Write JSON, ten rows a message and a hundred messages a record, as fast as the disk takes it."""
    messages = packed(encoded_rows(DISTINCT), 10)
    total = megabytes * 1e6
    memory = Memory(total)
    with Writer(path) as writer:
        flushed = 0
        for n, at in enumerate(cycle(range(0, len(messages), 100))):
            # New bytes each time, as from a socket.
            writer.write(BEGIN + n * STEP, Kind.TEXT, [bytes(bytearray(m)) for m in messages[at : at + 100]])
            if writer.bytes - flushed > AT_ONCE:
                writer.flush()
                flushed = writer.bytes
            memory.at(writer.bytes)
            if writer.bytes >= total:
                break
        writer.flush()
        return memory.found()


def read(path: Path) -> dict[str, float]:
    """Read all of a recording."""
    recording = Recording(path)
    memory = Memory(recording.info().raw)
    done = 0
    for batch in recording.batches():
        done += sum(map(len, batch.messages))
        memory.at(done)
    assert done == recording.info().raw
    return memory.found()


# Files


def write_rows(path: Path, rows: list[bytes], together: int) -> None:
    """Write a recording of rows, so many in a record."""
    with Writer(path, {"url": "ws://feed", "arguments": {"key": "symbol", "time": "time"}}) as writer:
        flushed = 0
        for at in range(0, len(rows), together):
            writer.write(BEGIN + at * STEP, Kind.TEXT, rows[at : at + together])
            if writer.bytes - flushed > AT_ONCE:
                writer.flush()
                flushed = writer.bytes


def write_noise(path: Path, megabytes: float, block: int) -> int:
    """Write a recording of messages of 500 bytes that do not get smaller, a record each; return how many.

    A message begins with its number, and came that many milliseconds after the first one. A block ends after
    so many bytes, or a mebibyte.
    """
    with Writer(path) as writer:
        count = flushed = 0
        while writer.bytes < megabytes * 1e6:
            writer.write(BEGIN + count * STEP, Kind.BINARY, [count.to_bytes(8) + os.urandom(492)])
            count += 1
            if writer.bytes - flushed >= block:
                writer.flush()
                flushed = writer.bytes
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    kinds = parser.add_subparsers(dest="kind", required=True)
    feeding = kinds.add_parser("feed")
    feeding.add_argument("rows", type=int)
    feeding.add_argument("write", type=int)
    writing = kinds.add_parser("write")
    writing.add_argument("path", type=Path)
    writing.add_argument("megabytes", type=float)
    reading = kinds.add_parser("read")
    reading.add_argument("path", type=Path)
    given = parser.parse_args()
    if given.kind == "feed":
        asyncio.run(serve_feed(given.rows, given.write))
    else:
        memory = write(given.path, given.megabytes) if given.kind == "write" else read(given.path)
        print(json.dumps(memory))
