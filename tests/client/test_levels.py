"""What the decoders make of the messages of feeds, as these document them or have sent them."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.client.levels import LEVELS, Update

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
T = 1_700_000_000_123_456_000
ISO, SECONDS, MICROS = "2023-11-14T22:13:20.123456Z", "1700000000.123456", "1700000000123456"


def received(name: str) -> Iterator[bytes]:
    """Yield the messages that a recording received, in order."""
    for line in (CAPTURES / f"{name}.txt").read_bytes().splitlines():
        moment, colon, message = line.partition(b": ")
        if colon and b" " not in moment:
            yield message


def read(feed: str, message: object) -> list[Update]:
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    return list(LEVELS[feed](text))


MESSAGES = {
    "coinbase snapshot": (
        "coinbase",
        {
            "type": "snapshot",
            "product_id": "BTC-USD",
            "bids": [["10101.10", "0.45054140"]],
            "asks": [["10102.55", "0.57753524"]],
            "time": ISO,
        },
        Update("BTC-USD", [("10101.10", "0.45054140")], [("10102.55", "0.57753524")], reset=True, time=T),
    ),
    "coinbase snapshot without a time": (
        "coinbase",
        {"type": "snapshot", "product_id": "BTC-USD", "bids": [], "asks": []},
        Update("BTC-USD", [], [], reset=True),
    ),
    "coinbase changes": (
        "coinbase",
        {
            "type": "l2update",
            "product_id": "BTC-USD",
            "changes": [
                ["buy", "22356.27", "0.00000000"],
                ["sell", "22358.01", "1"],
                ["buy", "22356.30", "1.0"],
            ],
            "time": ISO,
        },
        Update("BTC-USD", [("22356.27", "0.00000000"), ("22356.30", "1.0")], [("22358.01", "1")], time=T),
    ),
    "kraken 1 snapshot": (
        "kraken_v1",
        [
            0,
            {
                "as": [
                    ["5541.30000", "2.50700000", "1534614248.123678"],
                    ["5541.8", "0.33", "1534614098.345543"],
                ],
                "bs": [["5541.20000", "1.52900000", SECONDS]],
            },
            "book-10",
            "XBT/USD",
        ],
        Update(
            "XBT/USD",
            [("5541.20000", "1.52900000", SECONDS)],
            [("5541.30000", "2.50700000", "1534614248.123678"), ("5541.8", "0.33", "1534614098.345543")],
            reset=True,
            time=T,
            depth=10,
        ),
    ),
    "kraken 1 snapshot of an empty book": (
        "kraken_v1",
        [0, {"as": [], "bs": []}, "book-25", "XBT/USD"],
        Update("XBT/USD", [], [], reset=True, depth=25),
    ),
    "kraken 1 changes": (
        "kraken_v1",
        [1234, {"a": [["5541.30000", "0.00000000", SECONDS, "r"]], "c": "974942666"}, "book-10", "XBT/USD"],
        Update(
            "XBT/USD",
            [],
            [("5541.30000", "0.00000000", SECONDS, "r")],
            time=T,
            checksum=974942666,
            depth=10,
        ),
    ),
    "kraken 1 changes of both sides": (
        "kraken_v1",
        [
            1234,
            {"a": [["5541.30000", "2.50700000", "1534614248.456738"]]},
            {"b": [["5541.30000", "0.00000000", SECONDS]], "c": "974942666"},
            "book-1000",
            "XBT/USD",
        ],
        Update(
            "XBT/USD",
            [("5541.30000", "0.00000000", SECONDS)],
            [("5541.30000", "2.50700000", "1534614248.456738")],
            time=T,
            checksum=974942666,
            depth=1000,
        ),
    ),
    "kraken 2 snapshot": (
        "kraken_v2",
        b"""{"channel":"book","type":"snapshot","data":[{"symbol":"MATIC/USD",
        "bids":[{"price":0.5666,"qty":4831.75496000},{"price":0.5660,"qty":1e3}],
        "asks":[{"price":0.5668,"qty":4410.79769741}],"checksum":2439117997}]}""",
        Update(
            "MATIC/USD",
            [("0.5666", "4831.75496000"), ("0.5660", "1e3")],
            [("0.5668", "4410.79769741")],
            reset=True,
            checksum=2439117997,
            depth=10,
        ),
    ),
    "kraken 2 changes": (
        "kraken_v2",
        b'{"channel":"book","type":"update","data":[{"symbol":"MATIC/USD","bids":[{"price":0.5657,"qty":0}],'
        b'"asks":[],"checksum":2114181697,"timestamp":"' + ISO.encode() + b'"}]}',
        Update("MATIC/USD", [("0.5657", "0")], [], time=T, checksum=2114181697),
    ),
    "binance partial depth": (
        "binance",
        {"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": [["0.0026", "100"]]},
        Update("", [("0.0024", "10")], [("0.0026", "100")], reset=True, last=160),
    ),
    "binance partial depth in a combined stream": (
        "binance",
        {
            "stream": "bnbbtc@depth5@100ms",
            "data": {"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": []},
        },
        Update("BNBBTC", [("0.0024", "10")], [], reset=True, last=160),
    ),
    "binance difference": (
        "binance",
        {
            "e": "depthUpdate",
            "E": 1_700_000_000_123,
            "s": "BNBBTC",
            "U": 157,
            "u": 160,
            "b": [["0.0024", "10"]],
            "a": [["0.0026", "0"]],
        },
        Update(
            "BNBBTC",
            [("0.0024", "10")],
            [("0.0026", "0")],
            time=1_700_000_000_123_000_000,
            first=157,
            last=160,
        ),
    ),
    "binance difference in a combined stream of futures": (
        "binance",
        {
            "stream": "btcusdt@depth@100ms",
            "data": {"e": "depthUpdate", "s": "BTCUSDT", "U": 157, "u": 160, "pu": 149, "b": [], "a": []},
        },
        Update("BTCUSDT", [], [], first=150, last=160),
    ),
    "binance partial depth of futures": (
        "binance",
        {
            "stream": "btcusdt@depth5",
            "data": {"e": "depthUpdate", "s": "BTCUSDT", "U": 157, "u": 160, "pu": 149, "b": [], "a": []},
        },
        Update("BTCUSDT", [], [], reset=True, first=150, last=160),
    ),
    "bitstamp whole book": (
        "bitstamp",
        {
            "event": "data",
            "channel": "order_book_btcusd",
            "data": {"microtimestamp": MICROS, "bids": [["1.5", "2"]], "asks": []},
        },
        Update("btcusd", [("1.5", "2")], [], reset=True, time=T),
    ),
    "bitstamp difference": (
        "bitstamp",
        {
            "event": "data",
            "channel": "diff_order_book_btcusd",
            "data": {"microtimestamp": MICROS, "bids": [], "asks": [["1.5", "0.000"]]},
        },
        Update("btcusd", [], [("1.5", "0.000")], time=T),
    ),
}


@pytest.mark.parametrize(("feed", "message", "update"), MESSAGES.values(), ids=MESSAGES)
def test_message_of_a_book_is_an_update(feed: str, message: object, update: Update) -> None:
    """With prices and sizes as they were written, and all that the feed says beside them."""
    (found,) = read(feed, message)
    as_lists = {name: list(getattr(found, name)) for name in ("bids", "asks")}
    assert {**{name: getattr(found, name) for name in Update.__struct_fields__}, **as_lists} == {
        name: getattr(update, name) for name in Update.__struct_fields__
    }


def test_message_of_several_books_is_an_update_of_each() -> None:
    """Version 2 of Kraken's interface has a list of books in a message."""
    message = {"channel": "book", "type": "update", "data": [{"symbol": "A/B"}, {"symbol": "C/D"}]}
    assert [update.symbol for update in read("kraken_v2", message)] == ["A/B", "C/D"]


