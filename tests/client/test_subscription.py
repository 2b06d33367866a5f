import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.client import Missing, Subscription
from rtwidgets.messages import (
    Conflated,
    Cursor,
    Gap,
    Joined,
    Latest,
    Left,
    Messages,
    Present,
    Subscribe,
    Subscribed,
)


def run(first, count, epoch="e"):
    return Messages("c", epoch, first, count, 0.0, msgspec.Raw(b""))


def answer(offset, epoch="e", *, recovered=True, lost=0):
    return Subscribed(1, "c", epoch, offset, recovered, lost)


def read(subscription, message):
    """Return the offsets that are new in a run."""
    known = subscription.messages(message)
    return list(range(message.offset + known, message.offset + message.count))


def test_the_first_request():
    """From the beginning of what is kept, or from now on; later from the cursor."""
    assert Subscription("c").request(1) == Subscribe(1, "c", Cursor("", 0))
    subscription = Subscription("c", history=False)
    assert subscription.request(1) == Subscribe(1, "c", None)
    subscription.subscribed(answer(5))
    read(subscription, run(6, 2))
    assert subscription.request(2) == Subscribe(2, "c", Cursor("e", 7))


def test_what_was_read_before_is_known():
    """A run that overlaps is new only in its rest."""
    subscription = Subscription("c")
    subscription.subscribed(answer(0))
    assert read(subscription, run(1, 5)) == [1, 2, 3, 4, 5]
    assert read(subscription, run(1, 5)) == []
    assert read(subscription, run(3, 5)) == [6, 7]
    assert not subscription.gaps


def test_a_hole_is_named():
    """Whether the server says so or not."""
    subscription = Subscription("c")
    subscription.subscribed(answer(0))
    subscription.gap(Gap("c", "e", 1, 3))
    assert read(subscription, run(4, 1)) == [4]
    assert read(subscription, run(7, 1)) == [7]
    assert [(gap.first, gap.last) for gap in subscription.gaps] == [(1, 3), (5, 6)]


def test_after_a_break():
    """What was trimmed meanwhile is named; another epoch is a gap that nobody can count."""
    subscription = Subscription("c")
    subscription.subscribed(answer(0))
    read(subscription, run(1, 10))
    subscription.subscribed(answer(10))
    assert not subscription.gaps
    subscription.subscribed(answer(15, recovered=False, lost=5))
    assert subscription.gaps[-1][:3] == ("e", 11, 15)
    subscription.subscribed(answer(0, "f", recovered=False))
    assert subscription.gaps[-1] == Missing("f", None, None, "the channel began anew (another epoch)")
    assert read(subscription, run(16, 1)) == []
    assert read(subscription, run(1, 2, "f")) == [1, 2]
    subscription.subscribed(answer(0, "f", recovered=False))
    assert "went back" in subscription.gaps[-1].reason


def test_what_comes_before_the_answer_is_not_read():
    """It will come again."""
    subscription = Subscription("c")
    assert read(subscription, run(1, 5)) == []
    subscription.gap(Gap("c", "e", 1, 3))
    assert not subscription.gaps


def test_conflation_leads_past_what_is_left_out():
    """It counts that, and is no gap; one that does not go on from the cursor is from before a new answer."""
    subscription = Subscription("c")
    latest = Latest([4, 9], [0.0, 0.0], msgspec.Raw(b"[1,2]"))
    assert not subscription.conflation(Conflated("c", "e", 1, 9, latest))
    subscription.subscribed(answer(0))
    assert not subscription.conflation(Conflated("c", "f", 1, 9, latest))
    assert not subscription.conflation(Conflated("c", "e", 2, 9, latest))
    assert subscription.conflation(Conflated("c", "e", 1, 9, latest))
    assert subscription.conflated == 7
    assert read(subscription, run(10, 1)) == [10]
    assert not subscription.gaps


def test_gaps_are_bounded():
    """The newest thousand are kept."""
    subscription = Subscription("c")
    subscription.subscribed(answer(0))
    for n in range(1, 3_000):
        read(subscription, run(n * 2, 1))
    assert len(subscription.gaps) == 1_000


events = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 60), st.integers(1, 12)),
    st.tuples(st.just("gap"), st.integers(1, 60), st.integers(0, 12)),
    st.tuples(st.just("again"), st.integers(0, 10), st.just(0)),
)


@settings(max_examples=400)
@given(st.lists(events, max_size=60))
def test_each_offset_at_most_once_and_each_missing_one_named(script):
    """Any mix of known, overlapping and holed runs, gaps and re-subscriptions accounts for each offset."""
    subscription = Subscription("c")
    subscription.subscribed(answer(0))
    seen = []
    for kind, first, count in script:
        if kind == "run":
            seen += read(subscription, run(first, count))
        elif kind == "gap":
            subscription.gap(Gap("c", "e", first, first + count))
        else:
            request = subscription.request(1)
            lost = first
            subscription.subscribed(answer(request.after.offset + lost, recovered=not lost, lost=lost))
    missing = [n for gap in subscription.gaps for n in range(gap.first, gap.last + 1)]
    assert sorted(seen + missing) == list(range(1, subscription.cursor.offset + 1))
    assert seen == sorted(seen)


def test_who_is_present():
    """What the server says when it is subscribed to, and after that; after a break it says it anew."""
    subscription = Subscription("c")
    subscription.subscribed(answer(0))
    assert subscription.present == []
    for event in (Joined("c", "ada"), Joined("c", "bob"), Joined("c", "ada"), Left("c", "cy")):
        subscription.presence(event)
    assert subscription.present == ["ada", "bob"]
    subscription.presence(Left("c", "ada"))
    assert subscription.present == ["bob"]
    subscription.subscribed(Subscribed(1, "c", "e", 0, present=[Present("cy"), Present("ada")]))
    assert subscription.present == ["cy", "ada"]
    subscription.subscribed(answer(0))
    assert subscription.present == []
