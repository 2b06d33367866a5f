"""Feeds that are known by name, opened at a server that speaks as they do."""

import json

import pytest

import rtwidgets as rt
from rtwidgets.books import BookStream
from rtwidgets.client import State
from rtwidgets.errors import UsageError
from rtwidgets.kinds import Feed
from tests.feeding import feeding
from tests.waiting import until


def match(number, price, product="BTC-USD"):
    return json.dumps(
        {
            "type": "match",
            "trade_id": number,
            "product_id": product,
            "price": str(price),
            "size": "1.0",
            "side": "buy",
            "sequence": number * 10,
            "time": f"2026-01-02T14:30:{number:02}Z",
        }
    )


SNAPSHOT = json.dumps(
    {"type": "snapshot", "product_id": "BTC-USD", "bids": [["99", "1"]], "asks": [["101", "3"]]}
)


@pytest.fixture(autouse=True)
def stopped(tidy):
    yield
    rt.stop()


def test_several_kinds_come_over_one_connection():
    """Each is a stream of its own; asking again gives the same feed; stopping one leaves the others."""
    with feeding(match(1, 100), SNAPSHOT, match(2, 101), greetings=3) as server:
        feed = rt.feeds.coinbase.open("BTC-USD", url=server.url)
        assert rt.feeds.coinbase.open("BTC-USD", url=server.url) is feed
        assert feed["trades"].wait(rows=2)["price"].tolist() == [100, 101]
        assert isinstance(feed["book"], BookStream)
        assert feed["book"].wait(rows=1)["mid"].tolist() == [100]
        feed["book"].stop()
        server.say(match(3, 102))
        assert feed["trades"].wait(rows=3)["price"].tolist() == [100, 101, 102]
        assert len(server.connections) == 1
        assert [json.loads(each)["channels"] for each in server.heard] == [
            ["matches"],
            ["ticker"],
            ["level2_batch"],
        ]
        assert "feed     coinbase: open" in repr(rt.status())
        rt.stop()
        assert feed.state is State.CLOSED
    assert rt.health() == "healthy"


def test_one_kind_has_a_connection_of_its_own():
    """Its numbers tell what is missing; it closes the connection when it is stopped."""
    with feeding(match(1, 100), match(4, 101)) as server:
        trades = rt.feeds.coinbase.trades("BTC-USD", url=server.url, max_rows=10)
        trades.wait(rows=2)
        assert trades.gaps[["epoch", "first", "last"]].values.tolist() == [["BTC-USD", 2, 3]]
        assert len(server.heard) == 1
        trades.stop()
        until(lambda: server.connections[0].state.name == "CLOSED")
    assert rt.health() == "healthy"


def test_kinds_of_any_feed():
    """With `by` each value of a field is a kind, which needs no name beforehand."""
    messages = [json.dumps({"op": op, "n": n}) for n, op in enumerate(["a", "b", "a"])]
    with feeding(*messages) as server:
        feed = rt.connect(server.url, subscribe="go", by="op")
        assert isinstance(feed, Feed)
        assert feed["a"].wait(rows=2)["n"].tolist() == [0, 2]
        assert feed["b"].wait(rows=1)["n"].tolist() == [1]
        assert list(feed) == ["a", "b"]
    rt.serve(services=["prices"])
    with pytest.raises(UsageError, match="by= and fallback= go with a URL"):
        rt.connect("prices", by="symbol")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"symbol": "["}, "is no regular expression"),
        ({"refusal": "message"}, "give a list of paths"),
    ],
)
def test_a_definition_that_does_not_hold_together(wrong, words):
    """Is refused when it is made, not when it is used."""
    with pytest.raises(UsageError, match=words):
        rt.feed("talk", url="ws://talk.example/ws", by="type", kinds={"word": {}}, **wrong)


@pytest.mark.parametrize(
    ("url", "wrong", "words"),
    [
        ("http://feed.example", {"subscribe": "x"}, "is not a WebSocket URL"),
        ("ws://feed.example", {"records": 1}, "give a path as text"),
        ("ws://feed.example", {"columns": "price"}, "give a list of names"),
    ],
)
def test_arguments_that_do_not_hold_together(url, wrong, words):
    """Are refused before anybody connects."""
    with pytest.raises(UsageError, match=words):
        rt.connect(url, **wrong)


def test_a_feed_is_kept_alive():
    """What it wants to hear now and then is sent again and again."""
    rt.feed(
        "talk",
        url="ws://talk.example/ws",
        by="type",
        kinds={"word": {}},
        keepalive=({"op": "ping"}, 0.05),
    )
    with feeding(greetings=0) as server:
        rt.feeds.talk.word(url=server.url)
        until(lambda: server.heard.count('{"op":"ping"}') >= 3)
    rt.stop()


def test_a_book_that_is_wrong_asks_for_a_new_one():
    """A checksum that does not hold ends the connection; the next one begins with a snapshot."""
    sides = {"as": [["5.1", "1.0", "1.0"]], "bs": [["5.0", "1.0", "1.0"]]}
    snapshot = json.dumps([0, sides, "book-10", "XBT/USD"])
    wrong = json.dumps([0, {"a": [["5.2", "2.0", "2.0"]], "c": "1"}, "book-10", "XBT/USD"])
    with feeding(snapshot) as server:
        book = rt.feeds.kraken_v1.book("XBT/USD", url=server.url)
        book.wait(rows=1)
        server.say(wrong)
        until(lambda: len(server.connections) == 2)
        until(lambda: book.state is State.OPEN and len(book.top(1)) == 1)
        assert book.mismatches == 1
        assert "checksum" in " ".join(book.states["reason"])


def test_a_recording_of_a_feed_is_a_feed_again(tmp_path):
    """With its kinds, its books and its gaps; of one kind it is that stream."""
    with feeding(match(1, 100), SNAPSHOT, match(4, 101), greetings=2) as server:
        feed = rt.feeds.coinbase.open("BTC-USD", kinds=["trades", "book"], url=server.url)
        with feed.record(tmp_path / "feed.rtlog"):
            server.say(match(5, 102), SNAPSHOT, match(8, 103))
            feed["trades"].wait(rows=4)
        feed.stop()
    replay = rt.replay(tmp_path / "feed.rtlog", speed=None)
    assert isinstance(replay, Feed)
    assert replay["trades"].df["price"].tolist()[-2:] == [102, 103]
    assert replay["trades"].gaps["first"].tolist()[-1] == 6
    assert replay["book"].df["mid"].tolist()[-1] == 100
    with feeding(match(1, 100)) as server:
        trades = rt.feeds.coinbase.trades("BTC-USD", url=server.url)
        with trades.record(tmp_path / "trades.rtlog"):
            trades.wait(rows=1)
            server.say(match(2, 101))
            trades.wait(rows=2)
    again = rt.replay(tmp_path / "trades.rtlog", speed=None)
    assert again.df["price"].tolist()[-1] == 101
    assert again.frame.key == "product_id"
    assert rt.health() == "healthy"
