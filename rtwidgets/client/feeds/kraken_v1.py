"""Kraken, WebSocket API v1: messages are lists, ``[channel, rows, "trade", "XBT/USD"]``.

https://docs.kraken.com/exchange/api-reference/spot-websocket-v1/trade, ``…/ticker`` and ``…/book``. Kraken
keeps it for those who use it already. Its trades have no numbers, and the last 50 come again after a break.
"""

from __future__ import annotations

from typing import Any

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["PRESET"]


def _subscribe(channel: str, **options: Any) -> dict[str, Any]:
    return {"event": "subscribe", "pair": ["{symbol}"], "subscription": {"name": channel, **options}}


PRESET = Preset(
    name="kraken_v1",
    title="Kraken, API v1",
    url="wss://ws.kraken.com",
    by="-2",
    refusal=("errorMessage",),
    symbol=r"[A-Z0-9.]+/[A-Z0-9.]+",
    example="XBT/USD",
    docs="https://docs.kraken.com/exchange/api-reference/spot-websocket-v1/trade",
    kinds={
        "trades": MessageKind(
            about="each trade, and the last 50 before; side b or s, type l (limit) or m (market)",
            values=("trade",),
            subscribe=_subscribe("trade"),
            records="1",
            columns=("price", "volume", "time", "side", "type", "misc"),
            beside={"pair": "-1"},
            key="pair",
            time="time",
            schema={
                "pair": "category",
                "price": "float64",
                "volume": "float64",
                "side": "category",
                "type": "category",
                "time": "datetime64[s]",
            },
        ),
        "ticker": MessageKind(
            about="best bid and ask, last price and size, and figures of 24 hours",
            values=("ticker",),
            subscribe=_subscribe("ticker"),
            records="1",
            beside={
                "pair": "-1",
                "bid": "1.b.0",
                "bid_volume": "1.b.2",
                "ask": "1.a.0",
                "ask_volume": "1.a.2",
                "price": "1.c.0",
                "volume": "1.c.1",
                "volume_24h": "1.v.1",
                "low_24h": "1.l.1",
                "high_24h": "1.h.1",
            },
            key="pair",
            schema={
                "pair": "category",
                "price": "float64",
                "volume": "float64",
                "bid": "float64",
                "bid_volume": "float64",
                "ask": "float64",
                "ask_volume": "float64",
                "low_24h": "float64",
                "high_24h": "float64",
                "volume_24h": "float64",
            },
        ),
        "book": MessageKind(
            about="the best 100 prices of the order book",
            values=("book-*",),
            subscribe=_subscribe("book", depth=100),
            book="kraken_v1",
        ),
    },
)
