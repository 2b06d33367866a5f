import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.services import lockouts
from rtwidgets.services.lockouts import FIRST, LONGEST, Lockouts


def test_each_lock_out_is_twice_as_long_as_the_one_before():
    """From the failure on that is one too many, up to the longest; and each one ends."""
    locks, now, waits = Lockouts(5), 100.0, []
    for _ in range(20):
        locks.failed("ada", now)
        waits.append(locks.wait("ada", now))
        now += waits[-1]
        assert locks.wait("ada", now) == 0.0
    assert waits[:8] == [0, 0, 0, 0, FIRST, FIRST * 2, FIRST * 4, FIRST * 8]
    assert waits[-2:] == [LONGEST, LONGEST]


def test_only_the_name_itself_is_locked():
    """Others are as free as before."""
    locks = Lockouts(1)
    locks.failed("ada", 0.0)
    assert locks.wait("ada", 0.0) > 0
    assert locks.wait("grace", 0.0) == 0.0


def test_the_right_password_forgets_the_wrong_ones():
    """The count begins anew."""
    locks = Lockouts(2)
    for _ in range(10):
        locks.failed("ada", 0.0)
        locks.passed("ada")
    assert locks.wait("ada", 0.0) == 0.0
    assert len(locks) == 0


def test_failures_are_forgotten_after_a_while():
    """A wrong password now and then, over days, locks nobody out."""
    locks = Lockouts(2)
    for day in range(10):
        locks.failed("ada", day * 86_400.0)
        assert locks.wait("ada", day * 86_400.0) == 0.0


def test_failures_right_after_a_lock_out_are_not_forgotten():
    """Whoever waits for its end and goes on guessing has to wait for longer."""
    locks, now = Lockouts(1), 0.0
    for _ in range(30):
        locks.failed("ada", now)
        now += locks.wait("ada", now) + 1.0
    locks.failed("ada", now)
    assert locks.wait("ada", now) == LONGEST


def test_made_up_names_take_a_bounded_memory(monkeypatch):
    """The oldest ones are forgotten, and one that fails again and again is not."""
    monkeypatch.setattr(lockouts, "MAX_NAMES", 10)
    locks = Lockouts(1)
    for n in range(100):
        locks.failed("ada", 0.0)
        locks.failed(f"made up {n}", 0.0)
    assert len(locks) == 10
    assert locks.wait("ada", 0.0) == LONGEST
    assert locks.wait("made up 0", 0.0) == 0.0


@given(st.integers(1, 10), st.lists(st.floats(0, 2_000), max_size=60))
def test_no_wait_is_longer_than_the_longest(attempts, pauses):
    """However long somebody goes on, in or out of a lock-out."""
    locks, now = Lockouts(attempts), 0.0
    for pause in pauses:
        now += pause
        locks.failed("ada", now)
        assert 0.0 <= locks.wait("ada", now) <= LONGEST + 1e-6  # of rounding


@pytest.mark.parametrize("count", [10_000])
def test_the_count_may_be_large(count):
    """It stays a number."""
    locks = Lockouts(1)
    for _ in range(count):
        locks.failed("ada", 0.0)
    assert locks.wait("ada", 0.0) == LONGEST
