"""The presets, with messages in the shapes that the documentation of each feed shows."""

import json

import pandas as pd
import pytest

from rtwidgets.client.feeds import BUILT_IN
from rtwidgets.client.kinds import OTHER
from rtwidgets.loop import take_errors

pytestmark = pytest.mark.usefixtures("tidy")


def sorted_by(name, messages):
    """Let a preset sort messages."""
    preset = BUILT_IN[name]
    sorter = preset.sorter(preset.check_kinds(None))
    sorter.messages([json.dumps(message).encode() for message in messages], 10**9)
    return sorter


KRAKEN_V1 = [
    [
        0,
        [
            ["5541.20000", "0.15850568", "1534614057.321597", "s", "l", ""],
            ["6060.00000", "0.02455000", "1534614057.324998", "b", "l", ""],
        ],
        "trade",
        "XBT/USD",
    ],
    [
        0,
        {
            "a": ["5525.40000", 1, "1.000"],
            "b": ["5525.10000", 1, "1.500"],
            "c": ["5525.10000", "0.00398963"],
            "v": ["2634.11501494", "3591.17907851"],
            "p": ["5631.44067", "5653.78939"],
            "t": [11493, 16267],
            "l": ["5505.00000", "5504.00000"],
            "h": ["5783.00000", "5784.00000"],
            "o": ["5760.70000", "5763.40000"],
        },
        "ticker",
        "XBT/USD",
    ],
]
KRAKEN_V2 = [
    {"channel": "status", "type": "update", "data": [{"system": "online", "api_version": "v2"}]},
    {
        "channel": "trade",
        "type": "update",
        "data": [
            {
                "symbol": "MATIC/USD",
                "side": "buy",
                "price": 0.5147,
                "qty": 6423.46326,
                "ord_type": "limit",
                "trade_id": 4665846,
                "timestamp": "2023-09-25T07:48:36.925533Z",
            },
            {
                "symbol": "MATIC/USD",
                "side": "buy",
                "price": 0.5147,
                "qty": 1136.19677815,
                "ord_type": "limit",
                "trade_id": 4665849,
                "timestamp": "2023-09-25T07:49:36.925603Z",
            },
        ],
    },
    {
        "channel": "ticker",
        "type": "snapshot",
        "data": [
            {
                "symbol": "ALGO/USD",
                "bid": 0.10025,
                "bid_qty": 740.0,
                "ask": 0.10036,
                "ask_qty": 1361.44813783,
                "last": 0.10035,
                "volume": 997038.98383185,
                "vwap": 0.10148,
                "low": 0.09979,
                "high": 0.10285,
                "change": -0.00017,
                "change_pct": -0.17,
                "timestamp": "2023-09-25T09:04:31.742648Z",
            }
        ],
    },
    {"channel": "heartbeat"},
]
BINANCE = [
    {"result": None, "id": 1},
    {
        "stream": "bnbbtc@trade",
        "data": {
            "e": "trade",
            "E": 1672515782136,
            "s": "BNBBTC",
            "t": 12345,
            "p": "0.001",
            "q": "100",
            "T": 1672515782135,
            "m": True,
            "M": True,
        },
    },
    {
        "stream": "bnbbtc@aggTrade",
        "data": {
            "e": "aggTrade",
            "E": 1672515782136,
            "s": "BNBBTC",
            "a": 777,
            "p": "0.002",
            "q": "50",
            "f": 100,
            "l": 105,
            "T": 1672515782137,
            "m": False,
            "M": True,
        },
    },
    {
        "stream": "bnbbtc@ticker",
        "data": {
            "e": "24hrTicker",
            "E": 1672515782138,
            "s": "BNBBTC",
            "p": "0.0015",
            "P": "250.00",
            "w": "0.0018",
            "x": "0.0009",
            "c": "0.0025",
            "Q": "10",
            "b": "0.0024",
            "B": "11",
            "a": "0.0026",
            "A": "12",
            "o": "0.0010",
            "h": "0.0027",
            "l": "0.0011",
            "v": "10000",
            "q": "18",
            "O": 0,
            "C": 86400000,
            "F": 0,
            "L": 18150,
            "n": 18151,
        },
    },
]
JETSTREAM = [
    {
        "did": "did:plc:eygmaihciaxprqvxpfvl6flk",
        "time_us": 1725911162329308,
        "kind": "commit",
        "commit": {
            "rev": "3l3qo2vutsw2b",
            "operation": "create",
            "collection": "app.bsky.feed.post",
            "rkey": "3l3qo2vuowo2b",
            "record": {
                "$type": "app.bsky.feed.post",
                "createdAt": "2024-09-09T19:46:02.102Z",
                "langs": ["pt", "en"],
                "text": "olá",
            },
            "cid": "bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi",
        },
    },
    {
        "did": "did:plc:rfov6bpyztcnedeyyzgfq42k",
        "time_us": 1725516666833633,
        "kind": "commit",
        "commit": {
            "rev": "3l3f6nzl3cv2s",
            "operation": "delete",
            "collection": "app.bsky.graph.follow",
            "rkey": "3l3dn7tku762u",
        },
    },
    {
        "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
        "time_us": 1725516665234703,
        "kind": "identity",
        "identity": {
            "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
            "handle": "yohenrique.bsky.social",
            "seq": 1409752997,
        },
    },
    {
        "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
        "time_us": 1725516665333808,
        "kind": "account",
        "account": {"active": True, "did": "did:plc:ufbl4k27gp6kzas5glhz7fim", "seq": 1409753013},
    },
]


