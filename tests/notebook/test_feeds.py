import inspect
import json
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from websockets.asyncio.server import serve

from rtwidgets.client import Foreign, ForeignSource, State
from rtwidgets.client.feeds import BUILT_IN, MessageKind, Preset
from rtwidgets.client.kinds import KindSource
from rtwidgets.errors import UsageError
from rtwidgets.kinds import Feed, stream_of
from rtwidgets.loop import lease
from rtwidgets.notebook import feeds as feeds_
from rtwidgets.notebook.feeds import Feeds, Options
from tests.waiting import until

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"

pytestmark = pytest.mark.usefixtures("tidy")


def captured(name):
    """Return the messages that a capture received."""
    with (CAPTURES / name).open() as lines:
        parts = (line.partition(": ") for line in lines)
        return [message.strip() for moment, colon, message in parts if colon and " " not in moment]


class Kernel:
    """A server that sends messages once it was asked, and what opens feeds of it, on the background loop."""

    def __init__(self):
        self.lease = lease()
        self.messages = []
        self.heard = []
        self.opened = []
        self.server = self.lease.run(self._serve())
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.feeds = Feeds(self)

    async def _serve(self):
        async def talk(connection):
            self.heard.append(json.loads(await connection.recv()))
            for message in self.messages:
                await connection.send(message)
            async for message in connection:
                self.heard.append(json.loads(message))

        return await serve(talk, "127.0.0.1", 0)

    def _open(self, preset, symbols, kinds, options):
        async def open_source():
            sorter = preset.sorter(kinds, options.max_rows, options.max_age)
            foreign = Foreign(
                options.url or preset.address(symbols),
                sorter,
                subscribe=preset.messages(symbols, kinds),
                keepalive=preset.keepalive,
            )
            await foreign.opened()
            return ForeignSource(foreign, sorter)

        return self.lease.run(open_source())

    def open_stream(self, preset, symbols, kind, options):
        shared = self._open(preset, symbols, (kind,), options)
        source = KindSource(shared, shared.intake, kind, alone=True)
        self.opened.append(stream_of(options.name or f"{preset.name} {kind}", source))
        return self.opened[-1]

    def open_feed(self, preset, symbols, kinds, options):
        shared = self._open(preset, symbols, kinds, options)
        self.opened.append(Feed(options.name or preset.name, shared))
        return self.opened[-1]

    def stop(self):
        async def stop():
            self.server.close()
            await self.server.wait_closed()

        for each in self.opened:
            each.stop()
        self.lease.run(stop())
        self.lease.release()


@pytest.fixture
def kernel():
    kernel = Kernel()
    yield kernel
    kernel.stop()


@pytest.fixture
def feeds():
    """Feeds that nobody opens."""
    return Feeds(None)


def test_a_stream_of_one_kind(kernel):
    """Trades, asked for and read as the exchange writes them, on a connection that ends with the stream."""
    kernel.messages = captured("coinbase.txt")
    trades = kernel.feeds.coinbase.trades("SKL-USD", "SKL-BTC", url=kernel.url, max_rows=50)
    assert trades.name == "coinbase trades"
    wanted = [each for each in map(json.loads, kernel.messages) if each["type"] in ("match", "last_match")]
    trades.wait(rows=107)
    assert trades.df["trade_id"].tolist() == [each["trade_id"] for each in wanted][-50:]
    assert kernel.heard == [
        {"type": "subscribe", "product_ids": ["SKL-USD", "SKL-BTC"], "channels": ["matches"]}
    ]
    trades.stop()
    assert trades._source.link.state is State.CLOSED


def test_several_kinds_on_one_connection(kernel):
    """Each is a stream of the feed; what nobody asked for is among the others."""
    kernel.messages = captured("coinbase.txt")
    feed = kernel.feeds["coinbase"].open("SKL-USD", kinds=["ticker", "trades"], url=kernel.url, name="skl")
    assert feed.name == "skl"
    assert len(feed["trades"].wait(rows=107)) == len(feed["ticker"].wait(rows=107)) == 107
    assert list(feed) == ["ticker", "trades", "other"]
    until(lambda: len(kernel.heard) == 2)
    assert [each["channels"] for each in kernel.heard] == [["ticker"], ["matches"]]
    with pytest.raises(UsageError, match="there is no 'book' here: choose from ticker, trades, other"):
        feed["book"]


