"""What leads from one text to another leads there, in as few characters as can be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.yjs.difference import MOST, MOST_LINES, difference, distance
from rtwidgets.yjs.edits import Edit, apply, counts

short = st.text(st.sampled_from("ab\né😀"), max_size=12)
parts = st.lists(st.sampled_from(["line\n", "other line\r\n", "x" * 60, "é", ""]), max_size=12).map("".join)


def shortest(before, after):
    """Return how many characters have to be inserted and deleted, by dynamic programming."""
    row = list(range(len(after) + 1))
    for count, old in enumerate(before, 1):
        above, row = row, [count]
        for index, new in enumerate(after):
            row.append(above[index] if old == new else 1 + min(above[index + 1], row[index]))
    return row[-1]


@settings(max_examples=1_000, deadline=None)
@given(short, short)
def test_the_shortest_way_is_found(before, after):
    """Small differences are told to the character."""
    change = difference(before, after)
    assert apply(before, change) == after
    assert sum(counts(change)) == shortest(before, after) == distance(before, after, MOST)


@settings(max_examples=500, deadline=None)
@given(parts, parts)
def test_large_differences_lead_there_too(before, after):
    """By lines, where they are more than `MOST` characters."""
    assert apply(before, difference(before, after)) == after


def test_lines_that_are_the_same_are_left_alone():
    """Also when a lot has changed around them."""
    kept = "this line stays as it is\n"
    before, after = "a" * MOST + "\n" + kept + "b" * MOST, "c" * MOST + "\n" + kept + "d" * MOST
    change = difference(before, after)
    assert apply(before, change) == after
    assert counts(change) == (2 * MOST + 1, 2 * MOST + 1)  # the line feed belongs to its line


def test_texts_of_too_many_lines_are_replaced():
    """All together, without looking for what they share; a small change in them is found nevertheless."""
    lines = [f"{n}\n" for n in range(2 * MOST_LINES)]
    change = difference("".join(lines), "".join(reversed(lines)))
    assert len(change) == 1
    before = "".join(lines) * 50
    after = before[:70_000] + "here" + before[70_000:]
    assert apply(before, difference(before, after)) == after
    assert counts(difference(before, after)) == (4, 0)


def test_distances_are_looked_for_up_to_a_bound():
    """What is further away is one more than that."""
    assert distance("abc", "xyz", 6) == 6
    assert distance("abc", "xyz", 5) == 6
    assert distance("", "x" * 1_000, 3) == 4
    assert difference("same", "same") == ()
    assert difference("ac", "abc") == (Edit(1, 1, "b"),)
