"""Buffers: written once, shared with snapshots, moved when full."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rtwidgets.frames.columns import MIN_CAPACITY, Table
from rtwidgets.frames.kinds import Float, Int
from rtwidgets.frames.texts import Category, Text


def table(max_rows=None, **options):
    made = Table(max_rows, None, options.get("key"), None)
    made.add("n", Int(), 0)
    return made


def test_nothing_written_is_ever_overwritten():
    """A state read before a move still shows its rows after any number of later ones."""
    t = table(max_rows=100)
    states = []
    for start in range(0, 10_000, 50):
        t.append([list(range(start, start + 50))], 50)
        states.append(t.publish())
    for state in states:
        numbers = state.columns[0].rows(state.start, state.end)
        assert numbers.tolist() == list(range(state.total - len(numbers), state.total))


def test_rows_of_a_batch_larger_than_the_limit_leave_at_once():
    """Only the newest rows of a huge batch are kept, and all of them count."""
    t = table(max_rows=10)
    t.append([list(range(50_000))], 50_000)
    assert t.total == 50_000
    assert t.columns[0].rows(t.start, t.end).tolist() == list(range(49_990, 50_000))
    assert t.capacity <= 4 * MIN_CAPACITY


def test_capacity_follows_the_rows_that_are_kept():
    """A bounded table stops growing at about twice its rows; an unbounded one doubles."""
    bounded, free = table(max_rows=5_000), table()
    for t in (bounded, free):
        for start in range(0, 100_000, 500):
            t.append([list(range(start, start + 500))], 500)
    assert bounded.capacity <= 12_000
    assert 100_000 <= free.capacity <= 260_000


def test_codes_widen_with_the_categories():
    """More categories than the codes can count make wider codes, and older states keep theirs."""
    t = Table(None, None, "k", None)
    t.add("k", Category(), 0)
    t.append([[f"k{i}" for i in range(100)]], 100)
    before = t.publish()
    t.append([[f"k{i}" for i in range(50_000)]], 50_000)
    now = t.publish()
    assert before.columns[0].data.dtype == np.int8
    assert now.columns[0].data.dtype == np.int32
    assert list(now.columns[0].rows(0, now.end)) == [f"k{i}" for i in [*range(100), *range(50_000)]]
    assert list(before.columns[0].rows(0, 100)) == [f"k{i}" for i in range(100)]


def test_rows_are_dressed_without_a_copy():
    """Codes, text and numbers handed to pandas are the buffer itself, read-only."""
    t = table()
    t.add("k", Category(), 1)
    t.add("s", Text(), 2)
    t.append([[1, 2], ["a", None], ["x", "y"]], 2)
    number, key, text = (column.rows(0, 2) for column in t.columns)
    assert np.shares_memory(number, t.columns[0].data)
    assert np.shares_memory(key.codes, t.columns[1].data)
    assert np.shares_memory(text._ndarray, t.columns[2].data)
    assert not number.flags.writeable
    assert key.isna().tolist() == [False, True]


def test_a_change_of_kind_leaves_older_states_alone():
    """Widening writes to a new buffer."""
    t = table()
    t.append([[1, 2]], 2)
    before = t.publish()
    t.change(0, Float())
    t.append([[2.5]], 1)
    assert before.columns[0].rows(0, 2).dtype == np.int64
    assert t.columns[0].rows(0, 3).tolist() == [1.0, 2.0, 2.5]


def test_the_newest_position_of_a_repeated_key_wins():
    """Of a key that comes twice in one batch the later row is the latest."""
    t = Table(None, None, "k", None)
    t.add("k", Category(), 0)
    t.append([["a", "b", None, "a"]], 4)
    assert t.latest_positions().tolist() == [3, 1]


def test_moving_carries_no_more_slow_keys_than_rows():
    """Rows carried for silent keys are bounded by max_rows, the newest kept."""
    t = Table(10, None, "k", None)
    t.add("k", Category(), 0)
    t.append([[f"k{i}" for i in range(100)]], 100)
    for _ in range(100):
        t.append([["z"] * 100], 100)
    keys = t.columns[0].rows(0, t.end).take(t.latest_positions())
    assert sorted(keys) == sorted(["z", *[f"k{i}" for i in range(90, 100)]])[-len(keys) :]
    assert isinstance(keys, pd.Categorical)
