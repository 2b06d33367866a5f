import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.engines import Log
from rtwidgets.server import latest
from rtwidgets.server.latest import LatestByKey


def row(key, n):
    return json.dumps({"symbol": key, "n": n}).encode()


def told(found):
    """Return what is told as offsets and rows."""
    return [] if found is None else list(zip(found.offsets, msgspec.json.decode(found.data), strict=True))


def follow(log, field="symbol"):
    index = LatestByKey(field, log)
    log.appended = index.read
    return index


@given(
    st.lists(st.tuples(st.sampled_from(["A", "B", 1, 2.5, "ü"]), st.integers()), max_size=60),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_the_last_message_of_each_key_between_two_offsets(rows, after, upto):
    """As a search through all that was ever published finds them, though the log keeps only three."""
    log = Log(max_messages=3)
    index = follow(log)
    for key, n in rows:
        log.append([row(key, n)])
    last = {json.dumps(key): (offset, n) for offset, (key, n) in enumerate(rows, start=1)}
    wanted = sorted((offset, n, key) for key, (offset, n) in last.items() if after < offset <= upto)
    found = told(index.between(after, upto))
    assert [(offset, each["n"], json.dumps(each["symbol"])) for offset, each in found] == wanted


def test_what_was_in_the_log_before_counts():
    """An index of a log that was restored from a file begins with what is there."""
    log = Log()
    log.append([row("A", 1), row("B", 2), row("A", 3)])
    assert [offset for offset, _ in told(LatestByKey("symbol", log).between(0, 3))] == [2, 3]


def test_times_are_those_of_the_log():
    """Each message has the time at which it entered the log."""
    log = Log()
    index = follow(log)
    log.append([row("A", 1)], at=1e12)
    log.append([row("B", 1)], at=2e12)
    assert index.between(0, 2).time == [1e12, 2e12]


@pytest.mark.parametrize(
    "odd", [b"5", b'"text"', b"[1]", b"{}", b'{"symbol":true}', b'{"symbol":null}', b'{"symbol":{"a":1}}']
)
def test_messages_without_a_key_are_passed_over(odd):
    """And do not take their neighbours with them."""
    log = Log()
    index = follow(log)
    log.append([row("A", 1), odd, row("B", 2)])
    assert [offset for offset, _ in told(index.between(0, 3))] == [1, 3]


def test_keys_are_bounded(monkeypatch):
    """Those with the newest messages stay."""
    monkeypatch.setattr(latest, "MAX_KEYS", 10)
    log = Log()
    index = follow(log)
    for n in range(30):
        log.append([row(n, n)])
    assert [offset for offset, _ in told(index.between(0, 30))] == list(range(21, 31))


def test_bytes_are_bounded(monkeypatch):
    """The newest messages are told, in their order."""
    monkeypatch.setattr(latest, "MAX_BYTES", 3 * len(row(0, 0)))
    log = Log()
    index = follow(log)
    log.append([row(n, n) for n in range(9)])
    assert [offset for offset, _ in told(index.between(0, 9))] == [7, 8, 9]
