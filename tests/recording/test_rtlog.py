"""The recording format: whatever is whole can be read, from any place, in constant memory."""

import json
import random
import re
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import RtError, UsageError
from rtwidgets.recording import Batch, Kind, Recording, rtlog
from rtwidgets.recording.blocks import HEADER, LEVEL, MAGIC, SIZE, Packer
from tests.recording.tapes import BEGIN, SECOND, tape, text


def blocks(path):
    """Return where the blocks of a file begin."""
    return Recording(path)._reader._index.places


@pytest.fixture
def five(tmp_path):
    """A recording of five blocks of two batches each, behind the one with its about."""
    return tape(
        tmp_path / "a.rtlog", *([text(2 * n), text(2 * n + 1, "a", "b")] for n in range(5)), about={"n": 1}
    )


@pytest.fixture
def unclosed(five):
    """The same, as a process that was killed leaves it."""
    five.write_bytes(five.read_bytes()[: blocks(five)[-1]])
    return five


def batches(*numbers):
    return [each for n in numbers for each in (text(2 * n), text(2 * n + 1, "a", "b"))]


def damage(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)


def test_a_recording_can_be_cut_anywhere(five, tmp_path):
    """At any byte: the whole blocks before it are there and nothing else, and it knows that it was cut."""
    whole, places = five.read_bytes(), blocks(five)
    ends = [*places[1:], len(whole)]
    cut = tmp_path / "cut.rtlog"
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        recording = Recording(cut)
        kept = sum(end <= size for end in ends[1:6])
        assert list(recording.batches()) == batches(*range(kept))
        info = recording.info()
        assert not info.whole
        assert (info.messages, info.compressed) == (3 * kept, size)
        assert recording.first == (BEGIN if kept else None)
        assert recording.last == (BEGIN + (2 * kept - 1) * SECOND if kept else None)
        assert recording.about == ({"n": 1} if size >= ends[0] else {})
    assert Recording(five).info().whole


@pytest.mark.parametrize("garbage", [b"\x00" * 5_000, b"\x89rtlog" * 100, b"\x89rtlog\x01" + b"\x00" * 500])
def test_what_is_no_block_at_the_end_is_left_out(five, garbage):
    """A file system may leave zeros after a power cut."""
    with five.open("ab") as file:
        file.write(garbage)
    recording = Recording(five)
    assert list(recording.batches()) == batches(*range(5))
    assert not recording.info().whole
    tape(five, batches(5))
    assert list(Recording(five).batches()) == batches(*range(6))
    assert Recording(five).info().whole


@pytest.mark.parametrize("place", [0, 6, 9, 30, SIZE - 1, SIZE, SIZE + 20])
def test_damage_in_the_middle_is_told_where_it_is(unclosed, place):
    """In a header or behind it: what comes before is read, then the error says where to go on."""
    places = blocks(unclosed)
    damage(unclosed, places[3] + place)
    recording = Recording(unclosed)
    read = []
    with pytest.raises(RtError) as raised:
        for batch in recording.batches():
            read.append(batch)  # noqa: PERF402 - what came before the error counts
    assert read == batches(0, 1)
    start = BEGIN + 6 * SECOND
    words = str(raised.value)
    assert f"a.rtlog is damaged at byte {places[3]}: " in words
    assert "what was recorded until 2023-11-14 22:13:23 UTC can be read, " in words
    seconds = (start - recording.first) / 1e9
    assert f"and what was recorded from 2023-11-14 22:13:26 UTC on (rt.replay(…, start={seconds}))" in words
    assert list(recording.batches(start)) == batches(3, 4)


@pytest.mark.parametrize("place", [0, 6, 9, 30, SIZE - 1])
def test_a_closed_recording_does_without_its_headers(five, place):
    """They are all at its end once more, so damage there costs nothing."""
    damage(five, blocks(five)[3] + place)
    recording = Recording(five)
    assert list(recording.batches()) == batches(*range(5))
    assert recording.info().whole


@pytest.mark.parametrize("place", [SIZE, SIZE + 20])
def test_damaged_messages_of_a_closed_recording_are_told(five, place):
    """As of any other."""
    damage(five, blocks(five)[3] + place)
    recording = Recording(five)
    with pytest.raises(RtError, match=f"is damaged at byte {blocks(five)[3]}: its checksum is not that of"):
        list(recording.batches())
    assert list(recording.batches(BEGIN + 6 * SECOND)) == batches(3, 4)


