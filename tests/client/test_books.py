"""Books and quotes out of messages, against dictionaries."""

import heapq
import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rtwidgets.client.books import BookIntake
from rtwidgets.client.levels import LEVELS
from rtwidgets.errors import UsageError
from rtwidgets.frames import LiveFrame

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
NOW = 1_700_000_000_000_000_000
QUOTE = ["bid", "bid_size", "ask", "ask_size", "mid", "spread", "imbalance"]


def received(name: str) -> list[bytes]:
    """Return the messages that a recording received, in order."""
    lines = (line.partition(b": ") for line in (CAPTURES / f"{name}.txt").read_bytes().splitlines())
    return [message for moment, colon, message in lines if colon and b" " not in moment]


def put(intake: BookIntake, *messages: object, at: Any = NOW) -> None:
    intake.messages(
        [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages], at
    )


def taken(feed: str, messages: Iterable[bytes]) -> BookIntake:
    intake = BookIntake(LEVELS[feed])
    messages = list(messages)
    for first in range(0, len(messages), 700):
        intake.messages(messages[first : first + 700], NOW)
    return intake


def content(intake: BookIntake) -> dict[str, tuple[list, list]]:
    """Return all prices and sizes of all books."""
    tops = {symbol: book.top(10**6) for symbol, book in intake.books.items()}
    return {symbol: (bids.tolist(), asks.tolist()) for symbol, (bids, asks) in tops.items()}


class Plain:
    """Books as one would write them down: prices in dictionaries, sorted when asked."""

    def __init__(self) -> None:
        self.books: dict[str, tuple[dict, dict]] = {}

    def change(
        self, symbol: str, bids: list, asks: list, *, reset: bool = False, depth: int | None = None
    ) -> None:
        if reset or symbol not in self.books:
            self.books[symbol] = ({}, {})
        for half, levels, best in zip(
            self.books[symbol], (bids, asks), (heapq.nlargest, heapq.nsmallest), strict=True
        ):
            for price, size, *_ in levels:
                half[float(price)] = float(size)
                if not half[float(price)]:
                    del half[float(price)]
            for price in half.keys() - set(best(depth, half)) if depth is not None else ():
                del half[price]

    def content(self) -> dict[str, tuple[list, list]]:
        return {
            symbol: ([[p, bids[p]] for p in sorted(bids, reverse=True)], [[p, asks[p]] for p in sorted(asks)])
            for symbol, (bids, asks) in self.books.items()
        }

    def quote(self, symbol: str) -> list[float]:
        bids, asks = self.books[symbol]
        wanted, offered = heapq.nlargest(10, bids), heapq.nsmallest(10, asks)
        bid, ask = wanted[0], offered[0]
        w, o = sum(bids[price] for price in wanted), sum(asks[price] for price in offered)
        return [bid, bids[bid], ask, asks[ask], (bid + ask) / 2, ask - bid, (w - o) / (w + o)]


def test_books_and_quotes_of_coinbase_are_those_of_dictionaries() -> None:
    """Of 9 729 messages of a real recording each is a quote, and at the end ten books have each price."""
    plain, quotes = Plain(), []
    messages = received("coinbase")
    for message in map(json.loads, messages):
        symbol = message.get("product_id")
        if message["type"] == "snapshot":
            plain.change(symbol, message["bids"], message["asks"], reset=True)
            time = NOW
        elif message["type"] == "l2update":
            halves: dict[str, list] = {"buy": [], "sell": []}
            for side, price, size in message["changes"]:
                halves[side].append((price, size))
            plain.change(symbol, halves["buy"], halves["sell"])
            time = pd.Timestamp(message["time"]).value
        else:
            continue
        quotes.append([symbol, time, *plain.quote(symbol)])
    intake = taken("coinbase", messages)
    assert content(intake) == plain.content()
    df = intake.frame.df
    assert (len(quotes), intake.changes, intake.skipped) == (9729, 9729, 217)
    assert list(df["symbol"]) == [quote[0] for quote in quotes]
    assert list(df["time"].astype("int64")) == [quote[1] for quote in quotes]
    np.testing.assert_allclose(df[QUOTE], [quote[2:] for quote in quotes], rtol=1e-9)
    assert (intake.stale, intake.unfounded, intake.mismatches, intake.frame.rejected_count) == ([], [], 0, 0)


