"""The presets, with what exchanges sent."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rtwidgets.client.feeds import BUILT_IN, MessageKind, Preset
from rtwidgets.client.feeds.templates import filled, filled_url
from rtwidgets.client.kinds import OTHER
from rtwidgets.errors import SchemaError, UsageError

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"

pytestmark = pytest.mark.usefixtures("tidy")


def captured(name):
    """Return the messages that a capture received, as they came."""
    with (CAPTURES / name).open() as lines:
        parts = (line.partition(": ") for line in lines)
        return [message.strip().encode() for moment, colon, message in parts if colon and " " not in moment]


def sorted_by(name, messages, *kinds):
    """Let a preset sort messages, in batches as they come from a socket."""
    preset = BUILT_IN[name]
    sorter = preset.sorter(preset.check_kinds(kinds or None))
    for first in range(0, len(messages), 100):
        batch = messages[first : first + 100]
        sorter.messages(batch, np.arange(first, first + len(batch)) + 1_600_000_000 * 10**9)
    return sorter


def same(frame, columns):
    """Assert that a frame has these columns, of plain values, in this order, and rejected nothing."""
    df = frame.df
    assert frame.rejected_count == 0, frame.rejected_reason
    assert {column: df[column].tolist() for column in columns} == columns


def numbers_of(level):
    return float(level[0]), float(level[1])


def change(side, level):
    """Change one side of a plain book."""
    price, size = numbers_of(level)
    side[price] = size
    if not size:
        del side[price]


def same_books(intake, books):
    """Assert that the books are those of plain recomputation: bids and asks by price."""
    assert intake.frame.rejected_count == intake.skipped == 0
    assert set(intake.books) == set(books)
    for symbol, sides in books.items():
        best = [sorted(sides[0].items(), reverse=True), sorted(sides[1].items())]
        for found, wanted in zip(intake.books[symbol].top(10_000), best, strict=True):
            assert found.tolist() == [list(level) for level in wanted]


def times(texts, unit=None):
    if unit is None:
        return [pd.Timestamp(text) for text in texts]
    return [pd.Timestamp(int(text), unit=unit, tz="UTC") for text in texts]


# What was captured


def test_coinbase():
    """Its trades, with the last one before, and its tickers are rows with numbers and times."""
    messages = captured("coinbase.txt")
    plain = [json.loads(message) for message in messages]
    sorter = sorted_by("coinbase", messages)
    assert sorter.counts == {"trades": 97 + 10, "ticker": 107, "book": 10 + 9_719, OTHER: 3}
    assert sorter.skipped == 0
    trades = [each for each in plain if each["type"] in ("match", "last_match")]
    same(
        sorter.taking("trades").frame,
        {
            name: [each[name] for each in trades]
            for name in ("type", "product_id", "side", "trade_id", "sequence")
        }
        | {name: [float(each[name]) for each in trades] for name in ("price", "size")}
        | {"time": times(each["time"] for each in trades)},
    )
    tickers = [each for each in plain if each["type"] == "ticker"]
    numbers = ("price", "last_size", "best_bid", "best_ask", "open_24h", "low_24h", "high_24h", "volume_24h")
    same(
        sorter.taking("ticker").frame,
        {name: [each[name] for each in tickers] for name in ("product_id", "side")}
        | {name: [float(each[name]) for each in tickers] for name in numbers}
        | {"time": times(each["time"] for each in tickers)},
    )
    assert list(sorter.frame.df["type"]) == ["subscriptions"] * 3
    books: dict = {}
    for each in plain:
        if each["type"] == "snapshot":
            books[each["product_id"]] = [dict(map(numbers_of, each[side])) for side in ("bids", "asks")]
        elif each["type"] == "l2update":
            for side, *level in each["changes"]:
                change(books[each["product_id"]][side == "sell"], level)
    same_books(sorter.taking("book"), books)
    assert sorter.taking("book").frame.total == 10 + 9_719


@pytest.mark.parametrize("lost", [0, 1, 7])
def test_missing_trades_of_coinbase(lost):
    """With all messages there is no gap; of every n-th trade that is taken away, all are found missing."""
    messages = captured("coinbase.txt")
    kinds = [json.loads(message)["type"] for message in messages]
    trades = [n for n, kind in enumerate(kinds) if kind in ("match", "last_match")]
    gone = set(trades[::lost]) if lost > 1 else set(trades[20:40]) if lost else set()
    kept = [message for n, message in enumerate(messages) if n not in gone]
    wanted, seen = [], {}
    for each in map(json.loads, kept):
        if each["type"] in ("match", "last_match"):
            before = seen.get(each["product_id"], each["trade_id"] - 1)
            if each["trade_id"] > before + 1:
                wanted.append((each["product_id"], before + 1, each["trade_id"] - 1))
            seen[each["product_id"]] = each["trade_id"]
    gaps = sorted_by("coinbase", kept, "trades").taking("trades").gaps
    assert sorted(gap[:3] for gap in gaps) == sorted(wanted)
    assert bool(wanted) is bool(lost)


def test_kraken_v1():
    """Its order books come in lists, whose last element but one tells; the rest is of kind other."""
    messages = captured("kraken.txt")
    books = [each for each in map(json.loads, messages) if isinstance(each, list)]
    sorter = sorted_by("kraken_v1", messages)
    assert sorter.counts == {"trades": 0, "ticker": 0, "book": len(books), OTHER: 42}
    assert len(books) == 4_279
    plain: dict = {}
    for _, *parts, _, pair in books:
        for part in parts:
            for side, name in enumerate("ba"):
                if name + "s" in part:
                    plain.setdefault(pair, [{}, {}])[side] = dict(map(numbers_of, part[name + "s"]))
                for level in part.get(name, []):
                    change(plain[pair][side], level)
                best = sorted(plain[pair][side], reverse=not side)[:1_000]
                plain[pair][side] = {price: plain[pair][side][price] for price in best}
    same_books(sorter.taking("book"), plain)
    assert sorter.taking("book").mismatches == 0
    status = sorter.frame.df.groupby("event", observed=True).size()
    assert dict(status) == {"heartbeat": 31, "subscriptionStatus": 10, "systemStatus": 1}


def test_bitstamp():
    """Its trades are one level down, with the channel beside them, and times of microseconds in text."""
    messages = captured("bitstamp.txt")
    plain = [json.loads(message) for message in messages]
    sorter = sorted_by("bitstamp", messages)
    assert sorter.counts == {"trades": 10, "book": 717, OTHER: 20}
    trades = [each for each in plain if each["event"] == "trade"]
    same(
        sorter.taking("trades").frame,
        {name: [each["data"][name] for each in trades] for name in ("id", "price", "amount", "type")}
        | {"channel": [each["channel"] for each in trades]}
        | {"microtimestamp": times((each["data"]["microtimestamp"] for each in trades), "us")},
    )
    books: dict = {}
    for each in plain:
        if each["event"] == "data":
            book = books.setdefault(each["channel"].removeprefix("diff_order_book_"), [{}, {}])
            for side, name in enumerate(("bids", "asks")):
                for level in each["data"][name]:
                    change(book[side], level)
    same_books(sorter.taking("book"), books)


# What is sent


@pytest.mark.parametrize(
    ("name", "symbols", "url", "messages"),
    [
        (
            "coinbase",
            ["BTC-USD", "ETH-USD"],
            "wss://ws-feed.exchange.coinbase.com",
            [
                {"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channels": [channel]}
                for channel in ("matches", "ticker", "level2_batch")
            ],
        ),
        (
            "kraken",
            ["BTC/USD"],
            "wss://ws.kraken.com/v2",
            [
                {
                    "method": "subscribe",
                    "params": {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": False},
                },
                {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USD"]}},
                {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 100}},
            ],
        ),
        (
            "kraken_v1",
            ["XBT/USD", "ETH/USD"],
            "wss://ws.kraken.com",
            [
                {"event": "subscribe", "pair": ["XBT/USD", "ETH/USD"], "subscription": subscription}
                for subscription in ({"name": "trade"}, {"name": "ticker"}, {"name": "book", "depth": 100})
            ],
        ),
        (
            "bitstamp",
            ["btcusd", "ethusd"],
            "wss://ws.bitstamp.net",
            [
                {"event": "bts:subscribe", "data": {"channel": channel}}
                for channel in (
                    "live_trades_btcusd",
                    "live_trades_ethusd",
                    "order_book_btcusd",
                    "order_book_ethusd",
                )
            ],
        ),
        (
            "bluesky",
            ["app.bsky.feed.post", "app.bsky.feed.like"],
            "wss://jetstream2.us-east.bsky.network/subscribe"
            "?wantedCollections=app.bsky.feed.post&wantedCollections=app.bsky.feed.like",
            [],
        ),
    ],
)
def test_what_is_sent(name, symbols, url, messages):
    """The address and the messages are those that the feed wants."""
    preset = BUILT_IN[name]
    symbols = preset.check_symbols(symbols)
    assert preset.address(symbols) == url
    assert preset.messages(symbols, preset.check_kinds(None)) == messages


def test_captured_subscriptions():
    """Kraken's is, but for the depth, the message by which the capture was made."""
    with (CAPTURES / "kraken.txt").open() as lines:
        (sent,) = [json.loads(line.partition(": ")[2]) for line in lines if " <- " in line[:80]]
    sent["subscription"]["depth"] = 100
    assert BUILT_IN["kraken_v1"].messages(sent["pair"], ["book"]) == [sent]