def test_a_list_at_the_end_that_is_not_right_is_not_used(five):
    """Where blocks were taken out or put between, headers count; damage to the list costs nothing else."""
    content, places = five.read_bytes(), blocks(five)
    five.write_bytes(content[: places[2]] + content[places[3] :])
    assert list(Recording(five).batches()) == batches(0, 2, 3, 4)
    five.write_bytes(content[: places[3]] + content[places[2] :])
    assert list(Recording(five).batches()) == batches(0, 1, 1, 2, 3, 4)
    five.write_bytes(content)
    damage(five, len(content) - 5)
    assert list(Recording(five).batches()) == batches(*range(5))
    assert not Recording(five).info().whole


def test_a_recording_of_recordings(five, tmp_path):
    """Blocks that are in messages are not taken for its own, wherever it is cut."""
    inner = Batch(BEGIN, Kind.BINARY, [five.read_bytes()])
    path = tape(tmp_path / "b.rtlog", [inner])
    content, end = path.read_bytes(), blocks(path)[-1]
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        assert list(Recording(path).batches()) == ([inner] if size >= end else [])


@pytest.mark.parametrize("place", [3, SIZE + 5])
def test_damage_at_the_end_is_a_cut(five, place):
    """Of the last blocks with records, when nothing follows them that is whole."""
    content = five.read_bytes()
    last = blocks(five)[5]
    five.write_bytes(content[: blocks(five)[6]])
    damage(five, last + place)
    recording = Recording(five)
    assert list(recording.batches()) == batches(0, 1, 2, 3)
    assert not recording.info().whole


def test_a_damaged_about_is_told_when_it_is_asked_for(five):
    """The records can be read without it."""
    damage(five, SIZE + 3)
    recording = Recording(five)
    assert list(recording.batches()) == batches(*range(5))
    with pytest.raises(
        RtError,
        match=r"is damaged at byte 0: .*nothing before that can be read, and what .*, start=0.0\)\)",
    ):
        _ = recording.about


def test_a_later_version_is_refused(five):
    """It is not taken for damage: neither read nor cut off."""
    content = bytearray(five.read_bytes())
    header = bytearray(Packer().end(b"")[:SIZE])
    header[6] = 2
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")
    five.write_bytes(bytes(header) + content)
    with pytest.raises(UsageError, match="written by a later version of rtwidgets"):
        Recording(five)
    with pytest.raises(UsageError, match="written by a later version of rtwidgets"):
        tape(five)
    assert five.read_bytes() == bytes(header) + content


def test_reading_begins_where_it_is_asked_to(tmp_path, monkeypatch):
    """At the first record that is not before the time; only the blocks from there on are read."""
    path = tape(tmp_path / "a.rtlog", *([text(10 * n + m) for m in range(10)] for n in range(20)))
    recording = Recording(path)
    opened = []
    unzip = rtlog.unzip
    monkeypatch.setattr(rtlog, "unzip", lambda *given: opened.append(1) or unzip(*given))
    for start, first in [(0, 0), (5, 5), (55.5, 56), (199, 199), (-3, 0)]:
        found = recording.batches(BEGIN + round(start * SECOND))
        assert next(found) == text(first)
        assert [batch.time for batch in found] == [BEGIN + n * SECOND for n in range(first + 1, 200)]
    assert len(opened) == 20 + 20 + 15 + 1 + 20
    opened.clear()
    assert list(recording.batches(BEGIN + 200 * SECOND)) == []
    assert not opened


def test_a_clock_that_was_set_back_does_not_hide_anything(tmp_path):
    """The first record that is late enough counts; all that were written after it follow."""
    times = [[0, 10, 20], [5, 6], [30, 2], [1], [40]]
    path = tape(tmp_path / "a.rtlog", *([text(n) for n in block] for block in times))
    order = [text(n) for block in times for n in block]
    recording = Recording(path)
    for start in (0, 3, 15, 21, 31, 40, 41):
        due = [n for n, batch in enumerate(order) if batch.time >= BEGIN + start * SECOND]
        assert list(recording.batches(BEGIN + start * SECOND)) == (order[due[0] :] if due else [])
    assert (recording.first, recording.last) == (BEGIN, BEGIN + 40 * SECOND)


def test_many_cursors_read_at_once(tmp_path):
    """Each has a place of its own, on whatever thread."""
    made = [text(n, "x" * n) for n in range(500)]
    recording = Recording(tape(tmp_path / "a.rtlog", *([each] for each in made)))
    together = list(zip(recording.batches(), recording.batches(), strict=True))
    assert [one for one, _ in together] == [other for _, other in together] == made
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            read = list(threads.map(lambda _: list(recording.batches()), range(16)))
    finally:
        sys.setswitchinterval(interval)
    assert read == [made] * 16