def test_every_checksum_of_kraken_fits() -> None:
    """All 4 269 of a real recording, worked out after each change; and its books are right at the end."""
    plain, checked = Plain(), 0
    messages = received("kraken")
    for message in map(json.loads, messages):
        if isinstance(message, dict):
            continue
        parts: dict[str, Any] = {name: value for part in message[1:-2] for name, value in part.items()}
        reset = "as" in parts
        bids, asks = (parts.get(name + "s" if reset else name, []) for name in "ba")
        plain.change(message[-1], bids, asks, reset=reset, depth=1000)
        checked += "c" in parts
    intake = taken("kraken_v1", messages)
    assert checked == 4269
    assert (intake.mismatches, intake.stale, intake.unfounded) == (0, [], [])
    assert intake.changes == intake.frame.total == checked + 10
    assert content(intake) == plain.content()


def test_a_flipped_digit_is_found_by_the_checksum() -> None:
    """The book is emptied, which is a quote of NaN, and takes no changes until a snapshot comes."""
    messages = received("kraken")
    place = next(
        n
        for n, message in enumerate(messages)
        if n > 2_000 and b'"XMR/USD"' in message and changes_the_best(messages, n)
    )
    flipped = flip(messages[place])
    asked: list[str] = []
    intake = BookIntake(LEVELS["kraken_v1"])
    intake.resync = asked.append
    intake.messages([*messages[:place], flipped, *messages[place + 1 :]], NOW)
    assert intake.mismatches == 1
    assert asked == ["the book of XMR/USD is wrong: the checksum does not fit"]
    assert intake.stale == ["XMR/USD"]
    assert content(intake)["XMR/USD"] == ([], [])
    others = {symbol: halves for symbol, halves in content(intake).items() if symbol != "XMR/USD"}
    assert others == {
        symbol: halves for symbol, halves in content(taken("kraken_v1", messages)).items() if symbol in others
    }
    quotes = intake.frame.df[intake.frame.df["symbol"] == "XMR/USD"]
    assert quotes.iloc[-1][QUOTE].isna().all()
    assert quotes.iloc[:-1][QUOTE].notna().all().all()
    snapshot = next(message for message in messages if b'"bs"' in message and b'"XMR/USD"' in message)
    intake.messages([snapshot], NOW)
    assert intake.stale == []
    assert intake.frame.df.iloc[-1][QUOTE].notna().all()


def changes_the_best(messages: list[bytes], n: int) -> bool:
    """Whether a message gives a size to one of the best ten prices."""
    intake = taken("kraken_v1", messages[: n + 1])
    (_, part, _, pair) = json.loads(messages[n])
    levels = [*part.get("a", ()), *part.get("b", ())]
    best = [price for half in intake.books[pair].top(10) for price in half[:, 0]]
    return any(float(price) in best for price, *_ in levels)


def flip(message: bytes) -> bytes:
    """Change the last digit of the first size."""
    channel, part, *rest = json.loads(message)
    level = next(iter(part.values()))[0]
    level[1] = level[1][:-1] + str((int(level[1][-1]) + 1) % 10)
    return json.dumps([channel, part, *rest]).encode()


def test_differences_of_bitstamp_are_those_of_dictionaries() -> None:
    """Books that began without a snapshot have what has changed since, and are known to be unfounded."""
    plain = Plain()
    messages = received("bitstamp")
    for message in map(json.loads, messages):
        if message["event"] == "data":
            pair = message["channel"].removeprefix("diff_order_book_")
            plain.change(pair, message["data"]["bids"], message["data"]["asks"])
    intake = taken("bitstamp", messages)
    assert content(intake) == plain.content()
    assert intake.unfounded == list(plain.books) == list(intake.books)
    assert (intake.stale, intake.mismatches) == ([], 0)
    last = json.loads([message for message in messages if b"diff_order_book" in message][-1])
    moment = intake.frame.df["time"].iloc[-1]
    assert moment == pd.Timestamp(int(last["data"]["microtimestamp"]), unit="us", tz="UTC")


