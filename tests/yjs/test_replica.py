"""Replicas that have the same updates have the same text, whatever its characters."""

from __future__ import annotations

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.errors import BadUpdate
from rtwidgets.yjs.edits import Edit, apply
from rtwidgets.yjs.replica import EMPTY, Replica, merged
from tests.yjs.test_edits import characters

places = st.floats(0, 1)
steps = st.tuples(
    st.sampled_from(["edit", "edit", "undo", "redo", "hear"]), st.integers(0, 2), places, places, characters
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=20))
def test_replicas_converge(steps):
    """Whatever each does before it hears of the others; the changes they tell of lead to their texts."""
    replicas = [Replica(undo=True) for _ in range(3)]
    told = [""] * 3
    queues = [[] for _ in replicas]

    def hear(number):
        # One may build on another one that is not here yet: all of them are merged first.
        if updates := queues[number][:]:
            queues[number].clear()
            told[number] = apply(told[number], replicas[number].apply(merged(updates)) or ())

    for what, number, one, two, text in steps:
        replica = replicas[number]
        if what == "hear":
            for other in range(3):
                hear(other)
            continue
        if what == "edit":
            start, stop = sorted(round(place * len(replica.text)) for place in (one, two))
            change = (Edit(start, stop, text),)
            done = change, replica.edit(change)
        else:
            done = replica.undo() if what == "undo" else replica.redo()
        if done is not None:
            told[number] = apply(told[number], done[0])
            assert told[number] == replica.text == str(replica._text)
            for other in {0, 1, 2} - {number}:
                queues[other].append(done[1])
    for number in range(3):
        hear(number)
    assert {*told, *(replica.text for replica in replicas)} == {replicas[0].text}
    assert Replica([replicas[0].state()]).text == told[0]


def test_only_own_edits_are_undone():
    """One call, one edit, however soon they follow each other; what others wrote stays."""
    one, two = Replica(undo=True), Replica()
    updates = [one.edit((Edit(0, 0, "a"),)), one.edit((Edit(1, 1, "b"),))]
    for update in updates:
        two.apply(update)
    one.apply(two.edit((Edit(1, 1, "😀"),)))
    texts = [one.text]
    while (done := one.undo()) is not None:
        two.apply(done[1])
        texts.append(one.text)
    assert texts == ["a😀b", "a😀", "😀"]
    while (done := one.redo()) is not None:
        two.apply(done[1])
    assert one.text == two.text == "a😀b"


def test_what_is_known_changes_nothing():
    """An update that came before, an empty one, and an edit of nothing."""
    one, two = Replica(), Replica()
    update = one.edit((Edit(0, 0, "x"),))
    assert two.apply(update) == (Edit(0, 0, "x"),)
    assert two.apply(update) is None
    assert two.apply(EMPTY) is None
    assert one.edit(()) == EMPTY


def test_what_is_lacking():
    """What a state vector lacks brings another replica up to date; what is none is refused."""
    one, two = Replica(), Replica()
    one.edit((Edit(0, 0, "Grüße"),))
    two.apply(one.lacking(two.vector))
    assert two.text == "Grüße"
    assert two.apply(one.lacking(two.vector)) is None
    with pytest.raises(BadUpdate, match="no state vector"):
        one.lacking(b"\xff\xff\xff")


@pytest.mark.parametrize("value", [{"embed": 1}, pycrdt.Map({"a": 1}), pycrdt.Array([1, 2])])
def test_what_is_no_text_is_refused(value):
    """A Yjs text may hold other things; a document's may not."""
    doc = pycrdt.Doc({"content": pycrdt.Text("héllo")})
    Replica([doc.get_update()])
    doc["content"].insert_embed(2 + 1, value)
    with pytest.raises(BadUpdate, match="something else than text"):
        Replica([doc.get_update()])
    replica = Replica()
    with pytest.raises(BadUpdate, match="something else than text"):
        replica.apply(doc.get_update())


def test_other_types_of_the_same_name_are_refused():
    """An array called "content" is no text."""
    with pytest.raises(BadUpdate, match="something else than text"):
        Replica().apply(pycrdt.Doc({"content": pycrdt.Array(["a"])}).get_update())


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_bytes_are_an_update_or_refused(data):
    """Random ones, and updates with bytes cut off or replaced, in one way."""
    source = pycrdt.Doc({"content": pycrdt.Text("Grüße 😀")}, client_id=7)
    del source["content"][2:5]
    source["content"].insert(1, "xyz")
    update = bytearray(source.get_update())
    start = data.draw(st.integers(0, len(update)))
    stop = data.draw(st.integers(start, len(update)))
    update[start:stop] = data.draw(st.binary(max_size=5) | st.sampled_from([b"\xff" * 9, b"\x80"]))
    replica = Replica()
    try:
        replica.apply(bytes(update))
    except BadUpdate as error:
        str(error).encode()
    else:
        assert replica.text == str(replica._text)


def test_an_update_on_unknown_edits_says_so():
    """Who sent it can then be asked for all that is missing."""
    source = Replica()
    source.edit((Edit(0, 0, "first"),))
    second = source.edit((Edit(5, 5, " second"),))
    with pytest.raises(BadUpdate, match="not here") as caught:
        Replica().apply(second)
    assert caught.value.missing


def test_half_a_surrogate_pair_is_refused():
    """Before anything is done."""
    replica = Replica(undo=True)
    replica.edit((Edit(0, 0, "abc"),))
    with pytest.raises(ValueError, match="surrogates"):
        replica.edit((Edit(0, 1, "x"), Edit(2, 3, "\ud800")))
    assert replica.text == str(replica._text) == "abc"
