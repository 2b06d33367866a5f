"""`rt.recorded`: clients of any kind, live, recorded and replayed."""

import os
import subprocess
import sys

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import rtwidgets as rt
from rtwidgets.errors import ConnectError, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.notebook.recorded import Recorded
from rtwidgets.recording import Kind, Recording
from rtwidgets.recording import places as places_
from tests.feeding import feeding

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def no_shelves(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(places_, "_shelves", {})
    monkeypatch.delenv("RTWIDGETS_RECORD", raising=False)
    monkeypatch.delenv("RTWIDGETS_REPLAY", raising=False)


def say(url, greeting):
    """Connect, say something, and return what is answered."""
    with connect(url, proxy=None) as connection:
        connection.send(greeting)
        return [connection.recv(timeout=30), connection.recv(timeout=30)]


def stop(recorded):
    for thing in recorded.forget():
        thing.stop()


def record(folder, monkeypatch, *greetings):
    """Record a connection for each greeting in a folder, as a process of its own; return the feed's URL."""
    monkeypatch.setenv("RTWIDGETS_RECORD", str(folder))
    recorded = Recorded()
    with feeding("one", b"\x00two") as feed:
        for greeting in greetings:
            assert say(recorded.open(feed.url), greeting) == ["one", b"\x00two"]
        assert feed.heard == list(greetings)
        stop(recorded)
    monkeypatch.delenv("RTWIDGETS_RECORD")
    monkeypatch.setattr(places_, "_shelves", {})
    return feed.url


def test_live():
    """It is the URL itself, and nothing runs."""
    recorded = Recorded()
    assert recorded.open("wss://feed.example.org/ws") == "wss://feed.example.org/ws"
    assert recorded.forget() == []


def test_a_url_that_is_none():
    """Is refused whether or not anything is recorded."""
    with pytest.raises(UsageError, match="'prices' is not a WebSocket URL"):
        Recorded().open("prices")


def test_recorded_and_replayed(tmp_path, monkeypatch):
    """Each connection has a file; a process that does the same hears the same, without the feed."""
    url = record(tmp_path / "new", monkeypatch, "first", "second")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "127.0.0.1-feed-2.rtlog",
        "127.0.0.1-feed.rtlog",
    ]
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path / "new"))
    recorded = Recorded()
    for greeting in ("first", "second"):
        assert say(recorded.open(url), greeting) == ["one", b"\x00two"]
    stop(recorded)


def test_a_recording_is_whole_when_it_was_stopped(tmp_path, monkeypatch):
    """Though its client has not ended."""
    monkeypatch.setenv("RTWIDGETS_RECORD", str(tmp_path))
    recorded = Recorded()
    with feeding("one") as feed, connect(recorded.open(feed.url), proxy=None) as connection:
        connection.send("go")
        assert connection.recv(timeout=30) == "one"
        stop(recorded)
        with pytest.raises(ConnectionClosed, match="1001"):
            connection.recv(timeout=30)
    recording = Recording(tmp_path / "127.0.0.1-feed.rtlog")
    assert recording.info().whole
    assert [batch.kind for batch in recording.batches()] == [
        Kind.OPENED,
        Kind.SENT_TEXT,
        Kind.TEXT,
        Kind.CLOSED,
    ]
    assert recorded.forget() == []


EXIT = """
import sys
import rtwidgets as rt
from websockets.sync.client import connect

connection = connect(rt.recorded(sys.argv[1]), proxy=None).__enter__()
connection.send("go")
assert connection.recv(timeout=30) == "one"
print("heard", flush=True)
"""


def test_a_recording_is_whole_at_the_end_of_the_process(tmp_path):
    """Though nobody has stopped anything."""
    environment = os.environ | {"RTWIDGETS_RECORD": str(tmp_path)}
    with feeding("one") as feed:
        done = subprocess.run(
            [sys.executable, "-c", EXIT, feed.url],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert (done.stdout, done.stderr) == ("heard\n", "")
    recording = Recording(tmp_path / "127.0.0.1-feed.rtlog")
    assert recording.info().whole
    assert [batch.kind for batch in recording.batches()][:3] == [Kind.OPENED, Kind.SENT_TEXT, Kind.TEXT]


def test_stop_ends_what_stands_between(tmp_path, monkeypatch):
    """As everything else that runs."""
    monkeypatch.setenv("RTWIDGETS_RECORD", str(tmp_path))
    with feeding("one") as feed:
        url = rt.recorded(feed.url)
        assert url != feed.url
        rt.stop()
        with pytest.raises(OSError):
            connect(url, proxy=None)


def test_another_client_is_told_what_differs(tmp_path, monkeypatch):
    """The connection is closed with code 1008, and it is reported."""
    url = record(tmp_path, monkeypatch, '{"op":"subscribe","symbols":["A"]}')
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path))
    recorded = Recorded()
    with pytest.raises(ConnectionClosed, match=r'1008 .* message 1: symbols\[0\] is "B" and was "A"'):
        say(recorded.open(url), '{"op":"subscribe","symbols":["B"]}')
    stop(recorded)
    assert len(take_errors()) == 1


def test_no_recording(tmp_path, monkeypatch):
    """Is an error that says what there is."""
    url = record(tmp_path, monkeypatch, "first")
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path))
    recorded = Recorded()
    assert recorded.open(url).startswith("ws://127.0.0.1:")
    assert recorded.open(url) == url  # a server on this machine that has no further recording
    with pytest.raises(ConnectError, match=r"no recording feed\.example-ws\.rtlog of it in .*, only 127"):
        recorded.open("wss://feed.example/ws")
    stop(recorded)


def test_a_recording_of_another_query(tmp_path, monkeypatch):
    """Is an error that names it: nothing that is said would tell them apart."""
    url = record(tmp_path, monkeypatch, "first")
    monkeypatch.setenv("RTWIDGETS_REPLAY", str(tmp_path))
    with pytest.raises(ConnectError) as raised:
        Recorded().open(f"{url}?symbol=B&token=hush")
    words = f"cannot connect to {url}?symbol=B&token=***: 127.0.0.1-feed.rtlog is a recording of {url}. "
    assert words in str(raised.value)
