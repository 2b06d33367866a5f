"""Order books in the user's hands, from a feed on a real socket."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.books import BookStream
from rtwidgets.client import Foreign, ForeignSource, Intake
from rtwidgets.client import link as link_
from rtwidgets.client.backoff import Backoff
from rtwidgets.client.books import BookIntake
from rtwidgets.client.levels import LEVELS
from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease, take_errors
from tests.feeding import Feed, feeding
from tests.waiting import until
from tests.widgets.browser import Browser

CAPTURES = Path(__file__).parents[2] / "shared" / "captures"
COLUMNS = ["bid_size", "bid", "ask", "ask_size"]

Connect = Callable[..., BookStream]


@pytest.fixture(autouse=True)
def nothing_left(tidy: None) -> Iterator[None]:
    """No widget is left, nor a thread, nor an error."""
    before = set(_instances)
    yield
    assert set(_instances) == before


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect to a feed; where its books are wrong the connection is made again."""
    ours = lease()
    made: list[BookStream] = []

    def connect(feed: Feed, decode: str) -> BookStream:
        async def open_() -> ForeignSource:
            intake = BookIntake(LEVELS[decode])
            foreign = Foreign(feed.url, intake, subscribe="go")
            intake.resync = foreign.renew
            await foreign.opened()
            return ForeignSource(foreign, intake)

        made.append(BookStream(decode, ours.run(open_())))
        return made[-1]

    with contextlib.ExitStack() as ending:
        ending.callback(ours.release)
        yield connect
        for stream in made:
            stream.stop()


def received(name: str) -> list[str]:
    """Return the messages that a recording received, in order."""
    lines = (line.partition(": ") for line in (CAPTURES / f"{name}.txt").read_text().splitlines())
    return [message for moment, colon, message in lines if colon and " " not in moment]


def snapshot(symbol: str = "A", bids: int = 3, asks: int = 2) -> str:
    halves = {
        "bids": [[str(10 - n), str(n + 1)] for n in range(bids)],
        "asks": [[str(11 + n), str(n + 4)] for n in range(asks)],
    }
    return json.dumps({"type": "snapshot", "product_id": symbol, **halves})


def change(price: str, size: str, symbol: str = "A", side: str = "buy") -> str:
    return json.dumps({"type": "l2update", "product_id": symbol, "changes": [[side, price, size]]})


def test_books_of_a_real_feed_are_in_hand(connect: Connect) -> None:
    """With quotes as rows and the best prices of each book as they are now."""
    messages = received("coinbase")
    with feeding(*messages) as feed:
        stream = connect(feed, "coinbase")
        df = stream.wait(rows=9729)
        books = stream.books
        tops = {symbol: stream.top(5, symbol) for symbol in books}
    assert set(books) == {json.loads(message).get("product_id") for message in messages} - {None}
    assert len(df) == 9729
    for symbol, top in tops.items():
        assert list(top.columns) == COLUMNS
        assert list(top.dtypes) == [np.dtype("float64")] * 4
        assert len(top) == 5
        assert top["bid"].is_monotonic_decreasing
        assert top["ask"].is_monotonic_increasing
        last = df[df["symbol"] == symbol].iloc[-1]
        assert last[["bid_size", "bid", "ask", "ask_size"]].tolist() == top.iloc[0].tolist()
        assert stream.latest.loc[symbol, "mid"] == last["mid"]
    assert stream.mismatches == 0


def test_top_is_a_frame_with_the_best_price_first(connect: Connect) -> None:
    """Where a side has fewer prices it has NaN; before the first message there are no rows."""
    with feeding() as feed:
        stream = connect(feed, "coinbase")
        empty = stream.top()
        assert (list(empty.columns), len(empty), set(empty.dtypes)) == (COLUMNS, 0, {np.dtype("float64")})
        until(lambda: feed.heard)
        feed.say(snapshot())
        stream.wait(rows=1)
        expected = pd.DataFrame(
            [[1.0, 10.0, 11.0, 4.0], [2.0, 9.0, 12.0, 5.0], [3.0, 8.0, np.nan, np.nan]], columns=COLUMNS
        )
        pd.testing.assert_frame_equal(stream.top(), expected)
        pd.testing.assert_frame_equal(stream.top(n=2, key="A"), expected[:2])


