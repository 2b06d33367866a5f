"""Coinbase Exchange: spot trades, tickers and order books.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels. Since August 2023 the channels ``level2`` and
``full`` ask for a key; ``level2_batch``, the same in batches of 50 ms, does not.
"""

from __future__ import annotations

from typing import Any

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["PRESET"]


def _subscribe(channel: str) -> dict[str, Any]:
    return {"type": "subscribe", "product_ids": ["{symbol}"], "channels": [channel]}


PRESET = Preset(
    name="coinbase",
    title="Coinbase Exchange",
    url="wss://ws-feed.exchange.coinbase.com",
    by="type",
    refusal=("message", "reason"),
    symbol=r"[A-Z0-9]+-[A-Z0-9]+",
    example="BTC-USD",
    docs="https://docs.cdp.coinbase.com/exchange/websocket-feed/channels",
    kinds={
        "trades": MessageKind(
            about="each trade; first the last one before that, of type last_match",
            values=("match", "last_match"),
            subscribe=_subscribe("matches"),
            key="product_id",
            time="time",
            sequence="trade_id",
            schema={
                "product_id": "category",
                "price": "float64",
                "size": "float64",
                "side": "category",
                "trade_id": "int64",
                "sequence": "int64",
                "type": "category",
                "time": "datetime",
            },
        ),
        "ticker": MessageKind(
            about="price, best bid and ask, and figures of 24 hours, after trades",
            values=("ticker",),
            subscribe=_subscribe("ticker"),
            key="product_id",
            time="time",
            schema={
                "product_id": "category",
                "price": "float64",
                "last_size": "float64",
                "side": "category",
                "best_bid": "float64",
                "best_bid_size": "float64",
                "best_ask": "float64",
                "best_ask_size": "float64",
                "open_24h": "float64",
                "low_24h": "float64",
                "high_24h": "float64",
                "volume_24h": "float64",
                "time": "datetime",
            },
        ),
        "book": MessageKind(
            about="the order book, changed every 50 ms",
            values=("snapshot", "l2update"),
            subscribe=_subscribe("level2_batch"),
            book="coinbase",
        ),
    },
)