def plain(value):
    """Return a value as it is written below."""
    if isinstance(value, pd.Timestamp):
        return str(value.tz_localize(None))
    return None if pd.isna(value) else value


@pytest.mark.parametrize(
    ("name", "messages", "rows"),
    [
        (
            "kraken_v1",
            KRAKEN_V1,
            {
                "trades": [
                    ["XBT/USD", 5541.2, 0.15850568, "s", "l", "2018-08-18 17:40:57.321597"],
                    ["XBT/USD", 6060.0, 0.02455, "b", "l", "2018-08-18 17:40:57.324998"],
                ],
                "ticker": [
                    [
                        "XBT/USD",
                        5525.1,
                        0.00398963,
                        5525.1,
                        1.5,
                        5525.4,
                        1.0,
                        5504.0,
                        5784.0,
                        3591.17907851,
                        "1970-01-01 00:00:01",
                    ]
                ],
            },
        ),
        (
            "kraken",
            KRAKEN_V2,
            {
                "trades": [
                    ["MATIC/USD", 0.5147, 6423.46326, "buy", "limit", 4665846, "2023-09-25 07:48:36.925533"],
                    [
                        "MATIC/USD",
                        0.5147,
                        1136.19677815,
                        "buy",
                        "limit",
                        4665849,
                        "2023-09-25 07:49:36.925603",
                    ],
                ],
                "ticker": [
                    [
                        "ALGO/USD",
                        0.10025,
                        740.0,
                        0.10036,
                        1361.44813783,
                        0.10035,
                        997038.98383185,
                        0.10148,
                        0.09979,
                        0.10285,
                        -0.00017,
                        -0.17,
                        "2023-09-25 09:04:31.742648",
                    ]
                ],
            },
        ),
        (
            "binance",
            BINANCE,
            {
                "trades": [["BNBBTC", 0.001, 100.0, True, 12345, "2022-12-31 19:43:02.135000"]],
                "agg_trades": [["BNBBTC", 0.002, 50.0, False, 777, 100, 105, "2022-12-31 19:43:02.137000"]],
                "ticker": [
                    [
                        "BNBBTC",
                        0.0025,
                        10.0,
                        0.0024,
                        11.0,
                        0.0026,
                        12.0,
                        0.001,
                        0.0011,
                        0.0027,
                        10000.0,
                        "2022-12-31 19:43:02.138000",
                    ]
                ],
            },
        ),
        (
            "bluesky",
            JETSTREAM,
            {
                "commits": [
                    [
                        "2024-09-09 19:46:02.329308",
                        "did:plc:eygmaihciaxprqvxpfvl6flk",
                        "create",
                        "app.bsky.feed.post",
                        "3l3qo2vuowo2b",
                        "olá",
                        "pt",
                    ],
                    [
                        "2024-09-05 06:11:06.833633",
                        "did:plc:rfov6bpyztcnedeyyzgfq42k",
                        "delete",
                        "app.bsky.graph.follow",
                        "3l3dn7tku762u",
                        None,
                        None,
                    ],
                ],
                "identities": [
                    [
                        "2024-09-05 06:11:05.234703",
                        "did:plc:ufbl4k27gp6kzas5glhz7fim",
                        "yohenrique.bsky.social",
                    ]
                ],
                "accounts": [["2024-09-05 06:11:05.333808", "did:plc:ufbl4k27gp6kzas5glhz7fim", True, None]],
            },
        ),
    ],
)
def test_samples_of_the_documentation(name, messages, rows):
    """Each becomes the row that it should, with the columns in the order of the schema."""
    sorter = sorted_by(name, messages)
    for kind in rows:
        frame = sorter.taking(kind).frame
        assert frame.rejected_count == 0, frame.rejected_reason
        assert [list(map(plain, row)) for row in frame.df.itertuples(index=False)] == rows[kind]
    assert sorter.counts[OTHER] == len(messages) - sum(sorter.counts[kind] for kind in rows)


def test_numbers_that_a_feed_leaves_out():
    """Between the trades of the documentation two are missing."""
    trades = sorted_by("kraken", KRAKEN_V2).taking("trades")
    assert [gap[:3] for gap in trades.gaps] == [("MATIC/USD", 4665847, 4665848)]


@pytest.mark.parametrize(
    ("name", "refusal", "words"),
    [
        (
            "coinbase",
            {"type": "error", "message": "Failed to subscribe", "reason": "XX-YY is not a valid product"},
            "Failed to subscribe: XX-YY is not a valid product",
        ),
        (
            "kraken",
            {"method": "subscribe", "success": False, "error": "Currency pair not supported XX/YY"},
            "XX/YY",
        ),
        (
            "kraken_v1",
            {"event": "subscriptionStatus", "status": "error", "errorMessage": "Currency pair"},
            "pair",
        ),
        ("binance", {"error": {"code": 2, "msg": "Invalid request: unknown variant"}, "id": 1}, "variant"),
        (
            "bitstamp",
            {"event": "bts:error", "data": {"code": None, "message": "Bad subscription string."}},
            "Bad",
        ),
    ],
)
def test_what_a_feed_refuses(name, refusal, words):
    """It is told in the background, and the message is kept among the others."""
    sorter = sorted_by(name, [refusal, {"event": "fine"}])
    ((where, error),) = take_errors()
    assert where == f"feed {name}"
    assert str(error).startswith(f"{name} says: ")
    assert words in str(error)
    assert sorter.counts[OTHER] == 2
