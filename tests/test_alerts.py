"""Alerts on streams: which rows they have, what they call, and when they end."""

import asyncio
import json
import shutil
import threading

import pandas as pd
import pytest

import rtwidgets as rt
from rtwidgets.client import State
from rtwidgets.errors import Closed, SchemaError, UsageError, WaitTimeout
from rtwidgets.loop import take_errors
from rtwidgets.widgets import close_all
from tests.feeding import feeding
from tests.waiting import until

START = 1_700_000_000


@pytest.fixture(autouse=True)
def stopped(tidy):
    yield
    rt.stop()
    close_all()
    until(lambda: all(thread.name != "alerts for rtwidgets" for thread in threading.enumerate()))
    assert rt.health() == "healthy"


def tick(price, second=0, symbol="A", room="x"):
    return json.dumps({"symbol": symbol, "price": price, "time": START + second, "room": room})


class Prices:
    """A feed that has said nothing yet, and the stream of it."""

    def __init__(self, feed):
        self.feed = feed
        self.said = 0
        self.stream = rt.connect(feed.url, key="symbol", name="prices", schema=SCHEMA)
        until(lambda: feed.connections)

    def say(self, *ticks):
        self.feed.say(*ticks)
        self.said += len(ticks)
        self.stream.wait(self.said)


SCHEMA = {"symbol": "category", "price": float, "time": "datetime64[s]", "room": str}


@pytest.fixture
def prices():
    with feeding(greetings=0) as feed:
        yield Prices(feed)
        rt.stop()


def test_rows_with_which_it_comes_true(prices):
    """Are in `df` as soon as they are in the stream, with the stream's columns and dtypes."""
    alert = prices.stream.when("price > 150")
    prices.say(tick(100), tick(151, 1), tick(152, 2), tick(1, 3), tick(160, 4), tick(170, 5, "B"))
    assert alert.df["price"].tolist() == [151, 160, 170]
    pd.testing.assert_frame_equal(
        alert.df, prices.stream.df.iloc[[1, 4, 5]].reset_index(drop=True), check_categorical=False
    )
    assert (alert.count, alert.frame.total, repr(alert)) == (3, 3, "Alert('price > 150')")
    assert (alert.state, alert.reason, alert.stopped) == (State.OPEN, "", False)
    assert alert.wait(3, timeout=None) is not None


def test_rows_from_before(prices):
    """Are no alerts, unless the history is asked for, but what was true already does not come true."""
    prices.say(tick(151), tick(152), tick(100, symbol="B"), tick(170, symbol="C"))
    alert, whole = prices.stream.when("price > 150"), prices.stream.when("price>150", history=True)
    assert (alert.count, whole.df["price"].tolist()) == (0, [151, 170])
    prices.say(tick(153), tick(154, symbol="B"), tick(155, symbol="C"))
    assert alert.df["price"].tolist() == [154]
    assert whole.df["price"].tolist() == [151, 170, 154]


def test_at_most_once_in_a_span(prices):
    """By the times of the rows, however fast they come."""
    alert = prices.stream.when("price > 150", every="1min")
    prices.say(*(tick(151, second) for second in range(0, 200, 20)))
    assert [time.timestamp() - START for time in alert.df["time"]] == [0, 60, 120, 180]


def test_another_column_of_keys(prices):
    """In place of the stream's."""
    alert = prices.stream.when("price > 150", by="room")
    prices.say(tick(151), tick(151, symbol="B"), tick(151, room="y"))
    assert alert.df.index.size == 2
    with pytest.raises(SchemaError, match="by='nope' is no column: choose from symbol, price, time"):
        prices.stream.when("price > 150", by="nope")


def test_each_row_is_called_in_its_order(prices):
    """On one thread that is not the loop's, as a dict; `wait` returns when that is done."""
    rows, names = [], set()

    def call(row):
        names.add(threading.current_thread().name)
        rows.append(row)

    alert = prices.stream.when("price > 150", call, every="1s")
    prices.say(*(tick(151 + second, second) for second in range(50)))
    assert alert.wait(50)["price"].tolist() == [row["price"] for row in rows] == [151 + n for n in range(50)]
    assert rows[0] == {
        "symbol": "A",
        "price": 151.0,
        "time": pd.Timestamp(START, unit="s", tz="UTC"),
        "room": "x",
    }
    assert names == {"alerts for rtwidgets"}


def test_what_is_slow_stops_no_stream(prices):
    """Rows are in `df` while what is called takes its time; `wait` waits for it."""
    held, called = threading.Event(), []
    alert = prices.stream.when("price > 150", lambda row: (held.wait(20), called.append(row)))
    prices.say(tick(151), tick(0), tick(152))
    assert (alert.count, called) == (2, [])
    with pytest.raises(WaitTimeout) as caught:
        alert.wait(timeout=0.05)
    assert str(caught.value) == (
        "alert 'price > 150': 0 of 1 rows came in 0.05 s (true: 2; rows of the stream: 3, it is open)"
    )
    held.set()
    alert.wait(2)
    assert [row["price"] for row in called] == [151, 152]


