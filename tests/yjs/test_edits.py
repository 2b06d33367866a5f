"""Edits of one text that were made at the same time come to the same text, in whatever order."""

from __future__ import annotations

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.yjs.edits import Edit, apply, carry, counts, from_delta, inverse

characters = st.sampled_from("abc\r\né世😀\u0301\u200d")
texts = st.text(characters, max_size=10)


@st.composite
def changes(draw, text):
    """Return edits of a text, in order."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pairs = zip(places[::2], places[1::2], strict=False)
    return tuple(Edit(start, stop, draw(st.text(characters, max_size=3))) for start, stop in pairs)


@settings(max_examples=2_000, deadline=None)
@given(st.data())
def test_two_changes_come_to_the_same_text_in_either_order(data):
    """Each one carried over the other (the transformation property TP1)."""
    text = data.draw(texts)
    one, two = data.draw(changes(text)), data.draw(changes(text))
    assert apply(apply(text, one), carry(two, one)) == apply(apply(text, two), carry(one, two, first=True))


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_what_is_inserted_is_there_and_what_both_left_stays(data):
    """A change takes nothing of the other one's, and deletes nothing that neither of them does."""
    fresh = map(chr, range(0x4E00, 0x9FFF))
    text = "".join(next(fresh) for _ in range(data.draw(st.integers(0, 9))))
    one, two = ([edit._replace(text=next(fresh)) for edit in data.draw(changes(text))] for _ in range(2))
    together = apply(apply(text, tuple(one)), carry(tuple(two), tuple(one)))
    gone = {character for edit in one + two for character in text[edit.start : edit.stop]}
    inserted = {edit.text for edit in one + two}
    assert sorted(together) == sorted((set(text) - gone) | inserted)


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_a_change_can_be_taken_back(data):
    """The inverse leads to the text before, and counts the other way round."""
    text = data.draw(texts)
    change = data.draw(changes(text))
    back = inverse(text, change)
    assert apply(apply(text, change), back) == text
    assert counts(back) == counts(change)[::-1]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_yjs_tells_is_the_change_that_was_made(data):
    """Events of pycrdt count bytes; changes count characters."""
    text = data.draw(texts)
    doc = pycrdt.Doc({"content": pycrdt.Text(text)})
    content, deltas = doc["content"], []
    content.observe(lambda event: deltas.append(event.delta))
    with doc.transaction():
        for start, stop, new in reversed(data.draw(changes(text))):
            first, last = len(text[:start].encode()), len(text[:stop].encode())
            if last > first:
                del content[first:last]
            if new:
                content.insert(first, new)
    change = from_delta(deltas[0], text) if deltas else ()
    assert apply(text, change) == str(content)


def test_inserts_at_one_place_are_in_the_order_in_which_they_were_made():
    """What comes later goes after what is there; `first` turns that round."""
    assert apply("aAb", carry((Edit(1, 1, "B"),), (Edit(1, 1, "A"),))) == "aABb"
    assert apply("aAb", carry((Edit(1, 1, "B"),), (Edit(1, 1, "A"),), first=True)) == "aBAb"


def test_counts_are_of_what_is_inserted_and_of_what_is_deleted():
    """In this order, over all edits of a change."""
    assert counts((Edit(0, 2, "xyz"), Edit(3, 3, "😀"), Edit(4, 5, ""))) == (4, 3)
    assert counts(()) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [(Edit(0, 4, ""),), (Edit(2, 1, ""),), (Edit(-1, 0, "x"),), (Edit(1, 3, ""), Edit(2, 3, "x"))],
)
def test_places_that_are_not_there(change):
    """Beyond the end, the wrong way round, before the beginning, out of order."""
    with pytest.raises(ValueError, match="there are no characters"):
        apply("abc", change)