@pytest.mark.parametrize(("levels", "depth"), [(0, 10), (10, 10), (11, 25), (1000, 1000), (1001, None)])
def test_depth_is_the_least_that_has_room_for_the_snapshot(levels: int, depth: int | None) -> None:
    """Of the depths that version 2 of Kraken's interface offers."""
    bids = [{"price": price, "qty": 1} for price in range(levels)]
    message = {"channel": "book", "type": "snapshot", "data": [{"symbol": "A/B", "bids": bids}]}
    assert read("kraken_v2", message)[0].depth == depth


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ("coinbase", {"type": "subscriptions", "channels": []}),
        ("coinbase", {"type": "ticker", "product_id": "BTC-USD", "price": "1"}),
        ("coinbase", {"type": "heartbeat", "time": ISO}),
        ("coinbase", {}),
        ("coinbase", []),
        ("kraken_v1", {"event": "heartbeat"}),
        ("kraken_v1", [0, [["1", "2", "3", "b", "l", ""]], "trade", "XBT/USD"]),
        ("kraken_v1", [0, {"a": ["1", 2, "3"], "b": ["1", 2, "3"], "c": ["1", "2"]}, "ticker", "XBT/USD"]),
        ("kraken_v1", [0, {"a": [], "b": []}, "other", "XBT/USD"]),
        ("kraken_v1", [0, ["1", "2", "3", "4", "5"], "spread", "XBT/USD"]),
        ("kraken_v2", {"channel": "heartbeat"}),
        ("kraken_v2", {"channel": "trade", "type": "update", "data": [{"symbol": "A/B"}]}),
        ("kraken_v2", {"method": "subscribe", "result": {"channel": "book", "depth": 10}, "success": True}),
        ("binance", {"result": None, "id": 1}),
        ("binance", {"e": "trade", "s": "BNBBTC", "t": 1, "p": "1", "b": 88, "a": 50}),
        ("binance", {"u": 400900217, "s": "BNBUSDT", "b": "25.35", "B": "31.21", "a": "25.36", "A": "40.66"}),
        ("binance", {"stream": "x@kline_1m", "data": {"e": "kline", "E": 1, "s": "X", "k": {}}}),
        ("binance", [{"e": "24hrTicker"}]),
        ("bitstamp", {"event": "bts:subscription_succeeded", "channel": "order_book_btcusd", "data": {}}),
        ("bitstamp", {"event": "bts:request_reconnect", "channel": "", "data": ""}),
        ("bitstamp", {"event": "trade", "channel": "live_trades_btcusd", "data": {"price": 1}}),
        (
            "bitstamp",
            {"event": "data", "channel": "detail_order_book_btcusd", "data": {"bids": [], "asks": []}},
        ),
    ],
)
def test_what_is_not_about_a_book_yields_nothing(feed: str, message: object) -> None:
    """Acknowledgements, heartbeats and other channels are nothing to complain of."""
    assert read(feed, message) == []


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        *((feed, message) for feed in LEVELS for message in (b"", b"{", b"hello", b'{"a":}', b"\xff")),
        ("coinbase", {"type": "l2update", "product_id": "BTC-USD", "changes": [["hold", "1", "2"]]}),
        ("coinbase", {"type": "l2update", "product_id": "BTC-USD"}),
        ("coinbase", {"type": "snapshot", "product_id": 5, "bids": [], "asks": []}),
        (
            "coinbase",
            {"type": "snapshot", "product_id": "A", "bids": [], "asks": [], "time": "2020-01-01T00:00:00"},
        ),
        ("kraken_v1", [0, {"a": [[1, 2]]}, "book-10", "XBT/USD"]),
        ("kraken_v1", [0, {"a": [["1", "2", "now"]]}, "book-10", "XBT/USD"]),
        ("kraken_v1", [0, {"a": [["1", "2", "inf"]]}, "book-10", "XBT/USD"]),
        ("kraken_v1", [0, {"a": []}, "book-many", "XBT/USD"]),
        ("kraken_v1", [0, {"a": [], "c": "x"}, "book-10", "XBT/USD"]),
        ("kraken_v1", [0, "?", "book-10", "XBT/USD"]),
        ("kraken_v2", {"channel": "book", "type": "update", "data": {}}),
        ("kraken_v2", {"channel": "book", "type": "other", "data": []}),
        ("binance", {"lastUpdateId": "x", "bids": [], "asks": []}),
        ("binance", {"stream": "x@depth", "data": {"e": "depthUpdate", "b": [1]}}),
        ("bitstamp", {"event": "data", "channel": "order_book_btcusd", "data": {"bids": 1}}),
        ("bitstamp", {"event": "data", "channel": "order_book_btcusd", "data": {"microtimestamp": "x"}}),
    ],
)
def test_message_that_should_be_of_a_book_and_cannot_be_read_is_an_error(feed: str, message: object) -> None:
    """Rather than a book that silently lacks it."""
    with pytest.raises((ValueError, OverflowError)):
        read(feed, message)


