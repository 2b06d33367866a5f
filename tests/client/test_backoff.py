import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.client.backoff import Backoff
from tests.waits import Lowest, attempts


@given(st.integers())
def test_waits_grow_within_their_bounds(seed):
    """From five times `first` up to `longest`; never under `first` or an eighth of the bound."""
    backoff = Backoff(draw=random.Random(seed))
    bound = 1.0
    for n in range(40):
        wait = backoff.lost(float(n))
        assert max(0.2, bound / 8) <= wait <= bound + 1e-9
        bound = min(20.0, bound * 1.6)
    assert backoff.failures == 40


def test_chance_uses_the_whole_range():
    """Clients of a server that fell over come back spread out."""
    waits = []
    for seed in range(500):
        backoff = Backoff(draw=random.Random(seed))
        for _ in range(9):
            wait = backoff.lost(0.0)
        waits.append(wait)
    assert min(waits) < 4
    assert max(waits) > 18


@pytest.mark.parametrize("down", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_clients_that_lost_a_server_at_once_come_back_spread_out(down):
    """However long it is down: no tenth of a second sees a quarter of them."""
    arrivals = []
    for seed in range(500):
        backoff, now = Backoff(draw=random.Random(seed)), 0.0
        while (now := now + backoff.lost(now)) < down:
            pass
        arrivals.append(now)
    assert max(sum(at <= other < at + 0.1 for other in arrivals) for at in arrivals) < 125


@given(st.integers())
def test_a_server_that_accepts_and_closes_is_not_hammered(seed):
    """At most ten attempts in ten seconds."""
    assert attempts(Backoff(draw=random.Random(seed)), 10.0) <= 10
    assert attempts(Backoff(draw=random.Random(seed)), 10.0, lasts=0.01) <= 10


def test_not_even_by_bad_luck():
    """With the least wait each time."""
    assert attempts(Backoff(draw=Lowest()), 10.0) <= 10


def test_only_a_stable_connection_starts_the_waits_over():
    """One that lasted ten seconds; what could not be opened in between does not count as one."""
    backoff = Backoff(draw=Lowest())
    for n in range(6):
        backoff.opened(float(n))
        backoff.lost(n + 9.9)
    assert backoff.failures == 6
    backoff.opened(100.0)
    backoff.lost(110.0)
    assert backoff.failures == 1
    backoff.lost(200.0)  # not opened at all
    assert backoff.failures == 2
