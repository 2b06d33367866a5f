import gc
import time as clock

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
