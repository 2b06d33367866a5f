"""Changes of order books a second, from raw messages to books and a quote of each, beside other ways.

The messages are real ones, recorded and read from ``../shared/captures``, taken again and again. All
contenders use our decoders, because those are not what is compared; they keep the same books and make the
same quotes: the best price and size of each side, middle, spread, and the imbalance of ten levels. They take
turns for several short rounds, and the best round of each counts.

`rtwidgets`
    `BookIntake`: sorted lists, quotes into a live frame.
`dict`
    A dictionary for each side, whose best ten prices `heapq` finds for each quote; at the end one DataFrame
    of the quotes.
`sortedcontainers`
    The same with a `SortedDict` for each side.

The feeds:

`coinbase`
    The whole recording: ten snapshots with 8 362 levels, and 9 719 messages of one change each.
`changes`
    Those 9 719 alone, with the snapshots taken before the clock starts.
`kraken`
    The whole recording: ten snapshots, and 4 269 changes with a checksum each, which is worked out.

A figure is levels in a second of the processor, which other programs may share, those of snapshots
included. The limit is for `coinbase`.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import json
import time
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import pandas as pd
from sortedcontainers import SortedDict

from benchmarks._common import ROOT, arguments, table
from rtwidgets.client.books import BookIntake
from rtwidgets.client.levels import LEVELS, Update

LIMIT = 200_000
BATCH = 500  # messages that come together
NOW = 1_700_000_000_000_000_000
CAPTURES = ROOT.parent / "shared" / "captures"


class Taker(Protocol):
    """What a contender is."""

    def messages(self, messages: list[bytes], received: int) -> None: ...

    def quotes(self) -> pd.DataFrame: ...


class Ours(BookIntake):
    def quotes(self) -> pd.DataFrame:
        assert not self.mismatches
        return self.frame.df


class Simple:
    """Books of two mappings each; subclasses say of which kind, and how the best prices are found."""

    mapping: Callable[[], Any]

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self.decode = decode
        self.books: dict[str, tuple[Any, Any]] = {}
        self.texts: dict[tuple[str, float], tuple[str, ...]] = {}
        self.rows: list[tuple[Any, ...]] = []

    def highest(self, half: Any) -> list[float]:
        raise NotImplementedError

    def lowest(self, half: Any) -> list[float]:
        raise NotImplementedError

    def messages(self, messages: list[bytes], received: int) -> None:
        for message in messages:
            for update in self.decode(message):
                self.take(update, received)

    def take(self, update: Update, received: int) -> None:
        if update.reset:
            self.books[update.symbol] = (self.mapping(), self.mapping())
        bids, asks = self.books[update.symbol]
        texts = self.texts
        checked = update.checksum is not None
        for half, levels in ((bids, update.bids), (asks, update.asks)):
            for level in levels:
                price, size = float(level[0]), float(level[1])
                if size:
                    half[price] = size
                    texts[update.symbol, price] = level
                else:
                    half.pop(price, None)
        wanted, offered = self.highest(bids), self.lowest(asks)
        bid, ask = wanted[0], offered[0]
        b, a = sum([bids[price] for price in wanted]), sum([asks[price] for price in offered])
        quote = (bid, bids[bid], ask, asks[ask], (bid + ask) / 2, ask - bid, (b - a) / (b + a))
        self.rows.append((update.symbol, update.time or received, *quote))
        if checked:
            best = [texts[update.symbol, price] for price in offered + wanted]
            digits = "".join(
                [p.replace(".", "").lstrip("0") + s.replace(".", "").lstrip("0") for p, s, *_ in best]
            )
            assert zlib.crc32(digits.encode()) == update.checksum

    def quotes(self) -> pd.DataFrame:
        names = ["symbol", "time", "bid", "bid_size", "ask", "ask_size", "mid", "spread", "imbalance"]
        return pd.DataFrame(self.rows, columns=names)


class Dictionaries(Simple):
    mapping = dict

    def highest(self, half: Any) -> list[float]:
        return heapq.nlargest(10, half)

    def lowest(self, half: Any) -> list[float]:
        return heapq.nsmallest(10, half)


class Sorted(Simple):
    mapping = SortedDict

    def highest(self, half: Any) -> list[float]:
        return list(itertools.islice(reversed(half), 10))

    def lowest(self, half: Any) -> list[float]:
        return list(itertools.islice(half, 10))


CONTENDERS: dict[str, Callable[[Callable[[bytes], Any]], Taker]] = {
    "rtwidgets": Ours,
    "dict": Dictionaries,
    "sortedcontainers": Sorted,
}


class Feed:
    """Messages about books, and how many levels are in them."""

    def __init__(self, name: str, decoder: str, *, changes: bool = False) -> None:
        path = CAPTURES / f"{name}.txt"
        if not path.exists():
            raise SystemExit(f"the recordings belong beside the repository: there is no {path}")
        self.decode = LEVELS[decoder]
        lines = (line.partition(b": ") for line in path.read_bytes().splitlines())
        said = [message for moment, colon, message in lines if colon and b" " not in moment]
        updates = [(message, update) for message in said for update in self.decode(message)]
        self.before = [message for message, update in updates if update.reset and changes]
        self.messages = [message for message, update in updates if not (update.reset and changes)]
        self.levels = sum(
            len(update.bids) + len(update.asks) for _, update in updates if not (update.reset and changes)
        )


def measure(feed: Feed, contender: Callable[[Callable[[bytes], Any]], Taker]) -> float:
    """Return levels a second."""
    taker = contender(feed.decode)
    taker.messages(feed.before, NOW)
    gc.collect()
    start = time.process_time()
    for first in range(0, len(feed.messages), BATCH):
        taker.messages(feed.messages[first : first + BATCH], NOW)
    quotes = taker.quotes()
    took = time.process_time() - start
    assert len(quotes) == len(feed.before) + len(feed.messages)
    return feed.levels / took


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    feeds = {
        "coinbase": Feed("coinbase", "coinbase"),
        "changes": Feed("coinbase", "coinbase", changes=True),
        "kraken": Feed("kraken", "kraken_v1"),
    }
    best = {feed: dict.fromkeys(CONTENDERS, 0.0) for feed in feeds}
    for _ in range(given.rounds):
        for name, feed in feeds.items():
            for contender, make in CONTENDERS.items():
                best[name][contender] = max(best[name][contender], measure(feed, make))
    rates = {feed: {name: round(rate) for name, rate in found.items()} for feed, found in best.items()}
    if given.json:
        print(json.dumps(rates))
        return
    print("Levels of order books a second, from raw messages to books and quotes")
    rows = [
        (feed, name, f"{rate:,}", f"{rate / found['dict']:.2f}")
        for feed, found in rates.items()
        for name, rate in found.items()
    ]
    print(table(("", "", "levels/s", "x dict"), rows))
    reached = "yes" if rates["coinbase"]["rtwidgets"] >= LIMIT else "no"
    print(f"coinbase at {LIMIT:,} levels/s or more: {reached}")


if __name__ == "__main__":
    main()