def test_a_recording_that_is_replaced_is_still_there_for_who_has_it_open(five):
    """The file is held, not its name."""
    recording = Recording(five)
    five.unlink()
    tape(five, [text(99)])
    assert list(recording.batches()) == batches(*range(5))


@pytest.mark.parametrize("closed", [True, False])
def test_a_hundred_thousand_blocks_are_an_index(tmp_path, monkeypatch, closed):
    """The last record is reached by the list of headers, or by the headers, and one block is read."""
    path, packer = tmp_path / "a.rtlog", Packer()
    made = [packer.about({}), *(packer.block([text(n)]) for n in range(100_000))]
    path.write_bytes(b"".join(made) + (packer.end(b"".join(each[:SIZE] for each in made)) if closed else b""))
    monkeypatch.setattr(
        rtlog, "_hop" if closed else "_listed", (lambda *given: 1 / 0) if closed else lambda *given: None
    )
    opened = []
    unzip = rtlog.unzip
    monkeypatch.setattr(rtlog, "unzip", lambda *given: opened.append(1) or unzip(*given))
    recording = Recording(path)
    assert list(recording.batches(recording.last)) == [text(99_999)]
    assert len(opened) == 2  # the last block is looked at when the file is opened
    assert recording.info().whole is closed
    assert recording.info()[:5] == (100_000, 0, 0, BEGIN, BEGIN + 99_999 * SECOND)


def test_info_counts_by_kind(tmp_path):
    """Messages, not batches; sizes without what the format adds."""
    records = [(Kind.OPENED, b"{}"), (Kind.SENT_TEXT, b"ab"), (Kind.SENT_BINARY, b"c"), (Kind.CLOSED, b"d")]
    both = [(Kind.TEXT, b"12345"), (Kind.BINARY, b"6")]
    block = [Batch(BEGIN, kind, [message]) for kind, message in [*records, *both, records[0]]]
    path = tape(tmp_path / "a.rtlog", block, [text(3, 1, 2)])
    size = path.stat().st_size
    assert Recording(path).info() == (4, 2, 2, BEGIN, BEGIN + 3 * SECOND, 16, size, True)


def test_the_format_is_as_documented(tmp_path):
    """Another program finds the blocks with what the page says of them."""
    path = tape(tmp_path / "a.rtlog", [text(0, "one", "three")], about={"n": 1})
    content = path.read_bytes()
    at, seen = 0, []
    while at < len(content):
        magic, version, flags, stored, raw, crc, records, *rest = struct.unpack_from(
            "<6sBBIIII6IqqqI", content, at
        )
        payload = content[at + 76 : at + 76 + stored]
        assert (magic, version, zlib.crc32(payload)) == (b"\x89rtlog", 1, crc)
        assert rest[-1] == zlib.crc32(content[at : at + 72])
        data = zstandard.decompress(payload)
        assert len(data) == raw
        seen.append((flags, records, rest[:6], rest[6:9], data))
        at += 76 + stored
    never, end = [-(2**63)] * 3, 76 + struct.unpack_from("<I", content, 8)[0]
    assert seen == [
        (1, 0, [0] * 6, never, json.dumps({"n": 1}).encode()),
        (0, 1, [0, 2, 0, 0, 0, 0], [BEGIN] * 3, struct.pack("<qBIII", BEGIN, 1, 2, 3, 5) + b"onethree"),
        (2, 0, [0] * 6, never, content[:76] + content[end : end + 76]),
    ]
    assert (SIZE, HEADER.itemsize, MAGIC, LEVEL) == (76, 76, b"\x89rtlog", 1)


