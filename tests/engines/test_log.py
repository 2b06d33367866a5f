import gc
import time as clock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.engines import Log


class Oracle:
    """The log's promises, kept in a plain list that forgets nothing."""

    def __init__(self, max_messages, max_bytes, max_age):
        self.limits = max_messages, max_bytes, max_age
        self.rows = []  # (time, piece), offset - 1 is the index
        self.first = 1

    def append(self, now, pieces):
        if self.rows:
            now = max(now, self.rows[-1][0])
        self.rows += [(now, piece) for piece in pieces]
        max_messages, max_bytes, max_age = self.limits
        while self.first <= len(self.rows) and (
            len(self.rows) - self.first + 1 > max_messages
            or sum(len(piece) for _, piece in self.rows[self.first - 1 :]) > max_bytes
            or self.rows[self.first - 1][0] < now - max_age * 1000.0
        ):
            self.first += 1

    def read(self, after, limit, max_bytes):
        start = max(after + 1, self.first)
        taken, size = [], 0
        for row in self.rows[start - 1 : start - 1 + limit]:
            size += len(row[1])
            if size > max_bytes and taken:
                break
            taken.append(row)
        return start, taken


steps = st.lists(
    st.tuples(
        st.integers(-5, 20),
        st.lists(st.binary(max_size=8), max_size=60),
        st.integers(0, 100),
        st.integers(1, 40),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(1, 300), st.integers(8, 2_000), st.integers(1, 60))
def test_a_log_keeps_what_a_list_would(steps, max_messages, max_bytes, max_age):
    """Appends, reads and trimming by count, bytes and age agree with a list, with the clock going back."""
    log = Log(max_messages=max_messages, max_bytes=max_bytes, max_age=max_age)
    oracle = Oracle(max_messages, max_bytes, max_age)
    now = [1_000.0]
    real, clock.time = clock.time, lambda: now[0]
    try:
        for seconds, pieces, after, limit in steps:
            now[0] += seconds
            assert log.append(list(pieces)) == log.last
            oracle.append(now[0] * 1000.0, pieces)
            assert (log.first, log.last) == (oracle.first, len(oracle.rows))
            assert log.size == sum(len(piece) for _, piece in oracle.rows[oracle.first - 1 :])
            run = log.read(after, limit=limit, max_bytes=limit * 3)
            start, rows = oracle.read(after, limit, limit * 3)
            if rows:
                assert run == (start, [time for time, _ in rows], [piece for _, piece in rows])
            else:
                assert run.pieces == run.times == []
    finally:
        clock.time = real


def test_what_was_dropped_is_freed():
    """The memory of a dropped message goes at once, and the lists do not grow with all that ever was."""

    log = Log(max_messages=10)
    for n in range(20_000):
        log.append([b"%d" % n * 50])
    assert len(log._pieces) == len(log._times) < 5_000
    assert sum(map(len, log._pieces)) == log.size
    gc.collect()
    assert log.read(0).offset == log.first == 19_991
    assert log.last == 20_000


def test_an_empty_log_reads_empty():
    """From any place."""
    log = Log()
    assert (log.first, log.last, log.size) == (1, 0, 0)
    for after in (0, 5):
        assert log.read(after).pieces == []


def test_a_read_gives_a_large_first_message_alone():
    """So that a reader always gets on."""
    log = Log()
    log.append([b"x" * 100, b"y"])
    assert log.read(0, max_bytes=10).pieces == [b"x" * 100]
    assert log.read(1, max_bytes=10).pieces == [b"y"]


def test_the_bell_rings_after_the_append():
    """It finds the messages in the log."""
    log, seen = Log(), []
    log.appended = lambda: seen.append(log.last)
    log.append([b"1", b"2"])
    log.append([b"3"])
    assert seen == [2, 3]


def test_lives_of_a_log_have_names_of_their_own():
    """Unless one is given."""
    assert Log().epoch != Log().epoch
    assert Log(epoch="here").epoch == "here"


def test_times_never_fall(monkeypatch):
    """A clock that is set back does not make a later message older."""
    times = iter([100.0, 50.0, 101.0])
    monkeypatch.setattr(clock, "time", lambda: next(times))
    log = Log()
    for _ in range(3):
        log.append([b"x"])
    assert log.read(0).times == [100_000.0, 100_000.0, 101_000.0]


def test_a_compacted_log_keeps_all():
    """Whatever its limits say: what is appended, and what is restored."""
    limits = {"max_messages": 2, "max_bytes": 3, "max_age": 1.0, "compacted": True}
    log = Log(**limits)
    for n in range(2_000):
        log.append([b"%04d" % n], at=n * 1_000_000.0)
    run = log.read(0, limit=10_000)
    assert (log.first, log.last, log.size, run.offset, len(run.pieces)) == (1, 2_000, 8_000, 1, 2_000)
    other = Log(**limits)
    other.restore(2_000, reversed(list(zip(run.times, run.pieces, strict=True))))
    assert other.read(0, limit=10_000) == run
    assert other.size == 8_000


def test_compacting_puts_one_message_in_place_of_many():
    """At the last one's offset and time; later ones stay, and who is behind starts there. So again."""
    log = Log(compacted=True)
    for n in range(1, 7):
        log.append([b"%d" % n], at=n * 1.0)
    epoch = log.epoch
    log.compact(3, b"1+2+3")
    assert (log.first, log.last, log.size, log.epoch) == (3, 6, 8, epoch)
    for after in (0, 1, 2):
        assert log.read(after) == (3, [3.0, 4.0, 5.0, 6.0], [b"1+2+3", b"4", b"5", b"6"])
    assert log.read(3) == (4, [4.0, 5.0, 6.0], [b"4", b"5", b"6"])
    log.append([b"7"], at=7.0)
    log.compact(3, b"1-3")
    log.compact(7, b"1-7")
    assert log.read(0) == (7, [7.0], [b"1-7"])
    assert (log.first, log.last, log.size) == (7, 7, 3)
    assert log.append([b"8"], at=8.0) == 8
    assert log.read(0).pieces == [b"1-7", b"8"]


@pytest.mark.parametrize("upto", [-1, 0, 2, 6])
def test_only_what_is_there_can_be_compacted(upto):
    """Neither what was compacted away nor what has not come yet; nothing changes."""
    log = Log(compacted=True)
    log.append([b"x"] * 5, at=1.0)
    log.compact(3, b"first")
    with pytest.raises(ValueError, match=f"cannot compact messages 3 to 5 up to {upto}"):
        log.compact(upto, b"no")
    assert log.read(0) == (3, [1.0] * 3, [b"first", b"x", b"x"])


def test_other_logs_cannot_be_compacted():
    """They would lose the message that stands for all before it."""
    log = Log()
    log.append([b"x"])
    with pytest.raises(ValueError, match="cannot compact"):
        log.compact(1, b"no")
