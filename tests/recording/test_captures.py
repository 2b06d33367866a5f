"""Captures: what cryptofeed has recorded is read, and what was recorded here can be written so."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import UsageError
from rtwidgets.recording import Batch, Kind, Recording, write_capture, write_jsonl, write_rtlog
from tests.recording.tapes import BEGIN, SECOND, flat, tape, text

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
NAMES = ("bitstamp.txt", "coinbase.txt", "kraken.txt")


def capture(path, *lines):
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def lines(name):
    """Return the lines of a capture; some have empty ones at the end."""
    return [line for line in (CAPTURES / name).read_bytes().split(b"\n") if line]


@pytest.mark.parametrize("name", NAMES)
def test_real_captures_come_back_to_the_byte(tmp_path, name):
    """As a recording, as JSON lines, and as a recording of these: the same messages, times, and lines."""
    assert CAPTURES.exists(), f"the captures belong beside the repository, at {CAPTURES}"
    original = Recording(CAPTURES / name)
    write_rtlog(original, tmp_path / "a.rtlog")
    write_jsonl(Recording(tmp_path / "a.rtlog"), tmp_path / "b.jsonl")
    write_rtlog(Recording(tmp_path / "b.jsonl"), tmp_path / "c.rtlog")
    for made in ("a.rtlog", "b.jsonl", "c.rtlog"):
        recording = Recording(tmp_path / made)
        assert list(recording.batches()) == list(original.batches())
        assert recording.about == original.about
        assert (recording.first, recording.last) == (original.first, original.last)
        assert recording.info()[:3] == original.info()[:3]
        assert recording.info().raw == original.info().raw
        write_capture(recording, tmp_path / "d.txt")
        assert (tmp_path / "d.txt").read_bytes().splitlines() == lines(name)
    smaller = Recording(tmp_path / "a.rtlog").info()
    assert smaller.raw > 3 * smaller.compressed


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_a_real_capture_is_read(name):
    """Messages are what stands behind the time; the first lines say what was asked for."""
    recording = Recording(CAPTURES / name)
    messages = [message for _, kind, message in flat(recording) if kind is Kind.TEXT]
    assert messages == [line.partition(b": ")[2] for line in lines(name) if line[:1].isdigit()]
    sent = [line.partition(b": ")[2].decode() for line in lines(name) if b" <- " in line[:60]]
    assert recording.about == {"url": lines(name)[0].split()[0].decode(), "subscribe": sent}
    info = recording.info()
    assert (info.messages, info.sent, info.connections) == (len(messages), len(sent), 1)
    assert info.whole


def test_times_are_as_exact_as_the_text(tmp_path):
    """To the nanosecond; a time of fewer digits comes back as it was."""
    times = [b"1618677816.8434298", b"1618677817.0", b"1618677817.123456789", b"0.5", b"-1.25"]
    path = capture(tmp_path / "a.txt", *(time + b": {}" for time in times), b"7: x", b"1e3: ")
    with pytest.raises(UsageError, match=r"a\.txt, line 7 is no line of a capture: write 'URL <-> SECONDS'"):
        list(Recording(path).batches())
    capture(path, *(time + b": {}" for time in times))
    recording = Recording(path)
    assert [batch.time for batch in recording.batches()] == [
        1618677816843429800,
        1618677817000000000,
        1618677817123456789,
        500000000,
        -1250000000,
    ]
    write_capture(recording, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == path.read_bytes()


def test_several_connections(tmp_path):
    """Each has its URL; what was sent is written with that of the connection before it."""
    path = capture(
        tmp_path / "a.txt",
        b"wss://a/ws <-> 1.0",
        b"wss://a/ws <- 1.5: {}",
        b"2.0: [1]",
        b"wss://b/ws <-> 3.0",
        b"wss://b/ws <- 3.5: {}",
        b"4.0: [2]",
    )
    recording = Recording(path)
    opened = [message for _, kind, message in flat(recording) if kind is Kind.OPENED]
    assert opened == [b'{"url": "wss://a/ws"}', b'{"url": "wss://b/ws"}']
    assert recording.about == {"url": "wss://a/ws", "subscribe": ["{}"]}
    write_capture(recording, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == path.read_bytes()


def test_lines_that_are_no_messages_are_left_out(tmp_path):
    """What a program wrote of itself, and the answers to requests by HTTP."""
    path = capture(
        tmp_path / "a.txt",
        b"configuration: {'a': 1}",
        b"https://a/symbols -> 1.0: [1, 2]",
        b"",
        b"2.0: {}",
        b"  ",
    )
    assert flat(Recording(path)) == [(2 * SECOND, Kind.TEXT, b"{}")]
    assert Recording(path).about == {}


def test_messages_with_secrets_are_read_without(tmp_path):
    """Other programs have recorded them; a recording must not pass them on."""
    path = capture(
        tmp_path / "a.txt",
        b"wss://u:p@a/ws?token=hush <-> 1.0",
        b'wss://a/ws <- 1.5: {"key":"hush"}',
        b"2.0: {}",
    )
    recording = Recording(path)
    assert recording.about == {"url": "wss://a/ws?token=***", "subscribe": ['{"key":"***"}']}
    assert "hush" not in str(list(recording.batches()))


def test_binary_messages_are_written_as_python_does(tmp_path):
    """As the programs that captures come from do; both ways, and read back."""
    records = [Batch(BEGIN, Kind.BINARY, [b"\x00'\n"]), Batch(BEGIN + 1, Kind.SENT_BINARY, [b"\xff", b""])]
    write_capture(Recording(tape(tmp_path / "a.rtlog", records)), tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == (
        b'1700000000.0: b"\\x00\'\\n"\n'
        b"unknown: <- 1700000000.000000001: b'\\xff'\nunknown: <- 1700000000.000000001: b''\n"
    )
    assert list(Recording(tmp_path / "b.txt").batches()) == records
    capture(tmp_path / "b.txt", b"1.0: {}", b"1.0: b'\\x0")
    with pytest.raises(
        UsageError, match="line 2 is no line of a capture: the binary message is not as Python"
    ):
        list(Recording(tmp_path / "b.txt").batches())


@pytest.mark.parametrize("message", ["two\nlines", "b'no bytes'", 'b"no bytes"'])
def test_what_no_line_can_hold_is_refused(tmp_path, message):
    """JSON lines can; no half of a capture is left."""
    recording = Recording(tape(tmp_path / "a.rtlog", [text(0), text(1, message)]))
    with pytest.raises(UsageError, match=r"cannot be a line of a capture: .*write JSON lines"):
        write_capture(recording, tmp_path / "b.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.rtlog"]


def test_a_last_line_without_an_end_was_cut(tmp_path):
    """It is left out, and the capture is not whole."""
    path = capture(tmp_path / "a.txt", b'1.0: {"n":1}', b'2.0: {"n":2}')
    content = path.read_bytes()
    for size in range(len(content) // 2, len(content)):
        path.write_bytes(content[:size])
        assert len(flat(Recording(path))) == content[:size].count(b"\n")
        assert Recording(path).info().whole is content[:size].endswith(b"\n")


LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])).filter(
    lambda line: not line.startswith(("b'", 'b"'))
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), LINE | st.binary()), min_size=1))
def test_messages_and_times_come_back(tmp_path_factory, records):
    """Any line of text and any bytes, at any time."""
    folder = tmp_path_factory.mktemp("any")
    batches = [
        Batch(time, Kind.TEXT, [message.encode()])
        if isinstance(message, str)
        else Batch(time, Kind.BINARY, [message])
        for time, message in records
    ]
    original = Recording(tape(folder / "a.rtlog", batches))
    write_capture(original, folder / "b.txt")
    assert flat(Recording(folder / "b.txt")) == flat(original)


def test_reading_begins_where_it_is_asked_to(tmp_path):
    """At the first record that is not before; neighbours of one time are one batch, up to a thousand."""
    path = capture(tmp_path / "a.txt", *(b"%d.0: %d" % (n // 4, n) for n in range(40)))
    recording = Recording(path)
    assert [batch.messages for batch in recording.batches(8 * SECOND)] == [
        [b"32", b"33", b"34", b"35"],
        [b"36", b"37", b"38", b"39"],
    ]
    assert list(recording.batches(10 * SECOND)) == []
    assert flat(recording, 3 * SECOND) == list(
        itertools.dropwhile(lambda record: record[0] < 3 * SECOND, flat(recording))
    )
    capture(path, *(b"1.0: {}" for _ in range(2_500)))
    assert [len(batch.messages) for batch in Recording(path).batches()] == [1_000, 1_000, 500]
