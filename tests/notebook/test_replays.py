"""Streams recorded and replayed: in a kernel with `record` and `replay`, in CI with the two variables."""

import re

import pandas as pd
import pytest

import rtwidgets as rt
from rtwidgets.client import State
from rtwidgets.errors import BackgroundErrors, Closed, ConnectError, UsageError
from rtwidgets.recording import Kind, Recording, Writer
from tests.feeding import feeding, rows
from tests.waiting import until


@pytest.fixture(autouse=True)
def stopped(tidy):
    yield
    rt.stop()
    assert rt.health() == "healthy"


@pytest.fixture
def recorded(tmp_path):
    """A recording of two connections, and what was read live."""
    path = tmp_path / "feed.rtlog"
    with feeding(*rows([1, 2.5, 3])) as feed:
        stream = rt.connect(feed.url, subscribe={"op": "subscribe"}, key="symbol")
        with stream.record(path) as recorder:
            stream.wait(rows=3)
            feed.cut()
            stream.wait(rows=6)
            until(lambda: recorder.messages >= 3)
        live = stream.df
        stream.stop()
    return path, live.iloc[3:].reset_index(drop=True), stream


def test_a_recording_has_what_came_as_it_came(tmp_path):
    """Text and binary, to the byte; what was asked for; and when the connection began."""
    path = tmp_path / "feed.rtlog"
    with feeding() as feed:
        stream = rt.connect(feed.url, subscribe=[{"op": "subscribe", "apiKey": "geheim"}], key="symbol")
        with stream.record(path) as recorder:
            feed.say('{"symbol": "Ä",  "price": 1}', b'{"symbol":"B","price":2}')
            stream.wait(rows=2)
            assert "recorded messages: 2" in stream.describe().detail
            stream.send({"op": "more"})
        assert recorder.messages == 2
        stream.when("price > 1")
        assert "alert price > 1: 0" in stream.describe().detail
        assert repr(recorder) == f"StreamRecorder({str(path)!r})"
    recording = Recording(path)
    heard = [(batch.kind, message) for batch in recording.batches() for message in batch.messages]
    assert heard[1:] == [
        (Kind.SENT_TEXT, b'{"op":"subscribe","apiKey":"***"}'),
        (Kind.TEXT, '{"symbol": "Ä",  "price": 1}'.encode()),
        (Kind.BINARY, b'{"symbol":"B","price":2}'),
        (Kind.SENT_TEXT, b'{"op":"more"}'),
    ]
    assert heard[0][0] is Kind.OPENED
    assert recording.about["url"] == feed.url
    assert recording.about["subscribe"] == ['{"op":"subscribe","apiKey":"***"}']
    assert recording.about["arguments"] == {"key": "symbol"}


def test_a_replay_is_read_as_the_stream_was(recorded):
    """With all at once: the same rows with the same times and types, the same break; and it has ended."""
    path, live, stream = recorded
    replay = rt.replay(path, speed=None)
    df = replay.df
    tail = df.iloc[-3:].reset_index(drop=True)
    pd.testing.assert_frame_equal(tail, live)
    assert (replay.state, replay.reason) == (State.CLOSED, "the recording has ended")
    assert replay.gaps["reason"].tolist() == stream.gaps["reason"].tolist()
    assert replay.origin.startswith("replay of feed.rtlog, recorded 20")
    assert (stream.origin, repr(replay)) == ("live", "Stream('feed.rtlog')")
    with pytest.raises(Closed, match="has ended with"):
        replay.wait(rows=len(df) + 1)


def test_rows_may_be_read_in_another_way(recorded):
    """Arguments of `connect` take the place of those that were recorded."""
    path, _, _ = recorded
    replay = rt.replay(path, speed=None, where={"price": 2.5}, key=None, max_rows=1)
    assert replay.df["price"].tolist() == [2.5]
    assert replay.frame.key is None
    with pytest.raises(UsageError, match=r"wher.* there is no such argument; choose from key, time"):
        rt.replay(path, wher={})


