"""What the benchmarks share: rows, feeds in processes of their own, tables."""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

ROOT = Path(__file__).parents[1]


class Row(msgspec.Struct, gc=False):
    """What every contender reads: one trade, `time` in Unix milliseconds."""

    symbol: str
    price: float
    size: int
    time: float


def encoded_rows(count: int) -> list[bytes]:
    """Return rows as JSON, such as ``{"symbol":"AAPL","price":150.1,"size":10,"time":1763800000123.456}``."""
    draw = random.Random(1)
    prices = {symbol: 100.0 + 25.0 * n for n, symbol in enumerate(("AAPL", "MSFT", "GOOGL", "AMZN", "NVDA"))}
    symbols = list(prices)
    encode = msgspec.json.Encoder().encode
    rows = []
    for n in range(count):
        symbol = symbols[int(draw.random() * len(symbols))]
        prices[symbol] = price = round(prices[symbol] * (1.0 + 0.001 * (draw.random() - 0.5)), 2)
        rows.append(
            encode(Row(symbol, price, 1 + int(draw.random() * 100), round(1763800000123.456 + n * 0.257, 3)))
        )
    return rows


class Feed:
    """A process of `benchmarks._feed`; ends with the ``with`` statement."""

    def __init__(self, kind: str, number: int, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._feed", kind, str(number), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.url = ""
        self.greeting: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Wait until it serves."""
        self.greeting = self._hear()
        self.url = self.greeting["url"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Let it end, if it has not ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=15)  # it closes its connections one after the other
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def ask(self, publish: int = 0) -> dict[str, Any]:
        """Return its resident memory in bytes as `rss`, its seconds of `cpu`, and its server's counts.

        Where there is a number to `publish`, so many rows go into its channel first, if that is `rows`.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{publish or ''}\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the feed ended with exit code {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard


def upgraded(url: str, path: str, *, subprotocol: str = "", receive_buffer: int = 0) -> socket.socket:
    """Return a socket that has become a WebSocket, for clients of few means.

    Parameters
    ----------
    url, path
        Of the server, and what to ask of it.
    subprotocol
        To ask for, if any.
    receive_buffer
        Bytes that the kernel may keep for it; 0 leaves that as it is.
    """
    address = urlsplit(url)
    made = socket.socket()
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(10.0)
    made.connect((address.hostname, address.port))
    key = base64.b64encode(os.urandom(16)).decode()
    wanted = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    made.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer benchmark\r\n"
        f"{wanted}\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # what comes after it is for others to read
        piece = made.recv(1)
        assert piece, head
        head += piece
    assert head.startswith(b"HTTP/1.1 101"), head
    return made


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame of less than 126 bytes as a client sends it, masked with zeros."""
    assert len(payload) < 126
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table: the first column to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
