"""The table of who is there, with the time told by the test."""

import itertools

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.yjs.awareness import MAX_CLIENTS, OUTDATED, REMEMBERED, Presence
from rtwidgets.yjs.protocol import Awareness, State, encode

HERE = b'{"name":"ada"}'
entries = st.builds(State, st.integers(1, 3), st.integers(0, 4), st.sampled_from([None, HERE, b'{"x":1}']))


def test_the_newer_clock_wins():
    """An entry with an older or the same clock changes nothing; a renewal is passed on."""
    presence = Presence()
    assert presence.hear([State(1, 2, HERE)], 0.0) == [State(1, 2, HERE)]
    assert presence.hear([State(1, 1, b"{}"), State(1, 2, b"{}")], 1.0) == []
    assert presence.states == {1: State(1, 2, HERE)}
    assert presence.hear([State(1, 3, HERE)], 2.0) == [State(1, 3, HERE)]


def test_the_same_clock_is_enough_to_say_that_a_client_is_gone():
    """Once: to say it again is no news, and neither is that an unknown client is gone."""
    presence = Presence()
    presence.hear([State(1, 2, HERE)], 0.0)
    gone = State(1, 2, None)
    assert presence.hear([gone, gone, State(9, 5, None)], 1.0) == [gone]
    assert presence.states == {}


@given(st.lists(st.lists(entries, max_size=4), max_size=8))
def test_it_hears_what_pycrdt_hears(messages):
    """The same clients are there, and the same changes are told, after any messages."""
    theirs = pycrdt.Awareness(pycrdt.Doc())
    theirs.set_local_state(None)
    told = []
    theirs.observe(lambda topic, change: told.append(change[0]) if topic == "update" else None)
    ours = Presence()
    for message in messages:
        told.clear()
        raw = encode(Awareness(message))
        assert raw[1] < 128  # so the length before the update is one byte
        theirs.apply_awareness_update(raw[2:], "peer")
        changed = ours.hear(message, 0.0)
        news = [client for change in told for client in itertools.chain(*change.values())]
        assert sorted(entry.client for entry in changed) == sorted(news)
        there = {client: theirs.meta[client]["clock"] for client in theirs.states}
        assert {client: entry.clock for client, entry in ours.states.items()} == there


@given(
    st.permutations(
        [State(1, 1, HERE), State(1, 2, None), State(1, 3, b"{}"), State(2, 4, HERE), State(2, 4, None)]
    )
)
def test_old_entries_that_come_late_bring_nobody_back(order):
    """Who is there with its last clock stays, and who is gone stays gone, whatever is heard again."""
    presence = Presence()
    presence.hear(order, 0.0)
    presence.hear([State(2, 4, None)], 0.0)
    presence.hear(order, 1.0)
    assert presence.states == {1: State(1, 3, b"{}")}


def test_who_does_not_renew_is_gone_after_thirty_seconds():
    """With the clock it had; the time counts from the last entry that was applied."""
    presence = Presence()
    presence.hear([State(1, 1, HERE), State(2, 1, HERE)], 100.0)
    presence.hear([State(2, 2, HERE), State(1, 1, HERE)], 110.0)
    assert presence.prune(100.0 + OUTDATED - 0.5) == []
    assert presence.prune(100.0 + OUTDATED) == [State(1, 1, None)]
    assert presence.prune(100.0 + OUTDATED) == []
    assert presence.states == {2: State(2, 2, HERE)}
    assert presence.prune(110.0 + OUTDATED) == [State(2, 2, None)]


def test_whose_connection_ended_is_gone_for_others_too():
    """What `remove` returns takes the client out of another table; its next clock brings it back."""
    here, there = Presence(), Presence()
    for presence in (here, there):
        presence.hear([State(1, 5, HERE)], 0.0)
    gone = here.remove([1, 2], 1.0)
    assert gone == [State(1, 5, None)]
    assert there.hear(gone, 1.0) == gone
    assert here.remove([1], 2.0) == []
    for presence in (here, there):
        assert presence.hear([State(1, 5, HERE)], 2.0) == []
        assert presence.hear([State(1, 6, HERE)], 3.0) == [State(1, 6, HERE)]


def test_the_clock_of_who_is_gone_is_forgotten_in_time():
    """Until `REMEMBERED` an old entry is refused, and then nothing of the client is left."""
    presence = Presence()
    presence.hear([State(1, 5, HERE)], 0.0)
    presence.remove([1], 10.0)
    presence.prune(10.0 + REMEMBERED - 0.5)
    assert presence.hear([State(1, 4, HERE)], 10.0 + REMEMBERED - 0.5) == []
    presence.prune(10.0 + REMEMBERED)
    assert (presence.states, presence._heard, presence._gone) == ({}, {}, {})
    assert presence.hear([State(1, 4, HERE)], 10.0 + REMEMBERED) == [State(1, 4, HERE)]


def test_no_more_clients_are_known_than_allowed():
    """A client beyond the limit is ignored; those who are gone make room for those who are there."""
    presence = Presence()
    crowd = [State(client, 1, HERE) for client in range(MAX_CLIENTS)]
    assert presence.hear(crowd, 0.0) == crowd
    late = State(MAX_CLIENTS, 1, HERE)
    assert presence.hear([late], 1.0) == []
    presence.remove([3, 4], 2.0)
    presence.hear([State(MAX_CLIENTS + 1, 9, None)], 2.0)  # makes no room
    assert presence.hear([State(3, 1, HERE)], 2.0) == []
    assert presence.hear([late], 3.0) == [late]
    assert presence.hear([State(3, 1, HERE)], 3.0) == [State(3, 1, HERE)]  # forgotten: it was gone first
    assert len(presence.states) == MAX_CLIENTS
    assert presence.hear([State(4, 2, HERE)], 3.0) == []