def test_a_replay_of_a_replay_is_the_same(recorded, tmp_path):
    """Recorded again it has the same messages at the same times."""
    path, _, _ = recorded
    again = tmp_path / "again.rtlog"
    replay = rt.replay(path, speed=0.001)
    replay.record(again)
    replay.stop()
    replay = rt.replay(path, speed=20)
    with replay.record(again):
        until(lambda: replay.state is State.CLOSED)

    def received(path):
        return [
            (batch.time, message)
            for batch in Recording(path).batches()
            if batch.kind in (Kind.TEXT, Kind.BINARY)
            for message in batch.messages
        ]

    assert received(again)[-3:] == received(path)[-3:]


def test_by_the_clock_rows_come_one_after_the_other(tmp_path):
    """A second of the recording takes a second divided by the speed; rows have the recorded times."""
    path = tmp_path / "slow.jsonl"
    begin = 1_700_000_000 * 10**9
    path.write_text(
        "".join(
            f'{{"time": {begin + n * 10**9}, "kind": "text", "data": "{{\\"n\\": {n}}}"}}\n' for n in range(6)
        )
    )
    slow = rt.replay(path, speed=0.01)
    assert len(slow.wait(rows=1)) == 1  # the next one comes in a hundred seconds
    fast = rt.replay(path, speed=100, name="fast")
    until(lambda: len(fast) == 6)
    assert (len(slow), slow.state) == (1, State.OPEN)
    assert (fast.df["time"].astype("int64") - begin).tolist() == [n * 10**9 for n in range(6)]


def test_a_replay_ends_where_its_file_is_damaged(recorded):
    """By the clock too: it is closed and says why; from where the error says the rest can be read."""
    path, _, _ = recorded
    with Writer(path) as writer:
        for second in range(1, 4):
            writer.write(
                Recording(path).last + second * 10**9, Kind.TEXT, [b'{"symbol":"A","price":%d}' % second]
            )
            writer.flush()
    content = path.read_bytes()
    at = content.rindex(b"(\xb5/\xfd", 0, len(content) - 400)  # the beginning of a compressed block
    path.write_bytes(content[: at + 12] + b"?" + content[at + 13 :])
    replay = rt.replay(path, speed=1000)
    until(lambda: replay.state is State.CLOSED)
    assert "is damaged at byte" in replay.reason
    with pytest.raises(BackgroundErrors, match="is damaged at byte") as failed:
        rt.health()
    start = float(re.search(r"start=([0-9.]+)", str(failed.value))[1])
    rest = rt.replay(path, speed=None, start=start, name="rest")
    assert rest.df["price"].tolist()[-1] == 3


def test_a_loop_begins_anew(recorded):
    """After the end come the first rows again, with a gap between."""
    path, _, _ = recorded
    replay = rt.replay(path, speed=1000, loop=True)
    replay.wait(rows=20)
    assert set(replay.df["price"]) == {1, 2.5, 3}
    assert len(replay.gaps) >= 3
    assert replay.state is not State.CLOSED


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speed": 0}, "how many times as fast"),
        ({"speed": "fast"}, "how many times as fast"),
        ({"speed": None, "loop": True}, "loop=True needs a speed="),
        ({"start": -1}, "seconds of the recording"),
    ],
)
def test_what_cannot_be_played(recorded, options, words):
    """Is refused in words."""
    path, _, _ = recorded
    with pytest.raises(UsageError, match=words):
        rt.replay(path, **options)


def test_a_channel_is_recorded_and_replayed(tmp_path):
    """Offsets, types and times of a channel of ours are those of the stream."""
    rt.serve(seed=1, services=["prices"])
    prices = rt.connect("prices")
    prices.wait(rows=10)
    with prices.record(tmp_path / "prices.rtlog") as recorder:
        until(lambda: recorder.messages > 5)  # the first one is the server's answer
    live = prices.df
    prices.stop()
    replay = rt.replay(tmp_path / "prices.rtlog", speed=None)
    df = replay.df
    assert len(df) >= 5
    shared = live[live["offset"].isin(df["offset"])].reset_index(drop=True)
    # The order of categories is that in which keys first came, which was before the recording began.
    pd.testing.assert_frame_equal(df.iloc[: len(shared)], shared, check_categorical=False)
    assert replay.frame.key == "symbol"