class Kraken2:
    """Version 2 of Kraken's feed of one book, ten prices deep."""

    def __init__(self) -> None:
        self.bids = {100 - n: "1.000" for n in range(10)}
        self.asks = {101 + n: "1.000" for n in range(10)}

    def say(self, kind: str, bids: dict[int, str], asks: dict[int, str]) -> bytes:
        for half, changes, far in ((self.bids, bids, min), (self.asks, asks, max)):
            for price, size in changes.items():
                half[price] = size
                if not float(size):
                    del half[price]
            while len(half) > 10:
                del half[far(half)]
        levels = [(price, self.asks[price]) for price in sorted(self.asks)]
        levels += [(price, self.bids[price]) for price in sorted(self.bids, reverse=True)]
        digits = "".join(f"{price}50{size.replace('.', '').lstrip('0')}" for price, size in levels)
        wanted, offered = (
            ", ".join(f'{{"price": {price}.50, "qty": {size}}}' for price, size in half.items())
            for half in (bids, asks)
        )
        return (
            f'{{"channel": "book", "type": "{kind}", "data": [{{"symbol": "A/B", "bids": [{wanted}], '
            f'"asks": [{offered}], "checksum": {zlib.crc32(digits.encode())}}}]}}'
        ).encode()


def test_a_book_of_kraken_is_cut_to_its_depth() -> None:
    """What is pushed out of the ten best prices is forgotten: the feed does not take it away later."""
    feed = Kraken2()
    intake = BookIntake(LEVELS["kraken_v2"])
    put(
        intake,
        feed.say("snapshot", dict(feed.bids), dict(feed.asks)),
        feed.say("update", {101: "0.500"}, {101: "0.000"}),
        feed.say("update", {101: "0"}, {101: "2.500"}),
        feed.say("update", {90: "3.000"}, {}),
    )
    assert intake.mismatches == 0
    assert intake.frame.total == 4
    bids, asks = intake.books["A/B"].top(100)
    assert bids[:, 0].tolist() == [100.5 - n for n in range(9)] + [90.5]
    assert (len(asks), asks[0].tolist()) == (10, [101.5, 2.5])


def test_a_deeper_snapshot_makes_a_deeper_book() -> None:
    """How deep a book is holds until the next snapshot only."""
    intake = BookIntake(LEVELS["kraken_v2"])
    for levels in (10, 1_100):
        bids = [{"price": price, "qty": 1} for price in range(1, levels + 1)]
        put(intake, {"channel": "book", "type": "snapshot", "data": [{"symbol": "A/B", "bids": bids}]})
        assert len(content(intake)["A/B"][0]) == levels


def test_a_book_with_checksums_waits_for_its_first_snapshot() -> None:
    """Where there are checksums there are snapshots: a connection that begins with a change is made again."""
    feed, asked = Kraken2(), []
    intake = BookIntake(LEVELS["kraken_v2"])
    intake.resync = asked.append
    put(intake, feed.say("update", {100: "2.000"}, {}), feed.say("update", {100: "3.000"}, {}))
    assert (intake.stale, intake.mismatches, len(asked), intake.frame.total) == (["A/B"], 1, 1, 1)
    put(intake, feed.say("snapshot", dict(feed.bids), dict(feed.asks)))
    assert (intake.stale, intake.mismatches) == ([], 1)


def difference(first: int, last: int, bid: str = "1", size: str = "1", symbol: str = "X") -> dict:
    return {"e": "depthUpdate", "s": symbol, "U": first, "u": last, "b": [[bid, size]], "a": [["9", "1"]]}


def partial(last: int, symbol: str = "x") -> dict:
    return {
        "stream": f"{symbol}@depth5",
        "data": {"lastUpdateId": last, "bids": [["5", "1"]], "asks": [["9", "1"]]},
    }


