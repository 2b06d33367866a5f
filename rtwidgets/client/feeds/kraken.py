"""Kraken, WebSocket API v2: spot trades, tickers and order books.

https://docs.kraken.com/api/docs/websocket-v2/trade, ``…/ticker`` and ``…/book``.
"""

from __future__ import annotations

from typing import Any

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["PRESET"]


def _subscribe(channel: str, **parameters: Any) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel, "symbol": ["{symbol}"], **parameters}}


PRESET = Preset(
    name="kraken",
    title="Kraken, API v2",
    url="wss://ws.kraken.com/v2",
    by="channel",
    refusal=("error",),
    symbol=r"[A-Z0-9.]+/[A-Z0-9.]+",
    example="BTC/USD",
    docs="https://docs.kraken.com/api/docs/websocket-v2/trade",
    kinds={
        "trades": MessageKind(
            about="each trade",
            values=("trade",),
            subscribe=_subscribe("trade", snapshot=False),
            records="data",
            key="symbol",
            time="timestamp",
            sequence="trade_id",
            schema={
                "symbol": "category",
                "price": "float64",
                "qty": "float64",
                "side": "category",
                "ord_type": "category",
                "trade_id": "int64",
                "timestamp": "datetime",
            },
        ),
        "ticker": MessageKind(
            about="best bid and ask, last price, and figures of 24 hours, after trades",
            values=("ticker",),
            subscribe=_subscribe("ticker"),
            records="data",
            key="symbol",
            time="timestamp",
            schema={
                "symbol": "category",
                "bid": "float64",
                "bid_qty": "float64",
                "ask": "float64",
                "ask_qty": "float64",
                "last": "float64",
                "volume": "float64",
                "vwap": "float64",
                "low": "float64",
                "high": "float64",
                "change": "float64",
                "change_pct": "float64",
                "timestamp": "datetime",
            },
        ),
        "book": MessageKind(
            about="the best 100 prices of the order book",
            values=("book",),
            subscribe=_subscribe("book", depth=100),
            book="kraken_v2",
        ),
    },
)