@pytest.mark.parametrize("preset", BUILT_IN.values(), ids=BUILT_IN)
def test_presets_are_whole(preset):
    """Each has a documentation, an example that it accepts itself, and says of each kind what it is."""
    assert preset.docs.startswith("https://")
    assert preset.title
    assert preset.check_symbols([preset.example, preset.example]) == (preset.example,)
    assert all(kind.about for kind in preset.kinds.values())
    assert all(kind.schema is not None or kind.book is not None for kind in preset.kinds.values())


@pytest.mark.parametrize(
    ("template", "messages"),
    [
        ("ping", ["ping"]),
        ("sub {symbol}", ["sub A", "sub B"]),
        ({"s": ["{symbol}"]}, [{"s": ["A", "B"]}]),
        ({"s": ["{symbol}@x", "all", "{symbol}@y"]}, [{"s": ["A@x", "B@x", "all", "A@y", "B@y"]}]),
        ({"s": [{"instId": "{symbol}"}]}, [{"s": [{"instId": "A"}, {"instId": "B"}]}]),
        ({"s": "{symbol}", "n": [1, "{symbol}"]}, [{"s": "A", "n": [1, "A"]}, {"s": "B", "n": [1, "B"]}]),
        (
            {"d": {"c": "x_{symbol}"}, "n": None},
            [{"d": {"c": "x_A"}, "n": None}, {"d": {"c": "x_B"}, "n": None}],
        ),
        (["{symbol}"], [["A", "B"]]),
    ],
)
def test_templates(template, messages):
    """Inside a list the element is repeated, elsewhere the message."""
    assert filled(template, ["A", "B"]) == messages


