"""From the messages of feeds to changes of order books. Pure: a message in, updates out.

Each feed has a decoder of its own that knows its message shapes. What is not about a book yields nothing; a
message that should be, and cannot be read, raises a `ValueError` or an `OverflowError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

__all__ = ["LEVELS", "Update"]

Level = tuple[str, ...]
"""Price, size and what else a feed says of a level, as text."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Update(msgspec.Struct, frozen=True, gc=False):
    """What a message says of one book.

    Attributes
    ----------
    symbol
        Whose book it is; empty where the message does not say.
    bids, asks
        Levels ``[price, size, ...]`` as they came; a size of 0 takes the price away.
    reset
        They are the whole book, rather than changes.
    time
        By the feed's clock, in Unix nanoseconds.
    checksum
        What `rtwidgets.frames.book.crc32_kraken` makes of the book after this update.
    first, last
        Numbers of the first and of the last change that are in it; the next update begins with `last` + 1 at
        the latest. `first` is None where nothing has to come before.
    depth
        How many prices of each side the feed tells of: what is beyond them has to be forgotten, after this
        update and after those that follow.
    """

    symbol: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    reset: bool = False
    time: int | None = None
    checksum: int | None = None
    first: int | None = None
    last: int | None = None
    depth: int | None = None


def _read(decoder: msgspec.json.Decoder[Any], message: bytes, ours: Callable[[Any], bool]) -> Any:
    """Decode a message; None when it is of another shape, and not about a book."""
    try:
        return decoder.decode(message)
    except msgspec.ValidationError:
        if ours(msgspec.json.decode(message)):
            raise
        return None


def _ns(seconds: float) -> int:
    """Return Unix seconds as nanoseconds; float64 holds today's with microseconds."""
    return round(seconds * 1e6) * 1_000


# Coinbase Exchange, channel level2: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels


class _CoinbaseSnapshot(msgspec.Struct, tag_field="type", tag="snapshot", gc=False):
    product_id: str
    bids: list[Level]
    asks: list[Level]
    time: Moment | None = None


class _CoinbaseChanges(msgspec.Struct, tag_field="type", tag="l2update", gc=False):
    product_id: str
    changes: list[tuple[Literal["buy", "sell"], str, str]]
    time: Moment | None = None


_COINBASE = msgspec.json.Decoder(_CoinbaseChanges | _CoinbaseSnapshot)


