"""The text after each edit that is known, and who made it."""

from __future__ import annotations

import pytest

from rtwidgets.yjs.edits import Edit
from rtwidgets.yjs.history import Entry, History
from rtwidgets.yjs.replica import Replica


def fill(history, count, *, replica=None):
    """Add edits, each one more character at the end; return the replica."""
    replica = replica or Replica()
    for _ in range(count):
        end, version = len(replica.text), history.version + 1
        update = replica.edit((Edit(end, end, chr(0x4E00 + version)),))
        history.add(Entry(version, 1e12 + version, "ada", 1, 0, update))
    return replica


def text(first, last):
    return "".join(chr(0x4E00 + version) for version in range(first, last + 1))


def test_each_version_has_its_text():
    """From the empty one at the beginning on."""
    history = History()
    fill(history, 20)
    assert [history.at(version) for version in range(21)] == [text(1, version) for version in range(21)]
    assert Replica(history.updates).text == text(1, 20)


def test_old_edits_are_put_together():
    """Their texts are then not known any more, but what they wrote is."""
    history = History(limit=10)
    fill(history, 25)
    assert len(history.entries) <= 10
    assert history.oldest == 25 - len(history.entries)
    assert [history.at(version) for version in range(history.oldest, 26)] == [
        text(1, version) for version in range(history.oldest, 26)
    ]
    for version in (history.oldest - 1, 26):
        with pytest.raises(LookupError, match=rf"there are {history.oldest} to 25"):
            history.at(version)


def test_it_goes_on_from_a_state():
    """One that stands for all edits up to a version."""
    history = History()
    replica = fill(History(), 8)
    history.begin(8, replica.state())
    assert (history.oldest, history.version, history.entries) == (8, 8, [])
    fill(history, 2, replica=replica)
    assert [history.at(version) for version in (8, 9, 10)] == [text(1, 8), text(1, 9), text(1, 10)]


def test_a_state_may_stand_for_edits_that_were_missed():
    """What was known before it is known still."""
    history, other = History(), History()
    replica = fill(other, 8)
    for entry in other.entries[:3]:
        history.add(entry)
    history.add(Entry(8, 0.0, None, 0, 0, replica.state()))
    assert [history.at(version) for version in (2, 3, 7, 8)] == [text(1, n) for n in (2, 3, 3, 8)]
