"""A recording is opened as what it is, whatever it is called."""

import pytest

from rtwidgets.errors import UsageError
from rtwidgets.recording import Recording, write_capture, write_jsonl
from tests.recording.tapes import BEGIN, SECOND, tape, text


@pytest.fixture(params=["rtlog", "jsonl", "capture"])
def recording(request, tmp_path):
    """Ten seconds in each of the formats, under a name that does not tell."""
    path = tape(tmp_path / "a.rtlog", *([text(n), text(n + 0.5)] for n in range(10)))
    if request.param != "rtlog":
        write = {"jsonl": write_jsonl, "capture": write_capture}[request.param]
        write(Recording(path), tmp_path / "recording")
        path = tmp_path / "recording"
    return Recording(str(path))


def test_all_formats_are_read_in_the_same_way(recording):
    """First and last time, the records from any time on, and what there is."""
    everything = [text(n / 2) if n % 2 == 0 else text(n / 2, n / 2) for n in range(20)]
    assert [batch.time for batch in recording.batches()] == [batch.time for batch in everything]
    assert (recording.first, recording.last) == (BEGIN, BEGIN + 9_500_000_000)
    assert recording.about == {}
    for start, count in [(None, 20), (-5, 20), (0, 20), (0.2, 19), (8, 4), (9.5, 1), (9.6, 0)]:
        found = list(recording.batches(None if start is None else BEGIN + round(start * SECOND)))
        assert [batch.time for batch in found] == [batch.time for batch in everything][20 - count :]
    info = recording.info()
    assert (info.messages, info.sent, info.connections, info.whole) == (20, 0, 0, True)
    assert (info.first, info.last) == (recording.first, recording.last)
    assert info.raw == sum(len(each) for batch in recording.batches() for each in batch.messages)
    assert info.compressed == recording.path.stat().st_size
    assert repr(recording) == f"Recording({str(recording.path)!r})"


def test_an_empty_file_is_a_recording_that_was_cut_at_once(tmp_path):
    """There is nothing in it, and that is no error."""
    path = tmp_path / "a.rtlog"
    path.touch()
    recording = Recording(path)
    assert list(recording.batches()) == []
    assert list(recording.batches(5)) == []
    assert recording.about == {}
    assert recording.info() == (0, 0, 0, None, None, 0, 0, False)


def test_a_recording_of_nothing(tmp_path):
    """It was opened and closed: no records, no times, and whole."""
    recording = Recording(tape(tmp_path / "a.rtlog", about={"url": "ws://x"}))
    assert (recording.first, recording.last, list(recording.batches())) == (None, None, [])
    assert recording.about == {"url": "ws://x"}
    assert recording.info().whole


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"time,price\n1,2\n",
        b"1,2,3\n",
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 100,
        b"\n\n",
        b"[1, 2]\n",
        b"PAR1" + b"\x00" * 50,
        b"12:30: something\n",
        b"\x00" * 10_000,
    ],
)
def test_what_is_no_recording_is_told(tmp_path, content):
    """With what would be one."""
    path = tmp_path / "a.rtlog"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.rtlog is no recording: give a file that Stream\.record or"):
        Recording(path)


@pytest.mark.parametrize("content", [b'{\n "cells": []\n}\n', b'{"cells": []}\n'])
def test_other_json_is_told(tmp_path, content):
    """A notebook is no recording either."""
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.ipynb, line 1 is no line of a recording"):
        Recording(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """There is none, or it is a folder."""
    with pytest.raises(UsageError, match=r"cannot read .*none\.rtlog: No such file or directory"):
        Recording(tmp_path / "none.rtlog")
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        Recording(tmp_path)