def _is_coinbase(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in ("snapshot", "l2update")


def coinbase(message: bytes) -> Iterable[Update]:
    """Read a message of Coinbase Exchange: a snapshot or an l2update."""
    said = _read(_COINBASE, message, _is_coinbase)
    if said is None:
        return ()
    time = None if said.time is None else _ns(said.time.timestamp())
    if type(said) is _CoinbaseSnapshot:
        return (Update(said.product_id, said.bids, said.asks, True, time),)
    bids = [change[1:] for change in said.changes if change[0] == "buy"]
    asks = [change[1:] for change in said.changes if change[0] == "sell"]
    return (Update(said.product_id, bids, asks, False, time),)


# Kraken, version 1, channel book: https://docs.kraken.com/api/docs/websocket-v1/book


class _Kraken1Part(msgspec.Struct, gc=False):
    all_asks: list[Level] | None = msgspec.field(default=None, name="as")
    all_bids: list[Level] | None = msgspec.field(default=None, name="bs")
    asks: list[Level] = msgspec.field(default_factory=list, name="a")
    bids: list[Level] = msgspec.field(default_factory=list, name="b")
    checksum: str | None = msgspec.field(default=None, name="c")


class _Kraken1(msgspec.Struct, array_like=True, gc=False):
    """``[channel, part, name, pair]``, or ``[channel, part, part, name, pair]``."""

    channel: int
    part: _Kraken1Part
    second: _Kraken1Part | str
    third: str
    fourth: str = ""


_KRAKEN_1 = msgspec.json.Decoder(_Kraken1)
_KRAKEN_1_NAME = "book-"


def _is_kraken_1(value: Any) -> bool:
    return isinstance(value, list) and any(str(each).startswith(_KRAKEN_1_NAME) for each in value[2:])


def kraken_v1(message: bytes) -> Iterable[Update]:
    """Read a message of version 1 of Kraken's interface. Its snapshots have no checksum."""
    said = _read(_KRAKEN_1, message, _is_kraken_1)
    if said is None:
        return ()
    part: _Kraken1Part = said.part
    bids, asks, checksum = part.all_bids or part.bids, part.all_asks or part.asks, part.checksum
    if isinstance(said.second, str):
        name, pair = said.second, said.third
    else:
        name, pair = said.third, said.fourth
        bids, asks = [*bids, *said.second.bids], [*asks, *said.second.asks]
        checksum = said.second.checksum or checksum
    if not name.startswith(_KRAKEN_1_NAME):
        return ()
    seconds = [float(level[2]) for level in (*bids, *asks) if len(level) > 2]
    return (
        Update(
            pair,
            bids,
            asks,
            part.all_bids is not None or part.all_asks is not None,
            _ns(max(seconds)) if seconds else None,
            None if checksum is None else int(checksum),
            depth=int(name.removeprefix(_KRAKEN_1_NAME)),
        ),
    )


# Kraken, version 2, channel book: https://docs.kraken.com/api/docs/websocket-v2/book


class _Kraken2Level(msgspec.Struct, gc=False):
    price: msgspec.Raw  # a number whose zeros count in the checksum
    qty: msgspec.Raw


class _Kraken2Book(msgspec.Struct, gc=False):
    symbol: str
    bids: list[_Kraken2Level] = []
    asks: list[_Kraken2Level] = []
    checksum: int | None = None
    timestamp: Moment | None = None


class _Kraken2(msgspec.Struct, gc=False):
    channel: Literal["book"]
    type: Literal["snapshot", "update"]
    data: list[_Kraken2Book]


_KRAKEN_2 = msgspec.json.Decoder(_Kraken2)
_KRAKEN_2_DEPTHS = (10, 25, 100, 500, 1_000)


def _is_kraken_2(value: Any) -> bool:
    return isinstance(value, dict) and value.get("channel") == "book"


def kraken_v2(message: bytes) -> Iterable[Update]:
    """Read a message of version 2 of Kraken's interface.

    No message says how deep the book is that was subscribed: it is taken to be the least of the depths there
    are that has room for a snapshot.
    """
    said = _read(_KRAKEN_2, message, _is_kraken_2)
    if said is None:
        return ()
    return [_kraken_2_book(book, reset=said.type == "snapshot") for book in said.data]


def _kraken_2_book(book: _Kraken2Book, *, reset: bool) -> Update:
    depth = None
    if reset:
        most = max(len(book.bids), len(book.asks))
        depth = next((depth for depth in _KRAKEN_2_DEPTHS if depth >= most), None)
    return Update(
        book.symbol,
        [(str(level.price, "ascii"), str(level.qty, "ascii")) for level in book.bids],
        [(str(level.price, "ascii"), str(level.qty, "ascii")) for level in book.asks],
        reset,
        None if book.timestamp is None else _ns(book.timestamp.timestamp()),
        book.checksum,
        depth=depth,
    )


# Binance, partial and diff. depth: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams


class _BinanceDepth(msgspec.Struct, gc=False):
    kind: str = msgspec.field(default="", name="e")
    symbol: str = msgspec.field(default="", name="s")
    time: int | None = msgspec.field(default=None, name="E")
    first: int | None = msgspec.field(default=None, name="U")
    last: int | None = msgspec.field(default=None, name="u")
    before: int | None = msgspec.field(default=None, name="pu")
    bids: list[Level] = msgspec.field(default_factory=list, name="b")
    asks: list[Level] = msgspec.field(default_factory=list, name="a")
    snapshot: int | None = msgspec.field(default=None, name="lastUpdateId")
    all_bids: list[Level] = msgspec.field(default_factory=list, name="bids")
    all_asks: list[Level] = msgspec.field(default_factory=list, name="asks")


class _Binance(_BinanceDepth, gc=False):
    stream: str = ""
    data: _BinanceDepth | None = None


_BINANCE = msgspec.json.Decoder(_Binance)
_BINANCE_KIND = "depthUpdate"
_BINANCE_PARTIAL = re.compile(r"@depth\d")


def _is_binance(value: Any) -> bool:
    said = value.get("data", value) if isinstance(value, dict) else None
    return isinstance(said, dict) and (said.get("e") == _BINANCE_KIND or "lastUpdateId" in said)


def binance(message: bytes) -> Iterable[Update]:
    """Read a message of Binance: partial depth, which is the whole of a shallow book each time, or a
    difference. The messages of combined streams name their symbol; partial depth by itself does not.
    """
    whole = _read(_BINANCE, message, _is_binance)
    if whole is None:
        return ()
    said: _BinanceDepth = whole.data or whole
    symbol = said.symbol or whole.stream.partition("@")[0].upper()
    if said.snapshot is not None:
        return (Update(symbol, said.all_bids, said.all_asks, True, last=said.snapshot),)
    if said.kind != _BINANCE_KIND:
        return ()
    return (
        Update(
            symbol,
            said.bids,
            said.asks,
            _BINANCE_PARTIAL.search(whole.stream) is not None,
            None if said.time is None else said.time * 1_000_000,
            # Futures leave numbers out and say which one was the last before.
            first=said.first if said.before is None else said.before + 1,
            last=said.last,
        ),
    )


# Bitstamp, channels order_book and diff_order_book: https://www.bitstamp.net/websocket/v2/


class _BitstampBook(msgspec.Struct, gc=False):
    microtimestamp: str | None = None
    bids: list[Level] | None = None
    asks: list[Level] | None = None


class _Bitstamp(msgspec.Struct, gc=False):
    event: str
    channel: str
    data: _BitstampBook


_BITSTAMP = msgspec.json.Decoder(_Bitstamp)
_BITSTAMP_WHOLE, _BITSTAMP_CHANGES = "order_book_", "diff_order_book_"


def _is_bitstamp(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("event") != "data":
        return False
    return str(value.get("channel")).startswith((_BITSTAMP_WHOLE, _BITSTAMP_CHANGES))


def bitstamp(message: bytes) -> Iterable[Update]:
    """Read a message of Bitstamp: of ``order_book_…``, the best hundred prices each time, or of
    ``diff_order_book_…``. A book of differences begins without a snapshot.
    """
    said = _read(_BITSTAMP, message, _is_bitstamp)
    if said is None or said.event != "data":
        return ()
    whole = said.channel.startswith(_BITSTAMP_WHOLE)
    if not whole and not said.channel.startswith(_BITSTAMP_CHANGES):
        return ()
    book: _BitstampBook = said.data
    return (
        Update(
            said.channel.removeprefix(_BITSTAMP_WHOLE if whole else _BITSTAMP_CHANGES),
            book.bids or (),
            book.asks or (),
            whole,
            None if book.microtimestamp is None else int(book.microtimestamp) * 1_000,
        ),
    )


LEVELS: dict[str, Callable[[bytes], Iterable[Update]]] = {
    "binance": binance,
    "bitstamp": bitstamp,
    "coinbase": coinbase,
    "kraken_v1": kraken_v1,
    "kraken_v2": kraken_v2,
}
"""What reads the messages of a feed, by its name."""
