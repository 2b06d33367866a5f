"""Prices: a seeded random walk of several symbols, as ticks for frames and as a board for plain clients."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from rtwidgets.errors import UsageError
from rtwidgets.server import Fields, Hub, Peer, Service

__all__ = ["Prices", "Tick"]

_START = {"AAPL": 150.0, "GOOGL": 2800.0, "MSFT": 300.0}
_STEP = 0.0005  # standard deviation of one tick's relative move
_BOARD_EVERY = 1.0  # seconds between two messages to a plain client


class Tick(msgspec.Struct):
    """One trade: `time` is in Unix milliseconds."""

    symbol: str
    price: float
    size: int
    time: float


class Prices(Service):
    """Ticks on the channel ``prices``; a plain client gets the whole board at once and every second.

    With a seed the same ticks come in the same order on every run; with `start` their times are the
    same too: tick n is `start` + n / `rate`.
    """

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """`rate` is in ticks a second over all symbols; `symbols` is a list, or first prices by symbol.

        `durable` keeps ticks where the server's engine keeps logs; otherwise they are in memory only.
        """

        rate: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 30.0
        symbols: list[str] | dict[str, float] = msgspec.field(default_factory=lambda: dict(_START))
        start: datetime | None = None
        durable: bool = False

    name = "prices"
    path = "/prices"
    fields = Fields(key="symbol", time="time", conflate=True)

    def __init__(
        self, hub: Hub, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(hub, seed=seed, options=options)
        symbols = self.options.symbols
        if not symbols:
            raise UsageError("options of 'prices': symbols is empty; name at least one")
        if isinstance(symbols, list):
            symbols = {symbol: _START.get(symbol, 100.0) for symbol in symbols}
        if not all(price > 0 for price in symbols.values()):
            raise UsageError("options of 'prices': a first price has to be above 0")
        self._board: dict[str, float] = dict(symbols)
        self._symbols = list(symbols)
        self._random = random.Random(None if seed is None else f"{seed}/prices")  # noqa: S311 (a toy market)
        self._made = 0
        self.durable = self.options.durable
        start: datetime | None = self.options.start
        if start is not None and start.tzinfo is None:
            start = start.replace(tzinfo=UTC)
        self._start = None if start is None else start.timestamp() * 1000.0

    async def run(self) -> None:
        """Publish the ticks that are due, a hundred times a second at the most."""
        channel = await self.channel({})
        began, rate = time.monotonic(), self.options.rate
        while True:
            due = int((time.monotonic() - began) * rate) - self._made
            if due > rate:  # the machine slept or was too slow: go on from now, in the same order
                began += (due - 1) / rate
                due = 1
            if due > 0:
                await channel.publish_many([self._tick() for _ in range(due)])
            await asyncio.sleep(max(0.01, 1 / rate))

    async def talk(self, peer: Peer) -> None:
        """Send the board every second; what the client sends is of no interest."""

        async def tell() -> None:
            while True:
                await peer.send(self._board)
                await asyncio.sleep(_BOARD_EVERY)

        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(tell())
            async for _ in peer:
                pass
            telling.cancel()

    def _tick(self) -> Tick:
        draw = self._random
        symbol = self._symbols[int(draw.random() * len(self._symbols))]
        price = max(0.01, round(self._board[symbol] * (1.0 + draw.gauss(0.0, _STEP)), 2))
        self._board[symbol] = price
        size = 1 + int(draw.random() * 100)
        now = (
            time.time() * 1000.0
            if self._start is None
            else self._start + self._made * 1000.0 / self.options.rate
        )
        self._made += 1
        return Tick(symbol, price, size, round(now, 3))