def test_which_book_has_to_be_said_where_there_are_several(connect: Connect) -> None:
    """The sentence names them; a number of rows that is none is refused too."""
    with feeding(snapshot("A"), snapshot("B")) as feed:
        stream = connect(feed, "coinbase")
        stream.wait(rows=2)
        assert stream.books == ["A", "B"]
        with pytest.raises(UsageError, match="there are several books: give key=, one of A, B"):
            stream.top()
        with pytest.raises(SchemaError, match="there are several books: give key=, one of A, B"):
            stream.depth()
        with pytest.raises(UsageError, match="there is no book of 'C' so far, only of A, B"):
            stream.top(key="C")
        with pytest.raises(UsageError, match=r"top\(0\): give a number of rows"):
            stream.top(0, "A")


def test_depth_is_drawn_from_the_book(connect: Connect) -> None:
    """Its own sizes, summed from the middle, and it follows the book; the same chart each time."""
    with feeding() as feed:
        stream = connect(feed, "coinbase")
        chart = stream.depth("B", levels=2)
        assert stream.depth("B", levels=2) is chart
        assert stream.depth("B", levels=3) is not chart
        browser = Browser(chart)
        until(lambda: feed.heard)
        feed.say(snapshot("A"), snapshot("B"))
        until(
            lambda: browser.lines == {"bids": ([9.0, 10.0], [3.0, 1.0]), "asks": ([11.0, 12.0], [4.0, 9.0])}
        )
        feed.say(change("10", "0", "B"))
        until(lambda: browser.lines["bids"] == ([8.0, 9.0], [5.0, 2.0]))
        stream.stop()
        for each in (chart, stream.depth("B", levels=3)):
            each.close()


def test_a_chart_of_the_one_book_says_so_when_there_are_two(connect: Connect) -> None:
    """It cannot know which of them was meant."""
    with feeding(snapshot("A")) as feed:
        stream = connect(feed, "coinbase")
        stream.wait(rows=1)
        chart = stream.depth()
        browser = Browser(chart)
        until(lambda: browser.lines)
        feed.say(snapshot("B"))
        until(lambda: chart.failed)
        assert "there are several books" in chart._feeder.notice
        stream.stop()
        chart.close()
    ((_, error),) = take_errors()
    assert isinstance(error, SchemaError)


def test_a_wrong_book_is_fetched_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is made again when a checksum does not fit, and the snapshot heals the book."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.01, 0.01))
    messages = [message for message in received("kraken") if "XMR/USD" in message and message.startswith("[")]
    good, wrong = messages[:50], messages[50].replace('"c":"', '"c":"1')
    with feeding(*good) as feed:
        stream = connect(feed, "kraken_v1")
        stream.wait(rows=50)
        feed.say(wrong)
        until(lambda: len(feed.connections) == 2)
        stream.wait(rows=101)
        assert stream.mismatches == 1
        assert (stream._intake.stale, len(stream.top(10))) == ([], 10)
        assert any(
            "the book of XMR/USD is wrong: the checksum does not fit" in why
            for why in stream.states["reason"]
        )
        assert "books that were wrong: 1" in stream.describe().detail


def test_doubts_name_the_books_they_are_about(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait for a snapshot, and those that never had one."""
    monkeypatch.setattr(link_, "Backoff", lambda: Backoff(0.01, 0.01))
    with feeding() as feed:
        stream = connect(feed, "coinbase")
        assert "snapshot" not in stream.describe().detail
        until(lambda: feed.heard)
        feed.say(snapshot("A"), *(change("1", "1", f"B{n}") for n in range(12)))
        stream.wait(rows=13)
        detail = stream.describe().detail
        assert "made of changes without a snapshot, so that prices may lack: B0, B1, " in detail
        assert "B9 and 2 more" in detail
        assert "stale" not in detail
        feed.cut()
        until(lambda: len(feed.connections) == 2)
        until(lambda: "stale until the next snapshot: A" in stream.describe().detail)


def test_a_source_without_books_is_refused() -> None:
    """With what to do instead."""
    ours = lease()
    try:
        with feeding() as feed:

            async def open_() -> ForeignSource:
                intake = Intake(LiveFrame())
                foreign = Foreign(feed.url, intake, subscribe="go")
                await foreign.opened()
                return ForeignSource(foreign, intake)

            source = ours.run(open_())
            with pytest.raises(UsageError, match="trades keeps no order books: make a Stream of its rows"):
                BookStream("trades", source)
            ours.run(source.close())
    finally:
        ours.release()
