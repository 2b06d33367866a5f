"""Bitstamp: spot trades and order books.

https://www.bitstamp.net/websocket/v2/.
"""

from __future__ import annotations

from typing import Any

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["PRESET"]


def _subscribe(channel: str) -> dict[str, Any]:
    return {"event": "bts:subscribe", "data": {"channel": channel + "_{symbol}"}}


PRESET = Preset(
    name="bitstamp",
    title="Bitstamp",
    url="wss://ws.bitstamp.net",
    by="event",
    refusal=("data.message",),
    symbol=r"[a-z0-9]+(-perp)?",
    example="btcusd",
    docs="https://www.bitstamp.net/websocket/v2/",
    kinds={
        "trades": MessageKind(
            about="each trade; type 0 where the taker bought, 1 where it sold",
            values=("trade",),
            subscribe=_subscribe("live_trades"),
            records="data",
            key="channel",
            time="microtimestamp",
            schema={
                "channel": "category",
                "price": "float64",
                "amount": "float64",
                "type": "int64",
                "id": "int64",
                "microtimestamp": "datetime64[us]",
            },
        ),
        "book": MessageKind(
            about="the best 100 prices of the order book",
            values=("data",),
            subscribe=_subscribe("order_book"),
            book="bitstamp",
        ),
    },
)
