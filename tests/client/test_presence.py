import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtwidgets.client import presence
from rtwidgets.client.presence import PresenceEvent, PresenceMap
from rtwidgets.messages import Joined, Left, Present


def at(ms):
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def events(people, after=0):
    return people.since(after)[0]


def test_who_comes_and_goes():
    """Each is told with the server's time; what is known already is not told again."""
    people = PresenceMap()
    people.told([Present("ada", 1_000.0, "one")])
    people.hear(Joined("c", "ada", 1_000.0, "one"))
    people.hear(Joined("c", "bob", 2_000.5, "one"))
    people.hear(Left("c", "cy", 2_500.0, "one"))
    people.hear(Left("c", "ada", 3_000.0, "one"))
    assert people.members == [Present("bob", 2_000.5, "one")]
    assert events(people) == [
        PresenceEvent("joined", "ada", at(1_000.0), "one"),
        PresenceEvent("joined", "bob", at(2_000.5), "one"),
        PresenceEvent("left", "ada", at(3_000.0), "one"),
    ]


def test_one_who_is_there_since_later_is_the_newest():
    """Somebody went and came back, of which only the latter was heard."""
    people = PresenceMap()
    for name, since in (("ada", 1_000.0), ("bob", 2_000.0), ("ada", 3_000.0)):
        people.hear(Joined("c", name, since, "one"))
    assert people.df["user"].tolist() == ["bob", "ada"]
    assert people.df["since"].tolist() == [at(2_000.0), at(3_000.0)]


def test_what_happened_during_a_break():
    """Who went has left, nobody knows when; who came back meanwhile has left and joined; the others stay."""
    people = PresenceMap()
    stays, returns, goes = (Present(name, 1_000.0, "one") for name in ("ada", "bob", "cy"))
    people.told([stays, returns, goes])
    _, number = people.since(0)
    assert number == people.count == 3
    people.told([stays, Present("bob", 2_000.0, "two"), Present("dan", 3_000.0, "two")])
    assert people.df["user"].tolist() == ["ada", "bob", "dan"]
    told = [(event.kind, event.user, event.server) for event in events(people, number)]
    assert told == [
        ("left", "bob", "one"),
        ("left", "cy", "one"),
        ("joined", "bob", "two"),
        ("joined", "dan", "two"),
    ]
    times = [event.time for event in events(people, number)]
    assert times[:2] == [pd.NaT, pd.NaT]
    assert times[2:] == [at(2_000.0), at(3_000.0)]


@pytest.mark.parametrize("since", [None, 1e300, -1e18])
def test_a_time_that_is_none(since):
    """An older server has none, a strange one has anything: then it is NaT."""
    people = PresenceMap()
    people.hear(Joined("c", "ada", since))
    assert people.df["since"].isna().all()
    assert str(people.df["since"].dtype) == "datetime64[ns, UTC]"
    assert events(people) == [PresenceEvent("joined", "ada", pd.NaT, "")]


def test_the_newest_events_are_kept(monkeypatch):
    """A reader who is further behind goes on with the oldest one that is kept."""
    people = PresenceMap()
    for n in range(presence.KEPT + 10):
        people.hear(Joined("c", str(n)))
    kept, number = people.since(5)
    assert [event.user for event in kept] == [str(n) for n in range(10, presence.KEPT + 10)]
    assert number == people.count == presence.KEPT + 10
    assert people.since(number) == ([], number)


members = st.builds(Present, st.sampled_from("abc"), st.sampled_from([None, 1.0, 2.0]), st.sampled_from("xy"))
steps = st.one_of(
    st.lists(members, max_size=4),
    members.map(lambda each: Joined("c", each.user, each.since, each.server)),
    members.map(lambda each: Left("c", each.user, each.since, each.server)),
)


@given(st.lists(steps, max_size=30))
def test_the_events_add_up_to_the_members(script):
    """Whatever a server says: each event is a change, and all together they make up who is there."""
    people, rings = PresenceMap(), []
    people.changed = lambda: rings.append(people.count)
    for step in script:
        if isinstance(step, list):
            people.told(step)
        else:
            people.hear(step)
    assert people.count == (rings[-1] if rings else 0)
    there = {}
    for event in events(people):
        if event.kind == "left":
            del there[event.user]
        else:
            there.pop(event.user, None)
            there[event.user] = event.server
    assert there == {member.user: member.server for member in people.members}