def test_a_gap_in_the_numbers_makes_a_book_stale() -> None:
    """Until the next snapshot; one that overlaps or is older than the snapshot is no gap."""
    asked: list[str] = []
    intake = BookIntake(LEVELS["binance"])
    intake.resync = asked.append
    put(intake, partial(10), difference(1, 10, "8"), difference(9, 11, "6"), difference(12, 15, "7"))
    assert content(intake)["X"][0] == [[7.0, 1.0], [6.0, 1.0], [5.0, 1.0]]
    assert (intake.frame.total, asked) == (3, [])
    put(intake, difference(18, 19, "4"), difference(20, 21, "3"))
    assert (intake.mismatches, intake.stale) == (1, ["X"])
    assert asked == ["the book of X is wrong: changes 16 to 17 are missing"]
    assert content(intake)["X"] == ([], [])
    put(intake, partial(5), difference(6, 6, "4"))
    assert intake.stale == []
    assert content(intake)["X"][0] == [[5.0, 1.0], [4.0, 1.0]]


def test_a_book_without_snapshots_begins_anew_after_a_gap() -> None:
    """There is nothing to connect again for; the gap is marked in the frame, and other books go on."""
    asked: list[str] = []
    intake = BookIntake(LEVELS["binance"])
    intake.resync = asked.append
    put(
        intake,
        difference(1, 2, "1"),
        difference(1, 2, "4", symbol="Y"),
        difference(5, 6, "2"),
        difference(7, 8, "3"),
    )
    assert content(intake)["X"][0] == [[3.0, 1.0], [2.0, 1.0]]
    assert content(intake)["Y"][0] == [[4.0, 1.0]]
    assert (intake.mismatches, intake.stale, intake.unfounded, asked) == (1, [], ["X", "Y"], [])
    assert (intake.frame.gaps, intake.frame.total) == ([(1, 2)], 4)


def snapshot(symbol: str = "A", bids: list | None = None, asks: list | None = None) -> dict:
    return {"type": "snapshot", "product_id": symbol, "bids": bids or [], "asks": asks or []}


def change(side: str, price: str, size: str, symbol: str = "A", **more: object) -> dict:
    return {"type": "l2update", "product_id": symbol, "changes": [[side, price, size]], **more}


def test_after_a_break_a_book_waits_for_its_snapshot() -> None:
    """It keeps its levels meanwhile; the frame has the gap; a book that never had one begins anew."""
    intake = BookIntake(LEVELS["coinbase"])
    put(intake, snapshot("A", [["1", "1"]], [["2", "1"]]), change("buy", "5", "1", "B"))
    intake.broke()
    assert intake.stale == ["A"]
    put(intake, change("buy", "1", "7", "A"), change("buy", "6", "1", "B"))
    assert content(intake) == {"A": ([[1.0, 1.0]], [[2.0, 1.0]]), "B": ([[6.0, 1.0]], [])}
    assert intake.frame.total == 3
    assert intake.frame.gaps == [(1, 2)]
    put(intake, snapshot("A", [["3", "1"]], []))
    assert intake.stale == []
    assert content(intake)["A"] == ([[3.0, 1.0]], [])


def test_numbers_begin_anew_after_a_break() -> None:
    """What was missed while there was no connection is no mismatch."""
    intake = BookIntake(LEVELS["binance"])
    put(intake, difference(1, 2))
    intake.broke()
    put(intake, difference(8, 9))
    assert (intake.mismatches, content(intake)["X"][0]) == (0, [[1.0, 1.0]])


def test_a_quote_of_one_side_has_no_middle() -> None:
    """What is not there is NaN."""
    intake = BookIntake(LEVELS["coinbase"], levels=1)
    put(intake, snapshot(bids=[["1", "2"], ["0.5", "9"]]), change("sell", "3", "6"), change("buy", "1", "0"))
    put(intake, snapshot())
    assert intake.frame.df[QUOTE].astype(object).where(
        intake.frame.df[QUOTE].notna(), None
    ).to_numpy().tolist() == [
        [1.0, 2.0, None, None, None, None, 1.0],
        [1.0, 2.0, 3.0, 6.0, 2.0, 2.0, -0.5],
        [0.5, 9.0, 3.0, 6.0, 1.75, 2.5, 0.2],
        [None] * 7,
    ]
    assert dict(intake.frame.schema) == {
        "symbol": "category",
        "time": "datetime64[ns, UTC]",
        **dict.fromkeys(QUOTE, "float64"),
    }
    assert (intake.frame.key, intake.frame.time) == ("symbol", "time")