strange = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["nan", "inf", "1e999", "book-", "book-x", "data", 10**400, [], [[]], {}, {"a": 1}]),
)


def places(value: object, before: tuple = ()) -> Iterator[tuple]:
    """Yield the paths to all that is in a message."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inside:
        yield (*before, step)
        yield from places(each, (*before, step))


@given(st.data())
def test_whatever_comes_is_an_update_nothing_or_an_error_of_value(data: st.DataObject) -> None:
    """A message in which one thing, large or small, is something strange raises nothing else."""
    feed, message, _ = data.draw(st.sampled_from(list(MESSAGES.values())))
    message = json.loads(message if isinstance(message, bytes) else json.dumps(message))
    *path, last = data.draw(st.sampled_from(list(places(message))))
    here = message
    for step in path:
        here = here[step]
    here[last] = data.draw(strange)
    try:
        updates = read(feed, message)
    except (ValueError, OverflowError):
        return
    assert all(isinstance(update, Update) for update in updates)


@pytest.mark.parametrize(
    ("feed", "name", "resets", "changes", "others"),
    [
        ("coinbase", "coinbase", 10, 9719, 217),
        ("kraken_v1", "kraken", 10, 4269, 42),
        ("bitstamp", "bitstamp", 0, 717, 30),
    ],
)
def test_recording_has_so_many_updates(feed: str, name: str, resets: int, changes: int, others: int) -> None:
    """Each message of a real recording is a snapshot, a change, or something else; none fails."""
    kinds = Counter(
        "snapshot" if updates and updates[0].reset else len(updates)
        for updates in (read(feed, message) for message in received(name))
    )
    assert kinds == +Counter({"snapshot": resets, 1: changes, 0: others})