def test_what_would_be_sent(feeds):
    """Can be looked at without a connection, for one symbol or several."""
    assert feeds.kraken_v1.messages("XBT/USD", ["trades"]) == [
        {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": "trade"}}
    ]
    assert len(feeds.bitstamp.messages(["btcusd", "ethusd"])) == 4
    with pytest.raises(UsageError, match="name at least one symbol of coinbase, such as 'BTC-USD'"):
        feeds.coinbase.messages()
    with pytest.raises(UsageError, match="give a list of kinds of coinbase: trades, ticker, book"):
        feeds.coinbase.messages("BTC-USD", ["nope"])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda feeds: feeds.coinbase.trades(), "name at least one symbol of coinbase, such as 'BTC-USD'"),
        (lambda feeds: feeds.coinbase.open(), "name at least one symbol of coinbase"),
        (
            lambda feeds: feeds.coinbase.trades("btc"),
            "'btc' is no symbol of coinbase: write it like 'BTC-USD'",
        ),
        (lambda feeds: feeds.coinbase.open("BTC-USD", kinds="trades"), "give a list of kinds"),
        (
            lambda feeds: feeds.coinbase.trades("BTC-USD", rows=5),
            "rows=: there is no such argument; choose from max_rows",
        ),
        (lambda feeds: feeds.coinbase.open("BTC-USD", rows=5), "rows=: there is no such argument"),
        (
            lambda feeds: feeds["nope"],
            "there is no feed 'nope': choose from binance, bitstamp, bluesky, coinbase",
        ),
    ],
)
def test_what_is_not_there(feeds, call, sentence):
    """The sentence says what is."""
    with pytest.raises(UsageError) as caught:
        call(feeds)
    assert sentence in str(caught.value)


def test_attributes(feeds):
    """`dir` shows what there is, and asking for something else is an AttributeError."""
    assert {"coinbase", "kraken", "define"} <= set(dir(feeds))
    assert dir(feeds.coinbase) == sorted(["docs", "messages", "open", "trades", "ticker", "book"])
    assert set(BUILT_IN) <= set(feeds) == set(feeds._ipython_key_completions_())
    with pytest.raises(AttributeError, match="there is no feed 'nope'"):
        _ = feeds.nope
    with pytest.raises(
        AttributeError, match="coinbase has no kind of messages 'nope': choose from trades, ticker"
    ):
        _ = feeds.coinbase.nope
    assert not hasattr(feeds, "_repr_svg_")
    assert not hasattr(feeds.coinbase, "_repr_svg_")
    assert feeds.coinbase.docs.startswith("https://docs.cdp.coinbase.com/")
    assert "each trade" in inspect.getdoc(feeds.coinbase.trades)
    assert feeds.coinbase.trades.__name__ == "trades"


def test_how_they_show(feeds):
    """As a table of feeds, and as one of the kinds of a feed; the same each time."""
    assert re.search(r"^  coinbase +trades, ticker, book +Coinbase Exchange$", repr(feeds), re.MULTILINE)
    assert repr(feeds.coinbase).splitlines() == [
        "Coinbase Exchange: wss://ws-feed.exchange.coinbase.com",
        '  .trades("BTC-USD")  each trade; first the last one before that, of type last_match',
        '  .ticker("BTC-USD")  price, best bid and ask, and figures of 24 hours, after trades',
        '  .book("BTC-USD")    the order book, changed every 50 ms',
        '  .open("BTC-USD")    all of them, on one connection',
    ]
    assert "<code>coinbase</code></td>" in feeds._repr_html_()
    shown = feeds.coinbase._repr_html_()
    assert '<a href="https://docs.cdp.coinbase.com/exchange' in shown
    assert "<code>.trades(&quot;BTC-USD&quot;)</code></td>" in shown


# Of the user, and of packages


def define(feeds, **changes):
    given = {
        "url": "wss://feed.example/ws",
        "by": "type",
        "kinds": {"match": {"key": "symbol"}, "news": {"values": ["headline", "story-*"], "about": "<b>"}},
    }
    return feeds.define("mine", **{**given, **changes})


