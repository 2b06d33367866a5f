"""Recordings are written at once, go on where they were, and never in silence if something is lost."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from rtwidgets.errors import Closed, RtError, UsageError
from rtwidgets.loop import take_errors
from rtwidgets.recording import Batch, Kind, Recording, Writer
from rtwidgets.recording import writer as module
from tests.recording.tapes import BEGIN, flat, tape, text
from tests.waiting import until


@pytest.fixture(autouse=True)
def clean(tidy):
    """No test leaves a thread, or an error that it did not look for."""


class Disk:
    """A file whose disk is held up until `go`, and then full if `full` says so."""

    def __init__(self, file):
        self._file = file
        self.go = threading.Event()
        self.full = False

    def write(self, data):
        self.go.wait()
        if self.full:
            self._file.write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data[: len(data) // 2 + 1])  # a disk need not take all of it

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.fixture
def slow(tmp_path):
    """A writer on a disk that is held up."""
    writer = Writer(tmp_path / "a.rtlog")
    writer._file = disk = Disk(writer._file)
    yield writer, disk
    disk.go.set()
    writer.close()


def test_what_is_written_is_read(tmp_path):
    """All kinds, with many messages, long ones, and empty ones; batches stay as they were."""
    batches = [
        Batch(BEGIN, Kind.OPENED, [b'{"url": "ws://x"}']),
        Batch(BEGIN + 1, Kind.SENT_TEXT, [b"subscribe"]),
        Batch(BEGIN + 1, Kind.SENT_BINARY, [b"\x00\xff"]),
        text(1, *range(5_000)),
        Batch(BEGIN + 2, Kind.BINARY, [b"", os.urandom(3_000_000), b"x"]),
        Batch(BEGIN + 3, Kind.CLOSED, [b"the end"]),
    ]
    about = {"url": "ws://x", "arguments": {"key": "ä"}}
    with Writer(tmp_path / "a.rtlog", about) as writer:
        for batch in batches:
            writer.write(*batch)
        assert (writer.messages, repr(writer)) == (5_003, f"Writer({str(writer.path)!r})")
        assert writer.bytes == sum(len(each) for batch in batches for each in batch.messages)
    recording = Recording(tmp_path / "a.rtlog")
    assert list(recording.batches()) == batches
    assert recording.about == about


def test_the_caller_may_use_its_list_again(slow):
    """What is appended to it later is not recorded."""
    writer, disk = slow
    messages = [b"1", b"2"]
    writer.write(BEGIN, Kind.TEXT, messages)
    messages.clear()
    writer.write(BEGIN, Kind.TEXT, [])
    disk.go.set()
    writer.close()
    assert [batch.messages for batch in Recording(writer.path).batches()] == [[b"1", b"2"]]


def test_what_was_flushed_is_in_the_file(tmp_path):
    """While the recording goes on it can be read, and is not whole."""
    with Writer(tmp_path / "a.rtlog") as writer:
        for n in range(3):
            writer.write(*text(n))
            writer.flush()
            writer.flush()
            recording = Recording(writer.path)
            assert list(recording.batches()) == [text(each) for each in range(n + 1)]
            assert not recording.info().whole
    assert Recording(writer.path).info().whole
    assert list(recording.batches()) == [text(0), text(1), text(2)]  # what was opened before goes on


def test_what_is_not_flushed_comes_by_itself(tmp_path):
    """After half a second, or when there is enough for a block."""
    with Writer(tmp_path / "a.rtlog") as writer:
        writer.write(*text(0))
        until(lambda: Recording(writer.path).info().messages == 1)
        writer.write(BEGIN, Kind.TEXT, [b"x" * module.BLOCK])
        until(lambda: Recording(writer.path).info().messages == 2)


def test_blocks_end_at_a_mebibyte(slow):
    """Also when the disk was slow: no block is much larger, and none is tiny."""
    writer, disk = slow
    for n in range(1_000):
        writer.write(BEGIN + n, Kind.TEXT, [os.urandom(10_000)])
    disk.go.set()
    writer.close()
    headers = Recording(writer.path)._reader._index.headers
    sizes = headers["raw"][headers["flags"] == 0]
    assert len(sizes) >= 5
    assert sizes[:-1].max() < 3 * module.BLOCK
    assert sizes[1:-1].min() >= module.BLOCK


def test_a_recording_is_continued(tmp_path):
    """What it says of itself stays; there is one end, behind the last record."""
    path = tape(tmp_path / "a.rtlog", [text(0)], about={"n": 1})
    tape(path, [text(1)], about={"n": 2})
    tape(path)
    recording = Recording(path)
    assert list(recording.batches()) == [text(0), text(1)]
    assert recording.about == {"n": 1}
    assert recording.info().whole
    assert recording._reader._index.headers["flags"].tolist() == [1, 0, 0, 2]


def test_a_recording_is_continued_wherever_it_was_cut(tmp_path):
    """What is not whole is removed; the new records follow the last whole block."""
    whole = tape(tmp_path / "a.rtlog", [text(0)], [text(1)], about={"n": 1}).read_bytes()
    cut = tmp_path / "cut.rtlog"
    for size in range(0, len(whole), 3):
        cut.write_bytes(whole[:size])
        before = list(Recording(cut).batches())
        about = Recording(cut).about
        tape(cut, [text(2)], about={"n": 2})
        recording = Recording(cut)
        assert list(recording.batches()) == [*before, text(2)]
        assert recording.about == (about or {"n": 2})
        assert recording.info().whole


def test_two_cannot_write_one_file(tmp_path):
    """The second one is told; when the first one is closed the file is free. Others may read."""
    with Writer(tmp_path / "a.rtlog"):
        with pytest.raises(UsageError, match=r"a\.rtlog is being recorded to already: stop that first"):
            Writer(tmp_path / "a.rtlog")
        assert list(Recording(tmp_path / "a.rtlog").batches()) == []
    Writer(tmp_path / "a.rtlog").close()


@pytest.mark.parametrize("content", [b"hello", b'{"time": 1}\n', b"\x89PNG\r\n", b"\x89rtlo!"])
def test_another_file_is_left_alone(tmp_path, content):
    """It is not a recording, so nothing is appended."""
    path = tmp_path / "a.rtlog"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no recording of rtwidgets"):
        Writer(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path):
    """A folder, or a file in a folder that does not exist."""
    with pytest.raises(UsageError, match=r"cannot record to .*: Is a directory"):
        Writer(tmp_path)
    with pytest.raises(UsageError, match=r"cannot record to .*: No such file"):
        Writer(tmp_path / "none" / "a.rtlog")


def test_about_has_to_be_json(tmp_path):
    """No file is made for what cannot be written."""
    with pytest.raises(UsageError, match="is not what JSON can hold"):
        Writer(tmp_path / "a.rtlog", {"schema": object()})
    assert not (tmp_path / "a.rtlog").exists()


def test_nothing_is_written_after_the_end(tmp_path):
    """Closing twice is harmless, writing is an error."""
    writer = Writer(tmp_path / "a.rtlog")
    writer.close()
    writer.close()
    writer.flush()
    with pytest.raises(Closed, match=r"a\.rtlog was closed"):
        writer.write(*text(0))


def test_a_disk_that_is_too_slow_ends_the_recording(slow, monkeypatch):
    """The caller never waits and memory is bounded; it is reported, and the file says so at its end."""
    writer, disk = slow
    monkeypatch.setattr(module, "LIMIT", 10_000)
    for n in range(1_000):
        writer.write(BEGIN + n, Kind.TEXT, [b"x" * 1_000])
    assert writer.messages == 10
    assert writer._waiting <= 10_000
    [(where, error)] = take_errors()
    assert where == "the recording a.rtlog"
    assert "slower than they come. Record to a faster disk" in str(error)
    disk.go.set()
    with pytest.raises(RtError, match="recording stopped"):
        writer.flush()
    writer.close()
    recording = Recording(writer.path)
    *messages, last = recording.batches()
    assert [batch.time for batch in messages] == [BEGIN + n for n in range(10)]
    assert (last.kind, last.time) == (Kind.CLOSED, BEGIN + 10)
    assert last.messages[0].startswith(b"recording stopped: 0 MiB of messages were waiting")


def test_one_batch_may_be_larger_than_the_limit(slow, monkeypatch):
    """It is in memory already; so nothing is lost where the disk keeps up."""
    writer, disk = slow
    monkeypatch.setattr(module, "LIMIT", 10)
    disk.go.set()
    for n in range(3):
        writer.write(BEGIN + n, Kind.TEXT, [b"x" * 1_000])
        writer.flush()
    assert writer.messages == 3


def test_a_full_disk_ends_the_recording(slow):
    """It is reported, and what was written before is there."""
    writer, disk = slow
    disk.go.set()
    writer.write(*text(0))
    writer.flush()
    disk.full = True
    writer.write(*text(1))
    with pytest.raises(RtError, match="recording stopped: No space left on device"):
        writer.flush()
    writer.write(*text(2))
    writer.close()
    [(_, error)] = take_errors()
    assert str(error) == (
        f"recording stopped: No space left on device. What was recorded before is in {writer.path}"
    )
    recording = Recording(writer.path)
    assert list(recording.batches()) == [text(0)]
    assert recording.info().compressed == recording._reader._index.end


def test_what_is_no_message_is_told(tmp_path):
    """It cannot be written on the thread either; nobody waits for ever."""
    writer = Writer(tmp_path / "a.rtlog")
    writer.write(BEGIN, Kind.TEXT, ["text"])
    with pytest.raises(RtError, match="recording stopped: TypeError"):
        writer.flush()
    writer.close()
    assert len(take_errors()) == 1


WRITING = """
import itertools, sys
from rtwidgets.recording import Kind, Writer