def test_templates_of_urls():
    """A parameter is repeated; a path takes one symbol; symbols are quoted."""
    assert filled_url("wss://h/p?x=1&s={symbol}", ["A/B", "C"]) == "wss://h/p?x=1&s=A%2FB&s=C"
    assert filled_url("wss://h/{symbol}@trade", ["a"]) == "wss://h/a@trade"
    assert filled_url("wss://h/p", ["A", "B"]) == "wss://h/p"
    with pytest.raises(UsageError, match="takes one symbol, not 2: open a stream for each of A, B"):
        filled_url("wss://h/{symbol}", ["A", "B"])


# What does not hold together


def preset(**changes):
    given = {
        "name": "mine",
        "url": "wss://h/p?s={symbol}",
        "by": "type",
        "kinds": {"a": MessageKind(values=("a",))},
    }
    return Preset(**{**given, **changes})


@pytest.mark.parametrize(
    ("name", "symbols", "sentence"),
    [
        ("coinbase", [], "name at least one symbol of coinbase, such as 'BTC-USD'"),
        ("coinbase", ["btcusd"], "'btcusd' is no symbol of coinbase: write it like 'BTC-USD'"),
        ("coinbase", [5], "5 is no symbol of coinbase"),
        ("kraken", ["BTC-USD"], "write it like 'BTC/USD'"),
        ("binance", ["BTCUSDT"], "write it like 'btcusdt'"),
        ("bitstamp", ["btc-usd"], "write it like 'btcusd'"),
        ("bluesky", ["post"], "write it like 'app.bsky.feed.post'"),
    ],
)
def test_symbols_that_a_feed_does_not_have(name, symbols, sentence):
    """The sentence shows one that it has."""
    with pytest.raises(UsageError) as caught:
        BUILT_IN[name].check_symbols(symbols)
    assert sentence in str(caught.value)