def test_what_fails_is_reported_and_the_alert_goes_on(prices):
    """Under the alert's name."""

    def call(row):
        raise ValueError(row["price"])

    alert = prices.stream.when("price > 150", call, name="high")
    prices.say(tick(151), tick(0), tick(152))
    alert.wait(2)
    assert [(where, str(error)) for where, error in take_errors()] == [
        ("alert high", "151.0"),
        ("alert high", "152.0"),
    ]
    assert (repr(alert), alert.condition) == ("Alert('high')", "price > 150")


def test_what_is_far_too_slow_misses_rows(prices, monkeypatch):
    """And is told so: memory has an end."""
    monkeypatch.setattr("rtwidgets.alerts.KEPT", 3)
    held, began, called = threading.Event(), threading.Event(), []
    alert = prices.stream.when(
        "price > 150", lambda row: (began.set(), held.wait(20), called.append(row["price"])), every="1s"
    )
    prices.say(tick(151))
    assert began.wait(20)
    prices.say(*(tick(151 + second, second) for second in range(1, 10)))
    held.set()
    alert.wait(10)
    assert called == [151, 158, 159, 160]
    [(where, error)] = take_errors()
    assert (where, str(error).partition(":")[0]) == (
        "alert price > 150",
        "6 rows have left before they were called",
    )


class Receiver:
    def __init__(self):
        self.sent = []

    def send(self, data):
        self.sent.append(data)
        if len(self.sent) == 1:
            raise ConnectionError("not now")


def test_rows_are_published(prices):
    """As JSON: the name, a sentence, and the row; what fails is reported, and called after the function."""
    receiver, order = Receiver(), []
    alert = prices.stream.when("price > 150", lambda row: order.append(len(receiver.sent)), publish=receiver)
    prices.say(tick(151), tick(0), tick(152.5, 1, "B"))
    alert.wait(2)
    assert order == [0, 1]
    assert receiver.sent[1] == {
        "alert": "price > 150",
        "text": "price > 150: symbol B, price 152.5",
        "row": {"symbol": "B", "price": 152.5, "time": "2023-11-14T22:13:21+00:00", "room": "x"},
    }
    [(where, error)] = take_errors()
    assert (where, str(error)) == ("alert price > 150", "not now")


def test_rows_are_published_to_a_room(prices):
    """The stream of a chat takes them, with what is missing as null."""
    server = rt.serve(services=["chat"])
    room = rt.connect("chat/alerts", server=server)
    alert = prices.stream.when("price > 150 or `symbol` == 'C'", name="high", publish=room)
    prices.say(tick(151), tick(None, symbol="C"))
    alert.wait(2)
    assert room.wait(2)["text"].tolist() == ["high: symbol A, price 151.0", "high: symbol C, price None"]


def test_a_replay_has_the_same_alerts(prices, monkeypatch, tmp_path):
    """When `wait` of the stream returns they are there, and `wait` of the alert lets time go on."""
    path = tmp_path / "127.0.0.1-feed.rtlog"
    with prices.stream.record(path):
        live = prices.stream.when("price > 150", every="10s")
        prices.say(*(tick(140 + second % 20, second) for second in range(100)))
    wanted = live.df
    shutil.copy(path, tmp_path / "127.0.0.1-feed-2.rtlog")
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path))
    for _ in range(2):
        stream = rt.connect(prices.feed.url, key="symbol", schema=SCHEMA, name="again")
        alert, seen = stream.when("price > 150", every="10s"), []
        assert alert.count == 0
        called = stream.when("price > 158", seen.append)
        pd.testing.assert_frame_equal(alert.wait(2), wanted.iloc[:2])
        assert stream.frame.total < 100
        assert called.wait(2)["price"].tolist() == [row["price"] for row in seen] == [159, 159]
        stream.wait(100)
        pd.testing.assert_frame_equal(alert.df, wanted)
        with pytest.raises(Closed, match=r"'price > 150' has ended with .* the recording has ended"):
            alert.wait(len(wanted) + 1)
        stream.stop()


def test_waiting_ends_with_the_alert_or_its_stream(prices):
    """With Closed, and how far it was."""
    alert, other = prices.stream.when("price > 150"), prices.stream.when("price > 160")
    prices.say(tick(151))
    raised = []

    def wait(alert):
        try:
            alert.wait(5, timeout=None)
        except Closed as error:
            raised.append(str(error))

    threads = [threading.Thread(target=wait, args=(each,)) for each in (alert, other)]
    for thread in threads:
        thread.start()
    until(lambda: alert._bell._wakers and other._bell._wakers)
    alert.stop("enough")
    alert.stop()
    threads[0].join()
    assert not other.stopped
    prices.stream.stop()
    threads[1].join()
    assert (alert.stopped, other.stopped, other.state) == (True, True, State.CLOSED)
    assert raised == [
        "the alert 'price > 150' has ended with 1 of 5: stopped: enough",
        "the alert 'price > 160' has ended with 0 of 5: stopped",
    ]
    with pytest.raises(Closed, match="'price > 150' was stopped with 1 of 2: enough"):
        alert.wait(2)
    assert alert.wait(1)["price"].tolist() == [151]
    with pytest.raises(Closed, match="prices was stopped: there is nothing more to wait for"):
        prices.stream.when("price > 1")