def test_rows_that_are_worked_out_here_are_not_recorded(tmp_path):
    """The error names what to record instead; a second recording of one stream is refused too."""
    rt.serve(services=["chat"])
    chat = rt.chat("lobby", name="ada")
    with pytest.raises(UsageError, match="record the stream that they come from"):
        chat.activity().record(tmp_path / "a.rtlog")
    chat.record(tmp_path / "b.rtlog")
    with pytest.raises(UsageError, match=r"is being recorded to .*b.rtlog"):
        chat.record(tmp_path / "c.rtlog")


def test_one_file_has_one_feed_and_its_own_format(recorded):
    """Another feed, or a name that says another format, is refused."""
    path, _, _ = recorded
    with feeding() as feed:
        stream = rt.connect(feed.url, subscribe="go")
        with pytest.raises(UsageError, match=r"is a recording of ws://127.0.0.1"):
            stream.record(path)
        with pytest.raises(UsageError, match=r"record to a file .rtlog, and convert that"):
            stream.record(path.with_suffix(".parquet"))


# In CI


def test_what_was_recorded_is_read_in_place_of_the_feed(tmp_path, monkeypatch):
    """Rows come when somebody waits, and not before; what was sent later is known, anything else is not."""
    monkeypatch.setenv("RTWIDGETS_RECORD", str(tmp_path))
    with feeding(*rows(range(8))) as feed:
        live = rt.connect(feed.url, subscribe="go", key="symbol")
        live.send("more")
        rows_live = live.wait(rows=8)
        until(lambda: len(feed.heard) == 2)
        rt.stop()
    (path,) = tmp_path.iterdir()
    assert path.name == "127.0.0.1-feed.rtlog"
    monkeypatch.delenv("RTWIDGETS_RECORD")
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path))
    replay = rt.connect(feed.url, subscribe="go", key="symbol")
    assert len(replay) == 0
    assert len(replay.wait(rows=3)) == 3
    rt.sleep(0)
    assert 3 <= len(replay) <= 8
    pd.testing.assert_frame_equal(replay.wait(rows=8), rows_live)
    replay.send("more")
    with pytest.raises(UsageError, match="less was not sent when"):
        replay.send("less")
    assert replay.origin.startswith("replay of ")


def test_another_request_than_the_recorded_one_is_an_error(tmp_path, monkeypatch):
    """It shows what differs; so is a URL without a recording."""
    monkeypatch.setenv("RTWIDGETS_RECORD", str(tmp_path))
    with feeding(*rows(range(3))) as feed:
        rt.connect(feed.url, subscribe={"op": "subscribe", "symbols": ["A"]}).wait(rows=3)
        rt.stop()
    monkeypatch.delenv("RTWIDGETS_RECORD")
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path))
    with pytest.raises(ConnectError, match=r"(?s)not the one that was recorded.*-.*\"A\".*\+.*\"B\""):
        rt.connect(feed.url, subscribe={"op": "subscribe", "symbols": ["B"]})
    with pytest.raises(ConnectError, match="no recording"):
        rt.connect("wss://feed.example/other")


def test_a_recording_stands_in_where_nobody_answers(recorded, monkeypatch):
    """With `fallback` a feed that cannot be reached is its recording, and says so."""
    path, _, _ = recorded
    stream = rt.connect("ws://127.0.0.1:9/feed", fallback=path, key="symbol")
    stream.wait(rows=3)
    assert stream.origin.startswith("replay of feed.rtlog")
    with pytest.raises(ConnectError):
        rt.connect("ws://127.0.0.1:9/other")