def test_a_quote_has_the_time_of_the_feed_or_of_its_message() -> None:
    """In nanoseconds; those of the messages are one for all, or one each."""
    intake = BookIntake(LEVELS["coinbase"])
    put(
        intake,
        change("buy", "1", "1", time="2023-11-14T22:13:20.000001Z"),
        change("buy", "1", "2"),
        at=NOW + 5,
    )
    put(
        intake, {}, change("buy", "1", "3"), change("buy", "1", "4"), at=np.array([NOW + 6, NOW + 7, NOW + 8])
    )
    assert list(intake.frame.df["time"].astype("int64") - NOW) == [1_000, 5, 7, 8]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{", "not a message of this book: "),
        ({"type": "snapshot"}, "not a message of this book: Object missing required field"),
    ],
)
def test_a_message_that_cannot_be_read_is_rejected(message: object, reason: str) -> None:
    """With its reason, and the others of its batch are taken."""
    intake = BookIntake(LEVELS["coinbase"])
    put(intake, change("buy", "1", "1"), message, change("buy", "2", "1"))
    assert intake.frame.total == intake.changes == 2
    assert intake.frame.rejected["reason"].iloc[0].startswith(reason)


@pytest.mark.parametrize(("founded", "stale", "bids"), [(True, ["A"], []), (False, [], [[3.0, 1.0]])])
def test_a_level_that_is_none_makes_the_book_wrong(founded: bool, stale: list, bids: list) -> None:
    """The message is rejected, and as a part of it may be in the book, it is emptied as after a mismatch."""
    asked: list[str] = []
    intake = BookIntake(LEVELS["coinbase"])
    intake.resync = asked.append
    put(intake, *([snapshot(bids=[["1", "1"]])] if founded else [change("buy", "1", "1")]))
    put(intake, change("buy", "x", "1"), change("buy", "3", "1"))
    assert (intake.stale, content(intake)["A"][0], len(asked)) == (stale, bids, len(stale))
    assert intake.frame.rejected["reason"].iloc[0].startswith("a level is [price, size, ...]")
    assert intake.frame.df["bid"].isna().tolist()[:2] == [False, True]


def test_what_is_not_about_a_book_is_counted() -> None:
    """And makes no row."""
    intake = BookIntake(LEVELS["coinbase"])
    put(intake, {"type": "subscriptions"}, {"type": "ticker"})
    assert (intake.skipped, intake.frame.total, intake.frame.rejected_count) == (2, 0, 0)


def test_quotes_are_in_the_frame_even_if_the_connection_cannot_be_made_again() -> None:
    """An error of `resync` goes to who brings the messages, and costs no quote."""

    def resync(reason: str) -> None:
        raise RuntimeError(reason)

    intake = BookIntake(LEVELS["coinbase"])
    intake.resync = resync
    with pytest.raises(RuntimeError, match="the book of A is wrong"):
        put(intake, snapshot(bids=[["1", "1"]]), change("buy", "x", "1"))
    assert intake.frame.total == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: BookIntake(LEVELS["coinbase"], levels=0), "levels=0: give at least 1 price"),
        (lambda: BookIntake(LEVELS["coinbase"], max_rows=0), "max_rows=0: keep at least 1 row"),
    ],
)
def test_wrong_numbers_are_refused(make: Callable[[], BookIntake], sentence: str) -> None:
    """With what to give instead."""
    with pytest.raises(UsageError, match=sentence):
        make()


def test_frame_keeps_so_many_quotes() -> None:
    """The books keep everything."""
    intake = BookIntake(LEVELS["coinbase"], max_rows=2)
    put(intake, *(change("buy", str(price), "1") for price in range(1, 6)))
    assert isinstance(intake.frame, LiveFrame)
    assert intake.frame.df["bid"].tolist() == [4.0, 5.0]
    assert len(content(intake)["A"][0]) == 5
