"""`rtwidgets record` and `rtwidgets replay`, in processes of their own."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rtwidgets.cli.record import _Counter
from rtwidgets.client import State
from rtwidgets.recording import Kind, Recording, Writer
from tests.feeding import feeding, rows
from tests.test_cli import COMMAND, ENVIRONMENT, in_process, run
from tests.waiting import until

__all__ = ["run"]  # a fixture

SUBSCRIBE = '{"op":"subscribe","token":"hush"}'


@pytest.fixture
def file(tmp_path):
    return tmp_path / "feed.rtlog"


def records(path):
    """Return what a recording holds, as pairs of a kind and one message."""
    return [(batch.kind, message) for batch in Recording(path).batches() for message in batch.messages]


def texts(path):
    """Return the text that was received in a recording."""
    return [message.decode() for kind, message in records(path) if kind is Kind.TEXT]


# record


def test_what_a_feed_sends_is_recorded(run, file):
    """As it comes, with what was said to it but for secrets; the end says how much there is."""
    messages = [*rows(range(5)), b"\x00\xff"]
    with feeding(*messages, greetings=2) as feed:
        command = run(
            "record", f"{feed.url}?token=hush", str(file), "--subscribe", SUBSCRIBE, "--subscribe", "go",
            "--messages", "6",
        )  # fmt: skip
        assert command.end() == 0
        assert feed.heard == [SUBSCRIBE, "go"]
    assert command.err == []
    assert re.fullmatch(
        rf"{file}: 6 messages · 2 sent · 1 connection · [\d.]+ s · \d+ B, \d+ B in the file", command.out[0]
    )
    assert records(file)[1:-1] == [
        (Kind.SENT_TEXT, b'{"op":"subscribe","token":"***"}'),
        (Kind.SENT_TEXT, b"go"),
        *[(Kind.TEXT, message.encode()) for message in messages[:-1]],
        (Kind.BINARY, b"\x00\xff"),
    ]
    recording = Recording(file)
    assert recording.info().whole
    assert recording.about == {
        "url": f"{feed.url}?token=***",
        "subscribe": ['{"op":"subscribe","token":"***"}', "go"],
    }


def test_no_more_than_was_asked_for(run, file):
    """Though more come at once."""
    with feeding(*rows(range(1_000)), greetings=0) as feed:
        assert run("record", feed.url, str(file), "--messages", "7").end() == 0
    assert texts(file) == rows(range(7))


def test_so_long_as_was_asked_for(run, file):
    """Counted from the connection on."""
    with feeding("one", greetings=0) as feed:
        assert run("record", feed.url, str(file), "--for", "0.2").end() == 0
    assert texts(file) == ["one"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_until_it_is_told(run, file, number):
    """By Ctrl-C or SIGTERM, which is no error; the recording is whole."""
    with feeding("one", greetings=0) as feed:
        command = run("record", feed.url, str(file))
        until(lambda: file.exists() and texts(file))
        assert command.end(number) == 0
    assert command.err == []
    assert "1 message" in command.out[0]
    assert Recording(file).info().whole


def test_a_break_is_in_the_recording(run, file):
    """It connects again and says so."""
    with feeding("one", greetings=1) as feed:
        command = run("record", feed.url, str(file), "--messages", "2", "--subscribe", "go")
        until(lambda: feed.heard)
        feed.cut()
        assert command.end() == 0
    kinds = [Kind.OPENED, Kind.SENT_TEXT, Kind.TEXT, Kind.CLOSED]
    assert [kind for kind, _ in records(file)] == kinds * 2
    assert "code 1012: restarting" in records(file)[3][1].decode()
    assert "the connection was lost" in "\n".join(command.err)
    assert "2 connections" in command.out[0]


def test_a_feed_that_wants_no_more(run, file):
    """Ends the command with 1; what has come is there."""
    with feeding("one", greetings=0) as feed:
        command = run("record", feed.url, str(file))
        until(lambda: file.exists() and texts(file))
        feed.connections[-1].close(1008, "you again")
        assert command.end() == 1
    assert "you again" in command.err[-1]
    assert "1 message" in command.out[0]


def test_a_disk_that_is_full(run, file):
    """Ends the command with 1; what was recorded before can be read."""
    with feeding("one", greetings=0) as feed:
        limited = ["bash", "-c", 'ulimit -f 16; exec "$@"', "-", *COMMAND]
        command = run("record", feed.url, str(file), command=limited)
        until(lambda: file.exists() and texts(file))
        feed.say(os.urandom(100_000))
        assert command.end() == 1
    assert "recording stopped: File too large" in "\n".join(command.err)
    assert "1 message ·" in command.out[0]
    assert texts(file) == ["one"]


def test_headers(run, file):
    """Go with the request, and are not in the recording."""
    with feeding("one", greetings=0) as feed:
        options = ["--header", "Authorization: Bearer hush", "--header", "X-Key:K:1", "--messages", "1"]
        assert run("record", feed.url, str(file), *options).end() == 0
        headers = feed.connections[0].request.headers
    assert (headers["Authorization"], headers["X-Key"]) == ("Bearer hush", "K:1")
    assert "hush" not in str(records(file)) + str(Recording(file).about)


def test_a_file_that_is_there(run, file):
    """Is continued only when that is asked for."""
    with feeding("one", greetings=0) as feed:
        assert run("record", feed.url, str(file), "--messages", "1").end() == 0
        command = run("record", feed.url, str(file), "--messages", "1")
        assert command.end() == 2
        assert command.err[-1].endswith(
            f"{file} is there already: continue it with --append, or choose another name"
        )
        assert texts(file) == ["one"]
        assert run("record", feed.url, str(file), "--messages", "1", "--append").end() == 0
    assert texts(file) == ["one", "one"]


def test_nobody_there(run, file):
    """Ends the command with 1 and leaves no file behind, unless it was there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    command = run("record", url, str(file))
    assert command.end() == 1
    (line,) = command.err
    assert line.startswith(f"Error: cannot connect to {url}: nothing listens there.")
    assert command.out == []
    assert not file.exists()
    Writer(file).close()
    assert run("record", url, str(file), "--append").end() == 1
    assert file.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prices"], "'prices' is not a WebSocket URL"),
        (["ws://x", "--header", "Bearer T"], "--header 'Bearer T' is not of the form NAME:VALUE"),
        (["ws://x", "--ca", "x.pem"], "--ca goes with a URL that begins with wss://"),
        (["ws://x", "--for", "0"], "--for"),
        (["ws://x", "--messages", "0"], "--messages"),
    ],
)
def test_what_is_wrong_with_record(file, arguments, words):
    """End it with 2 and a sentence."""
    url, *options = arguments
    result = in_process("record", url, str(file), *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not file.exists()


def test_a_terminal_shows_how_much_has_come(tmp_path, file):
    """While it records; the summary is what is left."""
    master, slave = pty.openpty()
    with feeding("one", greetings=0) as feed:
        process = subprocess.Popen(
            [*COMMAND, "record", feed.url, str(file)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
            cwd=tmp_path,
        )
        os.close(slave)
        shown = ""
        try:
            while not re.search(r"open · 1 message · \d+ B · \d+ s · Ctrl-C ends it", shown):
                shown += os.read(master, 4096).decode(errors="replace")
            process.send_signal(signal.SIGINT)
            while True:  # an end with what is left unread would wait for ever
                try:
                    shown += os.read(master, 4096).decode(errors="replace")
                except OSError:
                    break
            assert process.wait() == 0, shown[-3000:]
        finally:
            process.kill()
            process.wait()
            os.close(master)
    assert re.search(r"feed\.rtlog: 1 message · 0 sent", shown)
    assert "Traceback" not in shown


def test_a_terminal_shows_why_nothing_comes(file):
    """In words of the server, which cannot move the cursor."""
    link = SimpleNamespace(state=State.WAITING, reason="code 1012: \x1b]0;title\x07")
    with Writer(file) as writer:
        counter = _Counter(writer, SimpleNamespace(link=link))
    assert counter.render().plain.startswith(
        "waiting (code 1012: \ufffd]0;title\ufffd) · 0 messages · 0 B · 0 s"
    )


def test_a_file_that_cannot_be_written(tmp_path):
    """Or is something else: it is left alone."""
    diary = tmp_path / "diary"
    diary.write_text("dear diary")
    for path, options, words in [
        (tmp_path / "none" / "file", [], "cannot record to"),
        (diary, ["--append"], "is no recording of rtwidgets"),
    ]:
        result = in_process("record", "ws://x", str(path), *options)
        assert result.exit_code == 2
        assert words in result.stderr
    assert diary.read_text() == "dear diary"


# replay


@pytest.fixture
def recorded(file):
    """A recording of two messages and an answer, ten seconds apart."""
    with Writer(file) as writer:
        for n, (kind, message) in enumerate(
            [
                (Kind.OPENED, b'{"url":"wss://feed.example.org"}'),
                (Kind.TEXT, b"hello"),
                (Kind.SENT_TEXT, b'{"op":"subscribe"}'),
                (Kind.TEXT, b"one"),
            ]
        ):
            writer.write(10**18 + n * 10**10, kind, [message])
    return str(file)


def url_of(command):
    return command.seen(r"^ws://127\.0\.0\.1:\d+$", command.out)[0]


def test_a_recording_is_served(run, recorded):
    """To any client, at the URL that is printed, until Ctrl-C."""
    command = run("replay", recorded, "--speed", "max")
    for _ in range(2):
        with connect(url_of(command), proxy=None) as connection:
            assert connection.recv(timeout=30) == "hello"
            connection.send('{"op": "subscribe"}')
            assert connection.recv(timeout=30) == "one"
            with pytest.raises(ConnectionClosed, match="1000"):
                connection.recv(timeout=30)
    assert command.end(signal.SIGINT) == 0
    assert (len(command.out), command.err) == (1, [])


def test_a_client_that_says_something_else(run, recorded):
    """Is sent away, which is logged; with --lenient it is not."""
    command = run("replay", recorded, "--speed", "max")
    with connect(url_of(command), proxy=None) as connection:
        connection.send('{"op":"ping"}')
        with pytest.raises(ConnectionClosed, match=r'1008 .* op is "ping" and was "subscribe"'):
            while True:
                connection.recv(timeout=30)
    command.seen('message 1 of the client on connection 1 is not as recorded: op is "ping"', command.err)
    lenient = run("replay", recorded, "--speed", "max", "--lenient")
    with connect(url_of(lenient), proxy=None) as connection:
        connection.send('{"op":"ping"}')
        assert [connection.recv(timeout=30) for _ in range(2)] == ["hello", "one"]
    assert lenient.end(signal.SIGTERM) == 0
    assert lenient.err == []


def test_a_recording_for_everybody(run, recorded):
    """Is served with a warning."""
    command = run("replay", recorded, "--host", "0.0.0.0")
    command.seen(r"^ws://0\.0\.0\.0:\d+$", command.out)
    command.seen("every machine that reaches this one can read the recording", command.err)


def test_over_and_over(run, recorded):
    """With --loop, at a speed of the user's."""
    command = run("replay", recorded, "--loop", "--speed", "1000")
    with connect(url_of(command), proxy=None) as connection:
        connection.send('{"op":"subscribe"}')
        assert [connection.recv(timeout=30) for _ in range(5)] == ["hello", "one", "hello", "one", "hello"]


def test_a_replay_can_be_recorded(run, recorded, tmp_path):
    """One command serves, the other records, and the copy has the same messages."""
    url, copy = url_of(run("replay", recorded, "--speed", "max")), tmp_path / "copy.rtlog"
    options = ["--subscribe", '{"op":"subscribe"}', "--messages", "2"]
    assert run("record", url, str(copy), *options).end() == 0
    assert texts(copy) == ["hello", "one"]


def test_a_port_that_is_taken(run, recorded):
    """Ends it with 1 and advice."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = run("replay", recorded, "--port", port)
        assert command.end() == 1
    assert (
        f"port {port} on 127.0.0.1 is in use by another program: choose another one with --port"
        in command.err[-1]
    )


@pytest.mark.parametrize("speed", ["fast", "0", "nan", "-1"])
def test_a_speed_that_is_none(recorded, speed):
    """Ends it with 2 and a sentence."""
    result = in_process("replay", recorded, "--speed", speed)
    assert result.exit_code == 2
    assert "speed" in result.stderr


def test_a_file_that_is_not_there(tmp_path):
    """Or is no recording, likewise."""
    (tmp_path / "diary").write_text("dear diary")
    for name in ("none.rtlog", "diary"):
        result = in_process("replay", str(tmp_path / name))
        assert result.exit_code == 2
        assert name in result.stderr
