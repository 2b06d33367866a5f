"""Recordings as JSON lines: for people and other programs, and back without a loss."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import UsageError
from rtwidgets.recording import Batch, Kind, Recording, write_jsonl, write_rtlog
from tests.recording.tapes import BEGIN, SECOND, flat, tape, text


def test_the_lines_are_as_documented(tmp_path):
    """One for each message, behind one with what the recording says of itself."""
    records = [
        Batch(BEGIN, Kind.OPENED, [b'{"url": "ws://x"}']),
        Batch(BEGIN, Kind.SENT_TEXT, [b"go"]),
        text(1, "ä", "\u2028\n"),
        Batch(BEGIN + 2, Kind.BINARY, [b"\x00\x01\x02"]),
        Batch(BEGIN + 3, Kind.SENT_BINARY, [b""]),
        text(4, b"\xff{".decode("latin-1")),
        Batch(BEGIN + 5, Kind.TEXT, [b"\xff{"]),
        Batch(BEGIN + 6, Kind.CLOSED, [b"the end"]),
    ]
    write_jsonl(Recording(tape(tmp_path / "a.rtlog", records, about={"url": "ws://x"})), tmp_path / "b.jsonl")
    lines = (tmp_path / "b.jsonl").read_bytes().decode().split("\n")
    assert lines == [
        '{"about": {"url": "ws://x"}}',
        '{"time": 1700000000000000000, "kind": "opened", "data": "{\\"url\\": \\"ws://x\\"}"}',
        '{"time": 1700000000000000000, "kind": "sent_text", "data": "go"}',
        '{"time": 1700000001000000000, "kind": "text", "data": "ä"}',
        '{"time": 1700000001000000000, "kind": "text", "data": "\u2028\\n"}',
        '{"time": 1700000000000000002, "kind": "binary", "data": "AAEC"}',
        '{"time": 1700000000000000003, "kind": "sent_binary", "data": ""}',
        '{"time": 1700000004000000000, "kind": "text", "data": "ÿ{"}',
        '{"time": 1700000000000000005, "kind": "text", "data": "\\udcff{"}',
        '{"time": 1700000000000000006, "kind": "closed", "data": "the end"}',
        "",
    ]
    recording = Recording(tmp_path / "b.jsonl")
    assert list(recording.batches()) == records
    assert recording.about == {"url": "ws://x"}
    size = (tmp_path / "b.jsonl").stat().st_size
    assert recording.info() == (5, 2, 1, BEGIN, BEGIN + 6, 40, size, True)
    assert (recording.first, recording.last) == (BEGIN, BEGIN + 6)


def test_lines_of_other_programs(tmp_path):
    """Further fields and empty lines do not matter; without a first line nothing is known about it."""
    path = tmp_path / "a.jsonl"
    path.write_text(
        '\n{"kind":"text","data":"{}","time":5,"note":1}\n\n{"time":6,"kind":"text","data":"[]"}\n'
    )
    assert flat(Recording(path)) == [(5, Kind.TEXT, b"{}"), (6, Kind.TEXT, b"[]")]
    assert Recording(path).about == {}
    assert flat(Recording(path), 6) == [(6, Kind.TEXT, b"[]")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"price": 5}', 'write {"time": Unix nanoseconds, "kind": one of opened, text'),
        ('{"time": 1.5, "kind": "text", "data": ""}', "write "),
        ('{"time": 1, "kind": "texts", "data": ""}', "write "),
        ('{"time": 1, "kind": [], "data": ""}', "write "),
        ('{"time": 1, "kind": "text", "data": {}}', "write "),
        ('{"time": 1, "kind": "binary", "data": "ä"}', "base64"),
        ('{"time": 1, "kind": "binary", "data": "AAE"}', "base64"),
        ('{"time": 9223372036854775808, "kind": "text", "data": ""}', "beyond all times"),
        ('{"time": 1', "Expecting"),
        ("[]", "it is not an object"),
        ("[" * 100_000, "nested too deep"),
        ('{"time": 1, "kind": "text", "data": "\\ud800"}', "surrogates not allowed"),
    ],
)
def test_a_line_that_is_no_record_is_told(tmp_path, line, words):
    """With its number; at once when it is the first one."""
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"time": 1, "kind": "text", "data": ""}}\n{line}\n')
    recording = Recording(path)
    assert recording.first == 1
    with pytest.raises(UsageError, match=rf"a\.jsonl, line 2 is no line of a recording: .*{words}"):
        list(recording.batches())
    if line.startswith("{"):
        path.write_text(f"{line}\n")
        with pytest.raises(UsageError, match=r"a\.jsonl, line 1 is no line of a recording"):
            Recording(path)


def test_a_last_line_without_an_end_was_cut(tmp_path):
    """It is left out at whatever byte it was cut, and the file is not whole."""
    path = tmp_path / "a.jsonl"
    write_jsonl(Recording(tape(tmp_path / "a.rtlog", [text(0), text(1)], about={"n": 1})), path)
    content = path.read_bytes()
    for size in range(1, len(content) + 1):
        path.write_bytes(content[:size])
        recording = Recording(path)
        whole = content[:size].count(b"\n")
        assert list(recording.batches()) == [text(0), text(1)][: max(0, whole - 1)]
        assert recording.about == ({"n": 1} if whole else {})
        assert recording.info().whole is content[:size].endswith(b"\n")


def test_a_file_that_is_there_is_replaced_when_the_new_one_is_done(tmp_path):
    """Also by itself in another format, and by itself."""
    path = tmp_path / "a"
    tape(path, [text(n) for n in range(3)])
    before = path.read_bytes()
    write_jsonl(Recording(path), path)
    assert path.read_bytes().startswith(b'{"time"')
    write_rtlog(Recording(path), path)
    write_rtlog(Recording(path), path)
    assert path.read_bytes() == before
    with pytest.raises(UsageError, match=r"cannot write .*: No such file or directory"):
        write_jsonl(Recording(path), tmp_path / "none" / "b.jsonl")
    with pytest.raises(UsageError, match=r"cannot record to .*: No such file or directory"):
        write_rtlog(Recording(path), tmp_path / "none" / "b.rtlog")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


BATCH = st.builds(
    Batch,
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(Kind),
    st.lists(
        st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")), min_size=1, max_size=4
    ),
)


@settings(deadline=None)
@given(st.lists(BATCH, max_size=8), st.dictionaries(st.text(), st.text()))
def test_whatever_was_recorded_comes_back(tmp_path_factory, batches, about):
    """Any bytes of any kind, text that is no UTF-8 among them."""
    folder = tmp_path_factory.mktemp("any")
    original = Recording(tape(folder / "a.rtlog", batches, about=about))
    write_jsonl(original, folder / "b.jsonl")
    assert all(isinstance(json.loads(line), dict) for line in (folder / "b.jsonl").read_bytes().splitlines())
    if not batches and not about:
        return  # an empty file says nothing of its format
    made = Recording(folder / "b.jsonl")
    assert flat(made) == flat(original)
    assert made.about == about
    write_rtlog(made, folder / "c.rtlog")
    assert flat(Recording(folder / "c.rtlog")) == flat(original)


def test_a_long_recording_of_neighbours_is_read_in_batches(tmp_path):
    """Messages of one time are a batch again."""
    batches = [text(n, *range(700)) for n in range(3)]
    write_jsonl(Recording(tape(tmp_path / "a.rtlog", batches)), tmp_path / "b.jsonl")
    assert list(Recording(tmp_path / "b.jsonl").batches()) == batches
    assert Recording(tmp_path / "b.jsonl").last == BEGIN + 2 * SECOND