writer = Writer(sys.argv[1], {"n": 0})
for n in itertools.count():
    writer.write(n, Kind.TEXT, [b"%d %d" % (n, m) for m in range(50)])
    if n % 100 == 0:
        writer.flush()
        print(n, flush=True)
"""


def test_a_process_that_is_killed_leaves_what_it_had_flushed(tmp_path):
    """The file can be read, and continued; no message is missing before the last one."""
    path = tmp_path / "a.rtlog"
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            flushed = int(line)
            if flushed >= 1_000:
                break
        process.send_signal(signal.SIGKILL)
    recording = Recording(path)
    assert not recording.info().whole
    batches = list(recording.batches())
    assert len(batches) > flushed
    assert batches == [
        Batch(n, Kind.TEXT, [b"%d %d" % (n, m) for m in range(50)]) for n in range(len(batches))
    ]
    tape(path, [text(0)])
    assert list(Recording(path).batches()) == [*batches, text(0)]
    assert Recording(path).info().whole


def test_a_script_that_closes_nothing_loses_nothing(tmp_path):
    """At the end of the process what waits is written."""
    path = tmp_path / "a.rtlog"
    script = "import sys; from rtwidgets.recording import *; Writer(sys.argv[1]).write(7, Kind.TEXT, [b'x'])"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert flat(Recording(path)) == [(7, Kind.TEXT, b"x")]
    assert Recording(path).info().whole