def test_a_feed_without_symbols():
    """It takes none."""
    plain = preset(url="wss://h/p")
    assert plain.check_symbols([]) == ()
    with pytest.raises(UsageError, match="mine has no symbols: leave out 'A'"):
        plain.check_symbols(["A"])
    assert preset(url="wss://h/p", subscribe=lambda symbols, kinds: [symbols, kinds]).messages(
        ["A"], ["a"]
    ) == [
        ["A"],
        ["a"],
    ]


@pytest.mark.parametrize("kinds", ["trades", [], ["nope"], ["trades", "other"]])
def test_kinds_that_a_feed_does_not_have(kinds):
    """The sentence names those that it has."""
    with pytest.raises(UsageError, match="give a list of kinds of coinbase: trades, ticker, book"):
        BUILT_IN["coinbase"].check_kinds(kinds)


def test_a_kind_that_was_not_opened():
    """The sentence says how to have it; what comes of it all the same is not wanted."""
    sorter = BUILT_IN["coinbase"].sorter(["trades"])
    sorter.messages([b'{"type":"ticker"}', b'{"type":"what is this"}'], 0)
    assert (sorter.skipped, sorter.counts) == (1, {"trades": 0, OTHER: 1})
    with pytest.raises(
        UsageError, match="no 'ticker' here: choose from trades, other, or open coinbase with others"
    ):
        sorter.taking("ticker")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "my feed"}, "'my feed' cannot be the name of a feed or a kind"),
        ({"name": "_x"}, "cannot be the name"),
        ({"kinds": {"a b": MessageKind(values=("a",))}}, "'a b' cannot be the name of a feed or a kind"),
        ({"kinds": {}}, "give it kinds of messages"),
        ({"kinds": {"other": MessageKind(values=("a",))}}, "none called 'other'"),
        ({"url": "https://h"}, "give the address of the feed"),
        ({"by": "a..b"}, "by='a..b' is not a path"),
        ({"refusal": ("a..b",)}, "refusal='a..b' is not a path"),
        ({"keepalive": ("ping", 0)}, "give a message and seconds"),
        ({"keepalive": "ping"}, "give a message and seconds"),
    ],
)
def test_presets_that_do_not_hold_together(changes, sentence):
    """It is said when the preset is made."""
    with pytest.raises(UsageError) as caught:
        preset(**changes)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        ({"values": "a"}, UsageError, "give a list of texts"),
        ({"values": (1,)}, UsageError, "give a list of texts"),
        ({"records": "a..b"}, UsageError, "is not a path"),
        ({"key": "k", "schema": {"p": "float64"}}, SchemaError, "key='k' is not in the schema"),
        ({"schema": {"p": "float64"}, "sequence": "n"}, UsageError, "sequence='n' is not in the schema"),
        ({"book": "nope"}, UsageError, "book='nope': choose one of"),
    ],
)
def test_kinds_that_do_not_hold_together(said, error, sentence):
    """It is said when the preset is made, at the latest."""
    with pytest.raises(error) as caught:
        preset(kinds={"a": MessageKind(**{"values": ("a",), **said})})
    assert sentence in str(caught.value)


def test_how_much_is_kept():
    """So many rows of each kind; of what is of no kind no more than a thousand."""
    sorter = preset().sorter(["a"], max_rows=5_000)
    for value in ("a", "b"):
        sorter.messages([b'{"type":"%s","n":%d}' % (value.encode(), n) for n in range(9_000)], 0)
    assert (len(sorter.taking("a").frame), len(sorter.frame)) == (5_000, 1_000)