def test_a_feed_of_the_user(kernel):
    """It is there by its name, and its kinds are sorted as it says."""
    sub = {"op": "sub", "args": ["{symbol}"]}
    define(
        kernel.feeds, url=kernel.url, subscribe=sub, keepalive=({"op": "ping"}, 0.01), title="Mine & <more>"
    )
    kernel.messages = [
        '{"type":"match","symbol":"A","price":1.5}',
        '{"type":"headline","text":"x"}',
        '{"type":"story-7","text":"y"}',
        '{"type":"welcome"}',
    ]
    feed = kernel.feeds.mine.open("A", "B")
    assert list(feed["match"].wait()["price"]) == [1.5]
    assert feed["match"].frame.key == "symbol"
    assert list(feed["news"].wait(rows=2)["text"]) == ["x", "y"]
    assert list(feed["other"].wait()["type"]) == ["welcome"]
    until(lambda: len(kernel.heard) > 2)
    assert kernel.heard[:2] == [{"op": "sub", "args": ["A", "B"]}, {"op": "ping"}]
    assert "mine" in dir(kernel.feeds)
    assert "Mine &amp; &lt;more&gt;" in kernel.feeds._repr_html_()
    assert "&lt;b&gt;" in kernel.feeds.mine._repr_html_()


def test_a_feed_without_symbols(kernel):
    """Is opened without any; defining it again replaces it."""
    define(kernel.feeds, subscribe="{symbol}")
    mine = define(kernel.feeds, url=kernel.url, subscribe=lambda symbols, kinds: [[symbols, kinds]])
    with pytest.raises(UsageError, match="name at least one symbol of mine, such as 'SYMBOL'"):
        mine.match()
    mine = define(kernel.feeds, url=kernel.url, subscribe='"go"')
    assert ".match()" in repr(mine)
    kernel.messages = ['{"type":"match","symbol":"A"}']
    assert len(mine.match().wait()) == 1
    assert kernel.heard == ["go"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kinds": ["match"]}, "kinds=['match']: write names and what each is"),
        ({"kinds": {"open": {}}}, "a kind cannot be called 'open': rt.feeds.mine.open is something else"),
        (
            {"kinds": {"a": {"recrods": "x"}}},
            "kinds['a']: 'recrods' says nothing of a kind; choose from about, values",
        ),
        ({"kinds": {"a": "match"}}, "kinds['a']: 'match' says nothing of a kind"),
        ({"url": "feed.example"}, "give the address of the feed"),
        ({"by": ""}, "by='' is not a path"),
    ],
)
def test_definitions_that_do_not_hold_together(feeds, changes, sentence):
    """The sentence says what to write; the feed is not there afterwards."""
    with pytest.raises(UsageError) as caught:
        define(feeds, **changes)
    assert sentence in str(caught.value)
    assert "mine" not in list(feeds)
    with pytest.raises(UsageError, match="a feed cannot be called 'define'"):
        feeds.define("define", url="ws://h", by="t", kinds={"a": {}})


OFFERED = Preset(
    name="offered", title="Offered", url="wss://h", by="t", kinds={"a": MessageKind(values=("a",))}
)
BROKEN = "nothing"


def test_feeds_of_packages(feeds, monkeypatch):
    """They are loaded when they are asked for; one that is broken is told in words and leaves the others."""
    entries = [
        EntryPoint("offered", "tests.notebook.offer:OFFERED", feeds_.GROUP),
        EntryPoint("missing", "rtwidgets.nowhere:PRESET", feeds_.GROUP),
        EntryPoint("wrong", "tests.notebook.offer:BROKEN", feeds_.GROUP),
        EntryPoint("coinbase", "rtwidgets.nowhere:PRESET", feeds_.GROUP),
    ]
    monkeypatch.setattr(
        feeds_, "entry_points", lambda group: [each for each in entries if each.group == group]
    )
    assert {"offered", "missing", "wrong", "coinbase"} <= set(feeds)
    assert "tests.notebook.offer" not in sys.modules
    monkeypatch.setitem(sys.modules, "tests.notebook.offer", sys.modules[__name__])
    assert repr(feeds.offered).startswith("Offered: wss://h")
    with pytest.raises(
        UsageError, match=r"the feed 'missing' cannot be loaded: ModuleNotFoundError: No module"
    ):
        _ = feeds.missing
    with pytest.raises(UsageError, match=r"the feed 'wrong' is no rtwidgets.client.feeds.Preset"):
        _ = feeds["wrong"]
    assert feeds.coinbase.docs
    lines = repr(feeds).splitlines()
    assert any(re.match(r"  missing +the feed 'missing' cannot be loaded", line) for line in lines)
    assert any(re.match(r"  offered +a +Offered", line) for line in lines)


def test_options():
    """Are those of `connect`, and another address."""
    assert Options() == Options(max_rows=100_000, max_age=None, name=None, fallback=None, url=None)
