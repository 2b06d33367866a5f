"""Make the recording that the notebook on a real feed falls back to.

It is no market: a seeded random walk, in the shapes that Coinbase Exchange documents for its channels matches,
ticker and level2_batch. One trade is left out, so that there is a gap to find. From the root of the repository::

    python notebooks/recordings/simulate.py
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from rtwidgets.client.feeds import BUILT_IN
from rtwidgets.recording import Kind, Writer

SYMBOLS = {"BTC-USD": 64_250.0, "ETH-USD": 3_120.0}
KINDS = ["trades", "ticker", "book"]
BEGIN = dt.datetime(2026, 11, 25, 14, 30, tzinfo=dt.UTC)
SECONDS = 40.0
FOLDER = Path(__file__).with_name("08-a-real-feed")
LEVELS = 25
LOST = ("BTC-USD", 20)  # the one trade that is left out


class Market:
    """A price that walks, the order book around it, and the trades."""

    def __init__(self, symbol: str, price: float, chance: random.Random) -> None:
        self.symbol = symbol
        self.chance = chance
        self.cents = round(price * 100)
        self.opened = self.cents
        self.tick = max(1, round(self.cents * 2e-6))  # cents between two prices of the book
        self.trade_id = chance.randrange(10**8, 10**9)
        self.sequence = chance.randrange(10**10, 10**11)
        self.trades = 0
        self.volume = 0.0
        self.sides = {"sell": self.levels(1, {}), "buy": self.levels(-1, {})}

    def levels(self, sign: int, before: dict[str, str]) -> dict[str, str]:
        """Return a side of the book, best price first; most sizes stay as they were."""
        best = self.cents // self.tick + (sign > 0)
        prices = [price_text((best + sign * n) * self.tick) for n in range(LEVELS)]
        return {
            price: before[price] if price in before and self.chance.random() < 0.95 else self.size()
            for price in prices
        }

    def size(self) -> str:
        return f"{self.chance.expovariate(2.0) + 0.0001:.8f}"

    def snapshot(self) -> dict[str, Any]:
        return {
            "type": "snapshot",
            "product_id": self.symbol,
            "asks": list(self.sides["sell"].items()),
            "bids": list(self.sides["buy"].items()),
        }

    def step(self, time: str) -> Iterator[dict[str, Any]]:
        """Let the price move, and yield the messages of it."""
        self.cents += round(self.chance.gauss(0.0, self.cents * 1e-5))
        changes: list[list[str]] = []
        for side, sign in (("buy", -1), ("sell", 1)):
            before, after = self.sides[side], self.levels(sign, self.sides[side])
            changes += [[side, price, "0.00000000"] for price in before if price not in after]
            changes += [[side, price, size] for price, size in after.items() if before.get(price) != size]
            self.sides[side] = after
        if changes:
            yield {"type": "l2update", "product_id": self.symbol, "changes": changes, "time": time}
        for _ in range(self.chance.choice([0, 0, 1, 1, 2])):
            self.trades += 1
            told = [*self.trade(time)]
            if (self.symbol, self.trades) != LOST:
                yield from told

    def trade(self, time: str) -> Iterator[dict[str, Any]]:
        self.trade_id += 1
        self.sequence += self.chance.randrange(1, 40)
        side = self.chance.choice(["buy", "sell"])  # of the order that was there
        price, size = next(iter(self.sides[side])), self.size()
        self.volume += float(size)
        order = [f"{self.chance.getrandbits(128):032x}" for _ in range(2)]
        maker, taker = (f"{o[:8]}-{o[8:12]}-{o[12:16]}-{o[16:20]}-{o[20:]}" for o in order)
        yield {
            "type": "match",
            "trade_id": self.trade_id,
            "maker_order_id": maker,
            "taker_order_id": taker,
            "side": side,
            "size": size,
            "price": price,
            "product_id": self.symbol,
            "sequence": self.sequence,
            "time": time,
        }
        bid, ask = next(iter(self.sides["buy"].items())), next(iter(self.sides["sell"].items()))
        yield {
            "type": "ticker",
            "sequence": self.sequence,
            "product_id": self.symbol,
            "price": price,
            "open_24h": price_text(self.opened),
            "volume_24h": f"{self.volume:.8f}",
            "low_24h": price_text(round(self.opened * 0.98)),
            "high_24h": price_text(round(self.opened * 1.02)),
            "volume_30d": f"{self.volume * 30:.8f}",
            "best_bid": bid[0],
            "best_bid_size": bid[1],
            "best_ask": ask[0],
            "best_ask_size": ask[1],
            "side": side,
            "time": time,
            "trade_id": self.trade_id,
            "last_size": size,
        }


def price_text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def main() -> None:
    chance = random.Random(8)
    preset = BUILT_IN["coinbase"]
    asked = [msgspec.json.encode(each) for each in preset.messages([*SYMBOLS], KINDS)]
    about = {
        "url": preset.url,
        "subscribe": [each.decode() for each in asked],
        "feed": preset.name,
        "kinds": KINDS,
        "alone": False,
        "made by": "simulate.py",
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "ws-feed.exchange.coinbase.com.rtlog"
    path.unlink(missing_ok=True)
    markets = [Market(symbol, price, chance) for symbol, price in SYMBOLS.items()]
    now = round(BEGIN.timestamp() * 1e9)
    with Writer(path, about) as writer:

        def write(message: dict[str, Any]) -> None:
            writer.write(now, Kind.TEXT, [msgspec.json.encode(message)])

        writer.write(now, Kind.OPENED, [msgspec.json.encode({"url": preset.url})])
        for message in asked:
            writer.write(now + 1_000_000, Kind.SENT_TEXT, [message])
        now += 60_000_000
        write({"type": "subscriptions", "channels": [{"name": "matches", "product_ids": [*SYMBOLS]}]})
        for market in markets:
            write(market.snapshot())
        end = now + round(SECONDS * 1e9)
        while now < end:
            now += round(chance.expovariate(1 / 0.1) * 1e9)
            sent = dt.datetime.fromtimestamp((now - 25_000_000) / 1e9, dt.UTC)
            for message in chance.choice(markets).step(f"{sent:%Y-%m-%dT%H:%M:%S.%f}Z"):
                now += 10_000
                write(message)
    print(f"{path}: {writer.messages} messages, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
