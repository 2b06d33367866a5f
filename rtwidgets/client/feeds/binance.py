"""Binance: spot trades, tickers and order books.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams. The address is the one for
market data only; it answers on port 443, which a firewall seldom closes. The other one is
``wss://stream.binance.com:9443/stream``. In some countries neither answers.
"""

from __future__ import annotations

from typing import Any

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["PRESET"]


def _subscribe(number: int, stream: str) -> dict[str, Any]:
    return {"method": "SUBSCRIBE", "params": ["{symbol}@" + stream], "id": number}


PRESET = Preset(
    name="binance",
    title="Binance",
    url="wss://data-stream.binance.vision/stream",
    by="stream",
    refusal=("error.msg", "msg"),
    symbol=r"[a-z0-9]+",
    example="btcusdt",
    docs="https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams",
    kinds={
        "trades": MessageKind(
            about="each trade; buyer_maker where the buyer's order was there first",
            values=("*@trade",),
            subscribe=_subscribe(1, "trade"),
            beside={
                "symbol": "data.s",
                "price": "data.p",
                "size": "data.q",
                "buyer_maker": "data.m",
                "trade_id": "data.t",
                "time": "data.T",
            },
            key="symbol",
            time="time",
            sequence="trade_id",
            schema={
                "symbol": "category",
                "price": "float64",
                "size": "float64",
                "buyer_maker": "bool",
                "trade_id": "int64",
                "time": "datetime64[ms]",
            },
        ),
        "agg_trades": MessageKind(
            about="trades, those of one order at one price together",
            values=("*@aggTrade",),
            subscribe=_subscribe(2, "aggTrade"),
            beside={
                "symbol": "data.s",
                "price": "data.p",
                "size": "data.q",
                "buyer_maker": "data.m",
                "agg_id": "data.a",
                "first_id": "data.f",
                "last_id": "data.l",
                "time": "data.T",
            },
            key="symbol",
            time="time",
            sequence="agg_id",
            schema={
                "symbol": "category",
                "price": "float64",
                "size": "float64",
                "buyer_maker": "bool",
                "agg_id": "int64",
                "first_id": "int64",
                "last_id": "int64",
                "time": "datetime64[ms]",
            },
        ),
        "ticker": MessageKind(
            about="last price, best bid and ask, and figures of 24 hours, each second",
            values=("*@ticker",),
            subscribe=_subscribe(3, "ticker"),
            beside={
                "symbol": "data.s",
                "price": "data.c",
                "size": "data.Q",
                "bid": "data.b",
                "bid_size": "data.B",
                "ask": "data.a",
                "ask_size": "data.A",
                "open_24h": "data.o",
                "low_24h": "data.l",
                "high_24h": "data.h",
                "volume_24h": "data.v",
                "time": "data.E",
            },
            key="symbol",
            time="time",
            schema={
                "symbol": "category",
                "price": "float64",
                "size": "float64",
                "bid": "float64",
                "bid_size": "float64",
                "ask": "float64",
                "ask_size": "float64",
                "open_24h": "float64",
                "low_24h": "float64",
                "high_24h": "float64",
                "volume_24h": "float64",
                "time": "datetime64[ms]",
            },
        ),
        "book": MessageKind(
            about="the best 20 prices of the order book, each 100 ms",
            values=("*@depth20@100ms",),
            subscribe=_subscribe(4, "depth20@100ms"),
            book="binance",
        ),
    },
)