def test_the_reader_of_the_page_reads_recordings(five):
    """Whole ones, and those that were cut."""
    page = (Path(__file__).parents[2] / "docs" / "recording-format.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1], names)
    assert list(names["records"](five)) == batches(*range(5))
    five.write_bytes(five.read_bytes()[: blocks(five)[4] + 10])
    assert list(names["records"](five)) == batches(*range(3))


def test_a_block_that_lies_about_its_size_is_damaged(tmp_path):
    """A header says how much memory its block takes, and no block takes more."""
    path = tape(tmp_path / "a.rtlog", [text(0)], [text(1)])
    place = blocks(path)[1]
    content = path.read_bytes()
    header = np.frombuffer(content[place : place + SIZE], HEADER).copy()
    payload = zstandard.compress(b"\x00" * 10**8)
    header["stored"], header["crc"] = len(payload), zlib.crc32(payload)
    made = header.tobytes()[:-4]
    made += zlib.crc32(made).to_bytes(4, "little")
    path.write_bytes(content[:place] + made + payload + content[blocks(path)[2] :])
    with pytest.raises(RtError, match="it is not as long as its header says"):
        list(Recording(path).batches())


MESSAGES = st.lists(st.binary(max_size=50), min_size=1, max_size=5)
TIMES = st.integers(-(2**63), 2**63 - 1)
BATCHES = st.lists(st.builds(Batch, TIMES, st.sampled_from(Kind), MESSAGES), max_size=12)


@settings(deadline=None)
@given(st.lists(BATCHES, max_size=4), st.dictionaries(st.text(), st.integers() | st.text()), TIMES)
def test_whatever_is_written_is_read(tmp_path_factory, made, about, start):
    """Any batches in any blocks, from the beginning and from any time."""
    path = tape(tmp_path_factory.mktemp("any") / "a.rtlog", *made, about=about)
    recording, order = Recording(path), [batch for block in made for batch in block]
    assert list(recording.batches()) == order
    assert recording.about == about
    due = [n for n, batch in enumerate(order) if batch.time >= start]
    assert list(recording.batches(start)) == (order[due[0] :] if due else [])
    assert (recording.first, recording.last) == ((order[0].time, order[-1].time) if order else (None, None))
    assert recording.info().raw == sum(len(each) for batch in order for each in batch.messages)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_break_the_reader(tmp_path_factory, garbage, place):
    """Whatever is in a file that begins as a recording, it is read or named in words."""
    folder = tmp_path_factory.mktemp("any")
    whole = tape(folder / "a.rtlog", [text(0)], [text(1)]).read_bytes()
    path = folder / "b.rtlog"
    path.write_bytes(whole[:place] + garbage + whole[place:])
    try:
        read = list(Recording(path).batches())
    except RtError:
        return
    assert [batch for batch in [text(0), text(1)] if batch in read] == read


MEASURING = """
import random, sys
from rtwidgets.recording import Kind, Recording, Writer, write_rtlog

def peak():  # of this program; what `resource` tells begins with the memory of the one that started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024  # MiB

path, task = sys.argv[1:]
if task == "write":
    rng = random.Random(1)
    with Writer(path) as writer:
        writer.write(0, Kind.TEXT, [b"x"])
        writer.flush()
        before = peak()
        for n in range(300):
            words = rng.randbytes(450_000).hex(" ", 4).encode()
            writer.write(n, Kind.TEXT, [words[at : at + 1000] for at in range(0, 10**6, 1000)])
            words = None
            if n % 10 == 0:
                writer.flush()
        print(peak() - before, writer.bytes)
elif task == "read":
    recording = Recording(path)
    next(recording.batches())
    before = peak()
    total = sum(len(message) for batch in recording.batches() for message in batch.messages)
    print(peak() - before, total)
else:
    recording = Recording(path)
    next(recording.batches())
    before = peak()
    write_rtlog(recording, path + ".copy")
    print(peak() - before, Recording(path + ".copy").info().raw)
"""


def test_three_hundred_megabytes_are_written_and_read_in_constant_memory(tmp_path):
    """Neither writing, nor reading, nor converting holds more than a small part of it."""
    for task in ("write", "read", "convert"):
        command = [sys.executable, "-c", MEASURING, str(tmp_path / "a.rtlog"), task]
        grown, size = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(size) >= 300_000_000
        assert float(grown) < 90, task
    (tmp_path / "a.rtlog").unlink()
    (tmp_path / "a.rtlog.copy").unlink()


def test_random_places_are_found(tmp_path):
    """By the index, in a recording of uneven blocks."""
    rng, n, made = random.Random(5), 0, []
    for _ in range(30):
        size = rng.choice([1, 2, 40])
        made.append([text(n + m) for m in range(size)])
        n += size
    recording = Recording(tape(tmp_path / "a.rtlog", *made))
    for _ in range(50):
        start = rng.uniform(0, n - 1)
        assert next(recording.batches(BEGIN + round(start * SECOND))).time >= BEGIN + round(start * SECOND)
        assert next(recording.batches(BEGIN + int(start) * SECOND)) == text(int(start))