async def test_waiting_in_a_coroutine(prices):
    """On any loop."""
    called = []
    alert = prices.stream.when("price > 150", called.append)
    waiting = asyncio.create_task(alert.wait_async(2))
    prices.feed.say(tick(151), tick(0), tick(152))
    assert len(await waiting) == len(called) == 2


def test_waiting_where_it_would_wait_for_itself(prices):
    """On the loop, or in what is called."""
    raised = []

    def call(row):
        try:
            alert.wait(2)
        except UsageError as error:
            raised.append(str(error))

    alert = prices.stream.when("price > 150", call)
    prices.say(tick(151))
    alert.wait()
    assert raised == ["an alert cannot be waited for in a function that one calls: it would wait for itself"]

    async def wait():
        alert.wait(2)

    with pytest.raises(UsageError, match="await the async form instead"):
        prices.stream._lease.run(wait())
    with pytest.raises(UsageError, match=r"wait\(-1\): give a number"):
        alert.wait(-1)


def test_a_stopped_alert_calls_nothing_more(prices):
    """Though rows wait for it; what was called goes on to its end. It may be stopped by what it calls."""
    called = []

    def call(row):
        called.append(row)
        alert.stop()

    alert = prices.stream.when("price > 150", call, every="1s")
    prices.say(*(tick(151, second) for second in range(10)))
    until(lambda: alert.stopped)
    prices.say(*(tick(151, second) for second in range(10, 20)))
    until(lambda: all(thread.name != "alerts for rtwidgets" for thread in threading.enumerate()))
    assert len(called) == 1
    assert alert.count <= 10


def test_an_alert_takes_the_place_of_one_of_its_name(prices):
    """So that a cell may be run again."""
    called = []
    first = prices.stream.when("price > 150", called.append)
    second = prices.stream.when("price > 150", called.append)
    other = prices.stream.when("price > 150", called.append, name="other")
    prices.say(tick(151))
    second.wait()
    other.wait()
    assert (first.stopped, first.count, len(called)) == (True, 0, 2)


def test_what_is_wrong_is_an_error_at_once():
    """Also before any row has come, where it can be known; nothing is left behind."""
    with feeding(greetings=0) as feed:
        stream = rt.connect(feed.url, key="symbol", schema=SCHEMA)
        for arguments, words in [
            (["price >"], "'price >' is not a condition"),
            (["nope > 1"], "no column 'nope': choose from symbol, price, time"),
            (["price > 1", 5], "call=5: give a plain function that takes a row"),
            (["price > 1", asyncio.sleep], "give a plain function"),
        ]:
            for history in (True, False):
                with pytest.raises(UsageError, match=words):
                    stream.when(*arguments, history=history)
        for options, words in [
            ({"every": "often"}, "every='often' is no span of time"),
            ({"by": 5}, "by=5: give text"),
            ({"name": ""}, "name='': give text"),
            ({"publish": print}, r"publish=<.*>: give a stream, such as rt.connect\(\"chat/alerts\"\)"),
        ]:
            with pytest.raises(UsageError, match=words):
                stream.when("price > 1", **options)
        assert len(stream.frame._callbacks) == 1
        rt.stop()


def test_what_turns_out_to_be_wrong_later_ends_the_alert():
    """It is reported; the stream goes on."""
    with feeding(greetings=0) as feed:
        stream = rt.connect(feed.url, key="symbol")
        until(lambda: feed.connections)
        alert = stream.when("nope > 1")
        feed.say(tick(1), tick(2))
        stream.wait(2)
        assert alert.stopped
        assert alert.reason.startswith("stopped: 'nope > 1': there is no column 'nope'")
        [(where, error)] = take_errors()
        assert (where, type(error)) == ("alert nope > 1", SchemaError)
        with pytest.raises(Closed, match="was stopped with 0 of 1: 'nope > 1': there is no column"):
            alert.wait()
        rt.stop()


def test_more_rows_at_once_than_the_stream_keeps():
    """Those that it has not seen are counted."""
    with feeding(greetings=0) as feed:
        stream = rt.connect(feed.url, key="symbol", schema=SCHEMA, max_rows=3)
        alert = stream.when("price > 150")
        stream.frame.extend([{"price": 151, "symbol": str(n)} for n in range(5)])
        assert (alert.count, alert.missed) == (3, 2)
        rt.stop()


def test_a_notebook_shows_its_list(prices):
    """The same one each time, until it is closed; as text it is short."""
    alert = prices.stream.when("price > 150")
    bundle = alert._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "Alert('price > 150')"
    widget = alert.widget()
    assert alert.widget() is widget
    prices.say(tick(151))
    alert.stop()
    assert (widget.stopped, [row[2:] for row in widget.rows]) == (True, [("A", "151")])
    widget.close()
    assert alert.widget() is not widget
